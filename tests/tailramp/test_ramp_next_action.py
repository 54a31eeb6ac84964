"""What is done next, phase by phase, and what comes before everything else."""

from __future__ import annotations

import pytest
from ramp_states import BLUE, FORWARD, TERMINAL, at, in_phase

from tailramp import ramp
from tailramp.plan import Plan
from tailramp.ramp import Block, Phase, RampState, Reason, WatchMode, WatchOutcome


def test_a_ramp_begins_with_its_preflight() -> None:
    assert ramp.next_action(None, RampState()) == ramp.RunPreflight()


@pytest.mark.parametrize(
    ("phase", "changes", "action"),
    [
        (Phase.SETTLING, {}, ramp.Watch(WatchMode.SETTLE)),
        (Phase.SETTLING, {"paused": True}, ramp.Watch(WatchMode.GUARD)),
        (Phase.SETTLING, {"promoted_step": 2}, ramp.Watch(WatchMode.SETTLE)),
        (Phase.HOLDING, {}, ramp.Watch(WatchMode.HOLD)),
        (Phase.HOLDING, {"paused": True}, ramp.Watch(WatchMode.GUARD)),
        (Phase.HOLDING, {"promoted_step": 2}, ramp.Advance()),
        (Phase.HOLDING, {"promoted_step": 1}, ramp.Watch(WatchMode.HOLD)),
        (Phase.HOLDING, {"promoted_step": 2, "paused": True}, ramp.Watch(WatchMode.GUARD)),
        (Phase.HOLDING, {"full": True, "paused": True}, ramp.Watch(WatchMode.GUARD)),
        (Phase.HOLDING, {"full": True}, ramp.Advance()),
        (Phase.HOLDING, {"blocked_by": frozenset({Block.APPROVAL})}, ramp.Watch(WatchMode.GUARD)),
        (Phase.HOLDING, {"blocked_by": frozenset({Block.APPROVAL}), "promoted_step": 2}, ramp.Advance()),
        (Phase.HOLDING, {"blocked_by": frozenset({Block.INCONCLUSIVE})}, ramp.Watch(WatchMode.HOLD)),
        (Phase.HOLDING, {"blocked_by": frozenset({Block.SHARED_INCIDENT})}, ramp.Watch(WatchMode.HOLD)),
        (Phase.PROMOTING, {}, ramp.MoveDefault()),
        (Phase.PROMOTING, {"paused": True}, ramp.Watch(WatchMode.GUARD)),
        (Phase.PROMOTING, {"default_moved": True}, ramp.RemoveRules()),
        (Phase.PROMOTING, {"default_moved": True, "paused": True}, ramp.RemoveRules()),
        (Phase.BAKING, {}, ramp.Watch(WatchMode.BAKE)),
        (Phase.BAKING, {"paused": True}, ramp.Watch(WatchMode.GUARD)),
        (Phase.BAKING, {"baked": True}, ramp.Conclude()),
    ],
)
def test_the_next_action_follows_from_phase_and_state(
    promoting: Plan, phase: Phase, changes: dict[str, object], action: ramp.Action
) -> None:
    assert ramp.next_action(promoting, in_phase(phase, promoting, **changes)) == action


def test_a_shift_serves_the_step_that_the_state_names(promoting: Plan) -> None:
    assert ramp.next_action(promoting, in_phase(Phase.SHIFTING, promoting)) == ramp.Shift(promoting.step(2))


@pytest.mark.parametrize("changes", [{"paused": True}, {"blocked_by": frozenset({Block.FREEZE})}])
def test_a_shift_that_must_wait_is_guarded_as_soon_as_somebody_is_served(
    promoting: Plan, changes: dict[str, object]
) -> None:
    first = in_phase(Phase.SHIFTING, promoting, step=1, applied=BLUE, **changes)
    second = in_phase(Phase.SHIFTING, promoting, **changes)
    assert ramp.next_action(promoting, first) == ramp.AwaitPerson()
    assert ramp.next_action(promoting, second) == ramp.Watch(WatchMode.GUARD)


@pytest.mark.parametrize("block", [Block.FREEZE, Block.BUDGET, Block.BLIND, Block.DRIFT, Block.SHARED_INCIDENT])
@pytest.mark.parametrize("phase", [Phase.SHIFTING, Phase.PROMOTING])
def test_nobody_is_moved_to_the_candidate_while_something_speaks_against_it(
    promoting: Plan, phase: Phase, block: Block
) -> None:
    state = in_phase(phase, promoting, blocked_by=frozenset({block}))
    assert ramp.next_action(promoting, state) == ramp.Watch(WatchMode.GUARD)


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("phase", [Phase.SHIFTING, Phase.SETTLING, Phase.HOLDING])
def test_users_whom_the_target_no_longer_names_go_before_anything_else_but_a_rollback(
    promoting: Plan, phase: Phase, paused: bool
) -> None:
    fewer = promoting.step(1).assignment
    state = in_phase(phase, promoting, shrink_to=fewer, paused=paused, promoted_step=2, full=True)
    assert ramp.next_action(promoting, state) == ramp.Shrink(fewer)
    stopped = state.model_copy(update={"stop": Reason.OPERATOR_ABORT})
    assert ramp.next_action(promoting, stopped) == ramp.RollBack(Reason.OPERATOR_ABORT)


def test_whoever_was_held_back_follows_before_the_ramp_is_concluded(promoting: Plan) -> None:
    baked = in_phase(Phase.BAKING, promoting, baked=True, applied=promoting.promoting)
    assert promoting.promoting != promoting.promoted
    assert ramp.next_action(promoting, baked) == ramp.EndHoldBack()


@pytest.mark.parametrize("phase", TERMINAL)
def test_the_end_is_the_end_whatever_else_the_state_says(promoting: Plan, phase: Phase) -> None:
    for changes in ({}, {"paused": True}, {"stop": Reason.ALERT}, {"full": True}):
        assert ramp.next_action(promoting, in_phase(phase, promoting, **changes)) == ramp.Finish(phase)


@pytest.mark.parametrize("phase", FORWARD)
@pytest.mark.parametrize("paused", [False, True])
def test_a_stop_overrides_every_phase_pause_and_promotion(promoting: Plan, phase: Phase, paused: bool) -> None:
    state = in_phase(
        phase, promoting, stop=Reason.OPERATOR_ABORT, paused=paused, promoted_step=2, full=True, baked=True
    )
    assert ramp.next_action(promoting, state) == ramp.RollBack(Reason.OPERATOR_ABORT)
    assert ramp.next_action(None, state) == ramp.RollBack(Reason.OPERATOR_ABORT)


# The final hold.


def test_the_final_hold_never_advances(held: Plan) -> None:
    state = in_phase(Phase.HOLDING, held, step=3, applied=held.steps[-1].assignment)
    assert ramp.is_final(held, state)
    promoted = ramp.promoted(state, 3, full=True)
    assert ramp.next_action(held, promoted) == ramp.Watch(WatchMode.HOLD)
    assert ramp.watched(held, state, WatchOutcome.PASSED, at(600)) == state
    assert ramp.advanced(held, promoted) == promoted


def test_the_last_step_before_a_promotion_is_not_final(promoting: Plan) -> None:
    state = in_phase(Phase.HOLDING, promoting, step=3)
    assert not ramp.is_final(promoting, state)
    assert ramp.watched(promoting, state, WatchOutcome.PASSED, at(600)).phase is Phase.PROMOTING
