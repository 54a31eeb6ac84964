"""From the state of a ramp to what the watch is asked."""

from datetime import timedelta

from tailramp.activity_contract import WatchRequest
from tailramp.plan import Plan
from tailramp.ramp import WATCHED_BLOCKS, Block, Phase, RampState, WatchMode, is_final
from tailramp.spec import RampSpec


def watch_request(
    spec: RampSpec, plan: Plan, state: RampState, mode: WatchMode, *, ramp: str, segment: timedelta
) -> WatchRequest:
    """The request of a watch in ``mode``.  A hold at a final target has no end."""
    if state.applied is None or state.anchor is None:
        raise AssertionError("a watch starts after a shift")
    baking = state.phase is Phase.BAKING
    policy = spec.platform.ramp
    hold = plan.bake if baking else policy.evidence.max_hold if policy.by_evidence else plan.step(state.step).hold
    return WatchRequest(
        spec=spec,
        ramp=ramp,
        plan=plan,
        epoch=state.epoch,
        mode=mode,
        assignment=state.applied,
        anchor=state.anchor,
        earlier=state.stretches,
        since=state.evidence_since,
        began=state.began,
        users=state.users,
        held=state.held,
        hold=None if is_final(plan, state) and not baking else hold,
        overdue=Block.INCONCLUSIVE in state.blocked_by,
        blocks=tuple(sorted(state.blocked_by & WATCHED_BLOCKS)),
        tolerated=tuple(sorted(state.tolerated)),
        causes=state.causes,
        segment=segment,
    )
