"""A canary file that changes under a live ramp: what it takes back is taken back at once, in any phase."""

from __future__ import annotations

import asyncio

import pytest
from ramp_specs import ramp_spec
from scripted import Ramp, ScriptedWorld, new_route
from scripted_activities import FIRST_EPOCH, ends, fails, waits
from temporalio.client import WorkflowUpdateFailedError

from tailramp import activity_names as names
from tailramp.buckets import BucketSet
from tailramp.ramp import Phase, Reason, WatchOutcome
from tailramp.spec import RampSpec

TWO_STEPS_OF_A_QUARTER = ("20%", "100%")
"""00-04, then 00-24."""


def quarter(route: str, buckets: str = "00-24") -> RampSpec:
    return ramp_spec(route, buckets=buckets, steps=TWO_STEPS_OF_A_QUARTER)


def served(world: ScriptedWorld) -> BucketSet:
    """What the last write gave to the candidate."""
    buckets: BucketSet = world.all("apply ")[-1].request.assignment.buckets_of("green")
    return buckets


async def _holding(world: ScriptedWorld, route: str, step: int) -> Ramp:
    world.on(f"hold {step}", waits())
    ramp = await world.start(quarter(route))
    await world.reached(f"hold {step}")
    return ramp


async def test_a_larger_target_lets_the_present_hold_go_on(world: ScriptedWorld) -> None:
    route = new_route()
    ramp = await _holding(world, route, 2)
    before = world.all("hold 2")[0].request
    world.on("hold 2", waits())
    assert await ramp.set_target(quarter(route, "00-49")) == "new target 00-49"
    after = (await world.reached("hold 2", times=2)).request
    assert before.hold is None
    assert after.hold is not None
    assert (after.held, after.anchor, after.assignment) == (before.held, before.anchor, before.assignment)


async def test_a_smaller_target_is_written_at_once_at_a_higher_epoch_and_settles_anew(world: ScriptedWorld) -> None:
    route = new_route()
    ramp = await _holding(world, route, 2)
    await ramp.set_target(quarter(route, "00-09"))
    await world.reached("settle 2", times=2)
    assert str(served(world)) == "00-09"
    assert [call.epoch for call in world.all("apply ")] == [FIRST_EPOCH + 1, FIRST_EPOCH + 2, FIRST_EPOCH + 3]
    assert (await ramp.status()).plan is not None


async def test_a_pause_does_not_delay_a_smaller_target(world: ScriptedWorld) -> None:
    route = new_route()
    ramp = await _holding(world, route, 2)
    await ramp.pause()
    await world.reached("guard 2")
    await ramp.set_target(quarter(route, "00-09"))
    await world.reached("guard 2", times=2)
    assert str(served(world)) == "00-09"
    assert (await ramp.status()).paused


async def test_a_smaller_target_that_comes_while_a_larger_step_is_written_takes_it_back(world: ScriptedWorld) -> None:
    written, route = asyncio.Event(), new_route()
    world.on("apply 2", waits(written))
    ramp = await world.start(quarter(route))
    await world.reached("apply 2")
    await ramp.set_target(quarter(route, "00-09"))
    written.set()
    await ramp.until(lambda status: status.phase in {Phase.SETTLING, Phase.HOLDING}, "the end of the shift")
    assert BucketSet.parse("00-09").issuperset(served(world))


async def test_a_smaller_target_that_comes_before_a_larger_step_is_written_keeps_it_from_being_written(
    world: ScriptedWorld,
) -> None:
    route = new_route()
    lifted = asyncio.Event()
    world.on("apply 2", fails(names.FROZEN, "frozen by ops: holidays"))
    world.always("guard 1", waits(lifted, then=ends(WatchOutcome.BLOCKS_CHANGED)))
    ramp = await world.start(quarter(route))
    await world.reached("guard 1")
    await ramp.pause()
    await world.reached("guard 1", times=2)
    await ramp.set_target(quarter(route, "00-09"))
    await ramp.resume()
    await ramp.until(lambda status: not status.paused, "the resume")
    lifted.set()
    final = await ramp.until(lambda status: status.share == 0.1, "the new target")
    assert final.phase in {Phase.SETTLING, Phase.HOLDING}
    allowed = BucketSet.parse("00-09")
    assert [str(call.request.assignment.buckets_of("green")) for call in world.all("apply ")][:2] == ["00-04", "00-24"]
    assert all(allowed.issuperset(call.request.assignment.buckets_of("green")) for call in world.all("apply ")[2:])


async def test_a_smaller_target_that_comes_while_the_first_step_is_written_serves_only_what_is_left(
    world: ScriptedWorld,
) -> None:
    written, route = asyncio.Event(), new_route()
    world.on("apply 1", waits(written))
    ramp = await world.start(quarter(route))
    await world.reached("apply 1")
    await ramp.set_target(quarter(route, "00-01"))
    written.set()
    await ramp.until(lambda status: status.share == 0.02, "the new target")
    assert str(served(world)) == "00-01"


async def test_an_abort_overrides_a_smaller_target_that_is_being_written(world: ScriptedWorld) -> None:
    route = new_route()
    ramp = await _holding(world, route, 2)
    world.always("apply default blue, green 00-09 (10 %)", waits())
    world.always("apply 2", waits())
    await ramp.set_target(quarter(route, "00-09"))
    await world.until(lambda: len(world.all("apply ")) == 3, "the write of the smaller target")
    await ramp.abort()
    assert (await ramp.result()).reason is Reason.OPERATOR_ABORT
    assert world.deeds[-3:] == ["clear", "prove", "restore"]


@pytest.mark.parametrize(("buckets", "reason"), [("10-30", "reshuffles users"), ("", "empty"), ("00-24", None)])
async def test_a_target_that_is_refused_or_is_the_same_changes_nothing(
    world: ScriptedWorld, buckets: str, reason: str | None
) -> None:
    route = new_route()
    ramp = await _holding(world, route, 1)
    if reason is None:
        assert await ramp.set_target(quarter(route, buckets)) == "nothing to change"
    else:
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await ramp.set_target(quarter(route, buckets))
        assert reason in str(refused.value.cause)
    await ramp.pause()
    await world.reached("guard 1")
    await world.reached("record paused")
    assert world.all("record target_changed") == []
    assert world.deeds == ["preflight", "apply 1", "verify 1", "settle 1", "hold 1", "guard 1"]


async def test_a_target_in_a_rollback_is_refused(world: ScriptedWorld) -> None:
    route = new_route()
    world.on("prove", waits())
    ramp = await _holding(world, route, 1)
    await ramp.abort()
    await world.reached("prove")
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await ramp.set_target(quarter(route, "00-04"))
    assert "ROLLING_BACK" in str(refused.value.cause)
