"""`tailramp plan` of a route in a cluster: every write of every object, tried on the API server and not written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_command import run
from kube_namespace import Namespace
from kube_objects import Kind, Objects
from living_kube import LivingKube, on_shared_loop
from planner_samples import plan
from record_changes import GREEN, conclude, serve, take_over

from activities.kube import KubeClient
from activities.routers.kube.preview import PlannedWrite, planned_writes, refusals_of
from tailramp.assignment import Assignment
from tailramp.route_record import RouteRecord

pytestmark = pytest.mark.usefixtures("commands")

STEPS: list[tuple[str, Assignment]] = [
    ("step 1", plan("00-04").steps[0].assignment),
    ("step 2", plan("00-49").steps[0].assignment),
    ("promotion", GREEN),
]


@pytest.mark.parametrize("kind", ["ingress-nginx", "gateway-api"])
async def test_what_is_planned_is_what_the_router_then_writes(namespace: Namespace, kind: Kind) -> None:
    async with Objects(namespace, kind) as objects, KubeClient(objects.kubeconfig) as client:
        record = take_over()(await objects.router.record())
        records: list[tuple[str, RouteRecord]] = [("take-over", record)]
        for epoch, (label, assignment) in enumerate(STEPS, 2):
            record = serve(assignment, epoch)(record)
            records.append((label, record))
        records.append(("end", conclude(6)(record)))
        main = await objects.main()
        writes = planned_writes(objects.binding, "chat", main, ["green"], records)
        assert await refusals_of(client, objects.namespace, objects.binding, writes) == []
        assert await objects.main() == main
        assert await objects.canary() is None
        verbs = [write.verb for write in writes if write.name == objects.canary_name]
        assert verbs == ["create", "patch", "patch", "patch", "delete"]
        await objects.router.prepare(take_over(), ["green"])
        await compare(objects, writes, "take-over")
        for epoch, (label, assignment) in enumerate(STEPS, 2):
            await objects.router.apply(serve(assignment, epoch))
            await compare(objects, writes, label)
        await objects.router.prepare(conclude(6))
        await compare(objects, writes, "end")


async def compare(objects: Objects, writes: list[PlannedWrite], label: str) -> None:
    for write in writes:
        if write.label != label:
            continue
        found = await objects.admin.find(objects.resource, objects.namespace, write.name)
        if write.after is None:
            assert found is None
            continue
        assert found is not None
        assert found["spec"] == write.after["spec"], label
        assert found["metadata"].get("annotations") == write.after["metadata"].get("annotations"), label


async def apply_as_printed(route: LivingKube, written: list[dict[str, Any]]) -> None:
    """What is printed can be sent as it is, from the first write to the last."""
    spec = (await route.main())["spec"]
    for write in written:
        assert write["namespace"] == route.namespace
        match write["verb"]:
            case "create":
                await route.admin.create(route.resource, route.namespace, write["object"])
            case "patch":
                await route.admin.patch(route.resource, route.namespace, write["name"], write["patch"])
            case "delete":
                await route.admin.delete(route.resource, route.namespace, write["name"])
    assert await route.canary() is None
    assert (await route.main())["spec"] != spec, "the ramp was promoted"


@on_shared_loop
async def test_the_command_prints_every_write_of_every_object_and_writes_nothing(
    route: LivingKube, tmp_path: Path
) -> None:
    platform = route.platform.model_dump(by_alias=True, mode="json", exclude_unset=True)
    platform["ramp"] = {"steps": ["5%", "50%", "100%"]}
    (tmp_path / "tailramp.yaml").write_text(yaml.safe_dump(platform), encoding="utf-8")
    canary = {"model": "chat-v2", "buckets": "00-99", "maxLatency": "2000ms"}
    (tmp_path / "canary.yaml").write_text(yaml.safe_dump({"canary": canary}), encoding="utf-8")
    before = await route.main()
    _, out, err = await run(route.within.kubeconfig, "plan", str(tmp_path / "canary.yaml"), "-o", "json")
    data = json.loads(out)
    objects = [write["object"] for write in data["writes"]]
    assert any(route.canary_name in name for name in objects), (out, err)
    assert any(name.endswith(" chat") for name in objects)
    _, out, _ = await run(route.within.kubeconfig, "plan", str(tmp_path / "canary.yaml"), "--diff")
    assert "+++ b/" + route.canary_name in out
    assert "0[0-4]" in out
    _, out, _ = await run(route.within.kubeconfig, "plan", str(tmp_path / "canary.yaml"), "-o", "yaml")
    written = list(yaml.safe_load_all(out))
    assert (written[0]["verb"], written[0]["name"]) == ("create", route.canary_name)
    await route.within.allow([])
    _, out, _ = await run(route.within.kubeconfig, "plan", str(tmp_path / "canary.yaml"))
    assert "cannot get" in out
    assert await route.main() == before
    assert await route.canary() is None
    await apply_as_printed(route, written)
