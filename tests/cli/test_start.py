"""start: what it sends, what it waits for, and how each preflight ends."""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable

from project_folder import Folder, finished
from scripted_world import ScriptedWorld

from lab.process import wait_until
from tailramp.ramp import WatchOutcome
from workflows import search_attributes
from workflows.handles import ramp_handle
from workflows.ramp import RampWorkflow


def ramp_exists(folder: Folder, world: ScriptedWorld) -> Callable[[], Awaitable[bool]]:
    async def exists() -> bool:
        return [item async for item in world.client.list_workflows(f"RampRoute = '{folder.route}'")] != []

    return exists


async def test_a_start_returns_when_preflight_has_passed(ramp_folder: Folder, world: ScriptedWorld) -> None:
    started = await ramp_folder.run("start", LOGNAME="ada")
    assert started.code == 0
    assert f"{ramp_folder.route}@" in started.out
    assert "1/2/3/5 %" in started.out
    assert f"`tailramp watch {ramp_folder.route}`" in started.out

    described = await ramp_handle(world.client, ramp_folder.route).describe()
    assert described.typed_search_attributes[search_attributes.ROUTE] == ramp_folder.route
    assert "llama-2-70b-chat-v1.3" in (await described.static_summary() or "")
    events = [event async for event in ramp_handle(world.client, ramp_folder.route).fetch_history_events()]
    given = json.loads(events[0].workflow_execution_started_event_attributes.input.payloads[0].data)
    assert given["actor"].startswith("ada@")


async def test_every_problem_of_a_refused_preflight_is_told(ramp_folder: Folder, world: ScriptedWorld) -> None:
    world.script.problems = ("slots.blue.url: does not answer. Mend it", "canary.model: 没有空闲的槽位. Deploy it")
    refused = await ramp_folder.run("start")
    assert refused.code == 5
    assert "cannot start" in refused.err
    assert all(problem in refused.err for problem in world.script.problems)

    as_json = await ramp_folder.run("start", "-o", "json")
    assert as_json.code == 5
    assert [problem["text"] for problem in as_json.data["problems"]] == list(world.script.problems)


async def test_one_ramp_per_route_and_the_second_start_says_how_to_look(
    ramp_folder: Folder, world: ScriptedWorld
) -> None:
    assert (await ramp_folder.run("start")).code == 0
    second = await ramp_folder.run("start")
    assert second.code == 5
    assert f"a ramp of {ramp_folder.route} is live" in second.err
    assert f"`tailramp status {ramp_folder.route}`" in second.err
    world.script.hold = WatchOutcome.FAILED
    assert (await ramp_folder.run("watch")).code == 3
    world.script.hold = None  # else the next one may be on its way back before its start has looked
    assert (await ramp_folder.run("start")).code == 0


async def test_without_a_worker_a_start_says_so_instead_of_hanging(ramp_folder: Folder) -> None:
    started = await ramp_folder.impatient.run("start", "-o", "json")
    assert started.code == 6
    assert "is started and waits: no worker takes the tasks of tailramp-control" in started.data["error"]


async def test_a_slow_preflight_is_waited_for(ramp_folder: Folder, world: ScriptedWorld) -> None:
    world.script.preflight_waits = True
    process = await ramp_folder.start("start")
    handle = ramp_handle(world.client, ramp_folder.route)

    async def is_checking() -> bool:
        described = await handle.describe() if process.returncode is None else None
        return described is not None and bool(described.raw_description.pending_activities)

    await wait_until(ramp_exists(ramp_folder, world), 10, "the ramp is there")
    await wait_until(is_checking, 10, "the preflight is under way")
    assert process.returncode is None
    world.script.preflight_waits = False
    assert (await finished(process)).code == 0


async def test_a_start_that_finds_its_ramp_on_the_way_back_says_so(ramp_folder: Folder, world: ScriptedWorld) -> None:
    world.script.preflight_waits = True
    process = await ramp_folder.start("start")
    handle = ramp_handle(world.client, ramp_folder.route)
    await wait_until(ramp_exists(ramp_folder, world), 10, "the ramp is there")
    process.send_signal(signal.SIGSTOP)
    world.script.zero_is_proven = False
    world.script.hold = WatchOutcome.FAILED
    world.script.preflight_waits = False

    async def is_on_the_way_back() -> bool:
        return (await handle.query(RampWorkflow.status)).phase.is_rollback

    await wait_until(is_on_the_way_back, 20, "the failed check")
    process.send_signal(signal.SIGCONT)
    started = await finished(process)
    assert started.code == 4
    assert "is on its way back already: ROLLING_BACK (unhealthy)" in started.out
    assert f"`tailramp explain {ramp_folder.route}` says why" in started.out
    assert "has started" not in started.out


async def test_start_and_wait_ends_with_0_when_the_target_is_held(ramp_folder: Folder, world: ScriptedWorld) -> None:
    world.script.hold = WatchOutcome.PASSED
    started = await ramp_folder.run("start", "--wait", "30s", "-o", "json")
    assert started.code == 0
    assert started.lines[0]["event"] == "started"
    assert (started.lines[-1]["decision"], started.lines[-1]["step"], started.lines[-1]["share"]) == (
        "settled",
        4,
        0.05,
    )


async def test_start_and_wait_ends_with_3_when_a_check_fails(ramp_folder: Folder, world: ScriptedWorld) -> None:
    world.script.hold = WatchOutcome.FAILED
    started = await ramp_folder.run("start", "--wait", "30s")
    assert started.code == 3
    assert "ROLLED_BACK" in started.out


async def test_start_and_wait_ends_with_7_when_the_wait_is_over_first(
    ramp_folder: Folder, world: ScriptedWorld
) -> None:
    assert (await ramp_folder.run("start", "--wait", "2s")).code == 7


async def test_two_starts_at_once_make_one_ramp(ramp_folder: Folder, world: ScriptedWorld) -> None:
    both = await asyncio.gather(ramp_folder.run("start"), ramp_folder.run("start"))
    assert sorted(result.code for result in both) == [0, 5]


async def test_what_cannot_be_ramped_is_refused_before_temporal_is_asked(folder: Folder) -> None:
    folder.write(canary={"canary.buckets": ""})
    empty = await folder.run("start")
    assert empty.code == 5
    assert "the target is empty" in empty.err
    folder.write(canary={"canary.buckets": "00-99"}, platform={"ramp.steps": ["100%"]})
    assert "no step below 100%" in (await folder.run("start")).err
    folder.write(canary={"canary.buckets": "5-1"})
    assert (await folder.run("start")).code == 5


async def test_an_observation_needs_neither_worker_nor_temporal_but_a_prometheus(folder: Folder) -> None:
    folder.write(platform={"prometheus.url": "http://127.0.0.1:9", "prometheus.timeout": "1s"})
    observed = await folder.run("start", "--observe")
    assert observed.code == 6
    assert "prometheus.url" in observed.err
    as_json = await folder.run("start", "--observe", "-o", "json")
    assert as_json.code == 6
    assert "prometheus.url" in as_json.data["error"]


async def test_options_that_an_observation_alone_can_have_are_refused_without_it(folder: Folder) -> None:
    for options in (["--share", "5%"], ["--baseline", "blue"], ["--observe", "--override", "again"]):
        refused = await folder.run("start", *options)
        assert refused.code == 2, options
        assert "--observe" in refused.err
    for share in ("0%", "100%", "nan", "很多"):
        refused = await folder.run("start", "--observe", "--share", share)
        assert refused.code == 2
        assert share in refused.err
    unknown = await folder.run("start", "--observe", "--baseline", "purple")
    assert unknown.code == 2
    assert "--baseline is purple: the slots are blue, green" in unknown.err
