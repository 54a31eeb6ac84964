"""Whoever is served finds the servers that the share needs, and everybody finds them where he would return to, whoever
writes late: on a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kube_namespace import Namespace
from kube_workload import RAMP, Slot, holder, may
from living_kube import LivingKube
from living_workloads import living_workloads, platform_file
from record_changes import RAMP as ROUTES_RAMP
from record_changes import roll_back, serve, take_over
from test_workload_refusals import running

from activities.capacity import CapacityActivities, LeavingActivities
from activities.kube import KubeClient
from activities.kube.resources import DEPLOYMENTS
from activities.workloads import Holder
from lab.process import wait_until
from lab.sample_route import on_green
from lab.workload_player import WorkloadPlayer
from tailramp.activity_contract import LeaveRequest, RoomRequest
from tailramp.assignment import Assignment
from tailramp.errors import Fenced
from tailramp.spec import RampSpec, load_platform


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

        await wait_until(are_there, 20, "both servers are ready")
        player.at_most["chat-green"] = 1
        assert await slot.workload.prepare("chat-v2", holder())
        assert not (await slot.workload.ready(2, 0)).is_done

        async def one_is_left() -> bool:
            return (await slot.workload.ready(2, 0)).leftovers == 1

        if slot.kind != "leaderworkerset":  # which only tells that an update is under way
            await wait_until(one_is_left, 20, "one of before is left")
        await asyncio.sleep(1.1)  # longer than the second in which objects tell when something changed
        assert not await are_there()
        del player.at_most["chat-green"]
        await wait_until(are_there, 20, "none of before is left")


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
