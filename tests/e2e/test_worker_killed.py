"""The worker dies by kill -9 in the middle of a write or of its proof; another one finishes the ramp."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.route_document import RouteDocument
from lab.client_log import read_log, served_without_admission
from lab.process import ManagedProcess, wait_until
from lab.route_history import RouteHistory
from lab.world import SALT, World
from tailramp.assignment import Assignment
from tailramp.buckets import BucketFunction
from tailramp.ramp import Phase
from workflows.handles import RampHandle
from workflows.messages import Message
from workflows.ramp import RampWorkflow
from workflows.starting import start_ramp

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

BASELINE_ONLY = Assignment(default="blue")
RAMP = {"steps": ["5%", "10%", "25%", "100%"], "hold": "1s"}
"""With a smaller first step, enough answers of the candidate would be so many of everybody's that a busy machine has no
answer left for preflight."""
CHECKS = {"consecutive": 2, "minSample": 4, "floor": 2, "maxErrors": "20%"}
CANARY: dict[str, object] = {"maxLatency": "8s", "maxToxicity": 0.9}
"""A few answers are enough, and none of a healthy model is bad: when a step passes is not what is tested."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path / "world", seed=7, ramp=RAMP, checks=CHECKS) as world:
        yield world


async def begin(world: World, history: RouteHistory) -> tuple[RampHandle, ManagedProcess]:
    """A ramp with users on the route, at the moment at which the second step has been written."""
    users = world.start_users(world.directory / "clients.jsonl", rate=60, seconds=290, core_users=100)
    spec = world.spec("chat-v2", **CANARY)
    await world.counted(spec)
    handle = await start_ramp(world.client, spec, actor="test")
    # Until then a busy machine is still starting the worker, which says nothing of how long its steps take.
    await wait_until(lambda: is_taken_over(world), 90, "the ramp holds the route")
    await wait_until(lambda: share_in_file(history) >= 0.10, 40, "the second step in the route file", interval=0.005)
    return handle, users


def is_taken_over(world: World) -> bool:
    return RouteDocument.parse(world.route_file.read_text(encoding="utf-8")).record.ramp is not None


def share_in_file(history: RouteHistory) -> float:
    return history.versions[-1].assignment.share_of("green") if history.versions else 0.0


async def kill_worker(world: World) -> None:
    assert world.worker is not None
    await world.worker.kill()


def assert_nobody_was_served_beyond_what_was_decided(world: World, history: RouteHistory) -> None:
    bucket_of = BucketFunction(SALT)

    def admitted(user: str | None, sent: float, answered: float) -> bool:
        return history.may_serve("green", user, sent, answered, bucket_of)

    requests = read_log(world.directory / "clients.jsonl").requests
    assert any(request.variant == "green" for request in requests)
    assert served_without_admission(requests, "green", admitted) == []


async def test_a_ramp_whose_worker_was_killed_in_a_shift_goes_on_with_the_next_worker(world: World) -> None:
    history = RouteHistory(world.route_file)
    world.start_worker()
    async with history.observed():
        handle, users = await begin(world, history)
        try:
            await kill_worker(world)
            stood = len(history.versions)
            world.start_worker()
            await wait_until(lambda: share_in_file(history) >= 0.25, 60, "the third step in the route file")
            shares = [version.assignment.share_of("green") for version in history.versions[stood:]]
            assert shares == sorted(shares), "a share shrank or jumped after the restart"
            await handle.signal(RampWorkflow.abort, Message(actor="test"))
            result = await asyncio.wait_for(handle.result(), 30)
        finally:
            await users.terminate()
    assert result.phase is Phase.ROLLED_BACK
    assert_nobody_was_served_beyond_what_was_decided(world, history)


@pytest.mark.parametrize("moment", ["before the route is cleared", "while zero is proven"])
async def test_a_rollback_whose_worker_was_killed_is_finished_by_the_next_worker(world: World, moment: str) -> None:
    history = RouteHistory(world.route_file)
    world.start_worker()
    async with history.observed():
        handle, users = await begin(world, history)
        try:
            await handle.signal(RampWorkflow.abort, Message(actor="test"))
            if moment == "while zero is proven":
                await wait_until(lambda: share_in_file(history) == 0.0, 20, "the cleared route", interval=0.005)
            await kill_worker(world)
            world.start_worker()
            result = await asyncio.wait_for(handle.result(), 60)
        finally:
            await users.terminate()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, "operator_abort")
    assert history.versions[-1].assignment == BASELINE_ONLY
    assert_nobody_was_served_beyond_what_was_decided(world, history)
