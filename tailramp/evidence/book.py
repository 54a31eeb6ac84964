"""All checks of a step, of all its candidates, kept up to date reading by reading.

For every check and candidate the book keeps a page: the counts of the candidate's arm and of the baseline's, a judge,
and the tick up to which both are known. A page takes ticks strictly in order and without gaps. When Prometheus could
not be asked, the page stays where it is and its verdict is BLIND; the ticks that it missed are read later, by a range
query, before the present one. So what a judge has seen at a tick depends on the grid and on what Prometheus stored,
not on when the worker was alive or could reach it, and a crash cannot change a PASS or a FAIL.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from tailramp.evidence.checks import Check, SlotMatch
from tailramp.evidence.grid import Grid
from tailramp.evidence.judge import CheckTick, Judge
from tailramp.evidence.page import Page, Told
from tailramp.evidence.reading import Reading
from tailramp.evidence.sequential.combination import JointEvidence
from tailramp.evidence.sequential.judge import Filing
from tailramp.evidence.verdicts import Said, Verdict, in_full

if TYPE_CHECKING:
    from tailramp.evidence.sequential.dossier import Dossier

RUN_UP = 300
"""Seconds before the anchor from which readings are wanted. They are not counted: they only make known the series
that a missed scrape hides just at the anchor, which would otherwise be counted from zero when they come back. As long
as Prometheus' lookback.
"""


class CheckBook:
    """Turns readings into ticks and shows them to the judges of all checks and candidates."""

    def __init__(
        self,
        checks: Sequence[Check],
        candidates: Sequence[SlotMatch],
        baseline: SlotMatch,
        grid: Grid,
        *,
        floor: int = 0,
        run_up: int = RUN_UP,
        dossiers: "Mapping[tuple[str, str], Dossier] | None" = None,
        listening: Collection[str] = (),
        filing: bool = False,
        told: Told | None = None,
    ) -> None:
        """`floor`: answers that this step wants before PASS, where a check wants fewer. `run_up`: see RUN_UP, seconds.

        `dossiers`, by slot and name of the check, are what sequential judges speak for; those of the checks named in
        `listening` take no ticks. With `filing` nobody judges: the ticks of a stretch that is over fill the dossiers.
        `told` hears of every tick that a judge is shown.

        ValueError for two checks of one name, for no candidate, and for a candidate whose queries are the baseline's.
        """
        _refuse_ambiguity(checks, candidates, baseline)
        self.checks = tuple(checks)
        self.slots = (*candidates, baseline)
        self.grid = grid
        first = -grid.ticks_in(run_up)
        known = dossiers or {}
        self._pages: list[Page] = []
        for check in checks:
            for slot in candidates:
                judge: Judge
                dossier, listens = known.get((slot.slot, check.name)), check.name in listening
                if filing and dossier is not None:
                    judge = Filing(dossier, check=check.name, slot=slot.slot)
                else:
                    judge = check.judge(slot.slot, floor, dossier, listening=listens)
                held = None if listens else dossier
                self._pages.append(Page(check, slot, baseline, grid, first, judge, dossier=held, told=told))
        self._joint = {
            slot.slot: JointEvidence(
                page.check.name for page in self._pages if page.slot == slot.slot and page.sequential
            )
            for slot in candidates
        }

    @property
    def verdicts(self) -> list[Verdict]:
        """The present verdict of every check of every candidate, in their order."""
        return [in_full(page.said) for page in self._pages]

    @property
    def sayings(self) -> list[Said]:
        """The same, told only if somebody asks for it."""
        return [page.said for page in self._pages]

    def observe(self, reading: Reading) -> list[Verdict]:
        """Take the reading of one tick and return the verdicts after it; see `take`."""
        self.take(reading)
        return self.verdicts

    def take(self, reading: Reading) -> None:
        """Take the reading of one tick.

        A reading that is known already changes nothing; a page whose questions were not asked in it stays as it is;
        one that is behind stays BLIND until the ticks in between were observed too. ValueError if the reading is not
        on the grid.
        """
        index = self.grid.index(reading.at)
        for page in self._pages:
            before = page.next
            page.take(reading, index)
            if page.sequential is not None and page.next > max(before, 0) and not page.failed:
                self._joint[page.slot].tell(page.check.name, index, page.sequential.evidence)
        self._add_up_all(reading.at)

    def take_counts(self, ticks: Mapping[tuple[str, str], CheckTick], at: int) -> None:
        """Take what was counted elsewhere, by slot and name of the check, as the tick at unix time `at`.

        For counts that were kept without the counters that they came from. A check without a tick stays as it is.
        """
        for page in self._pages:
            tick = ticks.get((page.slot, page.check.name))
            if tick is None or page.failed:
                continue
            page.judge(tick)
            if page.sequential is not None and not page.failed:
                self._joint[page.slot].tell(page.check.name, tick.index, page.sequential.evidence)
        self._add_up_all(at)

    def foresee(self, ticks: Mapping[tuple[str, str], Sequence[CheckTick]]) -> None:
        """Know the ticks that `take_counts` will be given next: it changes nothing but the time that they take."""
        for page in self._pages:
            page.foresee(ticks.get((page.slot, page.check.name), ()))

    def restate(self) -> list[Verdict]:
        """The present verdicts with all of their numbers; see `Jury.brief`."""
        for page in self._pages:
            page.restate()
        return self.verdicts

    def speak_briefly(self, brief: bool) -> None:
        """From now on verdicts come without the numbers that take long to find; see `Jury.brief`."""
        for page in self._pages:
            page.speak_briefly(brief)

    def _add_up_all(self, at: int) -> None:
        for slot, joint in self._joint.items():
            for told in joint.due():
                self._add_up(slot, told, at)

    def _add_up(self, slot: str, told: Mapping[str, float], at: int) -> None:
        pages = {page.check.name: page for page in self._pages if page.slot == slot and page.check.name in told}
        if any(page.failed for page in pages.values()):
            return
        together, worst = sum(told.values()), pages[max(told, key=lambda name: told[name])]
        if worst.check.sequential is not None and together >= worst.check.sequential.needed:
            worst.fail_together(together, at)

    def behind(self, reading: Reading) -> tuple[tuple[Check, ...], int]:
        """Say what has to be made up for before `reading` can be observed: the checks that were answered in it but
        miss earlier ticks, and the first tick that any of them misses. No checks means nothing.
        """
        index = self.grid.index(reading.at)
        late = [
            page
            for page in self._pages
            if page.next < index and not page.failed and page.asked_in(reading) and not page.unanswered(reading)
        ]
        checks = tuple(check for check in self.checks if any(page.check is check for page in late))
        return checks, min((page.next for page in late), default=index)


def _refuse_ambiguity(checks: Sequence[Check], candidates: Sequence[SlotMatch], baseline: SlotMatch) -> None:
    names = [check.name for check in checks]
    if len(set(names)) < len(names):
        raise ValueError(f"two checks have the same name: {', '.join(sorted(names))}; give each its own")
    slots = [slot.slot for slot in (*candidates, baseline)]
    if not candidates or len(set(slots)) < len(slots):
        raise ValueError(f"a book needs one or more candidates in slots of their own beside the baseline, not {slots}")
    for check in checks:
        for candidate in candidates:
            if check.queries(candidate) == check.queries(baseline):
                raise ValueError(
                    f"the check {check.name} asks the same about the slots {candidate.slot} and {baseline.slot}: "
                    f"both have the {check.source} matchers {candidate.of(check.source)}; tell them apart"
                )
