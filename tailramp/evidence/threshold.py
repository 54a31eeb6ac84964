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

from pydantic import BaseModel, ConfigDict, Field

from tailramp.evidence.comparison import clearly_worse
from tailramp.evidence.counts import NOTHING, ArmCounts
from tailramp.evidence.judge import CheckTick, JudgeName
from tailramp.evidence.verdicts import Numbers, Verdict, VerdictKind
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
        self._last_at = 0
        self._opened = 0  # unix time at which the open window began
        self._last_answer = 0  # unix time of the last tick that brought an answer of the candidate
        self._open = (NOTHING, NOTHING)  # candidate, baseline
        self._all = (NOTHING, NOTHING)
        self._streak_counts = (NOTHING, NOTHING)
        self._streak = 0
        self._windows = 0
        self._standing = Standing.GOOD  # of the last closed window, and its counts
        self._closed = (NOTHING, NOTHING)
        self._failed: Verdict | None = None

    def observe(self, tick: CheckTick) -> Verdict:
        """See `Judge.observe`. The first tick, blind or not, opens the first window."""
        if self._failed is not None:
            return self._failed
        if self._last_index is None:
            self._opened = self._last_answer = tick.at
        elif tick.index <= self._last_index:
            return self._say(tick.at)
        self._last_index = tick.index
        self._last_at = tick.at
        if tick.blind:
            return self._verdict(
                VerdictKind.BLIND, f"{self._check} could not be judged: {tick.blind}", self._all, tick.at
            )
        self._add(tick)
        self._close_if_ripe(tick.at)
        verdict = self._say(tick.at)
        if verdict.kind is VerdictKind.FAIL:
            self._failed = verdict
        return verdict

    def restate(self) -> Verdict:
        """See `Judge.restate`."""
        return self._failed if self._failed is not None else self._say(self._last_at)

    def _add(self, tick: CheckTick) -> None:
        self._open = (self._open[0].plus(tick.candidate), self._open[1].plus(tick.baseline))
        self._all = (self._all[0].plus(tick.candidate), self._all[1].plus(tick.baseline))
        if tick.candidate.n > 0:
            self._last_answer = tick.at

    def _close_if_ripe(self, at: int) -> None:
        candidate, baseline = self._open
        if at - self._opened < self._rule.window or candidate.n < self._min_sample:
            return
        self._windows += 1
        self._closed = self._open
        self._standing = self._standing_of(candidate, baseline)
        if self._standing is Standing.GOOD:
            self._streak = 0
            self._streak_counts = (NOTHING, NOTHING)
        elif self._standing is Standing.BAD:
            self._streak += 1
            self._streak_counts = (self._streak_counts[0].plus(candidate), self._streak_counts[1].plus(baseline))
        self._opened = at
        self._open = (NOTHING, NOTHING)

    def _standing_of(self, candidate: ArmCounts, baseline: ArmCounts) -> Standing:
        if not self._breaks(candidate):
            return Standing.GOOD
        comparable = self._compares and 2 * baseline.n >= self._min_sample
        return Standing.SHARED if comparable and self._breaks(baseline) else Standing.BAD

    def _clearly_worse(self) -> bool:
        """Whether the windows of the streak are worse than the baseline's, if there was enough of it beside them."""
        candidate, baseline = self._streak_counts
        comparable = self._compares and 2 * baseline.n >= self._min_sample * self._streak
        return not comparable or clearly_worse(candidate, baseline)

    def _breaks(self, counts: ArmCounts) -> bool:
        return (rate(counts) or 0.0) > self._limit

    def _say(self, at: int) -> Verdict:
        if self._streak >= self._rule.consecutive and self._clearly_worse():
            return self._verdict(VerdictKind.FAIL, self._streak_told(), self._streak_counts, at)
        if self._standing is Standing.SHARED:
            told = f"{self._counted(self._closed[0])} in the last window; {beside(self._closed[1])}"
            reason = f"{self._breach()}, and the baseline shares it: {told}"
            return self._verdict(VerdictKind.INCONCLUSIVE, reason, self._closed, at)
        if self._streak:
            return self._verdict(VerdictKind.INCONCLUSIVE, self._streak_told(), self._streak_counts, at)
        candidate, baseline = self._all
        if doubt := self._doubt(at):
            return self._verdict(VerdictKind.INCONCLUSIVE, doubt, self._all, at)
        told = f"{self._counted(candidate)} {self._words.bad} since the step's anchor"
        return self._verdict(VerdictKind.PASS, f"{told}; {beside(baseline)}", self._all, at)

    def _breach(self) -> str:
        return self._words.breach

    def _counted(self, counts: ArmCounts) -> str:
        return of(counts, self._words, self._limit)

    def _streak_told(self) -> str:
        needed = self._rule.consecutive
        if self._streak < needed:
            windows = f"{self._streak} of {needed} consecutive windows"
        else:
            windows = "1 window" if self._streak == 1 else f"{self._streak} consecutive windows"
        candidate, baseline = self._streak_counts
        told = f"{self._breach()}: {self._counted(candidate)} in {windows}; {beside(baseline)}"
        unclear = self._streak >= needed and not self._clearly_worse()
        return f"{told}; not clearly worse than the baseline" if unclear else told

    def _doubt(self, at: int) -> str:
        """Say what is missing for a PASS when no closed window speaks against it; "" if nothing is."""
        words = self._words
        candidate, baseline = self._all
        if candidate.n <= 0:
            return f"no {words.unit} yet: a verdict needs {count(self._rule.floor)}"
        if candidate.n < self._rule.floor:
            told = f"{count(candidate.n)} of the {count(self._rule.floor)} {words.unit} that a verdict needs"
            return f"{told}, {count(candidate.bad)} of them {words.bad}; {beside(baseline)}"
        if self._breaks(self._open[0]):
            told = f"{self._counted(self._open[0])} {words.bad} in the window that is still open"
            return f"{told}; {beside(self._open[1])}"
        if at - self._last_answer >= self._rule.window:
            return f"no {words.unit} for {at - self._last_answer} s"
        return ""

    def _verdict(self, kind: VerdictKind, reason: str, counts: tuple[ArmCounts, ArmCounts], at: int) -> Verdict:
        candidate, baseline = counts
        numbers = Numbers(
            n=round(candidate.n),
            bad=round(candidate.bad),
            rate=rate(candidate),
            limit=self._limit,
            baseline_n=round(baseline.n),
            baseline_bad=round(baseline.bad),
            baseline_rate=rate(baseline),
            windows=self._windows,
            streak=self._streak,
            needed=self._rule.consecutive,
            seen=round(self._all[0].n),
            baseline_seen=round(self._all[1].n),
        )
        return Verdict(
            kind=kind,
            check=self._check,
            slot=self._slot,
            judge=self.name,
            reason=reason,
            shared=self._standing is Standing.SHARED and kind is VerdictKind.INCONCLUSIVE,
            at=at,
            numbers=numbers,
        )
