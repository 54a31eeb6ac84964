"""Whoever is served finds the servers that the share needs, and everybody finds them where he would return to, whoever
writes late: on a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cluster_command import run
from kube_namespace import Namespace
from kube_workload import RAMP, Slot, holder, may
from living_kube import LivingKube
from living_workloads import living_workloads, platform_file
from record_changes import GREEN as ON_GREEN
from record_changes import RAMP as ROUTES_RAMP
from record_changes import conclude, roll_back, serve, take_over
from slot_objects import RULES
from temporalio.exceptions import ApplicationError
from test_workload_refusals import running

from activities.capacity import CapacityActivities
from activities.kube import KubeClient, Resource
from activities.kube.client import Object, Operation
from activities.kube.resources import DEPLOYMENTS
from activities.leaving import LeavingActivities
from activities.workloads import Holder, make_workload
from lab.process import wait_until
from lab.sample_route import on_green
from lab.workload_player import WorkloadPlayer
from tailramp.activity_contract import LeaveRequest, RetireRequest, RoomRequest
from tailramp.assignment import Assignment
from tailramp.errors import Fenced
from tailramp.route_record import lifted
from tailramp.spec import RampSpec, load_platform

pytestmark = pytest.mark.usefixtures("commands")


@pytest.mark.parametrize("has", [2, 8])
async def test_what_is_let_go_late_takes_nothing_of_what_was_asked_for_since(
    place: Namespace, client: KubeClient, has: int
) -> None:
    """Also where that changed no number: as many servers were there already."""
    slot = Slot(place, client, "deployment", replicas={"full": 8})
    await slot.make(replicas=has)
    asleep = True

    async def sleeps() -> None:
        nonlocal asleep
        if asleep:
            asleep = False
            await slot.workload.grow(8, Holder(RAMP, may, order=5))

    await slot.workload.claim(Holder(RAMP, may), serves=False)
    with pytest.raises(Fenced, match="has asked for other servers since"):
        await slot.workload.shrink(1, Holder(RAMP, sleeps, order=4))
    assert (await slot.read())["spec"]["replicas"] == 8


async def test_what_is_asked_for_late_takes_nothing_either(place: Namespace, client: KubeClient) -> None:
    slot = Slot(place, client, "deployment", replicas={"full": 8})
    await slot.make(replicas=1)
    asleep = True

    async def sleeps() -> None:
        nonlocal asleep
        if asleep:
            asleep = False
            await slot.workload.grow(6, Holder(RAMP, may))

    await slot.workload.grow(3, Holder(RAMP, sleeps))
    assert (await slot.read())["spec"]["replicas"] == 6


async def test_servers_of_before_are_waited_for_until_the_last_of_them_has_gone(slot: Slot) -> None:
    """Whatever the kind's controller tells: one of two can be replaced at first."""
    await slot.make(replicas=2)
    async with WorkloadPlayer(slot.place.admin, slot.place.name, slot.resource, beat=0.02) as player:

        async def are_there() -> bool:
            return (await slot.workload.ready(2, 0)).is_done

        await wait_until(are_there, 60, "both servers are ready")
        player.at_most["chat-green"] = 1
        await slot.workload.prepare("chat-v2", holder())
        assert not (await slot.workload.ready(2, 0)).is_done

        async def one_is_left() -> bool:
            return (await slot.workload.ready(2, 0)).leftovers == 1

        if slot.kind != "leaderworkerset":  # which only tells that an update is under way
            await wait_until(one_is_left, 60, "one of before is left")
        await asyncio.sleep(1.1)  # longer than the second in which objects tell when something changed
        assert not await are_there()
        del player.at_most["chat-green"]
        await wait_until(are_there, 60, "none of before is left")


@pytest.fixture
async def living(namespace: Namespace, tmp_path: Path) -> AsyncIterator[LivingKube]:
    async with living_workloads(namespace, tmp_path / "living", blue=2, green=0) as living:
        yield living


async def test_a_baseline_that_was_found_too_small_stays_whole_until_everybody_is_back(
    living: LivingKube, tmp_path: Path
) -> None:
    spec = living.spec.model_copy(update={"platform": load_platform(platform_file(living, tmp_path))})
    there = WorkloadPlayer(living.admin, living.namespace)
    async with there:
        await living.router.prepare(take_over(), ["green"])
        now, epoch = living.plan.baseline_only, 1
        for last in ("09", "49", "09", "74", "24"):
            target = on_green(f"00-{last}")
            grows = target.share_of("green") > now.share_of("green")
            epoch += 1
            if grows:
                await make_room(living, spec, epoch - 1, now, target, waits=True)
            await living.router.apply(serve(target, epoch))
            if not grows:
                await make_room(living, spec, epoch, target, target, waits=False)
            now = target
        await living.router.clear(roll_back(epoch + 1))
        await running().run(
            LeavingActivities(living.clients).leave_workloads, LeaveRequest(spec=spec, ramp=ROUTES_RAMP)
        )
        found = [await living.admin.get(DEPLOYMENTS, living.namespace, f"chat-{slot}") for slot in ("blue", "green")]
    assert [each["spec"]["replicas"] for each in found] == [2, 0]
    assert there.sizes["chat-blue"] in ([2, 4], [2, 4, 2])  # back only when nobody was on the candidate any more
    assert [size for size in there.sizes["chat-green"] if size] == [1, 2, 1, 3, 1]


async def make_room(
    living: LivingKube, spec: RampSpec, epoch: int, now: Assignment, then: Assignment, *, waits: bool
) -> None:
    request = RoomRequest(
        spec=spec, ramp=ROUTES_RAMP, plan=living.plan, epoch=epoch, serving=now, assignment=then, waits=waits
    )
    await running().run(CapacityActivities(living.clients).make_room, request)


async def test_a_worker_that_was_letting_servers_go_takes_none_of_those_who_were_sent_back_there(
    living: LivingKube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fell asleep after it had noted that, and had asked the record, and wakes when everyone is back."""
    path = platform_file(living, tmp_path)
    async with asleep_before_it_lets_go(living, path, monkeypatch) as retiring:
        said = await everyone_is_sent_back(living, path)
        assert "blue asks for 2 servers, and no worker takes any of them away now." in said
        await living.router.apply(lifted)
    with pytest.raises(ApplicationError, match="green does not serve everyone"):
        await retiring
    found = await living.admin.get(DEPLOYMENTS, living.namespace, "chat-blue")
    assert found["spec"]["replicas"] == 2
    assert found["metadata"]["annotations"]["tailramp/kept"] == f"epoch {(await living.router.record()).epoch}"


async def test_whoever_may_not_keep_them_hears_how_few_may_be_left(
    living: LivingKube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = platform_file(living, tmp_path)
    async with asleep_before_it_lets_go(living, path, monkeypatch) as retiring:
        await living.within.allow([rule for rule in RULES if "deployments" not in rule["resources"]])
        said = await everyone_is_sent_back(living, path)
        assert "blue keeps at least 0 servers (replicas.idle): scale it up." in said
        assert f"deployment {living.namespace}/chat-blue could not be held, and a worker may still bring it" in said
        await living.within.allow(RULES)
    with pytest.raises(ApplicationError, match="was shut off by"):  # only what would have come next
        await retiring
    assert (await living.admin.get(DEPLOYMENTS, living.namespace, "chat-blue"))["spec"]["replicas"] == 0


async def everyone_is_sent_back(living: LivingKube, platform: Path) -> str:
    """By a person; returns what he is told."""
    back = ("kill", "--platform", str(platform), "--to-previous", "--force")
    code, out, err = await run(living.within.kubeconfig, *back)
    assert code == 0, err
    return " ".join((out + err).split())


async def promoted(living: LivingKube, spec: RampSpec) -> None:
    """Everyone is on green, the ramp has baked, and all servers of blue are there still."""
    await living.router.prepare(take_over(), ["green"])
    for slot in ("blue", "green"):
        await make_workload(spec.platform, slot, living.clients).claim(Holder(ROUTES_RAMP, may), serves=slot == "blue")
    await living.router.apply(serve(on_green("00-49"), 2))
    await living.router.apply(serve(ON_GREEN, 3))
    await living.router.prepare(conclude(4))


@asynccontextmanager
async def asleep_before_it_lets_go(
    living: LivingKube, platform: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[asyncio.Task[object]]:
    """A worker that retires blue, asleep before the write that makes it smaller; it wakes at the end."""
    spec = living.spec.model_copy(update={"platform": load_platform(platform)})
    await promoted(living, spec)
    client = living.clients.kube(None)
    patch, asleep, wakes = client.patch, asyncio.Event(), asyncio.Event()

    async def sleeps(resource: Resource, namespace: str, name: str, operations: list[Operation]) -> Object:
        if name == "chat-blue" and not asleep.is_set():
            asleep.set()
            await wakes.wait()
        return await patch(resource, namespace, name, operations)

    monkeypatch.setattr(client, "patch", sleeps)
    request = RetireRequest(spec=spec, ramp=ROUTES_RAMP, old="blue", new="green")
    retiring = asyncio.ensure_future(running().run(LeavingActivities(living.clients).retire_old_slot, request))
    try:
        await asyncio.wait_for(asleep.wait(), 60)
        assert (await living.router.record()).previous_servers == 0
        yield retiring
    finally:
        wakes.set()
        await asyncio.wait([retiring])
