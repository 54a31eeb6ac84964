"""The stream of changes against what the ramp recorded: every decision, each once, also across continue-as-new."""

import asyncio
from collections.abc import Iterator

import pytest
from project_folder import Folder
from scripted_world import ScriptedWorld

from cli.following import Change, ChangeKind, Follower
from cli.ramps import Ramp
from lab.temporal_server import WITHOUT_PAUSES, TemporalServer
from tailramp.ramp import Phase, WatchOutcome
from tailramp.spec import load_spec
from workflows.handles import ramp_handle
from workflows.ramp import RampWorkflow
from workflows.starting import start_ramp


@pytest.fixture(scope="module")
def temporal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    """A server that suggests to continue as new after a few steps already."""
    config = {**WITHOUT_PAUSES, "limit.historyCount.suggestContinueAsNew": 60}
    server = TemporalServer(tmp_path_factory.mktemp("temporal"), config)
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


async def test_every_recorded_decision_is_told_once_across_continue_as_new(
    ramp_folder: Folder, world: ScriptedWorld
) -> None:
    ramp_folder.write(canary={"canary.buckets": "00-99"})
    await start_ramp(world.client, load_spec(ramp_folder.canary, ramp_folder.platform), "test")
    first_run = (await ramp_handle(world.client, ramp_folder.route).describe()).run_id
    changes: list[Change] = []
    async for change in Follower(Ramp(world.client, ramp_folder.route)).changes(from_start=True):
        changes.append(change)
        if change.phase is Phase.HOLDING:
            world.script.hold = WatchOutcome.PASSED

    told = [change.decision.id for change in changes if change.decision is not None]
    assert told == list(dict.fromkeys(told))
    assert set(told) == set(world.decisions)
    assert len(told) > 20
    assert changes[-1].kind is ChangeKind.END
    assert changes[-1].result is not None
    assert changes[-1].result.phase is Phase.SUCCEEDED
    assert (await ramp_handle(world.client, ramp_folder.route).describe()).run_id != first_run
    assert {change.ramp for change in changes} == {changes[-1].result.ramp}
    shares = [change.share for change in changes]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


async def test_who_comes_later_is_told_where_the_ramp_stands_first(ramp_folder: Folder, world: ScriptedWorld) -> None:
    world.script.hold = WatchOutcome.PASSED
    await start_ramp(world.client, load_spec(ramp_folder.canary, ramp_folder.platform), "test")
    ramp = Ramp(world.client, ramp_folder.route)
    early = Follower(ramp).changes(from_start=True)
    async for change in early:
        if change.reached_target:
            break
    await early.aclose()
    world.script.hold = None
    handle = ramp_handle(world.client, ramp_folder.route)
    before, last = "", (await handle.query(RampWorkflow.status)).last
    while before != last:  # what was decided meanwhile may come in between
        late = Follower(ramp).changes()
        stands = await anext(late)
        await late.aclose()
        before, last = last, (await handle.query(RampWorkflow.status)).last
    assert (stands.phase, stands.step, stands.steps, stands.share) == (Phase.HOLDING, 4, 4, 0.05)
    assert stands.sentence == last
