"""A candidate that somebody else deploys, while the ramp waits for its answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from servers_told import servers_told

from lab.world import World
from tailramp.ramp import Phase
from workflows.starting import start_ramp

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

QUICK = {"steps": ["50%", "100%"], "hold": "1s", "bake": "1s"}


async def test_a_ramp_waits_until_its_slot_answers_and_says_what_answers_meanwhile(tmp_path: Path) -> None:
    workloads = {slot: {"kind": "external", "ready": "90s"} for slot in ("blue", "green")}
    models = {"blue": "chat-v1", "green": "chat-v0"}
    async with World(tmp_path / "world", seed=5, models=models, ramp=QUICK, workloads=workloads) as world:
        world.start_worker()
        users = world.start_users(world.directory / "clients.jsonl", rate=60, seconds=240, core_users=50)
        try:
            spec = world.spec("chat-v2")
            await world.counted(spec)
            handle = await start_ramp(world.client, spec, actor="test")
            assert await servers_told(world) == {"green": "serving chat-v0 and not chat-v2"}
            await world.deploy("green", "chat-v2")
            result = await asyncio.wait_for(handle.result(), 90)
        finally:
            await users.terminate()
    assert result.phase is Phase.SUCCEEDED, result


async def test_a_slot_that_never_answers_is_refused_at_its_limit(tmp_path: Path) -> None:
    workloads = {"green": {"kind": "external", "ready": "2s"}}
    models = {"blue": "chat-v1", "green": "chat-v0"}
    async with World(tmp_path / "world", seed=5, models=models, ramp=QUICK, workloads=workloads) as world:
        world.start_worker()
        handle = await start_ramp(world.client, world.spec("chat-v2"), actor="test")
        result = await asyncio.wait_for(handle.result(), 90)
    assert result.phase is Phase.REFUSED
    (problem,) = result.problems
    assert "slots.green.workload: not ready after 2s: serving chat-v0 and not chat-v2" in problem
    assert "Check that the server calls itself chat-v2, or mend models.served" in problem
