"""When a watch has something to decide: from the verdicts of one tick to the outcome of a watch.

The watch activity asks and waits; what the answers mean for the hold is decided here, so that it can be tested without
either.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tailramp.activity_contract import WatchRequest
from tailramp.checks import checks_of
from tailramp.evidence import Verdict, VerdictKind, combine
from tailramp.ramp import WatchMode, WatchOutcome, clock

SETTLED_SHARE = 0.25
"""Traffic has reached a step when the candidate's measured share is at least this much of what its buckets should
bring.  Users are not equally busy, so a few buckets may bring far less than their number says."""


@dataclass(frozen=True)
class Outcome:
    kind: WatchOutcome
    sentence: str


class Watching:
    """One watch, tick after tick.  Feed it every tick from the grid's start, each once, in order."""

    def __init__(self, request: WatchRequest, since: datetime) -> None:
        """``since`` is when the watch was first asked for: a retry keeps it, so that blindness is not forgotten."""
        self._request = request
        self._since = since
        self._settles = {check.name for check in checks_of(request.spec) if check.in_settle}
        self._seen_at = since
        self.answered = 0

    def observe(self, at: int, verdicts: list[Verdict]) -> Outcome | None:
        """What the verdicts of the tick at unix time ``at`` decide, or None to go on."""
        request, now = self._request, datetime.fromtimestamp(at, UTC)
        relevant = [
            verdict for verdict in verdicts if request.mode is not WatchMode.SETTLE or verdict.check in self._settles
        ]
        combined = combine(relevant)
        failing = combined.kind is VerdictKind.FAIL
        if failing and not request.tolerating:
            return Outcome(WatchOutcome.FAILED, combined.reason)
        blind = any(verdict.kind is VerdictKind.BLIND for verdict in verdicts)
        if not blind:
            self._seen_at = max(self._seen_at, now)
            self.answered += self._counts(now)
        elif now - self._seen_at >= request.spec.platform.ramp.max_blind:
            return Outcome(WatchOutcome.BLIND, combine(verdicts).reason)
        if combined.shared and not request.shared_known and request.mode is not WatchMode.GUARD:
            return Outcome(WatchOutcome.SHARED, combined.reason)
        if failing or blind or request.mode is WatchMode.GUARD:
            return None
        if request.mode is WatchMode.SETTLE:
            return self._settling(at, verdicts)
        return self._holding(now, verdicts)

    def segment_over(self, now: datetime) -> bool:
        return now - self._since >= self._request.segment

    def left(self, at: int) -> timedelta | None:
        """What the hold's clock still needs; None if it has no end."""
        if self._request.hold is None:
            return None
        return max(self._request.hold - clock(self._request.held, datetime.fromtimestamp(at, UTC)), timedelta())

    def _counts(self, now: datetime) -> bool:
        """Whether the tick lies in a stretch in which the hold's clock ran."""
        return any(i.start <= now and (i.end is None or now <= i.end) for i in self._request.held)

    def _settling(self, at: int, verdicts: list[Verdict]) -> Outcome | None:
        request = self._request
        policy = request.spec.platform
        elapsed = timedelta(seconds=at - request.anchor)
        counted = next((v for v in verdicts if v.check == "errors"), verdicts[0] if verdicts else None)
        candidate = counted.numbers.n if counted else 0
        together = candidate + (counted.numbers.baseline_n if counted else 0)
        expected = request.assignment.share_of(request.plan.candidate)
        share = candidate / together if together else 0.0
        if elapsed >= policy.checks.window and candidate and share >= SETTLED_SHARE * expected:
            return Outcome(
                WatchOutcome.SETTLED, f"{candidate:,} of {together:,} answers are the candidate's ({share:.1%})"
            )
        if elapsed >= policy.ramp.max_settle and not request.overdue:
            seen = (
                f"{candidate:,} of {together:,} answers are the candidate's ({share:.1%}), {expected:.1%} were expected"
            )
            return Outcome(WatchOutcome.INCONCLUSIVE, f"traffic has not reached the step: {seen}")
        return None

    def _holding(self, now: datetime, verdicts: list[Verdict]) -> Outcome | None:
        request = self._request
        if request.hold is None or clock(request.held, now) < request.hold:
            return None
        needed = request.hold // request.spec.platform.checks.tick
        if self.answered < needed:
            return None
        combined = combine(verdicts)
        if combined.kind is VerdictKind.PASS or request.mode is WatchMode.BAKE:
            return Outcome(WatchOutcome.PASSED, combined.reason if combined.verdicts else "no check was asked for")
        if combined.shared or request.overdue:
            return None
        return Outcome(WatchOutcome.INCONCLUSIVE, combined.reason)
