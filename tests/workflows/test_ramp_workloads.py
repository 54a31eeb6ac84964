"""Servers in the workflow: there before the users, put back after them, and in the way of no rollback."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from ramp_specs import TWO_STEPS, ramp_spec
from scripted import Ramp, ScriptedWorld, new_route
from scripted_activities import answers, clear_finds, ends, fails, ignores_cancel, waits

from tailramp import activity_contract as contract
from tailramp import activity_names as names
from tailramp.ramp import Block, Phase, WatchOutcome
from tailramp.route_record import Clearer
from workflows import options


async def start(world: ScriptedWorld, **fields: object) -> Ramp:
    return await world.start(ramp_spec(new_route(), steps=TWO_STEPS, sized=True, **fields))  # type: ignore[arg-type]


async def test_servers_come_before_every_share_and_the_old_slot_goes_last(world: ScriptedWorld) -> None:
    ramp = await start(world)
    assert (await ramp.result()).phase is Phase.SUCCEEDED
    servers = [deed for deed in world.deeds if deed.split()[0] in {"prepare", "preflight", "room", "apply", "retire"}]
    assert servers == [
        *("prepare", "preflight", "room 1", "apply 1", "room 2", "apply 2"),
        *("room default", "apply default", "apply rules", "retire"),
    ]
    assert world.deeds.index("conclude") < world.deeds.index("retire")
    (retire,) = world.all("retire")
    assert (retire.request.old, retire.request.new) == ("blue", "green")


async def test_a_ramp_without_workloads_asks_for_none(world: ScriptedWorld) -> None:
    ramp = await world.start(ramp_spec(new_route(), steps=TWO_STEPS))
    await ramp.result()
    assert {"prepare", "retire", "leave"}.isdisjoint(world.deeds)
    assert world.all("room ") == []


async def test_a_candidate_that_cannot_be_had_to_is_refused_with_the_reason_and_put_back(world: ScriptedWorld) -> None:
    why = "slots.green.workload: not ready after 30m: 0 of 1 pods ready, green-0 is in ImagePullBackOff. Check it"
    world.on("prepare", answers(contract.PrepareReport(problems=(why,))))
    result = await (await start(world)).result()
    assert (result.phase, result.problems) == (Phase.REFUSED, (why,))
    assert world.deeds == ["prepare", "leave"]


async def test_what_preflight_refuses_is_put_back(world: ScriptedWorld) -> None:
    world.on("preflight", answers(contract.PreflightReport(problems=("prometheus: no answer",))))
    result = await (await start(world)).result()
    assert result.phase is Phase.REFUSED
    assert world.deeds == ["prepare", "preflight", "leave"]


async def test_an_abort_while_a_model_is_loading_ends_the_wait_and_puts_it_back(world: ScriptedWorld) -> None:
    world.on("prepare", waits())
    ramp = await start(world)
    await world.reached("prepare")
    await ramp.abort()
    assert (await ramp.result()).phase is Phase.ROLLED_BACK
    assert world.deeds == ["prepare", "clear", "leave"]


async def test_an_abort_while_a_model_is_loading_puts_it_back_also_where_the_record_is_an_earlier_ramps(
    world: ScriptedWorld,
) -> None:
    world.on("prepare", waits())
    world.on("clear", clear_finds(cleared_by=Clearer.ROLLBACK, reason="unhealthy", held=False))
    ramp = await start(world)
    await world.reached("prepare")
    await ramp.abort()
    assert (await ramp.result()).phase is Phase.ROLLED_BACK
    assert world.deeds == ["prepare", "clear", "leave"]


async def test_whoever_is_served_is_watched_while_servers_are_waited_for(world: ScriptedWorld) -> None:
    come = asyncio.Event()
    usual = answers(contract.RoomReport(sentence="green: 4 of 4 pods ready"))
    world.on("room 2", waits(come, usual))
    ramp = await start(world)
    await world.reached("guard 1")
    status = await ramp.status()
    assert (status.phase, status.next) == (Phase.SHIFTING, "50 % (00-49), once its servers are ready")
    assert "apply 2" not in world.deeds
    come.set()
    assert (await ramp.result()).phase is Phase.SUCCEEDED


async def test_a_bad_candidate_goes_back_at_once_while_servers_are_waited_for(world: ScriptedWorld) -> None:
    world.on("room 2", waits())
    world.on("guard 1", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"))
    result = await (await start(world)).result()
    assert result.phase is Phase.ROLLED_BACK
    assert "apply 2" not in world.deeds
    assert world.deeds[-4:] == ["clear", "prove", "restore", "leave"]


async def test_servers_that_do_not_come_hold_the_ramp_and_say_why(world: ScriptedWorld) -> None:
    come = asyncio.Event()
    why = "slots.green.workload: not ready after 30m: 2 of 4 pods ready, green-3 finds no node. Add nodes"
    world.on("room 2", fails(names.NO_ROOM, why), waits(come, answers(contract.RoomReport(sentence="4 of 4"))))
    ramp = await start(world)
    status = await ramp.until(lambda status: Block.CAPACITY in status.blocked_by, "the missing servers")
    assert status.last == f"waiting for servers: {why}"
    assert status.share == 0.1
    come.set()
    assert (await ramp.result()).phase is Phase.SUCCEEDED


async def test_a_pause_keeps_the_servers_that_are_coming(world: ScriptedWorld) -> None:
    world.on("room 2", waits())
    ramp = await start(world)
    await world.reached("guard 1")
    await ramp.pause()
    await ramp.until(lambda status: status.paused, "the pause")
    await ramp.resume()
    await world.reached("guard 1", times=3)
    assert len(world.all("room 2")) == 1


async def test_a_rollback_does_not_wait_for_the_workloads(world: ScriptedWorld) -> None:
    """The traffic is proven gone and the phase says so while a cluster that does not answer is still asked."""
    world.on("hold 1", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"))
    world.always("leave", waits())
    ramp = await start(world)
    await world.reached("leave")
    assert world.deeds[-4:-1] == ["clear", "prove", "restore"]
    assert (await ramp.status()).phase is Phase.ROLLED_BACK


async def test_workloads_that_cannot_be_put_back_are_named_and_the_ramp_ends(world: ScriptedWorld) -> None:
    world.on("hold 1", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"))
    world.on("leave", fails(names.FENCED, "llm/chat is held by another ramp"))
    result = await (await start(world)).result()
    assert result.phase is Phase.ROLLED_BACK
    said = [decision.sentence for decision in world.decisions]
    assert "the workloads are left as they are: llm/chat is held by another ramp" in said


async def test_under_a_kill_mark_workloads_are_left_alone(world: ScriptedWorld) -> None:
    world.on("hold 1", fails(names.FENCED, "was cleared"))
    world.on("clear", clear_finds(cleared_by=Clearer.KILL, reason="shut off", held=False))
    result = await (await start(world)).result()
    assert result.phase is Phase.ROLLED_BACK
    assert "leave" not in world.deeds


async def shrink(ramp: Ramp, buckets: str = "00-09") -> None:
    spec = ramp_spec((await ramp.status()).route.partition("/")[2], buckets=buckets, steps=TWO_STEPS, sized=True)
    await ramp.set_target(spec)


async def test_a_smaller_target_lets_servers_go_after_the_users(world: ScriptedWorld) -> None:
    ramp = await start(world, buckets="00-39")
    await world.reached("hold 3")
    await shrink(ramp)
    await world.until(lambda: bool(world.all("lower ")), "the servers that go")
    (lowered,) = world.all("lower ")
    assert [str(rule.buckets) for rule in lowered.request.assignment.rules] == ["00-09"]
    verified = max(index for index, deed in enumerate(world.deeds) if deed.startswith("verify"))
    assert verified < world.deeds.index(lowered.label)


async def test_a_rollback_does_not_wait_for_servers_that_are_let_go(world: ScriptedWorld) -> None:
    answered = asyncio.Event()
    world.on("lower 3", ignores_cancel(answered))
    ramp = await start(world, buckets="00-39")
    await world.reached("hold 3")
    await shrink(ramp)
    await world.reached("lower 3")
    await ramp.abort()
    async with asyncio.timeout(3):
        await world.reached("clear")
    assert "lower 3" not in world.ended
    answered.set()
    assert (await ramp.result()).phase is Phase.ROLLED_BACK


async def test_servers_are_let_go_in_what_the_shrink_has_left_of_its_time(
    world: ScriptedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No watch renews the lease meanwhile: all of it together stays below it."""
    monkeypatch.setattr(options, "SHIFT_LIMIT", timedelta(seconds=6))
    ramp = await start(world, buckets="00-39")
    await world.reached("hold 3")
    await shrink(ramp)
    await world.reached("lower 3")
    limits = [
        event.activity_task_scheduled_event_attributes.schedule_to_close_timeout.ToTimedelta()
        for event in (await ramp.handle.fetch_history()).events
        if event.activity_task_scheduled_event_attributes.activity_id.startswith("lower-room")
    ]
    assert len(limits) == 1
    assert timedelta(seconds=1) <= limits[0] <= timedelta(seconds=6)


async def test_servers_for_a_share_that_is_not_to_come_are_waited_for_no_longer(world: ScriptedWorld) -> None:
    world.always("room 2", waits())  # also an attempt after one that was late with its beats
    ramp = await start(world, buckets="00-39")
    await world.reached("room 2")
    await shrink(ramp, "00-01")
    await world.until(lambda: bool(world.all("lower ")), "the servers that go")
    await world.until(lambda: "room 2" in world.ended, "the end of the wait")
