"""Servers before users, in the decision logic: when room is made, what is watched meanwhile, and what is held."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tailramp import ramp
from tailramp.assignment import Assignment
from tailramp.plan import Plan
from tailramp.ramp import Block, Phase, RampState, SpendWord, WatchMode

BLUE = Assignment(default="blue")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def sized(promoting: Plan) -> Plan:
    return promoting.model_copy(update={"needs_room": True})


def shifting(plan: Plan, step: int, **changes: object) -> RampState:
    served = BLUE if step == 1 else plan.step(step - 1).assignment
    return RampState(phase=Phase.SHIFTING, step=step, applied=served, epoch=5).model_copy(update=changes)


def test_the_first_step_waits_for_its_servers_and_nobody_is_watched(sized: Plan) -> None:
    first = sized.step(1).assignment
    state = shifting(sized, 1)
    assert ramp.next_action(sized, state) == ramp.MakeRoom(first, watched=False)
    assert ramp.next_action(sized, ramp.room_made(state, first)) == ramp.Shift(sized.step(1))


def test_a_later_step_waits_for_its_servers_and_its_users_are_watched(sized: Plan) -> None:
    second = sized.step(2).assignment
    state = shifting(sized, 2, room=sized.step(1).assignment)
    assert ramp.next_action(sized, state) == ramp.MakeRoom(second, watched=True)
    assert ramp.next_action(sized, ramp.room_made(state, second)) == ramp.Shift(sized.step(2))


def test_the_default_moves_only_once_the_candidate_could_carry_everyone(sized: Plan) -> None:
    state = RampState(
        phase=Phase.PROMOTING,
        step=len(sized.steps),
        applied=sized.steps[-1].assignment,
        room=sized.steps[-1].assignment,
    )
    assert ramp.next_action(sized, state) == ramp.MakeRoom(sized.promoting, watched=True)
    assert ramp.next_action(sized, ramp.room_made(state, sized.promoting)) == ramp.MoveDefault()


def test_servers_that_do_not_come_hold_the_ramp_and_are_waited_for(sized: Plan) -> None:
    state = ramp.room_missing(shifting(sized, 2), "2 of 4 pods ready")
    assert state.blocked_by == {Block.CAPACITY}
    assert ramp.next_action(sized, state) == ramp.MakeRoom(sized.step(2).assignment, watched=True)
    assert ramp.room_made(state, sized.step(2).assignment).blocked_by == frozenset()


@pytest.mark.parametrize("block", [Block.BLIND, Block.SHARED_INCIDENT, Block.DRIFT])
def test_what_the_guards_saw_meanwhile_holds_the_shift(sized: Plan, block: Block) -> None:
    state = shifting(sized, 2, room=sized.step(2).assignment, blocked_by=frozenset({block}))
    assert ramp.next_action(sized, state) == ramp.Watch(WatchMode.GUARD)
    assert ramp.next_action(sized, ramp.blocks_changed(state, frozenset())) == ramp.Shift(sized.step(2))


@pytest.mark.parametrize("changes", [{"paused": True}, {"blocked_by": frozenset({Block.FREEZE})}])
def test_a_ramp_that_may_not_grow_asks_for_no_servers(sized: Plan, changes: dict[str, object]) -> None:
    assert ramp.next_action(sized, shifting(sized, 2, **changes)) == ramp.Watch(WatchMode.GUARD)
    assert ramp.next_action(sized, shifting(sized, 1, **changes)) == ramp.AwaitPerson()


def met_freeze(state: RampState) -> RampState:
    return ramp.freeze_met(state, "frozen by ops: holidays")


def saw_freeze(state: RampState) -> RampState:
    return ramp.blocks_changed(ramp.blocks_changed(state, frozenset({Block.FREEZE})), frozenset())


def lost_the_spend(state: RampState) -> RampState:
    return ramp.spent(ramp.spent(state, SpendWord.UNKNOWN, ""), SpendWord.WITHIN, "")


def rested(state: RampState) -> RampState:
    return ramp.resumed(ramp.paused(state, NOON), NOON)


@pytest.mark.parametrize("wait", [met_freeze, saw_freeze, lost_the_spend, rested])
def test_after_a_wait_in_which_servers_may_have_gone_they_are_asked_for_anew(
    sized: Plan, wait: Callable[[RampState], RampState]
) -> None:
    second = sized.step(2).assignment
    waited = ramp.blocks_changed(wait(shifting(sized, 2, room=second)), frozenset())
    assert ramp.next_action(sized, waited) == ramp.MakeRoom(second, watched=True)


def test_after_a_shrink_room_is_made_anew(sized: Plan) -> None:
    second = sized.step(2).assignment
    state = shifting(sized, 2, room=second, applied=second, shrink_to=sized.step(1).assignment)
    shrunk = ramp.shrunk(sized, state, sized.step(1).assignment, NOON)
    assert shrunk.room is None


def test_a_ramp_without_sized_workloads_makes_no_room(promoting: Plan) -> None:
    assert ramp.next_action(promoting, shifting(promoting, 1)) == ramp.Shift(promoting.step(1))
