"""A world whose slots' servers are workloads on the API server, and who stands for their controllers and machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kube_namespace import USER, Namespace
from slot_objects import RULES, slot_object

from activities.kube import Resource
from activities.kube.resources import DEPLOYMENTS, LEADER_WORKER_SETS, STATEFUL_SETS
from lab.kube_world import KubeWorld
from lab.workload_player import WorkloadPlayer

KINDS = {"deployment": DEPLOYMENTS, "statefulset": STATEFUL_SETS, "leaderworkerset": LEADER_WORKER_SETS}


def images(found: dict[str, Any]) -> list[str]:
    """Of every template of an object."""
    spec = found["spec"]
    groups = spec.get("leaderWorkerTemplate")
    templates = [groups["leaderTemplate"], groups["workerTemplate"]] if groups else [spec["template"]]
    return [template["spec"]["containers"][0]["image"] for template in templates]


async def workload_world(
    namespace: Namespace, folder: Path, ramp: dict[str, Any], kind: str = "deployment", ready: str = "8s", idle: int = 0
) -> KubeWorld:
    """Not yet started.  Blue serves chat-v1 with the four servers that everyone needs; green has none, of chat-v0.  The
    slot that was replaced keeps ``idle``."""
    await namespace.allow(RULES)
    sizes = {"full": 4, "idle": idle}
    workloads = {
        slot: {"kind": kind, "name": f"chat-{slot}", "replicas": sizes, "ready": ready} for slot in ("blue", "green")
    }
    for slot, model, servers in (("blue", "chat-v1", 4), ("green", "chat-v0", 0)):
        await namespace.admin.create(KINDS[kind], namespace.name, slot_object(kind, slot, model, servers))
    return KubeWorld(
        folder,
        namespace.plane,
        namespace.name,
        "gateway-api",
        USER,
        seed=3,
        models={"blue": "chat-v1", "green": "chat-v0"},
        ramp=ramp,
        workloads=workloads,
        spellings={"image": "toy/{model}:1"},
    )


def player_of(world: KubeWorld, namespace: Namespace, resource: Resource = DEPLOYMENTS) -> WorkloadPlayer:
    """Runs the model that the image of a changed template names, as a machine would."""

    async def run_model(name: str, found: dict[str, Any]) -> None:
        slot = name.removeprefix("chat-")
        model = images(found)[-1].removeprefix("toy/").removesuffix(":1")
        if world.models[slot] != model:
            await world.deploy(slot, model)

    return WorkloadPlayer(namespace.admin, namespace.name, resource, deployed=run_model)


async def sizes_and_image(namespace: Namespace, slot: str, resource: Resource = DEPLOYMENTS) -> tuple[int, str]:
    """Of a workload on which nothing of tailramp's is left."""
    found = await namespace.admin.get(resource, namespace.name, f"chat-{slot}")
    assert "tailramp/found" not in (found["metadata"].get("annotations") or {})
    (image,) = set(images(found))
    return found["spec"]["replicas"], image
