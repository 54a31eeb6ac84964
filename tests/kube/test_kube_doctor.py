"""`tailramp doctor` of a route in a cluster: rights, resources, classes, owners, and what the gateway does."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from living_kube import ROLE_FILE, LivingKube, Namespace, Objects, on_green, serve, take_over
from planner_samples import plan
from test_kube_kill import run

from lab.api_server import CRDS
from lab.control_plane import ControlPlane
from lab.process import wait_until

RULES: list[dict[str, Any]] = yaml.safe_load(ROLE_FILE.read_text(encoding="utf-8"))["rules"]


async def examine(route: LivingKube, folder: Path) -> tuple[int, str]:
    """Exit code and what was found, each finding a line."""
    platform = route.platform.model_dump(by_alias=True, mode="json", exclude_unset=True)
    (folder / "tailramp.yaml").write_text(yaml.safe_dump(platform), encoding="utf-8")
    code, out, _ = await run(route, "doctor", "--platform", str(folder / "tailramp.yaml"), "-o", "json")
    results = json.loads(out)["results"] if isinstance(json.loads(out), dict) else json.loads(out)
    return code, "\n".join(f"{result['area']} {result['state']}: {result['text']}" for result in results)


async def test_a_route_in_order_is_said_to_be_so_from_its_objects_to_its_forged_headers(
    route: LivingKube, tmp_path: Path
) -> None:
    await route.router.prepare(take_over(), ["green"])
    await route.router.apply(serve(on_green("00-04"), 2))
    await route.served(on_green("00-04"))
    _, said = await examine(route, tmp_path)
    assert "route good: lease" in said
    assert "probes are answered as the record says, forged headers too" in said


async def test_missing_rights_and_a_gateway_that_lets_forged_headers_pass_are_found(
    route: LivingKube, tmp_path: Path
) -> None:
    await route.serve(on_green("00-49"))
    rules = copy.deepcopy(RULES)
    rules[0]["verbs"].remove("delete")
    rules[1]["verbs"].remove("delete")
    await route.within.allow(rules)
    # Straight to Traefik: nobody strips what users send.
    route.spec = route.spec.model_copy(
        update={"platform": route.with_router(gateway=f"http://{route.traefik.address}")}
    )
    code, said = await examine(route, tmp_path)
    assert code == 5
    assert f"this process may not delete {route.resource.plural} in namespace {route.namespace}" in said
    assert "a forged bucket 00 without an id is served by blue: no" in said


async def test_an_owned_route_is_refused_since_its_controller_would_undo_every_change(namespace: Namespace) -> None:
    async with Objects(namespace, "ingress-nginx") as objects:
        owner = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "name": "chat", "uid": "u"}
        change = {"op": "add", "path": "/metadata/ownerReferences", "value": [{**owner, "controller": True}]}
        await objects.admin.patch(objects.resource, objects.namespace, "chat", [change])
        said = " ".join(str(problem) for problem in await objects.router.preflight(plan()))
        assert "belongs to InferenceService/chat, whose controller would undo every change" in said


@pytest.mark.faults
async def test_a_cluster_without_the_gateway_api_is_named(tmp_path: Path) -> None:
    """In an API server of its own: resources are the whole cluster's."""
    async with ControlPlane(tmp_path / "plane", {"tailramp": []}) as plane, Namespace(plane) as namespace:
        await namespace.admin.delete(CRDS, None, "httproutes.gateway.networking.k8s.io")

        async def gone() -> bool:
            return await namespace.admin.find(CRDS, None, "httproutes.gateway.networking.k8s.io") is None

        await wait_until(gone, 30, "the resource is gone")
        objects = Objects(namespace, "gateway-api")
        (problem,) = await objects.router.preflight(plan())
        assert "knows no httproutes.gateway.networking.k8s.io v1" in str(problem)
