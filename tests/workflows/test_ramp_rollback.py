"""The way back: from every phase, for every reason, and whatever else goes wrong meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from ramp_specs import ramp_spec
from scripted import Ramp, ScriptedWorld, new_route
from scripted_activities import FIRST_EPOCH, as_usual, clear_finds, ends, fails, ignores_cancel, waits
from temporalio.service import RPCError

from tailramp import activity_contract as contract
from tailramp.decision import DecisionKind
from tailramp.ramp import Block, Phase, Reason, SpendWord, WatchOutcome
from tailramp.route_record import Clearer
from workflows.messages import Spend
from workflows.ramp import RampWorkflow

ROLLBACK = ["clear", "prove", "restore"]
PLACES = {
    Phase.SHIFTING: ["apply 1", "verify 1"],
    Phase.SETTLING: ["settle 1"],
    Phase.HOLDING: ["hold 1"],
    Phase.PROMOTING: ["apply default", "verify rules"],
    Phase.BAKING: ["bake"],
}


def assert_rolled_back(world: ScriptedWorld, last_forward: str) -> None:
    """After the clear there is only the proof and the comparison; before it, nothing after ``last_forward``."""
    at = world.deeds.index("clear")
    assert world.deeds[at - 1] == last_forward
    assert world.deeds[at:] == ROLLBACK
    writes = [call.epoch for call in (*world.all("apply "), *world.all("conclude"))]
    assert world.all("clear")[0].epoch > max(writes, default=FIRST_EPOCH)


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
    assert contract.CLEAR not in started
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


# What the machine finds.


async def _failed_check(world: ScriptedWorld) -> str:
    world.on("hold 1", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"))
    return "hold 1"


async def _failed_in_settling(world: ScriptedWorld) -> str:
    world.on("settle 1", ends(WatchOutcome.FAILED, "errors 30 % > 5 %"))
    return "settle 1"


async def _failed_bake(world: ScriptedWorld) -> str:
    world.on("bake", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"))
    return "bake"


async def _blind(world: ScriptedWorld) -> str:
    world.on("hold 1", ends(WatchOutcome.BLIND, "no answer for 5m"))
    return "hold 1"


async def _refused_write(world: ScriptedWorld) -> str:
    world.on("apply default", fails(contract.REFUSED, "the route file is not one of tailramp's"))
    return "apply default"


async def _refused_proof(world: ScriptedWorld) -> str:
    world.on("verify rules", fails(contract.REFUSED, "the gateway knows no such route"))
    return "verify rules"


async def _fenced_write(world: ScriptedWorld) -> str:
    world.on("apply default", fails(contract.FENCED, "is at epoch 99"))
    return "apply default"


async def _fenced_conclude(world: ScriptedWorld) -> str:
    world.on("conclude", fails(contract.FENCED, "was cleared by sentinel"))
    return "conclude"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (_failed_check, Reason.UNHEALTHY),
        (_failed_in_settling, Reason.UNHEALTHY),
        (_failed_bake, Reason.UNHEALTHY),
        (_blind, Reason.BLIND),
        (_refused_write, Reason.ACTIVITY_FAILED),
        (_refused_proof, Reason.ACTIVITY_FAILED),
        (_fenced_write, Reason.FENCED),
        (_fenced_conclude, Reason.FENCED),
    ],
)
async def test_what_cannot_go_on_goes_back_and_says_why(
    world: ScriptedWorld, script: Callable[[ScriptedWorld], Awaitable[str]], reason: Reason
) -> None:
    label = await script(world)
    ramp = await world.start()
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, reason)
    assert result.detail.startswith(f"rolled back: {reason}: ")
    assert_rolled_back(world, last_forward=label)


async def test_the_decisions_of_a_rollback_name_its_reason_from_intent_to_end(world: ScriptedWorld) -> None:
    world.on("hold 1", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"))
    ramp = await world.start()
    await ramp.result()
    kind = DecisionKind
    wanted = [kind.FAILED, kind.ROLLBACK_INTENDED, kind.CLEARED, kind.ZERO_PROVEN, kind.RESTORED, kind.ENDED]
    tail = world.decisions[-len(wanted) :]
    assert [decision.kind for decision in tail] == wanted
    assert {decision.reason for decision in tail if decision.reason} == {"unhealthy"}
    assert all("p99 3 s > 2 s" in tail[index].sentence for index in (0, 1, 5))


@pytest.mark.parametrize("label", ["hold 1", "bake"])
async def test_an_alert_that_is_the_candidates_fault_rolls_back_at_once(world: ScriptedWorld, label: str) -> None:
    world.on(label, waits())
    ramp = await world.start()
    await world.reached(label)
    await ramp.alert(attributed=True)
    assert (await ramp.result()).reason is Reason.ALERT
    assert_rolled_back(world, last_forward=label)


async def test_an_attributed_alert_rolls_back_even_where_a_failed_check_would_only_pause(world: ScriptedWorld) -> None:
    world.on("hold 1", waits())
    ramp = await world.start(ramp_spec(new_route(), auto_rollback=False))
    await world.reached("hold 1")
    await ramp.pause()
    await world.reached("guard 1")
    await ramp.alert(attributed=True)
    assert (await ramp.result()).reason is Reason.ALERT


# Who was there first.


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (clear_finds(cleared_by=Clearer.KILL, reason="incident 7", held=False), Reason.KILLED),
        (clear_finds(cleared_by=Clearer.SENTINEL, reason="lease_lapsed"), Reason.LEASE_LAPSED),
        (clear_finds(cleared_by=Clearer.SENTINEL, reason="unhealthy"), Reason.UNHEALTHY),
        (clear_finds(cleared_by=Clearer.SENTINEL, reason="a word of its own"), Reason.LEASE_LAPSED),
        (clear_finds(), Reason.FENCED),
    ],
)
async def test_a_fenced_ramp_ends_with_the_reason_of_whoever_cleared_it(
    world: ScriptedWorld, found: Callable[..., Awaitable[None]], reason: Reason
) -> None:
    world.on("hold 1", fails(contract.FENCED, "was cleared"))
    world.on("clear", found)
    ramp = await world.start()
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, reason)
    assert_rolled_back(world, last_forward="hold 1")


async def test_a_newer_ramp_is_left_alone(world: ScriptedWorld) -> None:
    world.on("hold 1", fails(contract.FENCED, "is held by another"))
    world.on("clear", clear_finds(held=False, superseded_by="9f3c"))
    ramp = await world.start()
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.SUPERSEDED, Reason.SUPERSEDED)
    assert world.deeds[-2:] == ["hold 1", "clear"]


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
    world.on(label, fails(contract.REFUSED, "the route file cannot be read"))
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


async def test_a_spent_budget_takes_everyone_back_and_an_unknown_spend_holds(world: ScriptedWorld) -> None:
    world.on("hold 1", waits())
    ramp = await world.start()
    await world.reached("hold 1")
    await ramp.handle.signal(RampWorkflow.spend, Spend(actor="meter", word=SpendWord.UNKNOWN, reason="no price"))
    await world.reached("guard 1")
    assert (await ramp.status()).blocked_by == (Block.BUDGET,)
    over = Spend(actor="meter", word=SpendWord.EXHAUSTED, reason="5,012 of 5,000 CNY")
    await ramp.handle.signal(RampWorkflow.spend, over)
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, Reason.BUDGET_EXHAUSTED)
