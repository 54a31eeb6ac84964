"""The Role of `deploy/kubernetes`: everything is done with it, and nothing in it could be left out."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
import yaml
from kube_namespace import ROLE_FILE, Namespace
from kube_objects import Objects
from planner_samples import plan
from record_changes import kill, renew, roll_back, serve, take_over

from activities.kube import KubeClient
from activities.kube.client import EventKind
from activities.kube.resources import ENDPOINT_SLICES, SERVICES
from activities.routers.kube import lease_records
from lab.sample_route import on_green
from tailramp.errors import TailrampError
from tailramp.route_record import RouteRecord, lifted

RULES: list[dict[str, Any]] = yaml.safe_load(ROLE_FILE.read_text(encoding="utf-8"))["rules"]
RIGHTS = [
    (kind, verb, index) for index, rule in enumerate(RULES) for kind in rule["resources"] for verb in rule["verbs"]
]


@pytest.fixture
async def namespace_of_services(namespace: Namespace) -> Namespace:
    """Services whose endpoints would be computed, if a controller ran: one has a ready endpoint, one has none."""
    for slot, port in (("blue", 8000), ("green", 8000), ("red", 8000)):
        spec = {"selector": {"slot": slot}, "ports": [{"name": "http", "port": port}]}
        await namespace.admin.create(SERVICES, namespace.name, {"metadata": {"name": f"svc-{slot}"}, "spec": spec})
    slices = {
        "metadata": {"name": "svc-blue-1", "labels": {"kubernetes.io/service-name": "svc-blue"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 8000}],
    }
    await namespace.admin.create(ENDPOINT_SLICES, namespace.name, slices)
    return namespace


async def life(objects: Objects) -> None:
    """Everything that is ever done with a route. Raises if anything of it is not possible."""
    services = {
        slot: reference.model_copy(update={"group": "", "kind": "Service", "name": f"svc-{slot}", "port": "http"})
        for slot, reference in objects.binding.backends.items()
    }
    async with KubeClient(objects.kubeconfig) as client:
        router = objects.router_with(client)
        looking = objects.router_with(client, objects.binding.model_copy(update={"backends": services}))
        assert [await looking.ready(slot) for slot in ("blue", "green")] == [True, False]
        assert await client.find_all(SERVICES, objects.namespace)
        snapshot = await router.snapshot()
        await router.prepare(take_over(), ["green"])
        await router.apply(serve(on_green("00-04"), 2))
        await router.renew(renew(2))
        await noticed(objects, client)
        assert [str(route) for route, _ in await lease_records(client, objects.namespace)] == [
            f"{objects.namespace}/chat"
        ]
        await router.clear(roll_back(3))
        assert (await router.restore(snapshot)).equal
        await router.prepare(take_over("later", override="again"), ["green"])
        await router.clear(kill)
        await router.apply(lifted)
        await router.release(no_objection)


async def noticed(objects: Objects, client: KubeClient) -> None:
    """A change of somebody else's is told of, and not only listed."""
    async with client.hub.events(objects.resource, objects.namespace) as events:
        try:
            async with asyncio.timeout(5):
                assert (await events.get()).kind is EventKind.LISTED
                change = {"op": "add", "path": "/metadata/labels", "value": {"team": "llm"}}
                await objects.admin.patch(objects.resource, objects.namespace, "chat", [change])
                assert (await events.get()).kind is EventKind.CHANGED
        except TimeoutError:
            raise AssertionError("nobody was told") from None


def no_objection(record: RouteRecord) -> None:
    """Whatever the record says, it may go."""


@pytest.mark.parametrize("kind", ["ingress-nginx", "gateway-api"])
async def test_a_user_with_the_role_can_do_everything(namespace_of_services: Namespace, kind: Any) -> None:
    async with Objects(namespace_of_services, kind) as objects:
        await life(objects)


@pytest.mark.parametrize(("kind", "verb", "index"), RIGHTS)
async def test_no_right_could_be_left_out(namespace_of_services: Namespace, kind: str, verb: str, index: int) -> None:
    rules = copy.deepcopy(RULES)
    rules[index]["verbs"].remove(verb)
    router: Any = "gateway-api" if kind == "httproutes" else "ingress-nginx"
    async with Objects(namespace_of_services, router) as objects:
        await namespace_of_services.allow([rule for rule in rules if rule["verbs"]])
        with pytest.raises((TailrampError, AssertionError)):
            await life(objects)


async def test_preflight_names_every_right_that_is_missing(namespace: Namespace) -> None:
    async with Objects(namespace, "ingress-nginx") as objects:
        rules = copy.deepcopy(RULES)
        rules[0]["verbs"] = ["get", "list"]
        rules[2]["verbs"].remove("create")
        await namespace.allow(rules)
        problems = [str(problem) for problem in await objects.router.preflight(plan())]
        said = " ".join(problems)
        assert len(problems) == 5
        for missing in ("watch ingresses", "create ingresses", "patch ingresses", "delete ingresses", "create leases"):
            assert f"may not {missing} in namespace {namespace.name}" in said
