"""The Role of ``deploy/kubernetes/workload-access`` is enough for everything, and no right of it could be left out."""

from __future__ import annotations

import copy

import pytest
from kube_namespace import WORKLOAD_RULES, Namespace
from kube_workload import (
    KINDS,
    SIZED,
    WAYS,
    Slot,
    full,
    holder,
    kedas_own,
    pod,
    pod_autoscaler,
    said,
    scaled_object,
    waiting,
)

from activities.kube import KubeClient
from activities.kube.resources import POD_AUTOSCALERS, SCALED_OBJECTS
from tailramp.errors import TailrampError

RIGHTS = [
    (kind, verb, index)
    for index, rule in enumerate(WORKLOAD_RULES)
    for kind in rule["resources"]
    for verb in rule["verbs"]
]


async def life(place: Namespace, client: KubeClient) -> None:
    """Everything that is ever done with workloads.  Raises if anything of it is not possible."""
    scalers = {"statefulset": (POD_AUTOSCALERS, pod_autoscaler), "leaderworkerset": (SCALED_OBJECTS, scaled_object)}
    for kind in KINDS:
        slot = Slot(place, client, kind, **WAYS, replicas={"full": 8, "autoscaler": "raise"})
        await slot.make()
        await slot.says(**full(0))
        if kind in scalers:
            resource, made = scalers[kind]
            body = made(slot, 1, 8)
            body["metadata"]["name"] = f"{kind}-scaler"
            await place.admin.create(resource, place.name, body)
        if kind == "leaderworkerset":
            await place.admin.create(POD_AUTOSCALERS, place.name, kedas_own(slot))
        if kind == "deployment":
            await pod(slot, "green-0", waiting("CrashLoopBackOff", restarts=3))
        assert await slot.workload.preflight("chat-v2") == []
        await slot.workload.prepare("chat-v2", holder())
        await slot.workload.grow(4, holder())
        assert (await slot.workload.ready(4, 0)).stuck or kind != "deployment"
        assert (await slot.workload.restore(holder(), serves=False)).touched
        if kind in scalers:
            floor = await place.admin.get(scalers[kind][0], place.name, f"{kind}-scaler")
            assert 1 in floor["spec"].values()


async def test_a_user_with_the_role_can_do_everything(place: Namespace, client: KubeClient) -> None:
    await life(place, client)


@pytest.mark.parametrize(("kind", "verb", "index"), RIGHTS)
async def test_no_right_could_be_left_out(
    place: Namespace, client: KubeClient, kind: str, verb: str, index: int
) -> None:
    rules = copy.deepcopy(WORKLOAD_RULES)
    rule = rules[index]
    rule["resources"].remove(kind)
    rules.append({**rule, "resources": [kind], "verbs": [each for each in rule["verbs"] if each != verb]})
    await place.allow([each for each in rules if each["verbs"] and each["resources"]])
    with pytest.raises((TailrampError, AssertionError)):
        await life(place, client)


async def test_preflight_names_every_right_that_is_missing(place: Namespace, client: KubeClient) -> None:
    await place.allow([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}])
    text = await said(Slot(place, client, "deployment", **SIZED))
    for missing in ("patch deployments", "list pods", "list events", "list horizontalpodautoscalers"):
        assert f"this process may not {missing} in namespace {place.name}" in text
