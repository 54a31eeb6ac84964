"""The judge that speaks for a dossier: from evidence to a verdict that explains itself."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from tailramp.evidence.counts import NOTHING, ArmCounts
from tailramp.evidence.judge import CheckTick, JudgeName
from tailramp.evidence.verdicts import Numbers, Verdict, VerdictKind
from tailramp.evidence.wording import Wording, beside, count, of, percent, rate

if TYPE_CHECKING:
    from tailramp.evidence.sequential.dossier import Dossier, Finding

_TOO_MUCH_TO_GO_ON = 0.2
"""Of the evidence that a rollback needs: with so much of it nothing passes."""


class Filing:
    """Only fills a dossier: of stretches of time that are over nobody wants to know any more."""

    name = JudgeName.SEQUENTIAL

    def __init__(self, dossier: "Dossier", *, check: str, slot: str) -> None:
        self._dossier = dossier
        self._verdict = Verdict(
            kind=VerdictKind.INCONCLUSIVE, check=check, slot=slot, judge=self.name, reason="it is over"
        )

    def observe(self, tick: CheckTick) -> Verdict:
        """Take the tick."""
        if not tick.blind:
            self._dossier.take(tick)
        return self._verdict

    def restate(self) -> Verdict:
        """See `Judge.restate`."""
        return self._verdict


class SequentialJudge:
    """FAIL when the evidence against the candidate is what a rollback needs.

    - A breach of the limit that is certain, without such evidence, is shared with the baseline: hold, blame nobody.
    - PASS needs `floor` answers of the candidate since the anchor, answers of the baseline beside them, and little
      evidence.
    - While it is only `listening` (a step that settles, a check that cold caches explain) ticks add nothing to the
      dossier.
    """

    name = JudgeName.SEQUENTIAL

    def __init__(
        self,
        dossier: "Dossier",
        *,
        limit: float,
        check: str,
        slot: str,
        floor: int,
        words: Wording,
        bad_above: Callable[[float], str],
        listening: bool = False,
    ) -> None:
        """`bad_above` says in words what an answer above a bucket edge is: slower than 1.6 s."""
        self._dossier = dossier
        self._limit = limit
        self._check = check
        self._slot = slot
        self._floor = floor
        self._words = words
        self._bad_above = bad_above
        self._listening = listening
        self.brief = False
        """Whether verdicts come without the ratio, its interval and the risks; see `Jury.brief`."""
        self._last_index: int | None = None
        self._last_at = 0
        self._all = (NOTHING, NOTHING)
        self._failed: Verdict | None = None

    @property
    def evidence(self) -> float:
        """The weighted evidence after the last tick."""
        return self._dossier.evidence

    @property
    def remark(self) -> str:
        """Return the evidence for the end of another judge's sentence."""
        return self._against(self.evidence)

    def observe(self, tick: CheckTick) -> Verdict:
        """See `Judge.observe`."""
        if self._failed is not None:
            return self._failed
        if tick.blind:
            return self._verdict(VerdictKind.BLIND, f"{self._check} could not be judged: {tick.blind}", tick.at)
        if self._last_index is None or tick.index > self._last_index:
            self._last_index = tick.index
            self._last_at = tick.at
            self._all = (self._all[0].plus(_sound(tick.candidate)), self._all[1].plus(_sound(tick.baseline)))
            if not self._listening:
                self._dossier.take(tick)
        if not self._listening and self.evidence >= self._dossier.rule.needed:
            return self._fail(self._against(self.evidence), tick.at)
        return self._say(tick.at)

    def restate(self) -> Verdict:
        """See `Judge.restate`."""
        return self._failed if self._failed is not None else self._say(self._last_at)

    def fail_together(self, evidence: float, at: int) -> Verdict:
        """The evidence of all checks of the candidate together is enough, and most of it is this one's."""
        return self._fail(f"evidence of all checks together {_amount(evidence)}, {self._needs()}{self._users()}", at)

    def _fail(self, told: str, at: int) -> Verdict:
        self.brief = False
        finding = self._dossier.finding()
        reason = told if finding is None else f"{self._worse(finding)}; {told}"
        self._failed = self._verdict(VerdictKind.FAIL, reason, at)
        return self._failed

    def _worse(self, finding: "Finding") -> str:
        candidate, baseline = finding.candidate, finding.baseline
        bad = self._words.bad if finding.edge is None else self._bad_above(finding.edge)
        counted = f"{count(candidate.bad)} of {count(candidate.n)} {self._words.unit} ({_share(candidate)}) {bad}"
        return f"clearly worse than the baseline: {counted}; {beside(baseline)}; {_times(finding)}"

    def _say(self, at: int) -> Verdict:
        candidate, baseline = self._all
        counted = f"{of(candidate, self._words, self._limit)} {self._words.bad} since the step's anchor"
        told = f"{counted}; {beside(baseline)}; {self.remark}"
        if not self._listening and self._dossier.breaks_limit:
            reason = f"{self._words.breach}, but hardly more often than on the baseline: {told}"
            return self._verdict(VerdictKind.INCONCLUSIVE, reason, at, shared=True)
        if candidate.n <= 0:
            doubt = f"no {self._words.unit} yet: a verdict needs {count(self._floor)}"
        elif candidate.n < self._floor:
            doubt = f"{count(candidate.n)} of the {count(self._floor)} {self._words.unit} that a verdict needs"
            doubt += f", {count(candidate.bad)} of them {self._words.bad}"
        elif baseline.n <= 0:
            doubt = f"no {self._words.unit} of the baseline to compare with"
        elif self.evidence >= _TOO_MUCH_TO_GO_ON * self._dossier.rule.needed:
            return self._verdict(VerdictKind.INCONCLUSIVE, f"too much evidence to go on: {told}", at)
        else:
            return self._verdict(VerdictKind.PASS, told, at)
        return self._verdict(VerdictKind.INCONCLUSIVE, f"{doubt}; {beside(baseline)}; {self.remark}", at)

    def _against(self, evidence: float) -> str:
        return f"evidence {_amount(evidence)}, {self._needs()}{self._users()}"

    def _users(self) -> str:
        """Whether they are known from before the ramp, where somebody wants that."""
        known = self._dossier.adjusted
        if known is None:
            return ""
        return "; its users are known from before the ramp" if known else "; its users are not known from before"

    def _needs(self) -> str:
        return f"a rollback needs {_amount(self._dossier.rule.needed)}"

    def _verdict(self, kind: VerdictKind, reason: str, at: int, *, shared: bool = False) -> Verdict:
        return Verdict(
            kind=kind,
            check=self._check,
            slot=self._slot,
            judge=self.name,
            reason=reason,
            shared=shared,
            at=at,
            numbers=self.numbers,
        )

    @property
    def numbers(self) -> Numbers:
        """The counts since the anchor, and the evidence since the ramp began."""
        candidate, baseline = self._all
        finding = None if self.brief else self._dossier.finding()
        return Numbers(
            n=round(candidate.n),
            bad=round(candidate.bad),
            rate=rate(candidate),
            limit=self._limit,
            baseline_n=round(baseline.n),
            baseline_bad=round(baseline.bad),
            baseline_rate=rate(baseline),
            seen=round(candidate.n),
            baseline_seen=round(baseline.n),
            evidence=self.evidence,
            evidence_needed=self._dossier.rule.needed,
            ratio=None if finding is None else finding.ratio,
            ratio_low=None if finding is None else finding.low,
            ratio_high=None if finding is None else finding.high,
            risks=() if self.brief else self._dossier.risks(),
            more=None if finding is None else finding.more,
        )


def _sound(counts: ArmCounts) -> ArmCounts:
    """Nothing, if these are no counts."""
    return counts if math.isfinite(counts.n + counts.bad) else NOTHING


def _share(counts: ArmCounts) -> str:
    share = rate(counts)
    return "none" if share is None else percent(share)


def _times(finding: "Finding") -> str:
    return f"{finding.ratio:.1f} times as often ({finding.low:.1f} to {finding.high:.1f})"


def _amount(evidence: float) -> str:
    if evidence >= 1e6:
        return "over a million"
    return f"{evidence:,.0f}" if evidence >= 10 else f"{evidence:.1f}"
