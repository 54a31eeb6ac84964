"""`tailramp doctor` and `uninstall` of a route whose slots have workloads."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cluster_command import run
from kube_namespace import Namespace
from kube_workload import may
from living_kube import LivingKube
from living_workloads import living_workloads, platform_file
from record_changes import GREEN as ON_GREEN
from record_changes import RAMP, conclude, roll_back, serve, take_over
from slot_objects import RULES

from activities.kube.resources import DEPLOYMENTS, LEASES, POD_AUTOSCALERS, SCALED_OBJECTS
from activities.workloads import Holder, make_workload, references
from lab.given_cluster import Plane
from tailramp.route_record import naming_workloads
from tailramp.spec import PlatformFile, load_platform

pytestmark = pytest.mark.usefixtures("commands")


@pytest.fixture
async def living(namespace: Namespace, tmp_path: Path) -> AsyncIterator[LivingKube]:
    async with living_workloads(namespace, tmp_path / "living", blue=2, green=2) as living:
        yield living


async def says_ready(living: LivingKube, slot: str, ready: int) -> None:
    found = await living.admin.get(DEPLOYMENTS, living.namespace, f"chat-{slot}")
    counts = dict.fromkeys(("replicas", "updatedReplicas"), found["spec"]["replicas"])
    counts |= dict.fromkeys(("readyReplicas", "availableReplicas"), ready)
    status = {"observedGeneration": found["metadata"]["generation"], **counts}
    change = [{"op": "add", "path": "/status", "value": status}]
    await living.admin.patch(DEPLOYMENTS, living.namespace, f"chat-{slot}", change, subresource="status")


async def put_and_roll_back(living: LivingKube, platform: PlatformFile) -> None:
    """What is left of a ramp whose worker died after the way back, before it put the slot back."""
    await living.router.renew(lambda record: naming_workloads(record, references(platform, ("blue", "green"))))
    await living.router.prepare(take_over(), ["green"])
    await put(living, platform, "green", "chat-v2")
    await living.router.clear(roll_back(3))


async def put(living: LivingKube, platform: PlatformFile, slot: str, model: str) -> None:
    workload = make_workload(platform, slot, living.clients)
    await workload.prepare(model, Holder(RAMP, may))
    await workload.grow(3, Holder(RAMP, may))


async def deployed(living: LivingKube, slot: str) -> tuple[int, str]:
    found = await living.admin.get(DEPLOYMENTS, living.namespace, f"chat-{slot}")
    assert "tailramp" not in str(found["metadata"].get("annotations"))
    return found["spec"]["replicas"], found["spec"]["template"]["spec"]["containers"][0]["image"]


async def doctor(living: LivingKube, path: Path) -> list[dict[str, Any]]:
    _, out, _ = await run(living.within.kubeconfig, "doctor", "--platform", str(path), "-o", "json")
    return [result for result in json.loads(out)["results"] if result["area"] == "servers"]


async def test_doctor_says_how_the_servers_are_and_what_an_earlier_ramp_has_left(
    living: LivingKube, tmp_path: Path
) -> None:
    path = platform_file(living, tmp_path)
    await says_ready(living, "blue", 2)
    await says_ready(living, "green", 1)
    said = [(result["state"], result["text"]) for result in await doctor(living, path)]
    assert said == [
        ("good", "blue: 2 of 2 pods ready"),
        ("finding", "blue serves everyone with 2 of the 4 servers that replicas.full asks for"),
        ("finding", "green: 1 of 2 pods ready"),
    ]
    await living.router.prepare(take_over(), ["green"])
    await put(living, load_platform(path), "green", "chat-v2")
    await living.router.clear(roll_back(3))
    texts = [result["text"] for result in await doctor(living, path)]
    assert f"green: deployment chat-green still holds what ramp {RAMP} wrote" in texts


async def test_doctor_names_the_rights_that_are_missing(living: LivingKube, tmp_path: Path) -> None:
    path = platform_file(living, tmp_path)
    await living.within.allow([rule for rule in RULES if rule["apiGroups"] != ["apps"]])
    texts = " ".join(result["text"] for result in await doctor(living, path))
    for slot in ("blue", "green"):
        assert f"slots.{slot}.workload.kind: this process may not patch deployments/chat-{slot}" in texts


async def test_doctor_names_the_right_to_write_what_scales_a_slot(
    living: LivingKube, plane_of_kinds: Plane, tmp_path: Path
) -> None:
    assert plane_of_kinds is living.within.plane
    path = platform_file(living, tmp_path, autoscaler="raise")
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat-green"}
    spec = {"scaleTargetRef": target, "maxReplicaCount": 8, "triggers": [{"type": "cpu", "metadata": {"value": "1"}}]}
    await living.admin.create(SCALED_OBJECTS, living.namespace, {"metadata": {"name": "scales-green"}, "spec": spec})
    keda = {"apiGroups": ["keda.sh"], "resources": ["scaledobjects"], "verbs": ["get", "list"]}
    await living.within.allow([*(rule for rule in RULES if rule["apiGroups"] != ["keda.sh"]), keda])
    texts = [result["text"] for result in await doctor(living, path)]
    said = f"this process may not patch scaledobjects/scales-green in namespace {living.namespace}"
    assert [text for text in texts if "may not" in text] == [f"slots.green.workload.kind: {said}"]


async def test_uninstall_puts_workloads_back_as_they_were_found(living: LivingKube, tmp_path: Path) -> None:
    path = platform_file(living, tmp_path)
    await living.router.prepare(take_over(), ["green"])
    await put(living, load_platform(path), "green", "chat-v2")
    await living.router.clear(roll_back(3))
    code, out, err = await run(living.within.kubeconfig, "uninstall", "--platform", str(path), "--yes")
    assert code == 0, out + err
    assert await deployed(living, "green") == (2, "toy/chat-v0:1")


async def test_uninstall_keeps_the_model_that_serves_everyone_and_all_of_its_servers(
    living: LivingKube, tmp_path: Path
) -> None:
    path = platform_file(living, tmp_path)
    await living.router.prepare(take_over(), ["green"])
    await put(living, load_platform(path), "green", "chat-v2")
    await living.router.apply(serve(ON_GREEN, 2))
    await living.router.prepare(conclude(3))
    await living.served(ON_GREEN)
    code, out, err = await run(living.within.kubeconfig, "uninstall", "--platform", str(path), "--yes")
    assert code == 0, out + err
    assert await deployed(living, "green") == (3, "toy/chat-v2:1")


async def test_a_kubeconfig_is_enough_to_put_workloads_and_their_autoscalers_back(
    living: LivingKube, tmp_path: Path
) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat-green"}
    scaler = {"metadata": {"name": "of-green"}, "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 9}}
    await living.admin.create(POD_AUTOSCALERS, living.namespace, scaler)
    await put_and_roll_back(living, load_platform(platform_file(living, tmp_path)))
    blue = await living.admin.get(DEPLOYMENTS, living.namespace, "chat-blue")
    raised = await living.admin.get(POD_AUTOSCALERS, living.namespace, "of-green")
    assert raised["spec"]["minReplicas"] == 3
    here = ("uninstall", f"{living.namespace}/chat", "--context", "tailramp")
    code, out, err = await run(living.within.kubeconfig, *here, "--yes")
    assert code == 0, out + err
    assert await deployed(living, "green") == (2, "toy/chat-v0:1")
    lowered = await living.admin.get(POD_AUTOSCALERS, living.namespace, "of-green")
    assert (lowered["spec"]["minReplicas"], "tailramp" in str(lowered["metadata"].get("annotations"))) == (2, False)
    assert await living.admin.get(DEPLOYMENTS, living.namespace, "chat-blue") == blue, "no ramp has written it"
    assert await living.admin.find(LEASES, living.namespace, "tailramp-chat") is None


async def test_what_somebody_else_has_changed_since_is_named_and_left(living: LivingKube, tmp_path: Path) -> None:
    await put_and_roll_back(living, load_platform(platform_file(living, tmp_path)))
    change = [{"op": "replace", "path": "/spec/replicas", "value": 7}]
    await living.admin.patch(DEPLOYMENTS, living.namespace, "chat-green", change)
    here = ("uninstall", f"{living.namespace}/chat", "--context", "tailramp", "--yes")
    code, out, err = await run(living.within.kubeconfig, *here, "-o", "json")
    assert code == 0, out + err
    (left,) = json.loads(out)["left"]
    assert f"deployment {living.namespace}/chat-green: /spec/replicas was changed by" in left
    assert await deployed(living, "green") == (7, "toy/chat-v0:1")


async def test_the_record_stays_until_the_workloads_could_be_put_back(living: LivingKube, tmp_path: Path) -> None:
    await put_and_roll_back(living, load_platform(platform_file(living, tmp_path)))
    await living.within.allow([rule for rule in RULES if rule["apiGroups"] != ["apps"]])
    here = ("uninstall", f"{living.namespace}/chat", "--context", "tailramp", "--yes")
    code, out, err = await run(living.within.kubeconfig, *here)
    assert code == 5, out + err
    assert "deployments" in err
    assert await living.admin.find(LEASES, living.namespace, "tailramp-chat") is not None
    await living.within.allow(RULES)
    code, out, err = await run(living.within.kubeconfig, *here)
    assert code == 0, out + err
    assert await deployed(living, "green") == (2, "toy/chat-v0:1")
