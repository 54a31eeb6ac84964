"""Counts per window and arm, as CSV: the form for which nothing but a spreadsheet is needed.

One count a line: ``time,arm,metric,edge,count``. ``time`` is the end of a window, in unix seconds or ISO 8601 with a
zone; ``arm`` is ``candidate``, ``baseline`` or the name of a slot; ``metric`` is the name of a check. ``count`` is what
was counted within the window: with an empty ``edge`` all answers, with ``bad`` the bad ones, and with a number the
answers that took longer than so many seconds.
"""

import csv
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from tailramp.assignment import Assignment
from tailramp.errors import InvalidFile, Problem, Refused
from tailramp.evidence.checks import Check, HistogramCheck
from tailramp.evidence.counts import LARGEST_EXACT, NO_EDGES, ArmCounts, EdgeCounts, UnknownEdgeError
from tailramp.evidence.grid import Grid
from tailramp.evidence.judge import CheckTick
from tailramp.evidence.kept import TimeBefore
from tailramp.evidence.shelf import Shelf
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.replay.source import LATEST, Wrong, given_shares

COLUMNS = ("time", "arm", "metric", "edge", "count")
ALL, BAD = "", "bad"
CANDIDATE, BASELINE = "candidate", "baseline"

_MOST_LINES = 20_000_000
_AT_ONCE = 120
"""Ticks that are made ready in one go."""

_AS_ABOVE = f"Write the columns {','.join(COLUMNS)}"

_ROUNDED = 1.1
"""Estimates of what was counted, as PromQL's increase() makes them, may be so many times as large."""

Series = dict[int, float]
"""Counts by the unix time at which their window ends."""


@dataclass(frozen=True)
class CsvCounts:
    """``series`` by arm, metric and edge, as they are written."""

    file: Path
    series: Mapping[tuple[str, str, str], Series]

    @property
    def metrics(self) -> list[str]:
        return sorted({metric for _, metric, _ in self.series})

    def bound(self, plan: Plan, checks: Mapping[SlotName, tuple[Check, ...]], share: float | None) -> "Windows":
        """The counts of the arms of ``plan``, as ``checks`` read them; ``share`` of the users is the candidates'.

        Raises InvalidFile for an arm or a metric that is missing.
        """
        return Windows(self, _arms_by_slot(self, plan), plan, checks, share)


def read_csv(lines: Iterable[str], file: Path) -> CsvCounts:
    """Raises InvalidFile, with line and column, for what are no counts."""
    reader = csv.reader(lines)
    # By what is written; what is the same, spelt in two ways, is one.
    columns: dict[tuple[str, str, str], Series] = {}
    times: dict[str, int] = {}
    series: dict[tuple[str, str, str | float], tuple[tuple[str, str, str], Series]] = {}
    try:
        _check_header(tuple(cell.strip().lower() for cell in next(reader, [])))
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(COLUMNS):
                raise Wrong("(columns)", f"this line has {len(cells)} columns", _AS_ABOVE)
            at, arm, metric, edge, count = cells
            end = times.get(at)
            if end is None:
                end = times[at] = _time(at)
            column = columns.get((arm, metric, edge))
            if column is None:
                name = arm.strip(), metric.strip(), edge.strip()
                _check_series(*name)
                same = (*name[:2], name[2] if name[2] in {ALL, BAD} else float(name[2]))
                _, column = series.setdefault(same, (name, {}))
                columns[arm, metric, edge] = column
            if end in column:
                mend = "Add up what several servers counted, one line for each window"
                raise Wrong("time", f"{arm} {metric} {edge}".strip() + " has this window twice", mend, at)
            value = _number(count)
            if value is None:
                raise Wrong("count", "this is no count", f"Write a number from 0 to {LARGEST_EXACT:,.0f}", count)
            column[end] = value
            if reader.line_num > _MOST_LINES:
                raise Wrong("(file)", f"the file has more than {_MOST_LINES:,} lines", "Split it by time")
        if not columns:
            raise Wrong("(file)", "there are no counts below the columns", "Write one count a line")
    except Wrong as wrong:
        line = reader.line_num or None
        problem = Problem(wrong.field, wrong.reason, wrong.mend, value=wrong.value, file=file, line=line)
        raise InvalidFile([problem]) from None
    except csv.Error as error:
        reason = f"this line cannot be read: {error}"
        raise InvalidFile([Problem("(file)", reason, _AS_ABOVE, file=file, line=reader.line_num)]) from None
    return CsvCounts(file, dict(series.values()))


def _check_header(header: tuple[str, ...]) -> None:
    if not header:
        raise Wrong("(file)", "the file is empty", _AS_ABOVE)
    if header != COLUMNS:
        raise Wrong("(columns)", "these are not the columns of counts", _AS_ABOVE, ",".join(header)[:80])


def _check_series(arm: str, metric: str, edge: str) -> None:
    for column, text in (("arm", arm), ("metric", metric)):
        if not text:
            raise Wrong(column, "is empty", "Write candidate or baseline, and the name of a check")
    if edge not in {ALL, BAD} and _number(edge) is None:
        raise Wrong("edge", "this is no edge", "Leave it empty, or write bad or a number of seconds", edge)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= LARGEST_EXACT else None


def _time(text: str) -> int:
    """Whole unix seconds: what ends within a second ends with it."""
    mend = "Write unix seconds, or 2026-01-05T12:00:00+08:00"
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise Wrong("time", "this is no time", mend, text) from None
        if moment.tzinfo is None:
            raise Wrong("time", "this time has no zone", mend, text) from None
        seconds = moment.timestamp()
    if not 0 < seconds < LATEST:
        raise Wrong("time", "no window ends at this time", f"{mend}; seconds, not milliseconds", text)
    return math.ceil(seconds)


def _arms_by_slot(counts: CsvCounts, plan: Plan) -> dict[SlotName, str]:
    """What the file calls each slot of the plan.  Raises InvalidFile."""
    arms = sorted({arm for arm, _, _ in counts.series})
    found = {slot: slot for slot in (plan.baseline, *plan.slots) if slot in arms}
    if BASELINE in arms:
        found.setdefault(plan.baseline, BASELINE)
    if CANDIDATE in arms and len(plan.slots) == 1:
        found.setdefault(plan.candidate, CANDIDATE)
    for slot in (plan.baseline, *plan.slots):
        if slot not in found:
            word = BASELINE if slot == plan.baseline else CANDIDATE
            reason = f"there is no line of {slot}; the arms are {', '.join(arms)}"
            mend = f"Write {slot}" if len(plan.slots) > 1 else f"Write {word} or {slot}"
            raise InvalidFile([Problem("arm", reason, mend, file=counts.file)])
    return found


class _Columns:
    """What one check reads of one arm.  ``bad``: above the limit.  ``above`` by edge, in the unit of the histogram.

    ``whole`` is the distribution over the whole file.  It only chooses which edges are compared: a live ramp takes what
    was counted before it, and a file has no before.
    """

    def __init__(self, all_of_them: Series, bad: Series, above: Mapping[float, Series]) -> None:
        self.all, self.bad, self._above = all_of_them, bad, above
        self.whole = self.edges(list(all_of_them))

    @property
    def nested(self) -> list[tuple[str, Series]]:
        """What is counted, each with what is a part of it behind it."""
        above = [(f"answers above edge {edge:g}", column) for edge, column in self._above.items()]
        return [("answers", self.all), *(above or [("bad answers", self.bad)])]

    def counts(self, times: Iterable[int]) -> ArmCounts:
        """Of the windows that end at ``times``."""
        return ArmCounts(_total(self.all, times), _total(self.bad, times))

    def edges(self, times: list[int]) -> EdgeCounts:
        if not self._above:
            return NO_EDGES
        above = {edge: _total(column, times) for edge, column in self._above.items()}
        return EdgeCounts(_total(self.all, times), above)


def _total(column: Series, times: Iterable[int]) -> float:
    return sum(column.get(end, 0.0) for end in times)


def _columns_of(counts: CsvCounts, check: Check, arm: str) -> _Columns:
    series = {
        edge: column for (name, metric, edge), column in counts.series.items() if (name, metric) == (arm, check.name)
    }
    if not isinstance(check, HistogramCheck):
        return _Columns(series[ALL], series[BAD], {})
    unit = check.time_unit.per_second
    edges = sorted((float(edge) * unit, edge) for edge in series if edge not in {ALL, BAD})
    above = {check.edge if math.isclose(edge, check.edge) else edge: series[text] for edge, text in edges}
    return _Columns(series[ALL], above[check.edge], above)


_Ticks = Mapping[tuple[SlotName, str], CheckTick]
"""By slot and name of the check."""


class Windows:
    """See ``Source``; made by ``CsvCounts.bound``."""

    def __init__(
        self,
        counts: CsvCounts,
        arms: Mapping[SlotName, str],
        plan: Plan,
        checks: Mapping[SlotName, tuple[Check, ...]],
        share: float | None,
    ) -> None:
        self._counts, self._arms, self._baseline, self._share = counts, arms, plan.baseline, share
        wanted = {check.name: check for of_slot in checks.values() for check in of_slot}
        if absent := [name for name in wanted if name not in counts.metrics]:
            reason = f"there is no line of {', '.join(absent)}; the metrics are {', '.join(counts.metrics)}"
            mend = "Add them, or leave them out: " + " ".join(f"--without {name}" for name in absent)
            raise InvalidFile([Problem("metric", reason, mend, file=counts.file)])
        self._times = sorted({at for key, column in counts.series.items() if key[1] in wanted for at in column})
        gaps = (later - earlier for earlier, later in zip(self._times, self._times[1:], strict=False))
        self.step = min(gaps, default=15)
        self.first, self.last = self._times[0] - self.step, self._times[-1]
        self._showing: tuple[Shelf, int] | None = None
        # Made ready: the ticks of every check from the next one that is shown on.
        self._ahead: deque[_Ticks] = deque()
        self._columns: dict[tuple[SlotName, str, bool], _Columns] = {}
        for slot, of_slot in checks.items():
            for check in of_slot:
                self._complete(check, slot)
                for own, arm in ((True, arms[slot]), (False, arms[plan.baseline])):
                    columns = self._columns[slot, check.name, own] = _columns_of(counts, check, arm)
                    self._believe(columns, f"{arm} {check.name}")

    def _complete(self, check: Check, slot: SlotName) -> None:
        """Raises InvalidFile if what the check counts is not there."""
        for arm in (self._arms[slot], self._arms[self._baseline]):
            edges = {edge for name, metric, edge in self._counts.series if (name, metric) == (arm, check.name)}
            problem = None
            if ALL not in edges:
                told = "all answers, with an empty edge"
                problem = Problem("edge", f"{arm} {check.name} has no line of {told}", "Add them")
            elif isinstance(check, HistogramCheck):
                numbers = [float(edge) for edge in edges - {ALL, BAD}]
                wanted = check.edge / check.time_unit.per_second
                if not any(math.isclose(number, wanted) for number in numbers):
                    told = str(UnknownEdgeError(wanted, numbers)).replace("the histogram", f"{arm} {check.name}")
                    problem = Problem("edge", told, "Set the limit to an edge that was counted, or count at the limit")
            elif BAD not in edges:
                mend = "Add them, with count 0 where there were none"
                problem = Problem("edge", f"{arm} {check.name} has no line of the bad answers, with edge bad", mend)
            if problem is not None:
                raise InvalidFile([Problem(problem.field, problem.reason, problem.mend, file=self._counts.file)])

    def _believe(self, columns: _Columns, whose: str) -> None:
        """Raises InvalidFile if a part is larger than the whole."""
        for (of, whole), (name, part) in pairwise(columns.nested):
            for end, count in part.items():
                known = whole.get(end, 0.0)
                if count > _ROUNDED * known + 1.0:
                    reason = f"{whose} has more {name} than {of} in the window that ends at {end}, {known:.0f}"
                    mend = "Count both in the same windows"
                    raise InvalidFile([Problem("count", reason, mend, value=f"{count:.0f}", file=self._counts.file)])

    def show(self, shelf: Shelf, grid: Grid, index: int) -> None:
        """See ``Source``."""
        if index < 0:
            return
        if self._showing != (shelf, index):
            self._ahead.clear()
        if not self._ahead:
            pairs = shelf.pairs
            self._ahead.extend(self._ticks(pairs, grid, one) for one in range(index, index + _AT_ONCE))
            shelf.foresee(
                {(slot, check.name): [ticks[slot, check.name] for ticks in self._ahead] for slot, check in pairs}
            )
        self._showing = shelf, index + 1
        shelf.take_counts(self._ahead.popleft(), grid.time(index))

    def _ticks(self, pairs: Iterable[tuple[SlotName, Check]], grid: Grid, index: int) -> _Ticks:
        at = grid.time(index)
        since = bisect_right(self._times, grid.time(index - 1)) if index else bisect_right(self._times, at)
        times = self._times[since : bisect_right(self._times, at)]
        return {(slot, check.name): self._tick(check, slot, index, at, times) for slot, check in pairs}

    def _tick(self, check: Check, slot: SlotName, index: int, at: int, times: list[int]) -> CheckTick:
        candidate, baseline = self._columns[slot, check.name, True], self._columns[slot, check.name, False]
        if index and not any(end in column.all for column in (candidate, baseline) for end in times):
            return CheckTick(index, at, blind="the file has no window here")
        return CheckTick(
            index,
            at,
            candidate.counts(times),
            baseline.counts(times),
            candidate_edges=candidate.edges(times),
            baseline_edges=baseline.edges(times),
            baseline_before=baseline.whole,
        )

    def shares(self, plan: Plan, at: int) -> Mapping[SlotName, float]:  # noqa: ARG002
        """As they were given; else the slots' parts of all answers, which users who are unequally busy may bend."""
        if self._share is not None:
            return given_shares(plan, self._share)
        metric = next(iter(self._counts.metrics))
        seen = {slot: sum(self._counts.series.get((arm, metric, ALL), {}).values()) for slot, arm in self._arms.items()}
        total = sum(seen.values())
        if total <= 0:
            raise Refused("the file counts no answers at all: there is nothing to judge")
        return {slot: count / total for slot, count in seen.items()}

    def before(self, served: Assignment) -> TimeBefore | None:  # noqa: ARG002
        """Never: see ``served_from``."""
        return None

    def served_from(self, assignment: Assignment, at: int) -> int | None:  # noqa: ARG002
        """Never: a file of counts knows no steps."""
        return None
