"""When a watch has something to decide: from the verdicts of one tick to the outcome of a watch.

The watch activity asks and waits; what the answers mean for the hold is decided here, so that it can be tested without
either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tailramp.activity_contract import WatchRequest
from tailramp.checks import checks_of
from tailramp.evidence import Verdict, VerdictKind, combine
from tailramp.ramp import Block, WatchMode, WatchOutcome, clock

SETTLED_SHARE = 0.25
"""Traffic has reached a step when the candidate's measured share is at least this much of what its buckets should
bring.  Users are not equally busy, so a few buckets may bring far less than their number says."""


@dataclass(frozen=True)
class Outcome:
    kind: WatchOutcome
    sentence: str
    blocks: frozenset[Block] = frozenset()


class Watching:
    """One watch, tick after tick.  Feed it every tick from the grid's start, each once, in order."""

    def __init__(self, request: WatchRequest, since: datetime) -> None:
        """``since`` is when the watch was first asked for: a retry keeps it, so that blindness is not forgotten."""
        self._request = request
        self._since = since
        self._settles = {check.name for check in checks_of(request.spec) if check.in_settle}
        self._seen_at = since
        self.answered = 0

    def fails(self, verdicts: Sequence[Verdict]) -> Outcome | None:
        """The failed checks that count in this mode, whether or not a person is being waited for."""
        settling = self._request.mode is WatchMode.SETTLE
        combined = combine(verdict for verdict in verdicts if not settling or verdict.check in self._settles)
        return Outcome(WatchOutcome.FAILED, combined.reason) if combined.kind is VerdictKind.FAIL else None

    def observe(self, at: int, verdicts: Sequence[Verdict], route: frozenset[Block] | None = None) -> Outcome | None:
        """What the tick at unix time ``at`` decides, or None to go on.

        ``route`` are the blocks that the route itself shows now, drift and freeze; None for a tick of the past, at
        which nobody looked.  Only the present can change what the ramp is blocked by.
        """
        request, now = self._request, datetime.fromtimestamp(at, UTC)
        failed = self.fails(verdicts)
        if failed is not None and not request.tolerating:
            return failed
        blind = any(verdict.kind is VerdictKind.BLIND for verdict in verdicts)
        if not blind:
            self._seen_at = max(self._seen_at, now)
            self.answered += self._counts(now)
        elif now - self._seen_at >= request.spec.platform.ramp.max_blind and Block.BLIND not in request.blocks:
            return Outcome(WatchOutcome.BLIND, combine(verdicts).reason)
        if blind and Block.BLIND in request.blocks and route is not None:
            route |= {Block.BLIND}
        if route is not None and (changed := self._blocks_changed(verdicts, route)):
            return changed
        shared = any(verdict.shared for verdict in verdicts)
        if failed is not None or blind or shared or request.blocks or request.mode is WatchMode.GUARD:
            return None
        return self._settling(at, verdicts) if request.mode is WatchMode.SETTLE else self._holding(now, verdicts)

    def _blocks_changed(self, verdicts: Sequence[Verdict], route: frozenset[Block]) -> Outcome | None:
        shared = combine(verdict for verdict in verdicts if verdict.shared)
        blocks = route | ({Block.SHARED_INCIDENT} if shared.verdicts else frozenset())
        if blocks == frozenset(self._request.blocks):
            return None
        words = ", ".join(sorted(blocks)) or "nothing any more"
        sentence = f"blocked by {words}" + (f": {shared.reason}" if shared.verdicts else "")
        return Outcome(WatchOutcome.BLOCKS_CHANGED, sentence, blocks)

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

    def _settling(self, at: int, verdicts: Sequence[Verdict]) -> Outcome | None:
        request = self._request
        policy = request.spec.platform
        elapsed = timedelta(seconds=at - request.anchor)
        counted = next((v for v in verdicts if v.check == "errors"), verdicts[0] if verdicts else None)
        candidate = counted.numbers.seen if counted else 0
        together = candidate + (counted.numbers.baseline_seen if counted else 0)
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

    def _holding(self, now: datetime, verdicts: Sequence[Verdict]) -> Outcome | None:
        request = self._request
        if request.hold is None or clock(request.held, now) < request.hold:
            return None
        needed = request.hold // request.spec.platform.checks.tick
        if self.answered < needed:
            return None
        combined = combine(verdicts)
        if combined.kind is VerdictKind.PASS or request.mode is WatchMode.BAKE:
            return Outcome(WatchOutcome.PASSED, combined.reason if combined.verdicts else "no check was asked for")
        if request.overdue:
            return None
        return Outcome(WatchOutcome.INCONCLUSIVE, combined.reason)
