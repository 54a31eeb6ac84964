"""Ticks of one check, as they stand in a record: numbers in a row, so that a judge can be shown them again."""

from pydantic import BaseModel, ConfigDict, Field

from tailramp.evidence.counts import NO_EDGES, ArmCounts, EdgeCounts
from tailramp.evidence.judge import CheckTick
from tailramp.evidence.packing import packed, unpacked
from tailramp.forms import SlotName

Row = tuple[float | None, ...] | str
"""One tick: the candidate's answers and bad ones, the baseline's, then the counts above each edge of the candidate and
of the baseline, None where an arm lacks the edge; or why nothing could be seen."""


class Kept(BaseModel):
    """The ticks of one check of one candidate, from tick 0 on; ``before`` as in ``CheckTick``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    edges: tuple[float, ...] = ()
    before: tuple[float, ...] = Field(default=(), description="answers, then those above each edge")
    rows: tuple[Row, ...] = ()

    def tick(self, index: int, at: int) -> CheckTick:
        """The tick of row ``index``, which was at unix time ``at``."""
        row = self.rows[index]
        if isinstance(row, str):
            return CheckTick(index, at, blind=row)
        own = [number or 0.0 for number in row[:4]]
        candidate, baseline, many = ArmCounts(*own[:2]), ArmCounts(*own[2:]), len(self.edges)
        if not self.edges:
            return CheckTick(index, at, candidate, baseline)
        above = [
            EdgeCounts(n, {edge: count for edge, count in zip(self.edges, part, strict=False) if count is not None})
            for n, part in ((candidate.n, row[4 : 4 + many]), (baseline.n, row[4 + many :]))
        ]
        before = NO_EDGES
        if self.before:
            before = EdgeCounts(self.before[0], dict(zip(self.edges, self.before[1:], strict=False)))
        return CheckTick(
            index, at, candidate, baseline, candidate_edges=above[0], baseline_edges=above[1], baseline_before=before
        )

    def with_edges(self, edges: tuple[float, ...]) -> "Kept":
        """The same ticks with no other edges than these; one that was not counted is missing from both arms."""
        places = [self.edges.index(edge) if edge in self.edges else None for edge in edges]

        def chosen(row: Row) -> Row:
            if isinstance(row, str):
                return row
            many = len(self.edges)
            arms = (row[4 : 4 + many], row[4 + many :])
            return (*row[:4], *(None if place is None else arm[place] for arm in arms for place in places))

        return Kept(edges=edges, rows=tuple(chosen(row) for row in self.rows))


def row_of(tick: CheckTick, edges: tuple[float, ...]) -> Row:
    """A tick as it is kept."""
    if tick.blind:
        return tick.blind
    parts = (arm.above.get(edge) for arm in (tick.candidate_edges, tick.baseline_edges) for edge in edges)
    return tuple(map(_whole, (*tick.candidate, *tick.baseline, *parts)))


def _whole(number: float | None) -> float | None:
    return int(number) if number is not None and float(number).is_integer() else number


class TimeBefore(BaseModel):
    """The time before a ramp: everyone on the baseline, whose users are divided as the ramp's first step divides them.

    Windows of ``window`` seconds, the first from unix time ``start`` on. Of each candidate ``shares`` are those of the
    two sets, in % of all users, and ``kept`` the counts of each check: its users' for the candidate's, the others' for
    the baseline's. A check that is not there cannot tell users apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: int
    window: int = Field(ge=1)
    shares: dict[SlotName, tuple[float, float]] = {}
    kept: dict[SlotName, dict[str, Kept]] = {}

    def written(self) -> str:
        """As a ramp keeps it."""
        return packed(self.model_dump_json())

    @classmethod
    def read(cls, written: str) -> "TimeBefore":
        """Raises ValueError for what `written` has not made."""
        return cls.model_validate_json(unpacked(written))

    @property
    def end(self) -> int:
        """Unix time at which the last window is over."""
        longest = max((len(one.rows) for kept in self.kept.values() for one in kept.values()), default=0)
        return self.start + self.window * longest
