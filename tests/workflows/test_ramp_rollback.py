"""The way back: from every phase, for every reason, and whatever else goes wrong meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from ramp_specs import ramp_spec
from rolled_back import ROLLBACK, assert_rolled_back
from scripted import Ramp, ScriptedWorld, new_route
from scripted_activities import as_usual, ends, fails, ignores_cancel, waits
from temporalio.service import RPCError

from tailramp import activity_names as names
from tailramp.decision import DecisionKind
from tailramp.ramp import Phase, Reason, WatchOutcome

PLACES = {
    Phase.SHIFTING: ["apply 1", "verify 1"],
    Phase.SETTLING: ["settle 1"],
    Phase.HOLDING: ["hold 1"],
    Phase.PROMOTING: ["apply default", "verify rules"],
    Phase.BAKING: ["bake"],
}


# Abort.


@pytest.mark.parametrize(("phase", "label"), [(phase, label) for phase, labels in PLACES.items() for label in labels])
async def test_an_abort_in_any_phase_clears_then_proves_then_compares(
    world: ScriptedWorld, phase: Phase, label: str
) -> None:
    world.on(label, waits())
    ramp = await world.start()
    await world.reached(label)
    assert (await ramp.status()).phase is phase
    await ramp.abort("smells wrong")
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, Reason.OPERATOR_ABORT)
    assert result.assignment is not None
    assert result.assignment.describe() == "default blue"
    assert_rolled_back(world, last_forward=label)


async def test_an_abort_in_preflight_clears_without_an_epoch_because_it_never_held_the_route(
    world: ScriptedWorld,
) -> None:
    world.on("preflight", waits())
    ramp = await world.start()
    await world.reached("preflight")
    await ramp.abort()
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, Reason.OPERATOR_ABORT)
    assert world.deeds == ["preflight", "clear"]
    assert world.all("clear")[0].epoch == 0


async def test_an_abort_before_the_first_decision_starts_nothing_forward(world: ScriptedWorld) -> None:
    await world.stop_workflows()
    ramp = await world.start()
    await ramp.abort()
    await world.start_workflows()
    assert (await ramp.result()).reason is Reason.OPERATOR_ABORT
    assert world.deeds == ["clear"]


async def test_an_abort_overrides_a_pause_and_an_approval(world: ScriptedWorld) -> None:
    ramp = await world.start(ramp_spec(new_route(), steps=({"share": "10%", "approval": True}, "100%")))
    await world.reached("guard 1")
    await ramp.pause()
    await world.reached("guard 1", times=2)
    await ramp.abort()
    assert (await ramp.result()).reason is Reason.OPERATOR_ABORT
    assert_rolled_back(world, last_forward="guard 1")


async def test_an_abort_of_a_tolerated_failure_goes_back(world: ScriptedWorld) -> None:
    world.on("hold 1", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"))
    ramp = await world.start(ramp_spec(new_route(), auto_rollback=False))
    await world.reached("guard 1")
    await ramp.abort()
    assert (await ramp.result()).reason is Reason.OPERATOR_ABORT
    assert_rolled_back(world, last_forward="guard 1")


async def test_the_clear_waits_until_a_write_in_flight_has_ended(world: ScriptedWorld) -> None:
    written = asyncio.Event()
    world.on("apply default", ignores_cancel(until=written))
    ramp = await world.start()
    await world.reached("apply default")
    await ramp.abort()
    await ramp.until(lambda status: status.reason is Reason.OPERATOR_ABORT, "the abort")
    # Whatever the abort leads to at once is in history now: the request to cancel the write, and nothing else.
    history = await ramp.handle.fetch_history()
    assert any(event.HasField("activity_task_cancel_requested_event_attributes") for event in history.events)
    started = [event.activity_task_scheduled_event_attributes.activity_type.name for event in history.events]
    assert names.CLEAR not in started
    written.set()
    await ramp.result()
    assert_rolled_back(world, last_forward="apply default")
    assert world.ended.index("apply default") < world.ended.index("clear")


async def test_the_clear_does_not_wait_for_a_watch_that_hears_of_no_cancel(world: ScriptedWorld) -> None:
    over = asyncio.Event()
    world.on("hold 1", ignores_cancel(until=over))
    ramp = await world.start()
    await world.reached("hold 1")
    await ramp.abort()
    await world.reached("clear")
    assert "hold 1" not in world.ended
    assert (await ramp.result()).reason is Reason.OPERATOR_ABORT
    over.set()


async def test_an_emptied_target_is_a_stop_with_a_reason_of_its_own(world: ScriptedWorld) -> None:
    world.on("hold 1", waits())
    ramp = await world.start()
    await world.reached("hold 1")
    await ramp.empty_target()
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, Reason.TARGET_EMPTIED)
    assert_rolled_back(world, last_forward="hold 1")


# Cancel.


@pytest.mark.parametrize("label", ["preflight", "hold 1"])
async def test_cancelling_the_workflow_rolls_back(world: ScriptedWorld, label: str) -> None:
    world.on(label, waits())
    ramp = await world.start()
    await world.reached(label)
    await ramp.cancel()
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, Reason.CANCELLED)
    assert world.deeds[world.deeds.index(label) + 1 :] == (["clear"] if label == "preflight" else ROLLBACK)


@pytest.mark.parametrize(
    ("first", "reason", "label"),
    [
        *((Ramp.abort, Reason.OPERATOR_ABORT, label) for label in ROLLBACK),
        (Ramp.cancel, Reason.CANCELLED, "clear"),
    ],
)
async def test_no_cancel_interrupts_any_part_of_a_rollback(
    world: ScriptedWorld, first: Callable[[Ramp], Awaitable[None]], reason: Reason, label: str
) -> None:
    going_on = asyncio.Event()
    world.on("hold 1", waits())
    world.on(label, waits(going_on, then=as_usual))
    ramp = await world.start()
    await world.reached("hold 1")
    await first(ramp)
    await world.reached(label)
    await ramp.cancel()
    await ramp.cancel()
    await ramp.abort()
    assert (await ramp.status()).reason is reason
    going_on.set()
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, reason)
    assert_rolled_back(world, last_forward="hold 1")


async def test_a_cancel_that_comes_after_an_abort_does_not_change_the_reason(world: ScriptedWorld) -> None:
    world.on("hold 1", waits())
    ramp = await world.start()
    await world.reached("hold 1")
    await world.stop_workflows()
    await ramp.abort()
    await ramp.cancel()
    await world.start_workflows()
    assert (await ramp.result()).reason is Reason.OPERATOR_ABORT
    assert_rolled_back(world, last_forward="hold 1")


# A rollback under stress.


async def test_a_clear_that_fails_is_tried_again_at_the_same_epoch(world: ScriptedWorld) -> None:
    world.on("hold 1", waits())
    world.on("clear", fails("Unreachable", "the disk is full"))
    ramp = await world.start()
    await world.reached("hold 1")
    await ramp.abort()
    assert (await ramp.result()).phase is Phase.ROLLED_BACK
    first, second = world.all("clear")
    assert (first.epoch, first.attempt, second.epoch, second.attempt) == (first.epoch, 1, first.epoch, 2)


@pytest.mark.parametrize("label", ["clear", "prove"])
async def test_a_rollback_that_is_refused_an_answer_does_not_end_unproven(world: ScriptedWorld, label: str) -> None:
    """Whatever the route says no to, a ramp that may still have users on its candidate must not be over."""
    world.on("hold 1", waits())
    world.on(label, fails(names.REFUSED, "the route file cannot be read"))
    ramp = await world.start()
    await world.reached("hold 1")
    await ramp.abort()
    assert (await ramp.result()).phase is Phase.ROLLED_BACK
    assert world.deeds.count(label) == 2


async def test_a_log_that_never_answers_delays_neither_the_ramp_nor_its_rollback(world: ScriptedWorld) -> None:
    kinds = [f"record {kind}" for kind in DecisionKind]
    for kind in kinds:
        world.always(kind, waits())
    world.on("bake", waits())
    ramp = await world.start()
    await world.reached("bake")
    await ramp.abort()
    await world.reached("restore")
    await ramp.until(lambda status: status.phase is Phase.ROLLED_BACK, "the end of the rollback")
    assert world.deeds[-3:] == ROLLBACK


async def test_a_ramp_ends_only_when_every_decision_is_written(world: ScriptedWorld) -> None:
    writable = asyncio.Event()
    world.on("hold 1", waits())
    world.on("record rollback_intended", waits(writable))
    ramp = await world.start()
    await world.reached("hold 1")
    await ramp.abort()
    await ramp.until(lambda status: status.phase is Phase.ROLLED_BACK, "the end of the rollback")
    assert (await ramp.handle.describe()).close_time is None
    writable.set()
    await ramp.result()
    assert "record rollback_intended" in world.ended


# After the end.


async def test_messages_in_a_rollback_and_after_it_change_nothing(world: ScriptedWorld) -> None:
    writable, proven = asyncio.Event(), asyncio.Event()
    world.on("hold 1", waits())
    world.on("prove", waits(proven, then=as_usual))
    world.on("record ended", waits(writable))
    ramp = await world.start()
    await world.reached("hold 1")
    await ramp.abort()
    await world.reached("prove")
    await _every_message(ramp)
    proven.set()
    await ramp.until(lambda status: status.phase is Phase.ROLLED_BACK, "the end of the rollback")
    await _every_message(ramp)
    writable.set()
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, Reason.OPERATOR_ABORT)
    assert_rolled_back(world, last_forward="hold 1")
    assert world.all("record paused") == world.all("record promoted") == world.all("record alerted") == []


async def test_an_abort_after_success_does_not_undo_it(world: ScriptedWorld) -> None:
    writable = asyncio.Event()
    world.on("record ended", waits(writable))
    ramp = await world.start()
    await ramp.until(lambda status: status.phase is Phase.SUCCEEDED, "success")
    await _every_message(ramp)
    await ramp.cancel()
    writable.set()
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.SUCCEEDED, Reason.SUCCEEDED)
    assert "clear" not in world.deeds


async def test_a_message_to_a_ramp_that_is_over_is_told_so(world: ScriptedWorld) -> None:
    world.on("hold 1", ends(WatchOutcome.FAILED))
    ramp = await world.start()
    await ramp.result()
    with pytest.raises(RPCError, match="workflow execution already completed"):
        await ramp.abort()
    assert (await ramp.status()).phase is Phase.ROLLED_BACK


async def _every_message(ramp: Ramp) -> None:
    await ramp.pause()
    await ramp.promote(1, full=True)
    await ramp.alert(attributed=False)
    await ramp.alert(attributed=True)
    await ramp.empty_target()
    await ramp.resume()
    await ramp.abort()
