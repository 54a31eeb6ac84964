"""What else sets the number of a workload's servers: refused, or written in its place and put back."""

from __future__ import annotations

from typing import Any

import pytest
from kube_namespace import Namespace
from kube_workload import WAYS, Slot, holder, kedas_own, pod_autoscaler, said, scaled_object

from activities.kube import KubeClient, Resource
from activities.kube.resources import POD_AUTOSCALERS, SCALED_OBJECTS

SCALERS = [
    (POD_AUTOSCALERS, pod_autoscaler, "minReplicas"),
    (SCALED_OBJECTS, scaled_object, "minReplicaCount"),
]


@pytest.mark.parametrize(("resource", "made", "field"), SCALERS)
async def test_an_autoscaler_is_refused_or_its_lower_bound_raised_and_put_back(
    slot: Slot, resource: Resource, made: Any, field: str
) -> None:
    await slot.make()
    await slot.place.admin.create(resource, slot.place.name, made(slot, 1, 8))
    name = resource.kind.lower()
    text = await said(slot)
    assert f"{name} chat-green keeps {slot.kind} {slot.place.name}/chat-green between 1 and 8 servers" in text
    assert "replicas.autoscaler: raise" in text

    raising = Slot(slot.place, slot.client, slot.kind, **WAYS, replicas={"full": 8, "autoscaler": "raise"})
    assert await said(raising) == ""
    assert await raising.workload.size() == 1
    await raising.workload.grow(4, holder())
    scaler = await slot.place.admin.get(resource, slot.place.name, "chat-green")
    assert scaler["spec"][field] == 4
    assert (await slot.read())["spec"]["replicas"] == 2
    assert (await raising.workload.size(), await raising.workload.found_size()) == (2, 1)
    await raising.workload.restore(holder(), serves=True)
    scaler = await slot.place.admin.get(resource, slot.place.name, "chat-green")
    assert scaler["spec"][field] == 1
    assert "tailramp" not in str(scaler["metadata"].get("annotations"))


@pytest.mark.parametrize(("resource", "made"), [scaler[:2] for scaler in SCALERS])
async def test_an_upper_bound_below_what_everyone_needs_is_refused(
    place: Namespace, client: KubeClient, resource: Resource, made: Any
) -> None:
    slot = Slot(place, client, "deployment", replicas={"full": 8, "autoscaler": "raise"})
    await slot.make()
    await place.admin.create(resource, place.name, made(slot, 1, 6))
    assert "between 1 and 6 servers, and 8 are needed. Raise its maximum to 8" in await said(slot)


async def test_a_slot_at_zero_is_woken_beside_its_autoscaler(place: Namespace, client: KubeClient) -> None:
    slot = Slot(place, client, "deployment", replicas={"full": 8, "autoscaler": "raise"})
    await slot.make(replicas=0)
    await place.admin.create(POD_AUTOSCALERS, place.name, pod_autoscaler(slot, 1, 8))
    await slot.workload.grow(2, holder())
    assert (await slot.read())["spec"]["replicas"] == 2
    await slot.workload.restore(holder(), serves=False)
    assert (await slot.read())["spec"]["replicas"] == 0


async def test_an_autoscaler_is_brought_no_lower_than_the_api_server_takes(
    place: Namespace, client: KubeClient
) -> None:
    slot = Slot(place, client, "deployment", replicas={"full": 8, "autoscaler": "raise"})
    await slot.make()
    await place.admin.create(POD_AUTOSCALERS, place.name, pod_autoscaler(slot, 3, 8))
    await slot.workload.shrink(0, holder())
    assert (await place.admin.get(POD_AUTOSCALERS, place.name, "chat-green"))["spec"]["minReplicas"] == 1
    await slot.workload.restore(holder(), serves=False)
    assert (await place.admin.get(POD_AUTOSCALERS, place.name, "chat-green"))["spec"]["minReplicas"] == 3


async def test_a_lower_bound_that_was_not_written_counts_as_the_autoscaler_means_it(
    place: Namespace, client: KubeClient
) -> None:
    slot = Slot(place, client, "deployment", replicas={"full": 8, "autoscaler": "raise"})
    await slot.make(replicas=0)
    unbounded = scaled_object(slot, 1, 8)
    del unbounded["spec"]["minReplicaCount"]
    await place.admin.create(SCALED_OBJECTS, place.name, unbounded)
    await slot.workload.grow(4, holder())
    assert (await slot.workload.size(), await slot.workload.found_size()) == (4, 0)


async def test_an_autoscaler_that_keda_has_made_is_not_written_behind_its_back(
    place: Namespace, client: KubeClient
) -> None:
    slot = Slot(place, client, "deployment", replicas={"full": 8, "autoscaler": "raise"})
    await slot.make()
    await place.admin.create(POD_AUTOSCALERS, place.name, kedas_own(slot))
    assert "and belongs to ScaledObject/chat" in await said(slot)
