"""What people read of a ramp: the sentences of its decisions, summaries and next events."""

from datetime import datetime, timedelta

from tailramp.evidence import Verdict
from tailramp.plan import Plan
from tailramp.ramp import Block, Phase, RampState, Reason, WatchOutcome, clock, has_room, is_final
from tailramp.units import format_duration


def preflight_passed(plan: Plan) -> str:
    then = f", then everyone, bake {format_duration(plan.bake)}" if plan.promotes else ", then hold"
    return f"preflight passed: {plan.journey}, {plan.shares}{then}"


def place(plan: Plan, state: RampState) -> str:
    """Where the ramp stands, as the subject of a sentence: ``step 2, 5 % (00-04)``."""
    if state.phase is Phase.PROMOTING:
        return "promotion"
    if state.phase is Phase.BAKING:
        return "success" if state.baked else "bake"
    step = plan.step(state.step)
    return f"step {step.index}, {step.label}"


def after_failure(before: RampState, after: RampState) -> str:
    """What a failed check led to."""
    if after.stop is not None:
        return "rollback"
    gone = [slot for slot in after.withdrawn if slot not in before.withdrawn]
    parts = [f"{' + '.join(gone)} is withdrawn, the others go on"] if gone else []
    if after.tolerated != before.tolerated:
        parts.append("paused, waiting for a person")
    elif not parts:
        parts.append("still paused, waiting for a person")
    return "; ".join(parts)


def watched(
    plan: Plan,
    before: RampState,
    after: RampState,
    outcome: WatchOutcome,
    sentence: str,
    verdicts: tuple[Verdict, ...],
) -> str:
    """What a watch found and what came of it; ``plan`` is the one before it."""
    name = place(plan, before)
    match outcome:
        case WatchOutcome.FAILED:
            return f"{name} FAIL: {sentence} → {after_failure(before, after)}"
        case WatchOutcome.BLIND:
            return f"{name} BLIND: {sentence} → {'hold' if after.stop is None else 'rollback'}"
        case WatchOutcome.BLOCKS_CHANGED:
            return f"{name}: {sentence}"
        case WatchOutcome.PASSED:
            return f"{name} PASS: {evidence(verdicts)} → {_after_pass(plan, before, after)}"
    return f"{name} {outcome.upper()}: {sentence}"


def _after_pass(plan: Plan, before: RampState, after: RampState) -> str:
    gated = Block.APPROVAL in after.blocked_by - before.blocked_by
    return "waits for `tailramp promote`" if gated else place(plan, after)


def next_event(plan: Plan | None, state: RampState, now: datetime) -> str:
    """What happens next, and when."""
    if state.phase.is_terminal:
        return "nothing: the ramp is over"
    if state.phase.is_rollback or state.stop is not None:
        return "everyone goes back to the baseline; then the proof that no new request reaches the candidate"
    if plan is None:
        return "preflight: everything that can be checked before a user is moved"
    if state.paused:
        return "waits for `tailramp resume`; guards go on"
    match state.phase:
        case Phase.SHIFTING if Block.FREEZE in state.blocked_by:
            return f"{plan.step(state.step).label}, once the freeze is lifted"
        case Phase.PROMOTING if Block.FREEZE in state.blocked_by and not state.default_moved:
            return f"{plan.candidate} becomes the default, once the freeze is lifted"
        case Phase.SHIFTING if not has_room(plan, state, plan.step(state.step).assignment):
            return f"{plan.step(state.step).label}, once its servers are ready"
        case Phase.PROMOTING if not state.default_moved and not has_room(plan, state, plan.promoting):
            return f"{plan.candidate} becomes the default, once its servers are ready"
        case Phase.SHIFTING:
            return f"{plan.step(state.step).label} is applied and proven by responses"
        case Phase.SETTLING:
            return "the hold starts once traffic has reached the step and a full window has passed"
        case Phase.PROMOTING:
            return f"{plan.candidate} becomes the default"
        case Phase.BAKING:
            return f"success in {_left(plan.bake, state, now)}, if no check fails"
    if is_final(plan, state):
        return "holds the target, guards on, until the target changes"
    after = (
        plan.step(state.step + 1).label if state.step < len(plan.steps) else f"100 %: {plan.candidate} becomes default"
    )
    if state.blocked_by:
        return f"{after}, once this is resolved: {', '.join(sorted(state.blocked_by))}; or `tailramp promote`"
    return f"{after} in {_left(plan.step(state.step).hold, state, now)}, if every check passes"


def _left(hold: timedelta, state: RampState, now: datetime) -> str:
    left = max(hold - clock(state.held, now), timedelta())
    return format_duration(timedelta(seconds=round(left.total_seconds())))


def reason(state: RampState) -> Reason | None:
    """Why the ramp ended or is about to; None while it goes on."""
    if state.phase is Phase.SUCCEEDED:
        return Reason.SUCCEEDED
    if state.phase is Phase.REFUSED:
        return Reason.REFUSED
    return state.stop


def evidence(verdicts: tuple[Verdict, ...]) -> str:
    """What a pass rests on: ``1,240 answers; bad ones: errors 0.0 %, latency 0.2 %, toxicity 1.0 %``."""
    if not verdicts:
        return "no check was asked for"
    answers = max(verdict.numbers.seen for verdict in verdicts)
    shares = []
    for verdict in verdicts:
        numbers = verdict.numbers
        share = f"{numbers.bad / numbers.n:.1%}".replace("%", " %") if numbers.n else "–"
        shares.append(f"{verdict.check} {share}")
    return f"{answers:,} answers; bad ones: {', '.join(shares)}"
