"""A worker that dies, or sleeps through a change of hands, at any of its calls: the workload ends as it was found.

Every call of the API in a ramp's life with a workload is driven in turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from kube_namespace import Namespace
from kube_workload import LATER, RAMP, SIZED, WAYS, Slot, holder, inside, pod_autoscaler
from stepping import At, Stepping, Stopped, die

from activities.kube import KubeClient
from activities.kube.resources import POD_AUTOSCALERS
from activities.workloads import Holder
from tailramp.errors import Fenced

RAISE = {"replicas": {"full": 8, "autoscaler": "raise"}}
ALONE_AND_SCALED = [
    pytest.param(SIZED, id="alone"),
    pytest.param(RAISE, id="with an autoscaler", marks=pytest.mark.faults),
]


async def forward(slot: Slot, by: Holder) -> None:
    await slot.workload.claim(by, serves=False)
    await slot.workload.prepare("chat-v2", by)
    await slot.workload.grow(4, by)


async def whole(slot: Slot, by: Holder) -> None:
    await forward(slot, by)
    await slot.workload.restore(by, serves=False)


async def standing(slot: Slot) -> Any:
    """What matters of the object, and of its autoscaler."""
    found = await slot.read()
    scalers = await slot.place.admin.find_all(POD_AUTOSCALERS, slot.place.name)
    for pods in inside(found):
        pods["metadata"] = {key: value for key, value in pods["metadata"].items() if value}
    notes = [str(each["metadata"].get("annotations")) for each in (found, *scalers)]
    return found["spec"], [scaler["spec"] for scaler in scalers], ["tailramp" in note for note in notes]


async def made(place: Namespace, client: KubeClient, settings: dict[str, Any]) -> Slot:
    slot = Slot(place, client, "deployment", **WAYS, **settings)
    await slot.make()
    if settings is RAISE:
        await place.admin.create(POD_AUTOSCALERS, place.name, pod_autoscaler(slot, 1, 8))
    return slot


async def calls_of(place: Namespace, settings: dict[str, Any], act: Callable[[Slot], Awaitable[None]]) -> int:
    """How many calls it takes when nothing happens meanwhile."""

    async def nothing(_: int) -> None:
        return None

    async with Stepping(place.kubeconfig, before=nothing) as client:
        await act(await made(place, client, settings))
        return client.calls


async def gone(slot: Slot) -> None:
    await slot.place.admin.delete(slot.resource, slot.place.name, "chat-green")
    for scaler in await slot.place.admin.find_all(POD_AUTOSCALERS, slot.place.name):
        await slot.place.admin.delete(POD_AUTOSCALERS, slot.place.name, scaler["metadata"]["name"])


@pytest.mark.parametrize("settings", ALONE_AND_SCALED)
@pytest.mark.parametrize("after", [whole, None], ids=["goes on", "goes back"])
async def test_killed_at_any_call_it_is_put_back_whether_the_ramp_goes_on_or_back(
    place: Namespace, settings: dict[str, Any], after: Callable[[Slot, Holder], Awaitable[None]] | None
) -> None:
    points = await calls_of(place, settings, lambda slot: whole(slot, holder()))
    assert points >= 8
    async with KubeClient(place.kubeconfig) as second:
        reached = 0
        for point in range(points):
            before = At(point, die, and_later=True)
            async with Stepping(place.kubeconfig, before=before) as first:
                await gone(Slot(place, second, "deployment"))
                slot = await made(place, first, settings)
                found = await standing(slot)
                with pytest.raises(Stopped):
                    await whole(slot, holder())
            again = Slot(place, second, "deployment", **WAYS, **settings)
            if after is not None:
                await after(again, holder())
            else:
                await again.workload.restore(holder(), serves=False)
            assert await standing(again) == found, point
            reached += before.reached
        assert reached == points


@pytest.mark.parametrize("settings", ALONE_AND_SCALED)
async def test_asleep_at_any_call_while_a_later_ramp_takes_the_slot_it_changes_nothing_of_that_ramps(
    place: Namespace, settings: dict[str, Any]
) -> None:
    """The later ramp finds its own model served there already; the earlier one is fenced from then on."""
    points = await calls_of(place, settings, lambda slot: forward(slot, holder()))
    async with KubeClient(place.kubeconfig) as second:
        for point in range(points):
            await gone(Slot(place, second, "deployment"))
            later = Slot(place, second, "deployment", **WAYS, **settings)
            taken: list[Any] = []

            async def take(later: Slot = later, taken: list[Any] = taken) -> None:
                await later.workload.prepare("chat-v9", holder(LATER))
                await later.workload.grow(6, holder(LATER))
                taken.append(await standing(later))

            async def check(taken: list[Any] = taken) -> None:
                if taken:
                    raise Fenced("llm/chat is held by another ramp")

            async with Stepping(place.kubeconfig, before=At(point, take)) as first:
                slot = await made(place, first, settings)
                outcome = await asyncio.gather(forward(slot, Holder(RAMP, check)), return_exceptions=True)
            assert isinstance(outcome[0], Fenced), (point, outcome)
            assert await standing(later) == taken[0], point
