"""One check of one candidate: two arms that count, a judge, and the tick up to which both are known.

A page takes ticks strictly in order and without gaps, one by one; but where a reading is one of many, what comes after
it is counted ahead, many ticks in one go. What is counted is the same, and a tick is judged when its reading comes.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tailramp.evidence.arms import Totals
from tailramp.evidence.checks import Check, SlotMatch
from tailramp.evidence.columns import AnswersAt
from tailramp.evidence.counts import NO_EDGES, NOTHING, ArmCounts, EdgeCounts
from tailramp.evidence.grid import Grid
from tailramp.evidence.judge import CheckTick, Judge
from tailramp.evidence.jury import Jury
from tailramp.evidence.reading import Reading
from tailramp.evidence.sequential.judge import SequentialJudge
from tailramp.evidence.verdicts import Numbers, Said, Verdict, VerdictKind

if TYPE_CHECKING:
    from tailramp.evidence.sequential.dossier import Dossier

Told = Callable[[str, str, CheckTick], None]
"""Told of every tick that a judge was shown: slot, name of the check, and the tick."""

_AT_ONCE = 480
"""Ticks that are counted in one go: two hours of 15 s."""

_WORTH_IT = 4
"""Fewer ticks than these are counted as fast one by one."""


class Page:
    """One check of one candidate."""

    def __init__(
        self,
        check: Check,
        candidate: SlotMatch,
        baseline: SlotMatch,
        grid: Grid,
        first: int,
        judge: Judge,
        *,
        dossier: "Dossier | None" = None,
        told: Told | None = None,
    ) -> None:
        """`first`: the first tick that is wanted, from the run-up on. `dossier` takes every tick that is judged, and
        `told` hears of it.
        """
        self.check = check
        self.slot = candidate.slot
        self.next = first  # the first tick that is not known yet
        self.failed = False
        self.said: Said = self._blind("it has not been asked yet", None, Numbers(limit=check.limit))
        self._grid = grid
        self._queries = (check.queries(candidate), check.queries(baseline))
        self._arms = (check.arm(), check.arm())
        # What the judge has been shown of the arms' totals.
        self._delivered = (NOTHING, NOTHING)
        self._delivered_edges = (NO_EDGES, NO_EDGES)
        self._judge = judge
        self._dossier = dossier
        self._told = told
        # Counted already, and not judged yet: the ticks from `next` on.
        self._ahead: deque[CheckTick] = deque()
        self._one_by_one_until = 0
        # Whether each arm has had a series; whether there once was a tick without any series at all.
        self._known = [False, False]
        self._lost = False
        self._last_fault = ""

    def asked_in(self, reading: Reading) -> bool:
        return all(query in reading.answers for parts in self._queries for query in parts.values())

    def unanswered(self, reading: Reading) -> str:
        """Say why the page cannot take this reading; "" if it can."""
        faults = (reading.answers[query].fault for parts in self._queries for query in parts.values())
        return next((fault for fault in faults if fault), "")

    def _has_series(self, reading: Reading) -> bool:
        return any(reading.answers[query].samples for parts in self._queries for query in parts.values())

    def take(self, reading: Reading, index: int) -> None:
        """Take a reading whose tick is `index`, if it is the next one; see `CheckBook.take`."""
        if index < self.next or self.failed:
            return
        if index == self.next and self._ahead:
            self.judge(self._ahead.popleft())
            return
        if not self.asked_in(reading):
            return
        if fault := self.unanswered(reading):
            self._last_fault = fault
            self.said = self._blind(fault, reading.at, self.said.numbers)
        elif index > self.next:
            missed = f"{index - self.next} earlier readings are still to be made up for"
            why = f"{missed} ({self._last_fault})" if self._last_fault else missed
            self.said = self._blind(why, reading.at, self.said.numbers)
        else:
            self._last_fault = ""
            if ticks := self._counted_ahead(reading, index):
                self._ahead.extend(ticks)
                self.foresee(ticks)
                self.judge(self._ahead.popleft())
            else:
                self._take_next(reading, index)

    def _take_next(self, reading: Reading, index: int) -> None:
        self.next = index + 1
        faults: list[str] = []
        arms = zip(self._arms, self._queries, (self.slot, "the baseline"), strict=True)
        for number, (arm, parts, whose) in enumerate(arms):
            answers = {part: reading.answers[query].samples for part, query in parts.items()}
            # A series that comes after everything was lost is no new one: counted from zero, its whole life would be
            # evidence about this step.
            starting = index <= 0 or (self._lost and not self._known[number])
            self._known[number] |= any(answers.values())
            if fault := arm.take(answers, starting=starting):
                faults.append(f"of {whose}, {fault}")
        # A baseline that has vanished leaves nothing to compare with; only without the candidate there is nothing to
        # see.
        if self._arms[0].vanished:
            faults.append(f"all series of {self.slot} have vanished")
        elif not self._has_series(reading):
            # A candidate that nobody has asked yet may have none; the baseline had some when the ramp began.
            self._lost = True
            faults.append(f"there is no series of {self.slot}, and none of the baseline")
        if index < 0:
            return
        at = self._grid.time(index)
        if faults:
            tick = CheckTick(index=index, at=at, blind=faults[0])
        else:
            totals = (self._arms[0].total, self._arms[1].total)
            candidate, baseline = (total.minus(shown) for total, shown in zip(totals, self._delivered, strict=True))
            self._delivered = totals
            edges = (self._arms[0].edges, self._arms[1].edges)
            above = [total.minus(shown) for total, shown in zip(edges, self._delivered_edges, strict=True)]
            self._delivered_edges = edges
            tick = CheckTick(
                index=index,
                at=at,
                candidate=candidate,
                baseline=baseline,
                candidate_edges=above[0],
                baseline_edges=above[1],
                baseline_before=self._arms[1].before,
            )
        self.judge(tick)

    def _counted_ahead(self, reading: Reading, index: int) -> Sequence[CheckTick]:
        """The ticks from `index` on that can be counted in one go; none if the reading is not one of many."""
        answers = reading.answers
        if (
            index <= 0
            or index < self._one_by_one_until
            or not isinstance(answers, AnswersAt)
            or answers.readings.times.step != self._grid.tick
        ):
            return ()
        readings, first = answers.readings, answers.place
        queries = [query for parts in self._queries for query in parts.values()]
        end = min(readings.plain_until(queries, first), first + _AT_ONCE)
        if end - first < _WORTH_IT:
            return ()
        tables = [{part: readings.table(query, first, end) for part, query in parts.items()} for parts in self._queries]
        arms = list(zip(self._arms, tables, strict=True))
        if not all(arm.can_take_rows(of_arm) for arm, of_arm in arms):
            self._one_by_one_until = index + _WORTH_IT * _WORTH_IT
            return ()
        return self._ticks_of([arm.take_rows(of_arm) for arm, of_arm in arms], index)

    def _ticks_of(self, totals: Sequence[Totals], index: int) -> list[CheckTick]:
        shown = zip(totals, self._delivered, self._delivered_edges, strict=True)
        candidate, baseline = (_growth(of_arm, counts, edges) for of_arm, counts, edges in shown)
        self._delivered = (self._arms[0].total, self._arms[1].total)
        self._delivered_edges = (self._arms[0].edges, self._arms[1].edges)
        before = self._arms[1].before
        return [
            CheckTick(place, self._grid.time(place), own[0], other[0], "", own[1], other[1], before)
            for place, (own, other) in enumerate(zip(candidate, baseline, strict=True), index)
        ]

    def foresee(self, ticks: Sequence[CheckTick]) -> None:
        """Know the ticks that will be judged next, in this order: it changes nothing but the time that they take."""
        if self._dossier is not None:
            # At tick 0 nothing is counted yet, and where nothing could be seen nothing is.
            self._dossier.foresee(tick for tick in ticks if tick.index > 0 and not tick.blind)

    def judge(self, tick: CheckTick) -> None:
        """Show the judge what was counted since the last tick that it was shown."""
        if tick.index < self.next - 1 or self.failed:
            return
        self.next = tick.index + 1
        self.said = self._judge.consider(tick)
        self.failed = self.said.kind is VerdictKind.FAIL
        if self._told is not None:
            self._told(self.slot, self.check.name, tick)

    def restate(self) -> None:
        """Have the present verdict said with all of its numbers, if it was said in brief and by the judges."""
        unasked = isinstance(self.said, Verdict) and not self.said.judge
        if isinstance(self._judge, Jury) and not unasked:
            self.said = self._judge.restate()

    def speak_briefly(self, brief: bool) -> None:
        if isinstance(self._judge, Jury):
            self._judge.brief = brief

    @property
    def sequential(self) -> SequentialJudge | None:
        return self._judge.sequential if isinstance(self._judge, Jury) else None

    def fail_together(self, evidence: float, at: int) -> None:
        if isinstance(self._judge, Jury):
            self.said = self._judge.fail_together(evidence, at)
            self.failed = True

    def _blind(self, fault: str, at: int | None, numbers: Numbers) -> Verdict:
        reason = f"{self.check.name} could not be judged: {fault}"
        return Verdict(
            kind=VerdictKind.BLIND,
            check=self.check.name,
            slot=self.slot,
            judge="",
            reason=reason,
            at=at,
            numbers=numbers,
        )


def _growth(totals: Totals, shown: ArmCounts, shown_edges: EdgeCounts) -> list[tuple[ArmCounts, EdgeCounts]]:
    """What came with each tick, the first after what was `shown` already."""
    import numpy as np  # only who counts many times at once waits for it

    n = np.diff(totals.n, prepend=shown.n).tolist()
    bad = np.diff(totals.bad, prepend=shown.bad).tolist()
    if totals.above is None:
        return [(ArmCounts(*counts), NO_EDGES) for counts in zip(n, bad, strict=True)]
    before = [[shown_edges.above.get(edge, 0.0) for edge in totals.edges]]
    above = np.diff(totals.above, axis=0, prepend=before).tolist()
    return [
        (ArmCounts(of_all, of_bad), EdgeCounts(of_all, dict(zip(totals.edges, row, strict=True))))
        for of_all, of_bad, row in zip(n, bad, above, strict=True)
    ]
