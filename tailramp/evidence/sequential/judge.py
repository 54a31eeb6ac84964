"""The judge that speaks for a dossier: from evidence to a verdict that explains itself."""

import math
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from tailramp.evidence.counts import NOTHING, ArmCounts
from tailramp.evidence.judge import CheckTick, JudgeName
from tailramp.evidence.verdicts import Numbers, Saying, Verdict, VerdictKind
from tailramp.evidence.wording import Wording, amount, beside, count, of, percent, rate

if TYPE_CHECKING:
    from tailramp.evidence.sequential.dossier import Dossier, Finding

_TOO_MUCH_TO_GO_ON = 0.2
"""Of the evidence that a rollback needs: with so much of it nothing passes."""

_TICKS_OF_SILENCE = 3
"""Without an answer of the candidate, but with some of the baseline."""


class Filing:
    """Only fills a dossier: of stretches of time that are over nobody wants to know any more."""

    name = JudgeName.SEQUENTIAL

    def __init__(self, dossier: "Dossier", *, check: str, slot: str) -> None:
        self._dossier = dossier
        self._said = Saying.of(
            Verdict(kind=VerdictKind.INCONCLUSIVE, check=check, slot=slot, judge=self.name, reason="it is over")
        )

    def consider(self, tick: CheckTick) -> Saying:
        """Take the tick."""
        if not tick.blind:
            self._dossier.take(tick)
        return self._said

    def observe(self, tick: CheckTick) -> Verdict:
        """See `Judge.observe`."""
        return self.consider(tick).verdict

    def restate(self) -> Verdict:
        """See `Judge.restate`."""
        return self._said.verdict


class Heard(NamedTuple):
    """What a judge knows after one tick. `finding` and `risks` are left out of what is said in brief."""

    at: int  # unix time of the tick
    all: tuple[ArmCounts, ArmCounts]  # of the candidate and of the baseline, since the anchor
    evidence: float
    adjusted: bool | None  # see `Dossier.adjusted`
    silent: int = 0  # seconds since the candidate's last answer, once that are too many
    finding: "Finding | None" = None
    risks: tuple[tuple[float, float], ...] = ()


class Doubt(StrEnum):
    """What a PASS still wants."""

    NOTHING_YET = "nothing yet"
    TOO_FEW = "too few"
    NO_BASELINE = "no baseline"
    SILENT = "silent"
    TOO_MUCH_EVIDENCE = "too much evidence"


class SequentialJudge:
    """FAIL when the evidence against the candidate is what a rollback needs.

    - A breach of the limit that is certain, without such evidence, is shared with the baseline: hold, blame nobody.
    - PASS needs `floor` answers of the candidate since the anchor, answers of the baseline beside them, and little
      evidence. A candidate that has stopped answering, while the baseline answers, passes nothing.
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
        self._last_answer = 0
        self._silent_ticks = 0
        self._all = (NOTHING, NOTHING)
        self._failed: Saying | None = None

    @property
    def evidence(self) -> float:
        """The weighted evidence after the last tick."""
        return self._dossier.evidence

    def observe(self, tick: CheckTick) -> Verdict:
        """See `Judge.observe`."""
        return self.consider(tick).verdict

    def consider(self, tick: CheckTick) -> Saying:
        """See `Judge.consider`."""
        return self.hear(tick)[0]

    def hear(self, tick: CheckTick) -> tuple[Saying, Heard]:
        """The same, with what it rests on."""
        if self._failed is not None:
            return self._failed, self.heard(tick.at)
        if tick.blind:
            heard = self.heard(tick.at)
            reason = f"{self._check} could not be judged: {tick.blind}"
            return Saying.of(self._verdict(VerdictKind.BLIND, reason, heard)), heard
        if self._last_index is None or tick.index > self._last_index:
            self._last_index = tick.index
            self._last_at = tick.at
            self._count(tick.at, _sound(tick.candidate), _sound(tick.baseline))
            if not self._listening:
                self._dossier.take(tick)
        if not self._listening and self.evidence >= self._dossier.rule.needed:
            said = self._fail(self.remark(self.heard(tick.at)), tick.at)
            return said, self.heard(tick.at)
        heard = self.heard(tick.at)
        return self._say(heard), heard

    def restate(self) -> Verdict:
        """See `Judge.restate`."""
        return (self._failed or self._say(self.heard(self._last_at))).verdict

    def _count(self, at: int, candidate: ArmCounts, baseline: ArmCounts) -> None:
        self._all = (self._all[0].plus(candidate), self._all[1].plus(baseline))
        if candidate.n > 0:
            self._last_answer, self._silent_ticks = at, 0
        elif baseline.n > 0:
            self._silent_ticks += 1

    def heard(self, at: int) -> Heard:
        """What is known now, at unix time `at`."""
        dossier = self._dossier
        silent = at - self._last_answer if self._silent_ticks >= _TICKS_OF_SILENCE else 0
        if self.brief:
            return Heard(at, self._all, dossier.evidence, dossier.adjusted, silent)
        return Heard(at, self._all, dossier.evidence, dossier.adjusted, silent, dossier.finding(), dossier.risks())

    def remark(self, heard: Heard) -> str:
        """Return the evidence for the end of a sentence."""
        return f"evidence {amount(heard.evidence)}, {self._needs()}{_users(heard)}"

    def fail_together(self, evidence: float, at: int) -> Saying:
        """The evidence of all checks of the candidate together is enough, and most of it is this one's."""
        users = _users(self.heard(at))
        return self._fail(f"evidence of all checks together {amount(evidence)}, {self._needs()}{users}", at)

    def _fail(self, told: str, at: int) -> Saying:
        self.brief = False
        heard = self.heard(at)
        reason = told if heard.finding is None else f"{self._worse(heard.finding)}; {told}"
        self._failed = Saying.of(self._verdict(VerdictKind.FAIL, reason, heard))
        return self._failed

    def _worse(self, finding: "Finding") -> str:
        candidate, baseline = finding.candidate, finding.baseline
        bad = self._words.bad if finding.edge is None else self._bad_above(finding.edge)
        counted = f"{count(candidate.bad)} of {count(candidate.n)} {self._words.unit} ({_share(candidate)}) {bad}"
        if finding.earlier:
            counted += " since before the step's anchor"
        return f"clearly worse than the baseline: {counted}; {beside(baseline)}; {_times(finding)}"

    def _say(self, heard: Heard) -> Saying:
        if not self._listening and self._dossier.breaks_limit:
            return Saying(VerdictKind.INCONCLUSIVE, self._check, self._slot, self, heard, shared=True)
        kind = VerdictKind.PASS if self._doubt(heard) is None else VerdictKind.INCONCLUSIVE
        return Saying(kind, self._check, self._slot, self, heard)

    def tell(self, said: Saying, basis: Heard) -> Verdict:
        """See `Teller.tell`."""
        reason = self._shared_told(basis) if said.shared else self._told(basis)
        return self._verdict(said.kind, reason, basis, shared=said.shared)

    def _doubt(self, heard: Heard) -> Doubt | None:
        candidate, baseline = heard.all
        if candidate.n <= 0:
            return Doubt.NOTHING_YET
        if candidate.n < self._floor:
            return Doubt.TOO_FEW
        if baseline.n <= 0:
            return Doubt.NO_BASELINE
        if heard.silent:
            return Doubt.SILENT
        return Doubt.TOO_MUCH_EVIDENCE if heard.evidence >= _TOO_MUCH_TO_GO_ON * self._dossier.rule.needed else None

    def _told(self, heard: Heard) -> str:
        candidate, baseline = heard.all
        unit = self._words.unit
        match self._doubt(heard):
            case None:
                return self._all_told(heard)
            case Doubt.TOO_MUCH_EVIDENCE:
                return f"too much evidence to go on: {self._all_told(heard)}"
            case Doubt.NOTHING_YET:
                doubt = f"no {unit} yet: a verdict needs {count(self._floor)}"
            case Doubt.TOO_FEW:
                doubt = f"{count(candidate.n)} of the {count(self._floor)} {unit} that a verdict needs"
                doubt += f", {count(candidate.bad)} of them {self._words.bad}"
            case Doubt.NO_BASELINE:
                doubt = f"no {unit} of the baseline to compare with"
            case Doubt.SILENT:
                doubt = f"no {unit} for {heard.silent} s"
        return f"{doubt}; {beside(baseline)}; {self.remark(heard)}"

    def _shared_told(self, heard: Heard) -> str:
        return f"{self._words.breach}, but hardly more often than on the baseline: {self._all_told(heard)}"

    def _all_told(self, heard: Heard) -> str:
        candidate, baseline = heard.all
        counted = f"{of(candidate, self._words, self._limit)} {self._words.bad} since the step's anchor"
        return f"{counted}; {beside(baseline)}; {self.remark(heard)}"

    def _needs(self) -> str:
        return f"a rollback needs {amount(self._dossier.rule.needed)}"

    def _verdict(self, kind: VerdictKind, reason: str, heard: Heard, *, shared: bool = False) -> Verdict:
        return Verdict(
            kind=kind,
            check=self._check,
            slot=self._slot,
            judge=self.name,
            reason=reason,
            shared=shared,
            at=heard.at,
            numbers=self.numbers(heard),
        )

    def numbers(self, heard: Heard) -> Numbers:
        """The counts since the anchor, and the evidence since the ramp began."""
        (candidate, baseline), finding = heard.all, heard.finding
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
            evidence=heard.evidence,
            evidence_needed=self._dossier.rule.needed,
            ratio=None if finding is None else finding.ratio,
            ratio_low=None if finding is None else finding.low,
            ratio_high=None if finding is None else finding.high,
            risks=heard.risks,
            more=None if finding is None else finding.more,
        )


def _users(heard: Heard) -> str:
    """Whether they are known from before the ramp, where somebody wants that."""
    if heard.adjusted is None:
        return ""
    return "; its users are known from before the ramp" if heard.adjusted else "; its users are not known from before"


def _sound(counts: ArmCounts) -> ArmCounts:
    """Nothing, if these are no counts."""
    return counts if math.isfinite(counts.n + counts.bad) else NOTHING


def _share(counts: ArmCounts) -> str:
    share = rate(counts)
    return "none" if share is None else percent(share)


def _times(finding: "Finding") -> str:
    told = f"{finding.ratio:.1f} times as often ({finding.low:.1f} to {finding.high:.1f})"
    if finding.since <= finding.high:
        return told
    # A late regression is hidden in the ratio of the whole ramp, which alone does not say why anybody is taken back.
    return f"{told} since the ramp began, about {finding.since:.1f} times since it became worse"
