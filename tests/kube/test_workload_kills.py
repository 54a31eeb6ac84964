"""A worker that is killed while servers are waited for: another one goes on, and no user notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kube_namespace import Namespace
from ramp_among_users import ramp_among_users
from workload_world import images, player_of, sizes_and_image, workload_world

from activities.kube.resources import DEPLOYMENTS
from lab.acts import status_of
from lab.client_log import read_log, violations
from lab.kube_world import KubeWorld
from lab.process import wait_until
from lab.workload_player import WorkloadPlayer
from tailramp.activity_names import RECORD
from tailramp.decision import Decision, DecisionKind
from tailramp.ramp import Phase
from workflows.answers import RampResult
from workflows.handles import RampHandle

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

QUICK = {"steps": ["25%", "50%", "100%"], "hold": "1s", "bake": "1s"}


@pytest.fixture
async def world(namespace: Namespace, tmp_path: Path) -> AsyncIterator[KubeWorld]:
    async with await workload_world(namespace, tmp_path / "world", QUICK, ready="300s", idle=4) as world:
        yield world


@pytest.fixture
async def player(world: KubeWorld, namespace: Namespace) -> AsyncIterator[WorkloadPlayer]:
    async with player_of(world, namespace) as player:
        yield player


async def wants(namespace: Namespace, servers: int) -> None:
    """Wait until so many servers of the candidate are asked for, and hold the new model."""

    async def is_put() -> bool:
        found = await namespace.admin.get(DEPLOYMENTS, namespace.name, "chat-green")
        return found["spec"]["replicas"] == servers and images(found) == ["toy/chat-v2:1"]

    await wait_until(is_put, 90, f"{servers} servers of the candidate are asked for", interval=0.1)


async def decisions_of(world: KubeWorld, handle: RampHandle) -> list[Decision]:
    """Of one ramp, in turn."""
    decisions: list[Decision] = []
    async for event in handle.fetch_history_events():
        scheduled = event.activity_task_scheduled_event_attributes
        if scheduled.activity_type.name == RECORD:
            decisions += await world.client.data_converter.decode(scheduled.input.payloads, [Decision])
    return decisions


async def succeeds(world: KubeWorld, namespace: Namespace, handle: RampHandle) -> None:
    result: RampResult = await asyncio.wait_for(handle.result(), 180)
    assert result.phase is Phase.SUCCEEDED, result
    decided = [each.kind for each in await decisions_of(world, handle)]
    assert decided.count(DecisionKind.PREPARED) == 1, "that the slot was written is known"
    assert await sizes_and_image(namespace, "green") == (4, "toy/chat-v2:1")
    assert await sizes_and_image(namespace, "blue") == (4, "toy/chat-v1:1")
    requests = read_log(world.directory / "clients.jsonl").requests
    assert len(requests) > 100
    assert [request for request in requests if not request.ok] == []
    counted = violations(requests, baseline="blue", candidate="green", admitted=lambda *_: True, growth_ended=None)
    assert counted.moved_back_and_forth == 0


async def test_killed_while_a_model_loads(world: KubeWorld, namespace: Namespace, player: WorkloadPlayer) -> None:
    player.at_most["chat-green"] = 0
    killed = world.start_worker()
    async with ramp_among_users(world, seconds=380) as handle:
        await wants(namespace, 1)
        await killed.kill()
        world.start_worker()
        del player.at_most["chat-green"]
        await succeeds(world, namespace, handle)


@pytest.mark.faults
async def test_killed_while_a_model_loads_that_is_loaded_before_another_worker_comes(
    world: KubeWorld, namespace: Namespace, player: WorkloadPlayer
) -> None:
    player.at_most["chat-green"] = 0
    killed = world.start_worker()
    async with ramp_among_users(world, seconds=380) as handle:
        await wants(namespace, 1)
        await killed.kill()
        del player.at_most["chat-green"]

        async def is_ready() -> bool:
            found = await namespace.admin.get(DEPLOYMENTS, namespace.name, "chat-green")
            return found.get("status", {}).get("readyReplicas") == 1

        await wait_until(is_ready, 60, "the model is served")
        world.start_worker()
        await succeeds(world, namespace, handle)


@pytest.mark.faults
async def test_killed_while_servers_for_a_larger_share_are_waited_for(
    world: KubeWorld, namespace: Namespace, player: WorkloadPlayer
) -> None:
    player.at_most["chat-green"] = 1
    killed = world.start_worker()
    async with ramp_among_users(world, seconds=380) as handle:
        await wants(namespace, 2)
        await killed.kill()
        world.start_worker()

        async def still_waits() -> bool:
            return (await status_of(handle)).share == 0.25

        await wait_until(still_waits, 60, "nobody was moved meanwhile")
        del player.at_most["chat-green"]
        await succeeds(world, namespace, handle)
    assert player.sizes["chat-green"] == [0, 1, 2, 4]
    assert set(player.sizes["chat-blue"]) == {4}
