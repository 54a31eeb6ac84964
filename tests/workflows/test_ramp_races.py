"""What may arrive together: deterministic tests of races that chance finds once in a thousand ramps.

The worker of the workflow tasks is stopped, the world goes on, messages are sent, and the worker comes back: it is
handed everything in one activation, in an order that nobody chose.
"""

from __future__ import annotations

import asyncio

import pytest
from scripted import Ramp, ScriptedWorld
from scripted_activities import as_usual, ends, fails, waits
from temporalio.client import Client

from tailramp import activity_names as names
from tailramp.ramp import Block, Phase, Reason, WatchOutcome

ROLLBACK = ["clear", "prove", "restore"]


async def _together(world: ScriptedWorld, label: str, reaction_is_over: asyncio.Event) -> Ramp:
    """A ramp whose ``label`` ends while nobody decides; the next activation will see its end and what is sent now."""
    ramp = await world.start()
    await world.reached(label)
    await ramp.quiet(running=1)
    await world.stop_workflows()
    reaction_is_over.set()
    await world.until(lambda: label in world.ended, f"the end of {label}")
    await ramp.quiet()
    return ramp


@pytest.mark.parametrize("label", ["apply 1", "verify 1", "hold 1", "apply rules"])
async def test_an_abort_that_comes_with_the_end_of_an_activity_starts_nothing_forward(
    world: ScriptedWorld, label: str
) -> None:
    """The swallowed cancel: an inner task cannot be cancelled any more once what it awaits has completed."""
    over = asyncio.Event()
    world.on(label, waits(over, then=as_usual))
    ramp = await _together(world, label, over)
    await ramp.abort()
    await world.start_workflows()
    assert (await ramp.result()).reason is Reason.OPERATOR_ABORT
    assert world.deeds[world.deeds.index(label) + 1 :] == ROLLBACK


async def test_an_abort_that_comes_with_the_end_of_a_write_is_seen_by_a_worker_that_remembers_nothing(
    client: Client,
) -> None:
    over = asyncio.Event()
    async with ScriptedWorld(client, cached_workflows=0) as world:
        world.on("apply 1", waits(over))
        ramp = await _together(world, "apply 1", over)
        await ramp.abort()
        await world.start_workflows()
        assert (await ramp.result()).reason is Reason.OPERATOR_ABORT
        assert world.deeds == ["preflight", "apply 1", *ROLLBACK]


async def test_a_cancel_that_comes_with_the_end_of_a_write_starts_nothing_forward(
    world: ScriptedWorld,
) -> None:
    over = asyncio.Event()
    world.on("apply 1", waits(over))
    ramp = await _together(world, "apply 1", over)
    await ramp.cancel()
    await world.start_workflows()
    assert (await ramp.result()).reason is Reason.CANCELLED
    assert world.deeds[2:] == ROLLBACK


async def test_an_abort_that_comes_with_preflights_end_clears_what_preflight_took_over(
    world: ScriptedWorld,
) -> None:
    over = asyncio.Event()
    world.on("preflight", waits(over, then=as_usual))
    ramp = await _together(world, "preflight", over)
    await ramp.abort()
    await world.start_workflows()
    assert (await ramp.result()).phase is Phase.ROLLED_BACK
    assert world.deeds == ["preflight", "clear"]


async def test_an_abort_wins_over_a_failed_check_that_comes_with_it(world: ScriptedWorld) -> None:
    over = asyncio.Event()
    world.on("hold 1", waits(over, then=ends(WatchOutcome.FAILED)))
    ramp = await _together(world, "hold 1", over)
    await ramp.abort()
    await world.start_workflows()
    assert (await ramp.result()).reason is Reason.OPERATOR_ABORT


@pytest.mark.parametrize("label", ["settle 1", "hold 1"])
async def test_a_pause_that_comes_with_a_good_answer_still_pauses(world: ScriptedWorld, label: str) -> None:
    over = asyncio.Event()
    world.on(label, waits(over, then=as_usual))
    ramp = await _together(world, label, over)
    await ramp.pause()
    await world.start_workflows()
    await world.reached("guard 1")
    assert (await ramp.status()).paused
    assert "apply default" not in world.deeds


async def test_a_foreign_alert_that_comes_with_the_end_of_settling_still_holds(world: ScriptedWorld) -> None:
    over = asyncio.Event()
    world.on("settle 1", waits(over, then=as_usual))
    ramp = await _together(world, "settle 1", over)
    await ramp.alert(attributed=False)
    await world.start_workflows()
    await world.reached("guard 1")
    assert Block.APPROVAL in (await ramp.status()).blocked_by


async def test_a_promote_that_comes_with_an_inconclusive_answer_still_promotes(world: ScriptedWorld) -> None:
    over = asyncio.Event()
    world.on("hold 1", waits(over, then=ends(WatchOutcome.INCONCLUSIVE)))
    ramp = await _together(world, "hold 1", over)
    await ramp.promote(1)
    await world.start_workflows()
    await world.reached("apply default")
    assert world.deeds.count("hold 1") == 1


async def test_a_pause_that_comes_with_a_fence_does_not_hide_it(world: ScriptedWorld) -> None:
    over = asyncio.Event()
    world.on("hold 1", waits(over, then=fails(names.FENCED, "was cleared by sentinel")))
    world.on("guard 1", fails(names.FENCED, "was cleared by sentinel"))
    ramp = await _together(world, "hold 1", over)
    await ramp.pause()
    await world.start_workflows()
    assert (await ramp.result()).reason is Reason.FENCED


async def test_the_first_of_two_stops_in_one_activation_gives_the_reason(world: ScriptedWorld) -> None:
    world.on("hold 1", waits())
    ramp = await world.start()
    await world.reached("hold 1")
    await world.stop_workflows()
    await ramp.alert(attributed=True)
    await ramp.abort()
    await ramp.empty_target()
    await world.start_workflows()
    assert (await ramp.result()).reason is Reason.ALERT
