"""The counts on which a verdict rests, small enough to stand beside it in a decision's record.

Whoever doubts a decision years later has neither the Prometheus nor the worker of then. So a decision holds what its
judges were shown since the ramp's present day of evidence began: the checks with all their rules, and of every stretch
of time the users that were compared and the counts of every tick. That is everything that a verdict depends on; the
same judges, shown it again, must say the same.

Written, it is JSON, packed by zlib and spelt in base64. Of a histogram only the edges that are compared are kept.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tailramp.evidence.book import CheckBook
from tailramp.evidence.checks import Check, SlotMatch
from tailramp.evidence.grid import Grid
from tailramp.evidence.judge import CheckTick
from tailramp.evidence.kept import Kept, Row, TimeBefore, row_of
from tailramp.evidence.packing import packed, unpacked
from tailramp.evidence.sequential.dossier import Dossier, teach
from tailramp.evidence.sequential.user_sets import UserSets
from tailramp.evidence.verdicts import Verdict
from tailramp.forms import SlotName

MOST_BYTES: Final = 128 << 10
"""Of what a decision holds, written: a history holds it twice, and may have 4 MiB before it must be continued."""


class KeptStretch(BaseModel):
    """A stretch of time on one grid; ``shares`` of the users, in %, by slot: the candidate's and the baseline's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anchor: int
    tick: int = Field(ge=1)
    settling: bool = False
    shares: dict[SlotName, tuple[float, float]]
    kept: dict[SlotName, dict[str, Kept]] = {}


class Counts(BaseModel):
    """Everything that the verdicts of a decision depend on.  ``since``: unix time at which the evidence began."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(default=1, ge=1, le=1)
    since: int
    checks: dict[SlotName, tuple[Check, ...]]
    stretches: tuple[KeptStretch, ...] = Field(min_length=1)
    earlier: TimeBefore | None = Field(default=None, description="what was known of the users before the ramp")

    def written(self) -> str:
        """As it stands in a record."""
        left_out = {"earlier"} if self.earlier is None else None
        return packed(json.dumps(self.model_dump(mode="json", exclude=left_out), separators=(",", ":")))

    @classmethod
    def read(cls, written: str) -> "Counts":
        """Raises ValueError for what ``written`` has not made."""
        try:
            return cls.model_validate_json(unpacked(written))
        except ValidationError as error:
            raise ValueError("the counts are damaged") from error

    def verdicts(self) -> list[Verdict]:
        """What the judges say of these counts, at the last tick."""
        dossiers = {
            (slot, check.name): check.dossier(self.since)
            for slot, checks in self.checks.items()
            for check in checks
            if check.is_sequential
        }
        teach(dossiers, self.earlier)
        books: list[CheckBook] = []
        for stretch in self.stretches:
            for (slot, _), dossier in dossiers.items():
                dossier.begin(UserSets(*stretch.shares[slot]), stretch.anchor)
            last = stretch is self.stretches[-1]
            slots = [slot for slot in self.checks if last or self._filed(slot, stretch)]
            books = [self._book(slot, stretch, dossiers, filing=not last) for slot in slots]
            _show(books, stretch)
        return [verdict for book in books for verdict in book.verdicts]

    def _filed(self, slot: SlotName, stretch: KeptStretch) -> list[Check]:
        return [c for c in self.checks[slot] if c.is_sequential and (c.in_settle or not stretch.settling)]

    def _book(
        self, slot: SlotName, stretch: KeptStretch, dossiers: Mapping[tuple[str, str], Dossier], *, filing: bool
    ) -> CheckBook:
        checks = self._filed(slot, stretch) if filing else list(self.checks[slot])
        listening = [check.name for check in checks if stretch.settling and not check.in_settle]
        grid = Grid(anchor=stretch.anchor, tick=stretch.tick)
        return CheckBook(
            checks, [_match(slot)], _match(""), grid, dossiers=dossiers, listening=listening, filing=filing
        )


def _match(slot: SlotName) -> SlotMatch:
    """Nobody is asked, but a book wants to know whom it would ask."""
    slot = slot or "the baseline"
    return SlotMatch(slot=slot, metrics=f'slot="{slot}"', gateway=f'slot="{slot}"')


def _show(books: Sequence[CheckBook], stretch: KeptStretch) -> None:
    grid = Grid(anchor=stretch.anchor, tick=stretch.tick)
    ends = [len(one.rows) for kept in stretch.kept.values() for one in kept.values()]
    for index in range(max(ends, default=0)):
        at = grid.time(index)
        ticks = {
            (slot, name): one.tick(index, at)
            for slot, kept in stretch.kept.items()
            for name, one in kept.items()
            if index < len(one.rows)
        }
        for book in books:
            book.take_counts(ticks, at)


class Ledger:
    """Writes down what the judges of a watch are shown, stretch after stretch.

    What is more than a record can hold is left out as a whole: of nine checks at ticks of 15 s, what is longer than
    some 2½ hours.
    """

    def __init__(
        self, checks: Mapping[SlotName, tuple[Check, ...]], since: int, dossiers: Mapping[tuple[str, str], Dossier]
    ) -> None:
        """``since``: unix time at which the first day of evidence began; ``dossiers``: that the judges speak for."""
        self._checks, self._since, self._dossiers = checks, since, dossiers
        self._earlier: TimeBefore | None = None
        self._stretches: list[_Written] = []
        self._rows = 0

    def remember(self, earlier: TimeBefore | None) -> None:
        """What the dossiers were taught of the users before the ramp."""
        self._earlier = earlier

    def begin(self, grid: Grid, shares: Mapping[SlotName, tuple[float, float]], *, settling: bool) -> None:
        """A stretch begins; ``shares`` as in ``KeptStretch``."""
        self._stretches.append(_Written(grid, settling, dict(shares)))

    def take(self, slot: SlotName, check: str, tick: CheckTick) -> None:
        """A judge was shown a tick."""
        self._rows += 1
        if self._rows > _MOST_ROWS:
            for stretch in self._stretches:
                stretch.rows.clear()
            return
        rows, before = self._stretches[-1].rows.setdefault((slot, check), ([], []))
        dossier = self._dossiers.get((slot, check))
        edges = () if dossier is None else dossier.edges
        if edges and not before and tick.baseline_before.n:
            above = tick.baseline_before.above
            before += [tick.baseline_before.n, *(above.get(edge, 0.0) for edge in edges)]
        rows.append(row_of(tick, edges))

    def written(self) -> str:
        """Everything as ``Counts`` writes it; "" if that would be more than ``MOST_BYTES``."""
        if self._rows > _MOST_ROWS or not self._stretches:
            return ""
        stretches = []
        for one in self._stretches:
            kept: dict[SlotName, dict[str, Kept]] = {}
            for (slot, name), (rows, before) in one.rows.items():
                dossier = self._dossiers.get((slot, name))
                edges = () if dossier is None else dossier.edges
                kept.setdefault(slot, {})[name] = Kept.model_construct(
                    edges=edges, before=tuple(before), rows=tuple(rows)
                )
            stretches.append(
                KeptStretch.model_construct(
                    anchor=one.grid.anchor, tick=one.grid.tick, settling=one.settling, shares=one.shares, kept=kept
                )
            )
        text = Counts.model_construct(
            since=self._since,
            checks=dict(self._checks),
            stretches=tuple(stretches),
            earlier=self._compared(self._earlier),
        ).written()
        return text if len(text) <= MOST_BYTES else ""

    def _compared(self, earlier: TimeBefore | None) -> TimeBefore | None:
        """With no other edges than those that are compared."""
        if earlier is None:
            return None
        kept = {
            slot: {
                name: one.with_edges(() if one.edges == () else self._dossiers[slot, name].all_edges)
                for name, one in of_slot.items()
                if (slot, name) in self._dossiers
            }
            for slot, of_slot in earlier.kept.items()
        }
        return earlier.model_copy(update={"kept": kept})


@dataclass
class _Written:
    grid: Grid
    settling: bool
    shares: dict[SlotName, tuple[float, float]]
    rows: dict[tuple[SlotName, str], tuple[list[Row], list[float]]] = field(default_factory=dict)


_MOST_ROWS: Final = 8_000
"""More than fit into ``MOST_BYTES`` anyhow."""
