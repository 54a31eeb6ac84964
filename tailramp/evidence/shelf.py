"""The books of all candidates of a ramp, read together.

Each candidate has limits of its own and so a book of its own; what they ask of Prometheus is asked once.
"""

from collections.abc import Mapping, Sequence

from tailramp.evidence.book import CheckBook
from tailramp.evidence.checks import Check, SlotMatch
from tailramp.evidence.judge import CheckTick
from tailramp.evidence.reading import Reading
from tailramp.evidence.verdicts import Said, Verdict


class Shelf:
    """One or more books on one grid, of different candidates beside the same baseline."""

    def __init__(self, books: Sequence[CheckBook]) -> None:
        """ValueError if there is no book, or if two lie on different grids."""
        if not books or any(book.grid != books[0].grid for book in books):
            raise ValueError("a shelf holds one or more books on one grid")
        self._books = tuple(books)

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks of all books; two candidates with the same limits share them."""
        return tuple(dict.fromkeys(check for book in self._books for check in book.checks))

    @property
    def slots(self) -> tuple[SlotMatch, ...]:
        """The slots of all candidates, and the baseline's."""
        return tuple(dict.fromkeys(slot for book in self._books for slot in book.slots))

    @property
    def pairs(self) -> tuple[tuple[str, Check], ...]:
        """Every candidate's slot with each of its checks."""
        return tuple((slot.slot, check) for book in self._books for slot in book.slots[:-1] for check in book.checks)

    @property
    def verdicts(self) -> list[Verdict]:
        """The present verdict of every check of every candidate."""
        return [verdict for book in self._books for verdict in book.verdicts]

    @property
    def sayings(self) -> list[Said]:
        """The same, told only if somebody asks for it."""
        return [said for book in self._books for said in book.sayings]

    def observe(self, reading: Reading) -> list[Verdict]:
        """Take the reading of one tick and return the verdicts after it; see ``CheckBook.take``."""
        self.take(reading)
        return self.verdicts

    def take(self, reading: Reading) -> None:
        """See ``CheckBook.take``."""
        for book in self._books:
            book.take(reading)

    def take_counts(self, ticks: Mapping[tuple[str, str], CheckTick], at: int) -> None:
        """See ``CheckBook.take_counts``."""
        for book in self._books:
            book.take_counts(ticks, at)

    def foresee(self, ticks: Mapping[tuple[str, str], Sequence[CheckTick]]) -> None:
        """See ``CheckBook.foresee``."""
        for book in self._books:
            book.foresee(ticks)

    def restate(self) -> list[Verdict]:
        """See ``CheckBook.restate``."""
        for book in self._books:
            book.restate()
        return self.verdicts

    def speak_briefly(self, brief: bool) -> None:
        """See ``CheckBook.speak_briefly``."""
        for book in self._books:
            book.speak_briefly(brief)

    def behind(self, reading: Reading) -> int | None:
        """The first tick that has to be made up for before ``reading`` can be observed; None if none has to."""
        found = [book.behind(reading) for book in self._books]
        return min((first for late, first in found if late), default=None)
