"""Whole ramps whose candidate is not there yet: tailramp puts it into the free slot, and its servers follow the share.

A player stands for the controllers and machines that the lab's API server has not: it tells how many servers the
objects have, and runs the model that their image names. What is special to a kind is how its object is written and what
its controller says, so a ramp to the end and a way back are made with each of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kube_namespace import Namespace
from kube_workload import waiting
from ramp_among_users import ramp_among_users
from servers_told import servers_told
from workload_world import KINDS, player_of, sizes_and_image, workload_world

from activities.kube import Resource
from activities.kube.resources import PODS
from lab.kube_world import KubeWorld
from lab.process import wait_until
from lab.workload_player import WorkloadPlayer
from tailramp.ramp import Phase
from workflows.starting import start_ramp

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

QUICK = {"steps": ["25%", "50%", "100%"], "hold": "2s", "bake": "2s"}
READY = "90s"
"""What a busy machine may need to start a server."""
EVERY_KIND = pytest.mark.parametrize(
    "kind", ["deployment", *(pytest.param(kind, marks=pytest.mark.faults) for kind in KINDS if kind != "deployment")]
)


@pytest.fixture
def kind() -> str:
    """What the slots' servers are; a test may say otherwise."""
    return "deployment"


@pytest.fixture
def resource(kind: str, request: pytest.FixtureRequest) -> Resource:
    """The kind's, which the API server knows from now on."""
    if kind == "leaderworkerset":
        request.getfixturevalue("plane_of_kinds")
    return KINDS[kind]


@pytest.fixture
async def world(resource: Resource, kind: str, namespace: Namespace, tmp_path: Path) -> AsyncIterator[KubeWorld]:
    assert resource is KINDS[kind]
    async with await workload_world(namespace, tmp_path / "world", QUICK, kind, ready=READY) as world:
        yield world


async def is_refused_with_the_reason_and_put_back(
    world: KubeWorld, namespace: Namespace, player: WorkloadPlayer
) -> None:
    """A candidate whose pods never come."""
    labels = {"app": "chat-green"}
    container = {"name": "server", "image": "toy/chat-v2:1"}
    made = {"metadata": {"name": "chat-green-0", "labels": labels}, "spec": {"containers": [container]}}
    await namespace.admin.create(PODS, namespace.name, made)
    change = [{"op": "add", "path": "/status", "value": waiting("ImagePullBackOff", "Back-off pulling image")}]
    await namespace.admin.patch(PODS, namespace.name, "chat-green-0", change, subresource="status")
    player.at_most["chat-green"] = 0
    world.set_workload("green", ready="8s")
    handle = await start_ramp(world.client, world.spec("chat-v2"), actor="test")
    seen = await servers_told(world)
    result = await asyncio.wait_for(handle.result(), 90)
    told = "0 of 1 pods ready, chat-green-0 is in ImagePullBackOff: Back-off pulling image"
    assert seen == {"green": told}
    (problem,) = result.problems
    assert result.phase is Phase.REFUSED
    assert f"not ready after 8s: {told}. Check the image's name and the pull secret" in problem
    assert await sizes_and_image(namespace, "green") == (0, "toy/chat-v0:1")
    del player.at_most["chat-green"]
    world.set_workload("green", ready=READY)
    await namespace.admin.delete(PODS, namespace.name, "chat-green-0")


async def is_put_back_by_a_rollback(world: KubeWorld, namespace: Namespace, resource: Resource) -> None:
    world.set_ramp(steps=["25%", {"share": "50%", "hold": "10m"}, "100%"])  # nothing but the fault ends it
    async with ramp_among_users(world, "chat-v2", seconds=180, log="bad.jsonl") as handle:

        async def is_served() -> bool:
            found = await namespace.admin.get(resource, namespace.name, "chat-green")
            return bool(found["spec"]["replicas"] >= 2)

        await wait_until(is_served, 90, "the candidate has grown", interval=0.2)
        await world.fault("green", "errors")
        result = await asyncio.wait_for(handle.result(), 90)
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, "unhealthy"), result
    assert await sizes_and_image(namespace, "green", resource) == (0, "toy/chat-v0:1")
    assert await sizes_and_image(namespace, "blue", resource) == (4, "toy/chat-v1:1")


async def grows_with_its_share_and_replaces_the_old(
    world: KubeWorld, namespace: Namespace, resource: Resource, player: WorkloadPlayer
) -> None:
    world.set_ramp(steps=QUICK["steps"])
    player.sizes.clear()
    await wait_until(lambda: player.sizes.get("chat-green") == [0], 60, "nobody of the candidate is there")
    async with ramp_among_users(world, "chat-v3", seconds=180, log="good.jsonl") as handle:
        result = await asyncio.wait_for(handle.result(), 150)
    assert result.phase is Phase.SUCCEEDED, result
    assert player.sizes["chat-green"] == [0, 1, 2, 4]
    assert player.sizes["chat-blue"] == [4] or player.sizes["chat-blue"] == [4, 0]
    assert await sizes_and_image(namespace, "green", resource) == (4, "toy/chat-v3:1")
    assert await sizes_and_image(namespace, "blue", resource) == (0, "toy/chat-v1:1")


@EVERY_KIND
async def test_candidates_that_are_nowhere_yet_are_deployed_and_put_back_until_one_replaces_the_old(
    world: KubeWorld, namespace: Namespace, resource: Resource, kind: str
) -> None:
    async with player_of(world, namespace, resource) as player:
        world.start_worker()
        if kind == "deployment":  # how the pods of the others are looked at is tried without a ramp
            await is_refused_with_the_reason_and_put_back(world, namespace, player)
        await is_put_back_by_a_rollback(world, namespace, resource)
        await grows_with_its_share_and_replaces_the_old(world, namespace, resource, player)
