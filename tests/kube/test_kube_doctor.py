"""`tailramp doctor` of a route in a cluster: rights, resources, classes, owners, and what the gateway does."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_command import run
from kube_namespace import ROLE_FILE, Namespace
from kube_objects import Objects
from living_kube import GATEWAYS, LivingKube, on_shared_loop
from planner_samples import plan
from record_changes import BLUE, serve, take_over

from activities.kube import KubeClient
from activities.kube.resources import ENDPOINT_SLICES, INGRESS_CLASSES
from cli.doctor.cluster_side import examine_cluster
from lab.control_plane import ControlPlane
from lab.kube_access import CRDS
from lab.process import wait_until
from lab.sample_route import on_green
from tailramp.route_record import RouteRecord
from tailramp.spec import PlatformFile

pytestmark = pytest.mark.usefixtures("commands")

SLOTS = ("blue", "green", "red")
RULES: list[dict[str, Any]] = yaml.safe_load(ROLE_FILE.read_text(encoding="utf-8"))["rules"]


async def examine(route: LivingKube, folder: Path) -> tuple[int, str]:
    """Exit code and what was found, each finding a line."""
    platform = route.platform.model_dump(by_alias=True, mode="json", exclude_unset=True)
    (folder / "tailramp.yaml").write_text(yaml.safe_dump(platform), encoding="utf-8")
    code, out, _ = await run(
        route.within.kubeconfig, "doctor", "--platform", str(folder / "tailramp.yaml"), "-o", "json"
    )
    results = json.loads(out)["results"]
    return code, "\n".join(f"{result['area']} {result['state']}: {result['text']}" for result in results)


@on_shared_loop
async def test_a_route_in_order_is_said_to_be_so_from_its_objects_to_its_forged_headers(
    route: LivingKube, tmp_path: Path
) -> None:
    await route.router.prepare(take_over(), ["green"])
    await route.router.apply(serve(on_green("00-04"), 2))
    await route.served(on_green("00-04"))
    _, said = await examine(route, tmp_path)
    assert "route good: lease" in said
    assert "probes are answered as the record says, forged headers too" in said


@on_shared_loop
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


async def looked_at(objects: Objects, router: dict[str, Any], client: KubeClient) -> list[str]:
    """What the cluster around the route is said to be, each a line."""
    platform = PlatformFile.model_validate(
        {
            "apiVersion": "tailramp/v1",
            "route": {"namespace": objects.namespace, "name": "chat"},
            "router": {"gateway": "http://127.0.0.1:1", **router},
            "slots": {
                slot: {"url": "http://127.0.0.1:1", "metrics": 'a="b"', "gatewayMetrics": 'a="b"'} for slot in SLOTS
            },
            "identity": {"salt": "demo-2026"},
            "prometheus": {"url": "http://127.0.0.1:1"},
        }
    )
    record = RouteRecord(route=f"{objects.namespace}/chat", original_default="blue", assignment=BLUE)
    return [f"{found.state}: {found.text}" async for found in examine_cluster(platform, record, client)]


INGRESS = {
    "kind": "ingress-nginx",
    "ingress": "chat",
    "backends": {slot: {"name": f"chat-{slot}", "port": "http"} for slot in SLOTS},
}


async def test_a_wrong_ingress_class_is_found(namespace: Namespace) -> None:
    async with Objects(namespace, "ingress-nginx") as objects:
        said = await looked_at(objects, INGRESS, objects.admin)
        assert "good: the class nginx is read by k8s.io/ingress-nginx" in said
        said = await looked_at(objects, {**INGRESS, "controller": "higress"}, objects.admin)
        assert "good: the class nginx is read by k8s.io/ingress-nginx" in said
        name = f"other-{objects.namespace}"
        body = {"metadata": {"name": name}, "spec": {"controller": "example.com/other"}}
        await objects.admin.create(INGRESS_CLASSES, None, body)
        change = [{"op": "replace", "path": "/spec/ingressClassName", "value": name}]
        await objects.admin.patch(objects.resource, objects.namespace, "chat", change)
        (said_of_class, *_) = await looked_at(objects, INGRESS, objects.admin)
        assert f"finding: the class {name} is read by example.com/other" in said_of_class
        await objects.admin.delete(INGRESS_CLASSES, None, name)
        (said_of_class, *_) = await looked_at(objects, INGRESS, objects.admin)
        assert f"names the class {name}, and there is none of that name" in said_of_class
        async with KubeClient(objects.kubeconfig) as client:
            (said_of_class, *_) = await looked_at(objects, INGRESS, client)
        assert said_of_class == "unseen: the ingress class: this user may not read ingressclasses"


async def test_a_slot_with_fewer_endpoints_than_the_live_one_cannot_carry_everyone(namespace: Namespace) -> None:
    async with Objects(namespace, "ingress-nginx") as objects:
        for slot, count in (("blue", 3), ("green", 1), ("red", 3)):
            body = {
                "metadata": {"name": f"chat-{slot}-1", "labels": {"kubernetes.io/service-name": f"chat-{slot}"}},
                "addressType": "IPv4",
                "endpoints": [
                    *({"addresses": [f"10.0.0.{n}"], "conditions": {"ready": True}} for n in range(1, count + 1)),
                    {"addresses": ["10.0.1.9"], "conditions": {"ready": False}},
                ],
            }
            await objects.admin.create(ENDPOINT_SLICES, objects.namespace, body)
        said = await looked_at(objects, INGRESS, objects.admin)
    assert "finding: green has 1 ready endpoints and blue has 3: a promotion sends everyone to green" in said
    assert "good: red has 3 ready endpoints, blue has 3" in said


async def test_a_gateway_that_is_missing_or_not_programmed_is_found(namespace: Namespace) -> None:
    async with Objects(namespace, "gateway-api") as objects:
        router = {
            "kind": "gateway-api",
            "httpRoute": "chat",
            "backends": {slot: objects.backend(slot) for slot in SLOTS},
        }
        (said, *_) = await looked_at(objects, router, objects.admin)
        assert f"finding: the route names gateway {objects.namespace}/public, and there is none" in said
        spec = {"gatewayClassName": "nobody", "listeners": [{"name": "web", "protocol": "HTTP", "port": 80}]}
        await objects.admin.create(GATEWAYS, objects.namespace, {"metadata": {"name": "public"}, "spec": spec})
        (said, *_) = await looked_at(objects, router, objects.admin)
        assert f"finding: gateway {objects.namespace}/public is not Accepted" in said
        now = "2026-03-01T00:00:00Z"
        conditions = [
            {"type": kind, "status": status, "reason": "Test", "message": said_of, "lastTransitionTime": now}
            for kind, status, said_of in (("Accepted", "True", "yes"), ("Programmed", "False", "no address"))
        ]
        change = [{"op": "replace", "path": "/status/conditions", "value": conditions}]
        await objects.admin.patch(GATEWAYS, objects.namespace, "public", change, subresource="status")
        (said, *_) = await looked_at(objects, router, objects.admin)
        assert f"finding: gateway {objects.namespace}/public is not Programmed: no address" in said
        change[0]["value"] = [{**entry, "status": "True"} for entry in conditions]
        await objects.admin.patch(GATEWAYS, objects.namespace, "public", change, subresource="status")
        (said, *_) = await looked_at(objects, router, objects.admin)
        assert said == f"good: gateway {objects.namespace}/public is accepted and programmed"
        async with KubeClient(objects.kubeconfig) as client:
            (said, *_) = await looked_at(objects, router, client)
        assert "may not read gateways there" in said


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
