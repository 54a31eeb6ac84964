"""Whole ramps on a cluster: Temporal, a worker with the rights of `deploy/kubernetes`, Prometheus, Traefik, users."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
from kube_namespace import ROLE_FILE, USER, Namespace
from living_label import GATEWAY_ROLE_FILE, role_of
from ramp_among_users import ramp_among_users

from activities.kube import KubeClient
from activities.kube.resources import HTTP_ROUTES, INGRESSES, LEASES
from activities.routers.kube.record_lease import parsed
from lab.client_log import ClientRequest, read_log, users_seen_on_both, violations
from lab.kube_world import KubeWorld
from lab.label_world import LabelWorld
from lab.nginx_server import why_no_nginx
from lab.process import wait_until
from tailramp.assignment import Assignment
from tailramp.ramp import Phase
from tailramp.route_record import RouteRecord

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

_NO_NGINX = why_no_nginx()
WORLDS = ["ingress-nginx", "gateway-api", "gateway-label"]
BY_NGINX = pytest.mark.skipif(bool(_NO_NGINX), reason=_NO_NGINX)
QUICK = {"steps": ["25%", "100%"], "hold": "2s", "bake": "3s"}


@pytest.fixture
async def world(request: pytest.FixtureRequest, namespace: Namespace, tmp_path: Path) -> AsyncIterator[KubeWorld]:
    folder, plane = tmp_path / "world", namespace.plane
    if request.param in ("gateway-label", "gateway-label-nginx"):
        program: Literal["envoy", "nginx"] = "nginx" if request.param.endswith("nginx") else "envoy"
        await namespace.allow([*role_of(ROLE_FILE)["rules"], *role_of(GATEWAY_ROLE_FILE)["rules"]])
        world: KubeWorld = LabelWorld(folder, plane, namespace.name, USER, seed=3, program=program, ramp=QUICK)
    else:
        world = KubeWorld(folder, plane, namespace.name, request.param, USER, seed=3, ramp=QUICK)
    async with world:
        world.start_worker()
        yield world


async def record_of(world: KubeWorld) -> RouteRecord:
    async with world.plane.api.client() as admin:
        return parsed(await admin.get(LEASES, world.namespace, "tailramp-chat")).record


async def specs_of(world: KubeWorld, admin: KubeClient) -> dict[str, Any]:
    """Of every object that the route is made of, by name."""
    resource = INGRESSES if world.kind == "ingress-nginx" else HTTP_ROUTES
    return {item["metadata"]["name"]: item["spec"] for item in await admin.find_all(resource, world.namespace)}


def broken_promises(requests: list[ClientRequest], growth_ended: float | None) -> int:
    """Users who were moved forth and back while the ramp only grew."""
    counted = violations(
        requests,
        baseline="blue",
        candidate="green",
        admitted=lambda *_: True,
        growth_ended=growth_ended,
    )
    return counted.moved_back_and_forth


async def rolls_back_a_bad_candidate(world: KubeWorld) -> None:
    """Who is on blue is not disturbed, and the objects are then as they were."""
    world.set_ramp(hold="10m")  # nothing but the fault ends it
    async with world.plane.api.client() as admin:
        found = await specs_of(world, admin)
        async with ramp_among_users(world, "chat-v2", log="bad.jsonl") as handle:

            async def is_served() -> bool:
                lease = await admin.find(LEASES, world.namespace, "tailramp-chat")
                return lease is not None and bool(parsed(lease).record.candidates)

            await wait_until(is_served, 60, "the candidate is served", interval=0.2)
            struck = await world.fault("green", "errors")
            result = await asyncio.wait_for(handle.result(), 90)
        assert (result.phase, result.reason) == (Phase.ROLLED_BACK, "unhealthy"), result
        assert await specs_of(world, admin) == found
    requests = read_log(world.directory / "bad.jsonl").requests
    assert any(request.variant == "green" and request.sent > struck for request in requests)
    assert [request for request in requests if not request.ok and request.variant != "green"] == []
    assert broken_promises(requests, struck) == 0


async def promotes_a_good_candidate(world: KubeWorld) -> None:
    """And no user notices."""
    await world.deploy("green", "chat-v3")
    world.set_ramp(hold=QUICK["hold"])
    async with ramp_among_users(world, "chat-v3", log="good.jsonl") as handle:
        result = await asyncio.wait_for(handle.result(), 150)
    assert result.phase is Phase.SUCCEEDED, result
    stands = await record_of(world)
    assert (stands.assignment, stands.original_default) == (Assignment(default="green"), "green")
    requests = read_log(world.directory / "good.jsonl").requests
    assert len(users_seen_on_both(requests, "blue", "green")) >= 20
    assert [request for request in requests if not request.ok] == []
    assert broken_promises(requests, None) == 0


@pytest.mark.parametrize(
    "world", [*WORLDS, pytest.param("gateway-label-nginx", marks=[BY_NGINX, pytest.mark.faults])], indirect=True
)
async def test_a_bad_candidate_is_rolled_back_and_the_good_one_after_it_is_promoted(world: KubeWorld) -> None:
    await rolls_back_a_bad_candidate(world)
    await promotes_a_good_candidate(world)


@BY_NGINX
@pytest.mark.parametrize("world", ["gateway-label-nginx"], indirect=True)
async def test_nginx_too_takes_everyone_back_from_a_bad_candidate(world: KubeWorld) -> None:
    await rolls_back_a_bad_candidate(world)
