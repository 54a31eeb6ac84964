"""The Role of ``deploy/kubernetes/workload-access`` is enough for everything, and no right of it could be left out."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

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
from activities.kube.resources import LEADER_WORKER_SETS, POD_AUTOSCALERS, SCALED_OBJECTS
from activities.workloads import rights
from activities.workloads.leaderworkerset import LeaderWorkerSetShape
from tailramp.errors import TailrampError

RIGHTS = [
    (kind, verb, index)
    for index, rule in enumerate(WORKLOAD_RULES)
    for kind in rule["resources"]
    for verb in rule["verbs"]
]
RAISED = {"replicas": {"full": 8, "autoscaler": "raise"}}
SCALERS = {"statefulset": (POD_AUTOSCALERS, pod_autoscaler), "leaderworkerset": (SCALED_OBJECTS, scaled_object)}


async def made(place: Namespace, client: KubeClient) -> list[Slot]:
    """One of each kind, two of them with something that scales it."""
    slots = [Slot(place, client, kind, **WAYS, **RAISED) for kind in KINDS]
    for slot in slots:
        await slot.make()
        await slot.says(**full(0))
        if slot.kind in SCALERS:
            resource, body = SCALERS[slot.kind]
            scaler = body(slot, 1, 8)
            scaler["metadata"]["name"] = f"{slot.kind}-scaler"
            await place.admin.create(resource, place.name, scaler)
        if slot.kind == "leaderworkerset":
            await place.admin.create(POD_AUTOSCALERS, place.name, kedas_own(slot))
        if slot.kind == "deployment":
            await pod(slot, "green-0", waiting("CrashLoopBackOff", restarts=3))
    return slots


async def floor(slot: Slot) -> int:
    """The lower bound of what scales it, else how many servers it asks for."""
    if slot.kind not in SCALERS:
        return int((await slot.read())["spec"]["replicas"])
    spec = (await slot.place.admin.get(SCALERS[slot.kind][0], slot.place.name, f"{slot.kind}-scaler"))["spec"]
    return int(spec.get("minReplicas") or spec["minReplicaCount"])


async def life(slots: list[Slot]) -> None:
    """Everything that is ever done with workloads, but for asking beforehand.  Raises if anything is not possible."""
    for slot in slots:
        before = await floor(slot)
        await slot.workload.prepare("chat-v2", holder())
        await slot.workload.grow(4, holder())
        assert await floor(slot) == 4
        assert (await slot.workload.ready(4, 0)).stuck or slot.kind != "deployment"
        assert (await slot.workload.restore(holder(), serves=False)).touched
        assert await floor(slot) == before


async def asked(slots: list[Slot]) -> str:
    """What preflight finds in the way, in words."""
    return " ".join(filter(None, [await said(slot) for slot in slots]))


def without(kind: str, verb: str, index: int) -> list[dict[str, Any]]:
    """The rules but for one right."""
    rules = copy.deepcopy(WORKLOAD_RULES)
    rule = rules[index]
    rule["resources"].remove(kind)
    rules.append({**rule, "resources": [kind], "verbs": [each for each in rule["verbs"] if each != verb]})
    return [each for each in rules if each["verbs"] and each["resources"]]


async def test_a_user_with_the_role_can_do_everything(place: Namespace, client: KubeClient) -> None:
    slots = await made(place, client)
    assert await asked(slots) == ""
    await life(slots)


@pytest.mark.parametrize(("kind", "verb", "index"), RIGHTS)
async def test_no_right_could_be_left_out_and_preflight_names_the_one_that_is(
    place: Namespace, client: KubeClient, kind: str, verb: str, index: int
) -> None:
    slots = await made(place, client)
    await place.allow(without(kind, verb, index))
    text = await asked(slots)
    assert f"this process may not {verb} {kind}" in text
    assert f"in namespace {place.name}. Give it the Role of deploy/kubernetes/workload-access there" in text
    with pytest.raises((TailrampError, AssertionError)):
        await life(slots)


async def test_preflight_names_every_right_that_is_missing(place: Namespace, client: KubeClient) -> None:
    await place.allow([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}])
    text = await said(Slot(place, client, "deployment", **SIZED))
    lists = [f"list {kind}" for kind in ("pods", "events", "horizontalpodautoscalers", "scaledobjects")]
    for missing in ("patch deployments/chat-green", *lists):
        assert f"this process may not {missing} in namespace {place.name}" in text


async def test_a_role_that_is_narrowed_to_the_slots_is_enough(place: Namespace, client: KubeClient) -> None:
    rules = copy.deepcopy(WORKLOAD_RULES)
    for rule in rules:
        if "list" not in rule["verbs"]:
            rule["resourceNames"] = ["chat-green"]
    await place.allow(rules)
    slots = await made(place, client)
    assert await asked(slots) == ""
    await life(slots)
    for rule in rules:
        rule["resourceNames"] = ["chat-red"] * ("list" not in rule["verbs"])
    await place.allow(rules)
    assert f"may not patch deployments/chat-green in namespace {place.name}" in await asked(slots)


async def test_preflight_asks_for_nothing_that_the_slot_will_not_use(place: Namespace, client: KubeClient) -> None:
    """An autoscaler is written only where there is one, and only by those whose files say so."""
    slots = await made(place, client)
    await place.allow(
        [{**rule, "verbs": ["list"]} if "keda" in rule["apiGroups"][0] else rule for rule in WORKLOAD_RULES]
    )
    text = await asked(slots)
    for verb in ("get", "patch"):
        assert f"may not {verb} scaledobjects/leaderworkerset-scaler in namespace {place.name}" in text
    assert await asked([slot for slot in slots if slot.kind != "leaderworkerset"]) == ""

    await place.allow([rule for rule in WORKLOAD_RULES if rule["apiGroups"][0] not in {"autoscaling", "keda.sh"}])
    assert await asked([Slot(place, client, kind, **WAYS) for kind in KINDS]) == ""
    text = await asked([Slot(place, client, "deployment", **SIZED)])
    for kind in ("horizontalpodautoscalers", "scaledobjects"):
        assert f"may not list {kind} in namespace {place.name}" in text
    assert "patch" not in text


async def test_a_kind_that_the_api_server_does_not_know_is_named_to_whoever_may_not_list_it(
    place: Namespace, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = replace(LEADER_WORKER_SETS, group="leaderworkerset.example.com")
    monkeypatch.setattr(LeaderWorkerSetShape, "resource", elsewhere)
    rule = {"apiGroups": [elsewhere.group], "resources": [elsewhere.plural], "verbs": ["get", "patch"]}
    await place.allow([*WORKLOAD_RULES, rule])
    text = await said(Slot(place, client, "leaderworkerset", **SIZED))
    assert "the API server knows no leaderworkersets.leaderworkerset.example.com. Install it" in text


async def test_where_keda_is_not_installed_nobody_asks_for_a_right_on_it(
    place: Namespace, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights, "SCALED_OBJECTS", replace(SCALED_OBJECTS, group="keda.example.com"))
    await place.allow([rule for rule in WORKLOAD_RULES if rule["apiGroups"] != ["keda.sh"]])
    slot = Slot(place, client, "deployment", **WAYS, **RAISED)
    await slot.make()
    assert await said(slot) == ""
