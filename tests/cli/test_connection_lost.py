"""What a watch does when the server goes away, for a while or for good.  It has the server to itself."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from project_folder import Folder, finished
from scripted_world import ScriptedWorld

from cli import ramps
from cli.following import Change, ChangeKind, Follower
from cli.ramps import Ramp
from lab.temporal_server import TemporalServer
from tailramp.errors import Unreachable
from tailramp.ramp import WatchOutcome


@pytest.fixture
async def lonely_world(temporal_server: TemporalServer) -> AsyncIterator[ScriptedWorld]:
    async with ScriptedWorld(temporal_server.address) as world:
        yield world


async def test_a_restart_of_the_server_is_outlived_and_nothing_is_told_twice(
    ramp_folder: Folder, lonely_world: ScriptedWorld, temporal_server: TemporalServer
) -> None:
    assert (await ramp_folder.run("start")).code == 0
    process = await ramp_folder.start("watch", "-o", "json")
    assert process.stdout is not None
    first = json.loads(await process.stdout.readline())
    await temporal_server.kill()
    await temporal_server.start()
    lonely_world.script.hold = WatchOutcome.FAILED
    rest = await finished(process)
    assert rest.code == 3, rest
    told = [line["id"] for line in [first, *rest.lines] if line["event"] == "decision"]
    assert len(told) == len(set(told))
    assert rest.lines[-1]["result"]["phase"] == "ROLLED_BACK"


async def told_until_the_end(changes: AsyncIterator[Change]) -> list[Change]:
    return [change async for change in changes]


async def test_a_server_that_stays_away_ends_the_stream(
    ramp_folder: Folder,
    lonely_world: ScriptedWorld,
    temporal_server: TemporalServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (await ramp_folder.run("start")).code == 0
    changes = Follower(Ramp(lonely_world.client, ramp_folder.route)).changes(patience=timedelta(seconds=1))
    assert (await anext(changes)).kind is ChangeKind.DECISION
    monkeypatch.setattr(ramps, "RPC_TIMEOUT", timedelta(seconds=1))
    temporal_server.suspend()
    try:
        with pytest.raises(Unreachable, match="does not answer"):
            await told_until_the_end(changes)
    finally:
        temporal_server.thaw()


async def test_a_frozen_server_does_not_hang_a_command(ramp_folder: Folder, temporal_server: TemporalServer) -> None:
    temporal_server.suspend()
    try:
        shown = await ramp_folder.impatient.run("abort")
    finally:
        temporal_server.thaw()
    assert shown.code == 6
    assert "`tailramp kill" in shown.err
