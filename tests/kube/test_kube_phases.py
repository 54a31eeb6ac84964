"""The API server dies or hangs in each phase of a whole ramp and comes back: a table says how the ramp then ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kube_namespace import USER, Namespace

from activities.kube.resources import HTTP_ROUTES, INGRESSES, LEASES
from activities.routers.kube.record_lease import parsed
from lab.acts import status_of
from lab.api_server import ApiServer
from lab.client_log import read_log
from lab.control_plane import ControlPlane
from lab.kube_world import KubeWorld
from lab.process import wait_until
from tailramp.errors import TailrampError
from tailramp.ramp import Phase
from tailramp.route_record import RouteRecord
from workflows.handles import RampHandle
from workflows.messages import Message
from workflows.ramp import RampWorkflow
from workflows.starting import start_ramp

pytestmark = [pytest.mark.e2e, pytest.mark.own_api_server, pytest.mark.timeout(300)]

QUICK = {"steps": ["25%", "100%"], "hold": "3s", "bake": "3s"}
AWAY_SECONDS = 4.0


class Ramp:
    """A ramp under way in a world with users."""

    def __init__(self, world: KubeWorld, handle: RampHandle) -> None:
        self.world = world
        self.handle = handle

    async def is_in(self, phase: Phase) -> bool:
        return (await status_of(self.handle)).phase is phase

    async def record(self) -> RouteRecord | None:
        async with self.world.plane.api.client() as admin:
            lease = await admin.find(LEASES, self.world.namespace, "tailramp-chat")
            return None if lease is None else parsed(lease).record


async def in_preflight(ramp: Ramp) -> None:
    """The ramp has begun; nothing is written yet, or just now."""


async def while_shifting(ramp: Ramp) -> None:
    await wait_until(lambda: ramp.is_in(Phase.SHIFTING), 60, "the first shift", interval=0.01)


async def while_holding(ramp: Ramp) -> None:
    await wait_until(lambda: ramp.is_in(Phase.HOLDING), 60, "the hold", interval=0.05)


async def while_promoting(ramp: Ramp) -> None:
    async def moved() -> bool:
        record = await ramp.record()
        return record is not None and record.assignment.default == "green"

    await wait_until(moved, 90, "the default has moved", interval=0.02)


async def while_baking(ramp: Ramp) -> None:
    await wait_until(lambda: ramp.is_in(Phase.BAKING), 90, "the bake", interval=0.05)


async def after_an_abort(ramp: Ramp) -> None:
    await while_holding(ramp)
    await ramp.handle.signal(RampWorkflow.abort, Message(actor="test"))


@dataclass(frozen=True)
class Cell:
    """``ends`` are the phases in which the ramp may end, each with its reasons."""

    moment: Callable[[Ramp], Awaitable[None]]
    ends: frozenset[tuple[Phase, str]]


SUCCEEDED = (Phase.SUCCEEDED, "succeeded")
TABLE = {
    # Before the take-over it is refused in words; after it, it goes on.
    "preflight": Cell(in_preflight, frozenset({(Phase.REFUSED, "refused"), SUCCEEDED})),
    "shifting": Cell(while_shifting, frozenset({SUCCEEDED})),
    "holding": Cell(while_holding, frozenset({SUCCEEDED})),
    "promoting": Cell(while_promoting, frozenset({SUCCEEDED})),
    "baking": Cell(while_baking, frozenset({SUCCEEDED})),
    "rolling back": Cell(after_an_abort, frozenset({(Phase.ROLLED_BACK, "operator_abort")})),
}


async def killed(api: ApiServer) -> None:
    await api.kill()
    await asyncio.sleep(AWAY_SECONDS)
    await api.start()


async def frozen(api: ApiServer) -> None:
    api.suspend()
    await asyncio.sleep(AWAY_SECONDS)
    api.thaw()


OUTAGES = {"killed": killed, "frozen": frozen}


@pytest.fixture
async def world(request: pytest.FixtureRequest, namespace: Namespace, tmp_path: Path) -> AsyncIterator[KubeWorld]:
    world = KubeWorld(tmp_path / "world", namespace.plane, namespace.name, request.param, USER, seed=3, ramp=QUICK)
    async with world:
        world.start_worker()
        yield world


def cells() -> list[Any]:
    """All of them; one is quick enough to be always run."""
    quick = ("ingress-nginx", "killed", "rolling back")
    every = [(kind, outage, name) for kind in ("ingress-nginx", "gateway-api") for outage in OUTAGES for name in TABLE]
    return [pytest.param(*cell, marks=[] if cell == quick else [pytest.mark.faults]) for cell in every]


@pytest.mark.parametrize(("world", "outage", "name"), cells(), indirect=["world"])
async def test_a_ramp_ends_as_the_table_says_whenever_the_api_server_is_away(
    world: KubeWorld, outage: str, name: str
) -> None:
    cell, plane = TABLE[name], world.plane
    assert isinstance(plane, ControlPlane)
    if cell.moment is after_an_abort:
        world.set_ramp(hold="10m")
    users = world.start_users(world.directory / "clients.jsonl", rate=40, seconds=200, core_users=50)
    try:
        spec = world.spec("chat-v2")
        await world.counted(spec)
        ramp = Ramp(world, await start_ramp(world.client, spec, actor="test"))
        await cell.moment(ramp)
        await OUTAGES[outage](plane.api)
        result = await asyncio.wait_for(ramp.handle.result(), 180)
    finally:
        await users.terminate()
    assert (result.phase, str(result.reason)) in cell.ends, result.detail
    await assert_route_says(ramp, "green" if result.phase is Phase.SUCCEEDED else "blue")
    requests = read_log(world.directory / "clients.jsonl").requests
    assert len(requests) > 50
    assert [request for request in requests if not request.ok] == []


async def assert_route_says(ramp: Ramp, slot: str) -> None:
    """Everyone is on the slot, no canary is left, and no lease is open."""
    async with ramp.world.plane.api.client() as admin:
        resource = INGRESSES if ramp.world.kind == "ingress-nginx" else HTTP_ROUTES

        async def left() -> list[str]:
            try:
                found = await admin.find_all(resource, ramp.world.namespace)
            except TailrampError:
                return ["unknown"]
            return sorted(item["metadata"]["name"] for item in found)

        await wait_until(lambda: _is(left, ["chat"]), 60, "nothing but the main route is left")
    record = await ramp.record()
    if record is not None:
        assert (record.assignment.default, record.assignment.rules, record.leases) == (slot, (), {})


async def _is(left: Callable[[], Awaitable[list[str]]], wanted: list[str]) -> bool:
    return await left() == wanted
