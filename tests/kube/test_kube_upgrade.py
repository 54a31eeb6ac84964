"""Workers are upgraded under a running ramp: the old ones drain, the new ones take it over in the middle of a hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kube_namespace import USER, Namespace

from activities.kube.resources import LEASES
from activities.routers.kube.record_lease import parsed
from lab.acts import status_of
from lab.client_log import read_log, violations
from lab.kube_world import KubeWorld
from lab.process import wait_until
from tailramp.ramp import Phase
from tailramp.route_record import RouteRecord
from workflows.messages import Promote
from workflows.ramp import RampWorkflow
from workflows.starting import start_ramp

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

RAMP = {"steps": ["25%", "100%"], "hold": "10m", "bake": "3s", "lease": "60s"}
DRAIN_SECONDS = 60.0


@pytest.fixture
async def world(namespace: Namespace, tmp_path: Path) -> AsyncIterator[KubeWorld]:
    world = KubeWorld(tmp_path / "world", namespace.plane, namespace.name, "gateway-api", USER, seed=3, ramp=RAMP)
    async with world:
        yield world


def serving(world: KubeWorld) -> int:
    """How many workers have begun to serve their queues: all of them write one log."""
    return (world.directory / "worker.log").read_text(encoding="utf-8").count(" serves ")


async def test_a_ramp_passes_from_the_old_workers_to_the_new_ones_in_the_middle_of_a_hold(world: KubeWorld) -> None:
    old = [world.start_worker("control"), world.start_worker("watch")]
    sentinel = world.start_sentinel(0.5)
    users = world.start_users(world.directory / "clients.jsonl", rate=40, seconds=200, core_users=50)
    try:
        spec = world.spec("chat-v2")
        await world.counted(spec)
        handle = await start_ramp(world.client, spec, actor="test")

        async def holds() -> bool:
            return (await status_of(handle)).phase is Phase.HOLDING

        await wait_until(holds, 60, "the hold", interval=0.1)
        # As a Deployment with maxSurge 1 and maxUnavailable 0 does it: first the new ones, then SIGTERM for the old.
        new = [world.start_worker("control"), world.start_worker("watch")]
        await wait_until(lambda: serving(world) == len(old) + len(new), 60, "the new ones are ready")
        before = renewals(await record_of(world))
        codes = await asyncio.gather(*(process.terminate(DRAIN_SECONDS) for process in old))
        assert codes == [0, 0], "they drained"
        assert all(process.is_running for process in (*new, sentinel))

        async def renewed() -> bool:
            return renewals(await record_of(world)) > before

        await wait_until(renewed, 40, "the new workers renew the lease")
        await handle.signal(RampWorkflow.promote, Promote(actor="test", step=1))
        result = await asyncio.wait_for(handle.result(), 120)
    finally:
        await users.terminate()
    assert result.phase is Phase.SUCCEEDED, result.detail
    assert (await record_of(world)).cleared_by is None
    requests = read_log(world.directory / "clients.jsonl").requests
    assert [request for request in requests if not request.ok] == []
    counted = violations(requests, baseline="blue", candidate="green", admitted=lambda *_: True, growth_ended=None)
    assert counted.moved_back_and_forth == 0


async def record_of(world: KubeWorld) -> RouteRecord:
    async with world.plane.api.client() as admin:
        return parsed(await admin.get(LEASES, world.namespace, "tailramp-chat")).record


def renewals(record: RouteRecord) -> int:
    return sum(lease.renewals for lease in record.leases.values())
