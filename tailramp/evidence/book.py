"""All checks of a step, of all its candidates, kept up to date reading by reading.

For every check and candidate the book keeps a page: the counts of the candidate's arm and of the baseline's, a judge,
and the tick up to which both are known. A page takes ticks strictly in order and without gaps. When Prometheus could
not be asked, the page stays where it is and its verdict is BLIND; the ticks that it missed are read later, by a range
query, before the present one. So what a judge has seen at a tick depends on the grid and on what Prometheus stored,
not on when the worker was alive or could reach it, and a crash cannot change a PASS or a FAIL.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tailramp.evidence.checks import Check, SlotMatch
from tailramp.evidence.counts import NO_EDGES, NOTHING
from tailramp.evidence.grid import Grid
from tailramp.evidence.judge import CheckTick, Judge
from tailramp.evidence.jury import Jury
from tailramp.evidence.reading import Reading
from tailramp.evidence.sequential.combination import JointEvidence
from tailramp.evidence.sequential.judge import Filing, SequentialJudge
from tailramp.evidence.verdicts import Numbers, Said, Verdict, VerdictKind, in_full

if TYPE_CHECKING:
    from tailramp.evidence.sequential.dossier import Dossier

RUN_UP = 300
"""Seconds before the anchor from which readings are wanted. They are not counted: they only make known the series
that a missed scrape hides just at the anchor, which would otherwise be counted from zero when they come back. As long
as Prometheus' lookback.
"""


Told = Callable[[str, str, CheckTick], None]
"""Told of every tick that a judge was shown: slot, name of the check, and the tick."""


class _Page:
    """One check of one candidate."""

    def __init__(
        self, check: Check, candidate: SlotMatch, baseline: SlotMatch, grid: Grid, first: int, judge: Judge
    ) -> None:
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
        self.told: Told | None = None
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
        if index < self.next or self.failed or not self.asked_in(reading):
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

    def judge(self, tick: CheckTick) -> None:
        """Show the judge what was counted since the last tick that it was shown."""
        if tick.index < self.next - 1 or self.failed:
            return
        self.next = tick.index + 1
        self.said = self._judge.consider(tick)
        self.failed = self.said.kind is VerdictKind.FAIL
        if self.told is not None:
            self.told(self.slot, self.check.name, tick)

    def restate(self) -> None:
        """Have the present verdict said with all of its numbers, if it was said in brief."""
        if isinstance(self._judge, Jury) and self.said.kind is not VerdictKind.BLIND:
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
        names = [check.name for check in checks]
        if len(set(names)) < len(names):
            raise ValueError(f"two checks have the same name: {', '.join(sorted(names))}; give each its own")
        slots = [slot.slot for slot in (*candidates, baseline)]
        if not candidates or len(set(slots)) < len(slots):
            raise ValueError(
                f"a book needs one or more candidates in slots of their own beside the baseline, not {slots}"
            )
        for check in checks:
            for candidate in candidates:
                if check.queries(candidate) == check.queries(baseline):
                    raise ValueError(
                        f"the check {check.name} asks the same about the slots {candidate.slot} and {baseline.slot}: "
                        f"both have the {check.source} matchers {candidate.of(check.source)}; tell them apart"
                    )
        self.checks = tuple(checks)
        self.slots = (*candidates, baseline)
        self.grid = grid
        first = -grid.ticks_in(run_up)
        known = dossiers or {}
        self._pages: list[_Page] = []
        for check in checks:
            for slot in candidates:
                judge: Judge
                dossier = known.get((slot.slot, check.name))
                if filing and dossier is not None:
                    judge = Filing(dossier, check=check.name, slot=slot.slot)
                else:
                    judge = check.judge(slot.slot, floor, dossier, listening=check.name in listening)
                page = _Page(check, slot, baseline, grid, first, judge)
                page.told = told
                self._pages.append(page)
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

    def rebuild(self, readings: Iterable[Reading]) -> list[Verdict]:
        """Take many readings, oldest first, and return the verdicts after the last."""
        for reading in readings:
            self.take(reading)
        return self.verdicts

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
