"""States of a ramp, as the tests of the decision logic find it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tailramp.assignment import Assignment
from tailramp.plan import Plan
from tailramp.ramp import Interval, Phase, RampState, Reason

NOON = datetime(2026, 1, 5, 12, 0, 0, 250_000, tzinfo=UTC)
BLUE = Assignment(default="blue")

TERMINAL = [Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.REFUSED, Phase.SUPERSEDED]
ROLLBACK = [Phase.ROLLING_BACK, Phase.ROLLBACK_UNVERIFIED]
FORWARD = [phase for phase in Phase if phase not in {*TERMINAL, *ROLLBACK}]


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def in_phase(phase: Phase, plan: Plan, **changes: object) -> RampState:
    """A ramp that has come to ``phase``, at its second step where steps count."""
    served = {
        Phase.PREFLIGHT: None,
        Phase.SHIFTING: plan.step(1).assignment,
        Phase.SETTLING: plan.step(2).assignment,
        Phase.HOLDING: plan.step(2).assignment,
        Phase.PROMOTING: plan.steps[-1].assignment,
        Phase.BAKING: plan.promoted,
        Phase.SUCCEEDED: plan.promoted,
    }.get(phase, BLUE)
    step = {Phase.PREFLIGHT: 1, Phase.PROMOTING: len(plan.steps), Phase.BAKING: len(plan.steps)}.get(phase, 2)
    held = (Interval(start=NOON),) if phase in {Phase.HOLDING, Phase.BAKING} else ()
    stop = Reason.UNHEALTHY if phase in {*ROLLBACK, Phase.ROLLED_BACK} else None
    state = RampState(phase=phase, step=step, applied=served, anchor=1, epoch=5, held=held, stop=stop)
    return state.model_copy(update=changes)
