"""When a watch has something to decide: from the verdicts of one tick to the outcome of a watch.

The watch activity asks and waits; what the answers mean for the hold is decided here, so that it can be tested without
either.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tailramp.activity_contract import WatchRequest
from tailramp.checks import checks_by_slot
from tailramp.evidence import Combination, VerdictKind, combine
from tailramp.evidence.sequential.growth import MOST_GROWTH, NEGLIGIBLE, Risk, harm, largest_share
from tailramp.evidence.verdicts import Said
from tailramp.evidence.wording import percent
from tailramp.forms import SlotName
from tailramp.ramp import Block, Cause, WatchMode, WatchOutcome, clock, news, without_numbers

SETTLED_SHARE = 0.25
"""Traffic has reached a step when the candidate's measured share is at least this much of what its buckets should
bring.  Users are not equally busy, so a few buckets may bring far less than their number says."""


@dataclass(frozen=True)
class Outcome:
    """``failed`` are the candidates whose checks failed, ``causes`` whatever holds the ramp now, told before or not."""

    kind: WatchOutcome
    sentence: str
    blocks: frozenset[Block] = frozenset()
    causes: tuple[Cause, ...] = ()
    failed: tuple[SlotName, ...] = ()
    next_step: int | None = None


@dataclass(frozen=True)
class _Arrival:
    """How much of the traffic has reached one candidate."""

    whose: str
    seen: int
    together: int
    expected: float

    @property
    def _share(self) -> float:
        return self.seen / self.together if self.together else 0.0

    @property
    def reached(self) -> bool:
        return self.seen > 0 and self._share >= SETTLED_SHARE * self.expected

    def __str__(self) -> str:
        return f"{self.seen:,} of {self.together:,} answers are {self.whose}'s ({percent(self._share)})"


class Watching:
    """One watch, tick after tick.  Feed it every tick from the grid's start, each once, in order."""

    def __init__(self, request: WatchRequest, since: datetime, shares: Mapping[SlotName, float] | None = None) -> None:
        """``since`` is when the watch was first asked for: a retry keeps it.

        ``shares`` are the candidates' shares of the users, 0 to 1, where they are not those of the assignment: in a
        recording of other steps.
        """
        self._request = request
        self._shares = {slot: request.assignment.share_of(slot) for slot in request.plan.slots} | dict(shares or {})
        self._since = since
        self._settles = {
            (slot, check.name)
            for slot, checks in checks_by_slot(request.spec, request.plan).items()
            for check in checks
            if check.in_settle
        }
        self._seen_at = since
        self.answered = 0

    def goes_on(self, blind_since: datetime | None, now: datetime) -> None:
        """Take blindness up where an earlier watch or attempt left it, according to the route record.

        A message, a new segment or a dead worker ends a watch and no blindness; and a ramp whose checks were answered
        until now is not blind for as long as it has been watched.
        """
        self._seen_at = now if blind_since is None else min(self._seen_at, blind_since)

    def blind_since(self, verdicts: Sequence[Said]) -> datetime | None:
        """When the checks were answered last; None if they are answered now, by the tick's ``verdicts``."""
        return self._seen_at if _is_blind(verdicts) else None

    def fails(self, verdicts: Sequence[Said]) -> Outcome | None:
        """The failed checks that count in this mode, but for those that a person is waited for."""
        settling = self._request.mode is WatchMode.SETTLE
        failed = [
            verdict
            for verdict in verdicts
            if verdict.kind is VerdictKind.FAIL and (not settling or (verdict.slot, verdict.check) in self._settles)
        ]
        slots = tuple(dict.fromkeys(verdict.slot for verdict in failed))
        causes = tuple(_cause(None, verdict) for verdict in failed)
        if not set(slots) - set(self._request.tolerated) and not self._news(causes):
            return None
        several = len(self._request.plan.slots) > 1
        told = (f"{verdict.slot}: {verdict.reason}" if several else verdict.reason for verdict in failed)
        return Outcome(WatchOutcome.FAILED, "; ".join(told), failed=slots, causes=causes)

    def _news(self, causes: Iterable[Cause]) -> bool:
        """Whether any of them has not been told."""
        return bool(news(self._request.causes, causes))

    def observe(
        self,
        at: int,
        verdicts: Sequence[Said],
        route: frozenset[Block] | None = None,
        causes: tuple[Cause, ...] = (),
    ) -> Outcome | None:
        """What the tick at unix time ``at`` decides, or None to go on.

        ``route`` are the blocks that the route itself shows now (drift, freeze, a baseline without a server);
        ``causes`` are theirs; None for a tick of the past, at which nobody looked.  Only the present can change what
        the ramp is blocked by.
        """
        request, now = self._request, datetime.fromtimestamp(at, UTC)
        failed = self.fails(verdicts)
        if failed is not None:
            return failed
        blind = _is_blind(verdicts)
        if not blind:
            self._seen_at = max(self._seen_at, now)
            self.answered += self._counts(now)
        elif now - self._seen_at >= request.spec.platform.ramp.max_blind and Block.BLIND not in request.blocks:
            return Outcome(WatchOutcome.BLIND, combine(verdicts).reason, causes=_blind_causes(verdicts))
        if blind and Block.BLIND in request.blocks and route is not None:
            route |= {Block.BLIND}
            causes += _blind_causes(verdicts)
        if route is not None and (changed := self._blocks_changed(verdicts, route, causes)):
            return changed
        shared = any(verdict.shared for verdict in verdicts)
        if request.tolerated or blind or shared or request.blocks or request.mode is WatchMode.GUARD:
            return None
        return self._settling(at, verdicts) if request.mode is WatchMode.SETTLE else self._holding(now, verdicts)

    def between_ticks(
        self, verdicts: Sequence[Said], route: frozenset[Block], causes: tuple[Cause, ...]
    ) -> Outcome | None:
        """What the route shows now changes for the ramp, though no tick is due; ``verdicts`` are the last ones."""
        if Block.BLIND in self._request.blocks:
            route |= {Block.BLIND}
        return self._blocks_changed(verdicts, route, causes)

    def _blocks_changed(
        self, verdicts: Sequence[Said], route: frozenset[Block], causes: tuple[Cause, ...]
    ) -> Outcome | None:
        shared = tuple(_cause(Block.SHARED_INCIDENT, verdict) for verdict in verdicts if verdict.shared)
        causes = shared + causes
        blocks = route | ({Block.SHARED_INCIDENT} if shared else frozenset())
        same = blocks == frozenset(self._request.blocks)
        if same and not self._news(causes):
            return None
        words = ", ".join(sorted(blocks)) or "nothing any more"
        reasons = "; ".join(dict.fromkeys(cause.sentence for cause in causes))
        sentence = f"blocked by {words}" + (f": {reasons}" if reasons else "")
        if same:
            sentence = f"still {sentence}"
        return Outcome(WatchOutcome.BLOCKS_CHANGED, sentence, blocks, causes)

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

    def _settling(self, at: int, verdicts: Sequence[Said]) -> Outcome | None:
        request = self._request
        policy = request.spec.platform
        elapsed = timedelta(seconds=at - request.anchor)
        arrivals = self._arrivals(verdicts)
        if elapsed >= policy.checks.window and all(arrival.reached for arrival in arrivals):
            return Outcome(WatchOutcome.SETTLED, "; ".join(str(arrival) for arrival in arrivals))
        if elapsed < policy.ramp.max_settle:
            return None
        seen = "; ".join(f"{arrival}, {percent(arrival.expected)} were expected" for arrival in arrivals)
        missing = (f"traffic of {arrival.whose}" for arrival in arrivals if not arrival.reached)
        return self._inconclusive(f"traffic has not reached the step: {seen}", missing)

    def _inconclusive(self, sentence: str, missing: Iterable[str]) -> Outcome | None:
        """The time is over and the evidence is not.  ``missing`` names it: told once each."""
        causes = tuple(Cause.of(Block.INCONCLUSIVE, sentence, key=what) for what in missing)
        if self._request.overdue and not self._news(causes):
            return None
        return Outcome(WatchOutcome.INCONCLUSIVE, sentence, causes=causes)

    def _arrivals(self, verdicts: Sequence[Said]) -> list["_Arrival"]:
        """The answers of each candidate since the anchor, beside all that were counted."""
        slots = self._request.plan.slots
        counted: dict[SlotName, Said] = {}
        for verdict in verdicts:
            if verdict.slot not in counted or verdict.check == "errors":
                counted[verdict.slot] = verdict
        seen = {slot: counted[slot].numbers.seen if slot in counted else 0 for slot in slots}
        baseline = max((verdict.numbers.baseline_seen for verdict in counted.values()), default=0)
        together = sum(seen.values()) + baseline
        whose = {slot: slot if len(slots) > 1 else "the candidate" for slot in slots}
        return [_Arrival(whose[slot], seen[slot], together, self._shares[slot]) for slot in slots]

    def _holding(self, now: datetime, verdicts: Sequence[Said]) -> Outcome | None:
        request = self._request
        if request.mode is WatchMode.HOLD and request.hold is not None and request.spec.platform.ramp.by_evidence:
            return self._growing(now, verdicts)
        if request.hold is None or clock(request.held, now) < request.hold:
            return None
        needed = request.hold // request.spec.platform.checks.tick
        if self.answered < needed:
            return None
        combined = combine(verdicts)
        if combined.kind is VerdictKind.PASS or request.mode is WatchMode.BAKE:
            return Outcome(WatchOutcome.PASSED, combined.reason if combined.verdicts else "no check was asked for")
        return self._inconclusive(combined.reason, _missing(combined))

    def weighs_risks(self, at: int) -> bool:
        """Whether what the tick at unix time ``at`` decides may depend on risks, which take long to find."""
        policy = self._request.spec.platform.ramp
        held = clock(self._request.held, datetime.fromtimestamp(at, UTC))
        return policy.by_evidence and self._request.mode is WatchMode.HOLD and held >= policy.evidence.dwell

    def _growing(self, now: datetime, verdicts: Sequence[Said]) -> Outcome | None:
        """Whether the evidence allows a larger share; after the longest hold a person is asked."""
        request, policy = self._request, self._request.spec.platform.ramp.evidence
        held = clock(request.held, now)
        combined = combine(verdicts)
        enough = held >= policy.dwell and self.answered >= policy.dwell // request.spec.platform.checks.tick
        if enough and combined.kind is VerdictKind.PASS:
            risks = [risk for verdict in verdicts for risk in verdict.numbers.risks]
            step = self._step_allowed(risks) if risks else None
            if step is not None:
                return Outcome(WatchOutcome.PASSED, combined.reason, next_step=step)
        if request.hold is None or held < request.hold:
            return None
        if combined.kind is VerdictKind.PASS:
            return self._too_much_risk(verdicts)
        return self._inconclusive(combined.reason, _missing(combined))

    def _too_much_risk(self, verdicts: Sequence[Said]) -> Outcome | None:
        """Name the check of the candidate that may still bring the most bad answers."""
        reaction = self._request.spec.platform.ramp.evidence.reaction.total_seconds()
        _, ratio, slot, check = max(
            (harm(risk, 1.0, reaction), risk[0], verdict.slot, verdict.check)
            for verdict in verdicts
            for risk in verdict.numbers.risks or ((0.0, 0.0),)
        )
        sentence = f"no larger share is safe yet: {check} may still be {ratio:.1f} times as bad as on the baseline"
        told = f"{slot}: {sentence}" if len(self._request.plan.slots) > 1 else sentence
        return self._inconclusive(told, [f"risk of {slot} {check}"])

    def _step_allowed(self, risks: Sequence[Risk]) -> int | None:
        """The step to go on to; one beyond the last is the promotion.  A step with an approval is not skipped."""
        plan, policy = self._request.plan, self._request.spec.platform.ramp.evidence
        now = plan.share_in(self._request.assignment)
        at = max((step.index for step in plan.steps if step.share <= now + 1e-9), default=0)
        limits = {"budget": policy.harm, "reaction": policy.reaction.total_seconds()}
        if at == len(plan.steps):
            certain = all(
                upper <= policy.promote_below
                or harm((upper, base), 1.0, limits["reaction"]) <= NEGLIGIBLE * limits["budget"]
                for upper, base in risks
            )
            return at + 1 if certain and largest_share([1.0], 1.0 / MOST_GROWTH, risks, **limits) == 1.0 else None
        reachable = []
        for step in plan.steps[at:]:
            reachable.append(step)
            if step.approval:
                break
        share = largest_share([step.share for step in reachable], now, risks, **limits)
        return next((step.index for step in reachable if step.share == share), None)


def _missing(combined: Combination) -> list[str]:
    """What has no evidence enough yet."""
    return [f"{verdict.slot} {verdict.check}" for verdict in combined.deciding] or ["checks"]


def _cause(block: Block | None, verdict: Said) -> Cause:
    return Cause.of(block, verdict.reason, key=f"{verdict.slot} {verdict.check}")


def _blind_causes(verdicts: Sequence[Said]) -> tuple[Cause, ...]:
    """Prometheus that does not answer is one cause, however many checks ask it."""
    causes = []
    for verdict in verdicts:
        if verdict.kind is VerdictKind.BLIND:
            fault = verdict.reason.removeprefix(f"{verdict.check} could not be judged: ")
            causes.append(Cause.of(Block.BLIND, verdict.reason, key=without_numbers(fault)))
    return tuple(causes)


def _is_blind(verdicts: Sequence[Said]) -> bool:
    return any(verdict.kind is VerdictKind.BLIND for verdict in verdicts)
