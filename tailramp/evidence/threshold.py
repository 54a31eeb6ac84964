"""The plain rule, made safe: too many bad answers in three windows in a row.

As it is usually written (`p99 > 2 s for 3 samples`) this rule takes back nearly every healthy candidate within a day:
at 1 % of the traffic one slow answer is the p99 of a minute, the samples overlap so that it counts three times, and
an incident that hits both versions is blamed on the new one. Three protections mend that, and each can be switched
off by name: a window closes only when it holds enough answers, windows do not overlap, and the concurrent baseline is
looked at, too: a window that it breaks counts for nobody, and in the end the candidate must be clearly worse than it.

With little traffic windows grow longer instead of emptier, without bound. Nothing bad follows: until a window closes
the verdict is INCONCLUSIVE, and a hold never ends on that.
"""

from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from tailramp.evidence.comparison import clearly_worse
from tailramp.evidence.counts import NOTHING, ArmCounts
from tailramp.evidence.judge import CheckTick, JudgeName
from tailramp.evidence.verdicts import Numbers, Saying, Verdict, VerdictKind
from tailramp.evidence.wording import Wording, beside, count, of, rate


class Protection(StrEnum):
    """What keeps the plain rule from blaming a healthy candidate; each can be switched off by this name."""

    MIN_SAMPLE = "min_sample"
    COMPARE_BASELINE = "compare_baseline"


class ThresholdRule(BaseModel):
    """The numbers of the rule."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_sample: int = Field(ge=1, description="answers of the candidate that a window needs before it closes")
    floor: int = Field(ge=1, description="answers of the candidate since the anchor that PASS needs")
    window: float = Field(default=15.0, gt=0, allow_inf_nan=False, description="shortest length of a window, seconds")
    consecutive: int = Field(default=3, ge=1, description="windows in a row that make a FAIL")
    without: frozenset[Protection] = Field(default=frozenset(), description="protections that are switched off")


class Standing(StrEnum):
    """What a closed window says."""

    GOOD = "good"
    BAD = "bad"
    SHARED = "shared"  # with a baseline that breaks the limit, too


class Doubt(StrEnum):
    """What a PASS still wants."""

    NOTHING_YET = "nothing yet"
    TOO_FEW = "too few"
    OPEN_WINDOW = "open window"
    SILENT = "silent"
    NO_BASELINE = "no baseline"


_Arms = tuple[ArmCounts, ArmCounts]
_Told = tuple[str, _Arms]
"""A sentence, and the counts that it speaks about."""

_NOTHING: _Arms = (NOTHING, NOTHING)


class Counted(NamedTuple):
    """What a judge has counted, after one tick: of the candidate and of the baseline beside it."""

    at: int = 0  # unix time of the tick
    opened: int = 0  # when the open window began
    last_answer: int = 0  # of the last tick that brought an answer of the candidate
    open: _Arms = _NOTHING
    all: _Arms = _NOTHING
    streak_counts: _Arms = _NOTHING
    streak: int = 0
    windows: int = 0
    standing: Standing = Standing.GOOD  # of the last closed window, and its counts
    closed: _Arms = _NOTHING


class ThresholdJudge:
    """FAIL when the bad share of the candidate is above the limit in `consecutive` closed windows in a row.

    - A window closes at the first tick at which it is at least `window` seconds long and holds at least `min_sample`
      answers of the candidate; the next one opens there.
    - A window that the baseline breaks too, on at least half of `min_sample` answers of its own, is shared: it neither
      adds to the streak nor ends it, and the verdict says so until a window closes that is not shared.
    - As long as the candidate is not clearly worse than the baseline over all windows of the streak (see `comparison`),
      the streak makes no FAIL and no PASS. With fewer answers of the baseline there is no comparison.
    - PASS needs `floor` answers since the anchor, no streak, an open window that is not above the limit, and an
      answer within the last `window` seconds: a candidate that stopped answering passes nothing.
    """

    name: str = JudgeName.THRESHOLD

    def __init__(self, rule: ThresholdRule, *, limit: float, check: str, slot: str, words: Wording) -> None:
        """`limit`: the largest bad share, 0 to 1, that is still allowed. `words`, `check` and `slot` are for the
        verdicts.
        """
        self._rule = rule
        self._limit = limit
        self._check = check
        self._slot = slot
        self._words = words
        self._min_sample = 1 if Protection.MIN_SAMPLE in rule.without else rule.min_sample
        self._compares = Protection.COMPARE_BASELINE not in rule.without

        self._last_index: int | None = None
        self._counted = Counted()
        self._failed: Saying | None = None

    def observe(self, tick: CheckTick) -> Verdict:
        """See `Judge.observe`."""
        return self.consider(tick).verdict

    def consider(self, tick: CheckTick) -> Saying:
        """See `Judge.consider`. The first tick, blind or not, opens the first window."""
        if self._failed is not None:
            return self._failed
        if self._last_index is None:
            self._counted = self._counted._replace(opened=tick.at, last_answer=tick.at)
        elif tick.index <= self._last_index:
            return self._say(self._counted._replace(at=tick.at))
        self._last_index = tick.index
        if tick.blind:
            self._counted = self._counted._replace(at=tick.at)
            return self._blind(tick.blind, self._counted)
        self._counted = self._closed_if_ripe(self._added(tick))
        said = self._say(self._counted)
        if said.kind is VerdictKind.FAIL:
            self._failed = said
        return said

    def restate(self) -> Verdict:
        """See `Judge.restate`."""
        return (self._failed or self._say(self._counted)).verdict

    def _added(self, tick: CheckTick) -> Counted:
        known = self._counted
        return Counted(
            tick.at,
            known.opened,
            tick.at if tick.candidate.n > 0 else known.last_answer,
            (known.open[0].plus(tick.candidate), known.open[1].plus(tick.baseline)),
            (known.all[0].plus(tick.candidate), known.all[1].plus(tick.baseline)),
            known.streak_counts,
            known.streak,
            known.windows,
            known.standing,
            known.closed,
        )

    def _closed_if_ripe(self, counted: Counted) -> Counted:
        candidate, baseline = counted.open
        if counted.at - counted.opened < self._rule.window or candidate.n < self._min_sample:
            return counted
        standing = self._standing_of(candidate, baseline)
        streak, streak_counts = counted.streak, counted.streak_counts
        if standing is Standing.GOOD:
            streak, streak_counts = 0, _NOTHING
        elif standing is Standing.BAD:
            streak += 1
            streak_counts = (streak_counts[0].plus(candidate), streak_counts[1].plus(baseline))
        return counted._replace(
            opened=counted.at,
            open=_NOTHING,
            streak_counts=streak_counts,
            streak=streak,
            windows=counted.windows + 1,
            standing=standing,
            closed=counted.open,
        )

    def _standing_of(self, candidate: ArmCounts, baseline: ArmCounts) -> Standing:
        if not self._breaks(candidate):
            return Standing.GOOD
        comparable = self._compares and 2 * baseline.n >= self._min_sample
        return Standing.SHARED if comparable and self._breaks(baseline) else Standing.BAD

    def _clearly_worse(self, counted: Counted) -> bool:
        """Whether the windows of the streak are worse than the baseline's, if there was enough of it beside them."""
        candidate, baseline = counted.streak_counts
        comparable = self._compares and 2 * baseline.n >= self._min_sample * counted.streak
        return not comparable or clearly_worse(candidate, baseline)

    def _breaks(self, counts: ArmCounts) -> bool:
        return (rate(counts) or 0.0) > self._limit

    def _say(self, counted: Counted) -> Saying:
        if counted.streak >= self._rule.consecutive and self._clearly_worse(counted):
            return Saying(VerdictKind.FAIL, self._check, self._slot, self, counted)
        if counted.standing is Standing.SHARED:
            return Saying(VerdictKind.INCONCLUSIVE, self._check, self._slot, self, counted, shared=True)
        passes = not counted.streak and self._doubt(counted) is None
        kind = VerdictKind.PASS if passes else VerdictKind.INCONCLUSIVE
        return Saying(kind, self._check, self._slot, self, counted)

    def tell(self, said: Saying, basis: Counted) -> Verdict:
        """See `Teller.tell`."""
        if said.kind is VerdictKind.PASS:
            reason, counts = self._all_told(basis)
        elif said.shared:
            reason, counts = self._shared_told(basis)
        else:
            reason, counts = self._streak_told(basis) if basis.streak else self._doubt_told(basis)
        return self._verdict(said.kind, reason, counts, basis, shared=said.shared)

    def _blind(self, why: str, counted: Counted) -> Saying:
        reason = f"{self._check} could not be judged: {why}"
        return Saying.of(self._verdict(VerdictKind.BLIND, reason, counted.all, counted))

    def _breach(self) -> str:
        return self._words.breach

    def _share_of(self, counts: ArmCounts) -> str:
        return of(counts, self._words, self._limit)

    def _all_told(self, counted: Counted) -> _Told:
        candidate, baseline = counted.all
        told = f"{self._share_of(candidate)} {self._words.bad} since the step's anchor"
        return f"{told}; {beside(baseline)}", counted.all

    def _shared_told(self, counted: Counted) -> _Told:
        candidate, baseline = counted.closed
        told = f"{self._share_of(candidate)} in the last window; {beside(baseline)}"
        return f"{self._breach()}, and the baseline shares it: {told}", counted.closed

    def _streak_told(self, counted: Counted) -> _Told:
        needed, streak = self._rule.consecutive, counted.streak
        if streak < needed:
            windows = f"{streak} of {needed} consecutive windows"
        else:
            windows = "1 window" if streak == 1 else f"{streak} consecutive windows"
        candidate, baseline = counted.streak_counts
        told = f"{self._breach()}: {self._share_of(candidate)} in {windows}; {beside(baseline)}"
        unclear = streak >= needed and not self._clearly_worse(counted)
        return f"{told}; not clearly worse than the baseline" if unclear else told, counted.streak_counts

    def _doubt(self, counted: Counted) -> Doubt | None:
        """What is missing for a PASS when no closed window speaks against it; None if nothing is."""
        candidate = counted.all[0]
        if candidate.n <= 0:
            return Doubt.NOTHING_YET
        if candidate.n < self._rule.floor:
            return Doubt.TOO_FEW
        if self._breaks(counted.open[0]):
            return Doubt.OPEN_WINDOW
        if counted.at - counted.last_answer >= self._rule.window:
            return Doubt.SILENT
        return None

    def _doubt_told(self, counted: Counted) -> _Told:
        words, (candidate, baseline) = self._words, counted.all
        match self._doubt(counted):
            case Doubt.NOTHING_YET:
                told = f"no {words.unit} yet: a verdict needs {count(self._rule.floor)}"
            case Doubt.TOO_FEW:
                told = f"{count(candidate.n)} of the {count(self._rule.floor)} {words.unit} that a verdict needs"
                told += f", {count(candidate.bad)} of them {words.bad}; {beside(baseline)}"
            case Doubt.OPEN_WINDOW:
                told = f"{self._share_of(counted.open[0])} {words.bad} in the window that is still open"
                told += f"; {beside(counted.open[1])}"
            case Doubt.SILENT:
                told = f"no {words.unit} for {counted.at - counted.last_answer} s"
            case Doubt.NO_BASELINE | None:
                told = f"no {words.unit} of the baseline to compare with"
        return told, counted.all

    def _verdict(
        self, kind: VerdictKind, reason: str, counts: _Arms, counted: Counted, *, shared: bool = False
    ) -> Verdict:
        candidate, baseline = counts
        numbers = Numbers(
            n=round(candidate.n),
            bad=round(candidate.bad),
            rate=rate(candidate),
            limit=self._limit,
            baseline_n=round(baseline.n),
            baseline_bad=round(baseline.bad),
            baseline_rate=rate(baseline),
            windows=counted.windows,
            streak=counted.streak,
            needed=self._rule.consecutive,
            seen=round(counted.all[0].n),
            baseline_seen=round(counted.all[1].n),
        )
        return Verdict(
            kind=kind,
            check=self._check,
            slot=self._slot,
            judge=self.name,
            reason=reason,
            shared=shared,
            at=counted.at,
            numbers=numbers,
        )
