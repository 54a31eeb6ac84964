"""How long a ramp waits: back-offs, limits and looks, on a server that skips the waiting."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest
from ramp_specs import ramp_spec
from scripted import ScriptedWorld
from scripted_activities import as_usual, ends, fails, waits

from tailramp import activity_names as names
from tailramp.decision import DecisionKind
from tailramp.ramp import Phase, Reason, WatchOutcome
from workflows import options

ROLLBACK = ["clear", "prove", "restore"]


async def test_a_proof_that_is_missing_for_30_seconds_is_said_and_still_sought(skipping_world: ScriptedWorld) -> None:
    world = skipping_world
    world.on("hold 1", ends(WatchOutcome.FAILED))
    world.times("prove", 7, fails(names.NOT_PROVEN, "3 new requests"))
    ramp = await world.start()
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, Reason.UNHEALTHY)
    phases = [decision.phase for decision in world.decisions]
    unverified = [decision for decision in world.decisions if decision.phase == Phase.ROLLBACK_UNVERIFIED]
    assert phases[-1] == Phase.ROLLED_BACK
    assert [decision.kind for decision in unverified] == [
        DecisionKind.BLOCKED,
        DecisionKind.ZERO_PROVEN,
        DecisionKind.RESTORED,
    ]
    intended = next(decision for decision in world.decisions if decision.kind is DecisionKind.CLEARED)
    assert options.PROOF_PATIENCE <= unverified[0].at - intended.at < options.PROOF_PATIENCE + timedelta(seconds=5)


async def test_a_proof_that_comes_in_time_is_never_called_missing(skipping_world: ScriptedWorld) -> None:
    world = skipping_world
    world.on("hold 1", ends(WatchOutcome.FAILED))
    world.times("prove", 3, fails(names.NOT_PROVEN, "3 new requests"))
    ramp = await world.start()
    await ramp.result()
    assert Phase.ROLLBACK_UNVERIFIED not in {decision.phase for decision in world.decisions}


async def test_an_abort_after_the_missing_proof_changes_nothing(skipping_world: ScriptedWorld) -> None:
    world, asked = skipping_world, asyncio.Event()
    world.on("hold 1", ends(WatchOutcome.FAILED))
    world.times("prove", 7, fails(names.NOT_PROVEN, "3 new requests"))
    world.on("prove", waits(asked, then=as_usual))
    ramp = await world.start()
    over = asyncio.create_task(ramp.result())
    await world.reached("prove", times=8)
    await ramp.abort()
    await ramp.cancel()
    asked.set()
    assert (await over).reason is Reason.UNHEALTHY
    assert world.deeds[-1] == "restore"


async def test_a_freeze_met_before_anybody_is_served_is_looked_at_until_it_is_lifted(
    skipping_world: ScriptedWorld,
) -> None:
    world = skipping_world
    world.times("apply 1", 4, fails(names.FROZEN, "frozen by ops: holidays"))
    ramp = await world.start()
    assert (await ramp.result()).phase is Phase.SUCCEEDED
    looks = [
        event.event_time.ToDatetime()
        for event in (await ramp.handle.fetch_history()).events
        if event.activity_task_scheduled_event_attributes.activity_id.startswith("step-1-apply")
    ]
    gaps = [after - before for before, after in pairwise(looks)]
    assert len(gaps) == 4
    assert all(options.FREEZE_LOOK <= gap < options.FREEZE_LOOK + timedelta(seconds=2) for gap in gaps)
    assert not world.all("guard 1")


async def test_a_freeze_that_is_looked_at_for_days_is_told_once_and_another_one_too(
    skipping_world: ScriptedWorld,
) -> None:
    world = skipping_world
    world.times("apply 1", 20, fails(names.FROZEN, "default/chat is frozen by ops: holidays"))
    world.times("apply 1", 20, fails(names.FROZEN, "default/chat is frozen by wang: incident 7"))
    ramp = await world.start()
    assert (await ramp.result()).phase is Phase.SUCCEEDED
    kinds = [decision.kind for decision in world.decisions]
    first = kinds.index(DecisionKind.SHIFT_INTENDED)
    assert kinds[first : first + 4] == [
        DecisionKind.SHIFT_INTENDED,
        DecisionKind.BLOCKED,
        DecisionKind.BLOCKED,
        DecisionKind.SHIFTED,
    ]


async def test_servers_that_do_not_come_are_told_once_for_the_same_reason(skipping_world: ScriptedWorld) -> None:
    world = skipping_world
    for number in range(1, 7):
        why = f"slots.green.workload: not ready after 30m: {number} of 8 pods ready. Add nodes"
        world.on("room 1", fails(names.NO_ROOM, why))
    ramp = await world.start(ramp_spec(sized=True))
    assert (await ramp.result()).phase is Phase.SUCCEEDED
    blocked = [decision.sentence for decision in world.decisions if decision.kind is DecisionKind.BLOCKED]
    assert blocked == ["waiting for servers: slots.green.workload: not ready after 30m: 1 of 8 pods ready. Add nodes"]


@pytest.mark.parametrize(("label", "attempts"), [("preflight", 3), ("apply 1", 5), ("hold 1", options.WATCH_ATTEMPTS)])
async def test_an_activity_that_always_fails_is_given_up_and_goes_back(
    skipping_world: ScriptedWorld, label: str, attempts: int
) -> None:
    world = skipping_world
    world.always(label, fails("Unreachable", "no route to host"))
    ramp = await world.start()
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, Reason.ACTIVITY_FAILED)
    assert "no route to host" in result.detail
    assert world.deeds.count(label) == attempts
    assert world.deeds[-1] == ("clear" if label == "preflight" else "restore")


async def test_a_proof_by_responses_that_never_succeeds_is_given_up_within_the_limit_of_the_shift(
    skipping_world: ScriptedWorld,
) -> None:
    world = skipping_world
    world.always("verify 1", fails("Unreachable", "the gateway does not answer"))
    ramp = await world.start()
    assert (await ramp.result()).reason is Reason.ACTIVITY_FAILED
    at = {decision.kind: decision.at for decision in world.decisions}
    assert at[DecisionKind.ROLLBACK_INTENDED] - at[DecisionKind.SHIFT_INTENDED] <= options.SHIFT_LIMIT


async def test_a_shift_whose_limit_was_over_before_the_proof_began_goes_back(
    world: ScriptedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control worker may have been away for longer than the limit, and Temporal accepts no limit in the past."""
    monkeypatch.setattr(options, "SHIFT_LIMIT", timedelta(0))
    world.on("verify 1", waits())
    ramp = await world.start()
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, Reason.ACTIVITY_FAILED)
    assert world.deeds[3:] == ROLLBACK


async def test_a_clear_is_tried_for_an_hour_and_longer(skipping_world: ScriptedWorld) -> None:
    world = skipping_world
    world.on("hold 1", ends(WatchOutcome.FAILED))
    world.times("clear", 300, fails("Unreachable", "the disk is full"))
    ramp = await world.start()
    assert (await ramp.result()).phase is Phase.ROLLED_BACK
    assert world.deeds.count("clear") == 301
    assert {call.epoch for call in world.all("clear")} == {world.all("clear")[0].epoch}


async def test_a_conclusion_that_cannot_be_written_is_tried_on(skipping_world: ScriptedWorld) -> None:
    world = skipping_world
    world.times("conclude", 12, fails("Unreachable", "the disk is full"))
    ramp = await world.start(ramp_spec())
    assert (await ramp.result()).phase is Phase.SUCCEEDED
