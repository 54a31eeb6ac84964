"""Whole ramps whose candidate is not there yet: tailramp puts it into the free slot, and its servers follow the share.

A player stands for the controllers and machines that the lab's API server has not: it tells how many servers the
objects have, and runs the model that their image names. What is special to a kind is how its object is written and what
its controller says, so a ramp to the end and a way back are made with each of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from kube_namespace import USER, Namespace
from ramp_among_users import ramp_among_users
from slot_objects import RULES, slot_object

from activities.kube import Resource
from activities.kube.resources import DEPLOYMENTS, LEADER_WORKER_SETS, PODS, STATEFUL_SETS
from cli.ramps import Ramp
from lab.kube_world import KubeWorld
from lab.process import wait_until
from lab.workload_player import WorkloadPlayer
from tailramp.errors import Unreachable
from tailramp.ramp import Phase
from workflows.starting import start_ramp

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

QUICK = {"steps": ["25%", "50%", "100%"], "hold": "2s", "bake": "2s"}
KINDS = {"deployment": DEPLOYMENTS, "statefulset": STATEFUL_SETS, "leaderworkerset": LEADER_WORKER_SETS}
EVERY_KIND = pytest.mark.parametrize(
    "kind", ["deployment", *(pytest.param(kind, marks=pytest.mark.faults) for kind in KINDS if kind != "deployment")]
)


def images(found: dict[str, Any]) -> list[str]:
    """Of every template of an object."""
    spec = found["spec"]
    groups = spec.get("leaderWorkerTemplate")
    templates = [groups["leaderTemplate"], groups["workerTemplate"]] if groups else [spec["template"]]
    return [template["spec"]["containers"][0]["image"] for template in templates]


def workload(kind: str, slot: str) -> dict[str, Any]:
    return {"kind": kind, "name": f"chat-{slot}", "replicas": {"full": 4, "idle": 0}, "ready": "8s"}


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
    await namespace.allow(RULES)
    world = KubeWorld(
        tmp_path / "world",
        namespace.plane,
        namespace.name,
        "gateway-api",
        USER,
        seed=3,
        models={"blue": "chat-v1", "green": "chat-v0"},
        ramp=QUICK,
        workloads={slot: workload(kind, slot) for slot in ("blue", "green")},
        spellings={"image": "toy/{model}:1"},
    )
    await namespace.admin.create(resource, namespace.name, slot_object(kind, "blue", "chat-v1", 4))
    await namespace.admin.create(resource, namespace.name, slot_object(kind, "green", "chat-v0", 0))
    async with world:
        yield world


async def run_model(world: KubeWorld, name: str, found: dict[str, Any]) -> None:
    """What a machine would do with a changed template."""
    slot = name.removeprefix("chat-")
    model = images(found)[-1].removeprefix("toy/").removesuffix(":1")
    if world.models[slot] != model:
        await world.deploy(slot, model)


def player_of(world: KubeWorld, namespace: Namespace, resource: Resource = DEPLOYMENTS) -> WorkloadPlayer:
    return WorkloadPlayer(
        namespace.admin, namespace.name, resource, deployed=lambda name, found: run_model(world, name, found)
    )


async def sizes_and_image(namespace: Namespace, slot: str, resource: Resource = DEPLOYMENTS) -> tuple[int, str]:
    found = await namespace.admin.get(resource, namespace.name, f"chat-{slot}")
    assert "tailramp/found" not in (found["metadata"].get("annotations") or {})
    (image,) = set(images(found))
    return found["spec"]["replicas"], image


@EVERY_KIND
async def test_a_candidate_that_is_nowhere_yet_is_deployed_grows_with_its_share_and_replaces_the_old(
    world: KubeWorld, namespace: Namespace, resource: Resource
) -> None:
    async with player_of(world, namespace, resource) as player:
        world.start_worker()
        async with ramp_among_users(world, seconds=180) as handle:
            result = await asyncio.wait_for(handle.result(), 150)
        assert result.phase is Phase.SUCCEEDED, result
        assert player.sizes["chat-green"] == [0, 1, 2, 4]
        assert player.sizes["chat-blue"] == [4] or player.sizes["chat-blue"] == [4, 0]
    assert await sizes_and_image(namespace, "green", resource) == (4, "toy/chat-v2:1")
    assert await sizes_and_image(namespace, "blue", resource) == (0, "toy/chat-v1:1")


@EVERY_KIND
async def test_a_rollback_puts_the_workload_back_as_it_was(
    world: KubeWorld, namespace: Namespace, resource: Resource
) -> None:
    async with player_of(world, namespace, resource):
        world.start_worker()
        async with ramp_among_users(world, seconds=180) as handle:

            async def is_served() -> bool:
                found = await namespace.admin.get(resource, namespace.name, "chat-green")
                return bool(found["spec"]["replicas"] >= 2)

            await wait_until(is_served, 90, "the candidate has grown", interval=0.2)
            await world.fault("green", "errors")
            result = await asyncio.wait_for(handle.result(), 90)
        assert (result.phase, result.reason) == (Phase.ROLLED_BACK, "unhealthy"), result
    assert await sizes_and_image(namespace, "green", resource) == (0, "toy/chat-v0:1")
    assert await sizes_and_image(namespace, "blue", resource) == (4, "toy/chat-v1:1")


async def test_a_candidate_whose_pods_never_come_is_refused_with_the_reason_and_put_back(
    world: KubeWorld, namespace: Namespace
) -> None:
    labels = {"app": "chat-green"}
    container = {"name": "server", "image": "toy/chat-v2:1"}
    made = {"metadata": {"name": "chat-green-0", "labels": labels}, "spec": {"containers": [container]}}
    await namespace.admin.create(PODS, namespace.name, made)
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    state = {"name": "server", "image": "i", "imageID": "", "ready": False, "restartCount": 0}
    status = {"containerStatuses": [{**state, "state": {"waiting": waiting}}]}
    change = [{"op": "add", "path": "/status", "value": status}]
    await namespace.admin.patch(PODS, namespace.name, "chat-green-0", change, subresource="status")
    async with player_of(world, namespace) as player:
        player.at_most["chat-green"] = 0
        world.start_worker()
        handle = await start_ramp(world.client, world.spec("chat-v2"), actor="test")
        seen: dict[str, str] = {}

        async def is_told() -> bool:
            try:
                sighting = await Ramp(world.client, world.route).look(ask_worker=False)
            except Unreachable:  # a busy machine
                return False
            seen.update(*(pending.servers for pending in sighting.pending if pending.servers))
            return bool(seen)

        await wait_until(is_told, 60, "how far the servers are is told", interval=0.2)
        result = await asyncio.wait_for(handle.result(), 90)
    told = "0 of 1 pods ready, chat-green-0 is in ImagePullBackOff: Back-off pulling image"
    assert seen == {"green": told}
    (problem,) = result.problems
    assert result.phase is Phase.REFUSED
    assert f"not ready after 8s: {told}. Check the image's name and the pull secret" in problem
    assert await sizes_and_image(namespace, "green") == (0, "toy/chat-v0:1")
