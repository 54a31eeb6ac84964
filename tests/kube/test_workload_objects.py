"""Deployments, StatefulSets and LeaderWorkerSets on a real API server, written by a user who may do just that.

No controller runs: the tests write the statuses that controllers would write.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from kube_namespace import WORKLOAD_RULES, Namespace
from kube_workload import (
    KINDS,
    LATER,
    RAMP,
    SIZED,
    WAYS,
    Slot,
    body,
    full,
    holder,
    inside,
    pod_autoscaler,
)

from activities.kube import KubeClient, Resource
from activities.kube.resources import (
    EVENTS,
    POD_AUTOSCALERS,
    PODS,
    SCALED_OBJECTS,
)
from activities.workloads import Holder
from tailramp.errors import Fenced, TailrampError


@pytest.fixture(params=list(KINDS))
def slot(request: pytest.FixtureRequest, place: Namespace, client: KubeClient) -> Slot:
    return Slot(place, client, request.param, **WAYS, **SIZED)


async def test_a_model_is_put_into_every_place_that_names_it_and_taken_out_again_without_a_trace(slot: Slot) -> None:
    found = await slot.make()
    assert await slot.workload.preflight("chat-v2") == []
    assert await slot.workload.prepare("chat-v2", holder())
    changed = await slot.read()
    for pods in inside(changed):
        (server,) = pods["spec"]["containers"]
        assert server["image"] == "toy/chat-v2:1"
        assert server["args"] == [
            *("--model", "oss://llm-models/chat-v2", "--port=8000"),
            *("--served-model-name", "chat-v2"),
        ]
        assert [(each["name"], each["value"]) for each in server["env"]] == [
            ("MODEL_URI", "oss://llm-models/chat-v2"),
            ("TZ", "Asia/Shanghai"),
        ]
        assert pods["metadata"]["annotations"] == {"example.com/model": "chat-v2"}
        assert pods["metadata"]["labels"] == {"app": "chat-green", "model-version": "chat-v2"}
    assert not await slot.workload.prepare("chat-v2", holder())
    assert (await slot.read())["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]
    await slot.workload.grow(5, holder())
    assert (await slot.read())["spec"]["replicas"] == 5
    assert (await slot.workload.size(), await slot.workload.found_size()) == (5, 2)
    restored = await slot.workload.restore(holder(), serves=False)
    assert (restored.touched, restored.left) == (True, ())
    back = await slot.read()
    for pods in (*inside(back), *inside(found)):
        pods["metadata"].pop("annotations", None)  # an empty one may be left
    assert back["spec"] == found["spec"]
    assert "tailramp" not in str(back["metadata"].get("annotations"))
    assert not (await slot.workload.restore(holder(), serves=False)).touched


async def test_a_template_without_metadata_is_given_some(place: Namespace, client: KubeClient) -> None:
    slot = Slot(place, client, "leaderworkerset", **WAYS, **SIZED)
    made = body("leaderworkerset")
    del made["spec"]["leaderWorkerTemplate"]["workerTemplate"]["metadata"]
    await place.admin.create(slot.resource, place.name, made)
    assert await slot.workload.prepare("chat-v2", holder())
    _, workers = inside(await slot.read())
    assert workers["metadata"]["annotations"] == {"example.com/model": "chat-v2"}
    await slot.workload.restore(holder(), serves=False)
    _, workers = inside(await slot.read())
    assert "chat-v2" not in str(workers)


async def test_servers_are_ready_once_the_controller_has_seen_the_change_and_none_of_before_is_left(slot: Slot) -> None:
    await slot.make()
    workload = slot.workload
    await slot.says(**full(2))
    assert (await workload.ready(2, 0)).is_done
    await slot.says(**full(1))
    assert str(await workload.ready(2, 0)).startswith("1 of 2 ")
    revisions = {"currentRevision": "a", "updateRevision": "b"} if slot.kind == "statefulset" else {}
    await slot.says(**{**full(2), "updatedReplicas": 1}, **revisions)
    progress = await workload.ready(1, 0)
    assert (progress.is_done, progress.leftovers) == (False, 1)
    assert "1 of before are still there" in str(progress)


@pytest.mark.parametrize("kind", ["deployment", "statefulset"])
async def test_what_the_controller_said_of_an_earlier_object_counts_for_nothing(
    place: Namespace, client: KubeClient, kind: str
) -> None:
    slot = Slot(place, client, kind, **WAYS, **SIZED)
    await slot.make()
    await slot.says(**full(2))
    await slot.workload.prepare("chat-v2", holder())
    progress = await slot.workload.ready(2, 0)
    assert (progress.ready, progress.is_done) == (0, False)


async def test_what_somebody_else_has_changed_is_named_and_left(slot: Slot) -> None:
    await slot.make()
    await slot.workload.prepare("chat-v2", holder())
    await slot.workload.grow(4, holder())
    await slot.change(f"{slot.containers}/0/image", "toy/hotfix:1")
    restored = await slot.workload.restore(holder(), serves=False)
    (left,) = restored.left
    assert f"{slot.containers}/0/image was changed by admin" in left
    back = await slot.read()
    assert inside(back)[-1]["spec"]["containers"][0]["image"] == "toy/hotfix:1"
    assert inside(back)[-1]["spec"]["containers"][0]["args"][1] == "oss://llm-models/chat-v0"
    assert back["spec"]["replicas"] == 2


async def test_a_ramp_after_one_that_was_shut_off_still_knows_what_was_found_first(slot: Slot) -> None:
    await slot.make()
    await slot.workload.prepare("chat-v2", holder())
    await slot.workload.prepare("chat-v3", holder(LATER))
    assert not (await slot.workload.restore(holder(), serves=False)).touched
    await slot.workload.restore(holder(LATER), serves=False)
    assert inside(await slot.read())[0]["spec"]["containers"][0]["image"] == "toy/chat-v0:1"


async def test_where_users_are_served_only_the_number_goes_back(slot: Slot) -> None:
    await slot.make()
    await slot.workload.prepare("chat-v2", holder())
    await slot.workload.grow(4, holder())
    await slot.workload.restore(holder(), serves=True)
    back = await slot.read()
    assert back["spec"]["replicas"] == 2
    assert inside(back)[0]["spec"]["containers"][0]["image"] == "toy/chat-v2:1"


async def test_a_ramp_that_goes_back_leaves_the_servers_that_an_earlier_one_has_promoted(slot: Slot) -> None:
    """Nothing had come to say that the promoted ramp was over: its notes still stand when the next one begins."""
    await slot.make(replicas=1)
    await slot.workload.prepare("chat-v2", holder())
    await slot.workload.grow(8, holder())
    await slot.workload.claim(holder(LATER), serves=True)
    await slot.workload.grow(9, holder(LATER))
    await slot.workload.claim(holder(LATER), serves=True)  # its worker has died, and another begins again
    assert (await slot.workload.restore(holder(LATER), serves=True)).left == ()
    stands = await slot.read()
    assert stands["spec"]["replicas"] == 8
    assert inside(stands)[0]["spec"]["containers"][0]["image"] == "toy/chat-v2:1"
    assert "tailramp" not in str(stands["metadata"].get("annotations"))


async def test_after_a_promotion_what_stands_is_normal_and_the_old_slot_shrinks(slot: Slot) -> None:
    await slot.make()
    await slot.workload.prepare("chat-v2", holder())
    await slot.workload.retire(0, holder())
    stands = await slot.read()
    assert stands["spec"]["replicas"] == 0
    assert "tailramp" not in str(stands["metadata"].get("annotations"))
    assert not (await slot.workload.restore(holder(), serves=False)).touched


async def test_a_write_that_comes_late_meets_a_changed_object_and_a_route_that_is_not_its_own(slot: Slot) -> None:
    """The writer was stopped after it had asked whether it may: a later ramp has taken the slot meanwhile."""
    await slot.make()
    asked = 0

    async def frozen_once() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise Fenced("llm/chat is held by another ramp", holder=LATER, epoch=9)
        await slot.workload.prepare("chat-v9", holder(LATER))

    with pytest.raises(Fenced):
        await slot.workload.prepare("chat-v2", Holder(RAMP, frozen_once))
    assert inside(await slot.read())[0]["spec"]["containers"][0]["image"] == "toy/chat-v9:1"


async def test_an_earlier_ramps_write_comes_too_late_once_a_later_one_has_claimed_the_workload(slot: Slot) -> None:
    """The later ramp has changed nothing: its model was there already."""
    await slot.make()
    asked = 0

    async def frozen_once() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise Fenced("llm/chat is held by another ramp", holder=LATER, epoch=9)
        await slot.workload.claim(holder(LATER), serves=False)

    with pytest.raises(Fenced):
        await slot.workload.shrink(0, Holder(RAMP, frozen_once))
    assert (await slot.read())["spec"]["replicas"] == 2
    assert await slot.workload.written_by() == LATER


async def test_an_object_that_was_made_anew_is_not_taken_for_the_old(slot: Slot) -> None:
    await slot.make()

    async def replaced() -> None:
        if (await slot.read())["metadata"].get("labels") is None:
            await slot.place.admin.delete(slot.resource, slot.place.name, "chat-green")
            again = body(slot.kind)
            again["metadata"]["labels"] = {"made": "anew"}
            await slot.place.admin.create(slot.resource, slot.place.name, again)

    assert await slot.workload.prepare("chat-v2", Holder(RAMP, replaced))
    found = await slot.read()
    assert found["metadata"]["labels"] == {"made": "anew"}
    assert inside(found)[0]["spec"]["containers"][0]["image"] == "toy/chat-v2:1"


# What stands in the way.


async def said(slot: Slot, model: str | None = "chat-v2") -> str:
    return " ".join(str(problem) for problem in await slot.workload.preflight(model))


async def test_an_object_that_is_not_there_is_named(slot: Slot) -> None:
    assert f"there is no {slot.kind} {slot.place.name}/chat-green" in await said(slot)


async def test_an_object_of_another_controller_is_refused(slot: Slot) -> None:
    await slot.make()
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "chat", "uid": "u", "controller": True}
    change = {"op": "add", "path": "/metadata/ownerReferences", "value": [owner]}
    await slot.place.admin.patch(slot.resource, slot.place.name, "chat-green", [change])
    assert "belongs to Rollout/chat, whose controller would undo every change" in await said(slot)


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("deployment", {"paused": True}, "it is paused, so a changed template reaches no pod"),
        ("statefulset", {"updateStrategy": {"type": "OnDelete"}}, "only when somebody deletes them (OnDelete)"),
        (
            "statefulset",
            {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}},
            "pods below number 1 keep the old template",
        ),
        (
            "leaderworkerset",
            {"rolloutStrategy": {"type": "RollingUpdate", "rollingUpdateConfiguration": {"partition": 1}}},
            "groups below number 1 keep the old template",
        ),
    ],
)
async def test_a_template_that_would_not_reach_every_server_is_refused(
    place: Namespace, client: KubeClient, kind: str, changes: dict[str, Any], reason: str
) -> None:
    slot = Slot(place, client, kind, **WAYS, **SIZED)
    await slot.make(**changes)
    assert reason in await said(slot)
    assert await said(slot, None) == ""


async def test_no_servers_and_nobody_who_adds_any_is_refused(place: Namespace, client: KubeClient) -> None:
    slot = Slot(place, client, "deployment")
    await slot.make(replicas=0)
    assert "has no servers, and nobody adds any" in await said(slot, None)


# Who else sets the number.


def scaled_object(slot: Slot, least: int, most: int) -> dict[str, Any]:
    target = {"apiVersion": slot.resource.api_version, "kind": slot.resource.kind, "name": "chat-green"}
    trigger = {"type": "prometheus", "metadata": {"query": "up", "threshold": "1", "serverAddress": "http://p"}}
    spec = {"scaleTargetRef": target, "minReplicaCount": least, "maxReplicaCount": most, "triggers": [trigger]}
    return {"metadata": {"name": "chat-green"}, "spec": spec}


def kedas_own(slot: Slot) -> dict[str, Any]:
    """What KEDA makes of a ScaledObject."""
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "chat", "uid": "u", "controller": True}
    return pod_autoscaler(slot, 1, 8, ownerReferences=[owner])


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


@pytest.mark.parametrize(("resource", "made", "field"), SCALERS)
async def test_an_upper_bound_below_what_everyone_needs_is_refused(
    place: Namespace, client: KubeClient, resource: Resource, made: Any, field: str
) -> None:
    assert field
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


async def test_an_autoscaler_that_keda_has_made_is_not_written_behind_its_back(
    place: Namespace, client: KubeClient
) -> None:
    slot = Slot(place, client, "deployment", replicas={"full": 8, "autoscaler": "raise"})
    await slot.make()
    await place.admin.create(POD_AUTOSCALERS, place.name, kedas_own(slot))
    assert "and belongs to ScaledObject/chat" in await said(slot)


# Why servers are not ready.


async def pod(slot: Slot, name: str, status: dict[str, Any]) -> None:
    container = {"name": "server", "image": "toy/chat-v2:1"}
    labels = {"app": "chat-green", "leaderworkerset.sigs.k8s.io/name": "chat-green"}
    made = {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [container]}}
    await slot.place.admin.create(PODS, slot.place.name, made)
    change = [{"op": "add", "path": "/status", "value": status}]
    await slot.place.admin.patch(PODS, slot.place.name, name, change, subresource="status")


async def test_a_stuck_pod_says_why_and_what_would_help(slot: Slot) -> None:
    await slot.make()
    await slot.says(**full(1))
    await pod(slot, "green-0", {"conditions": [{"type": "Ready", "status": "True"}]})
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "toy/chat-v2:1"'}
    state = {"name": "server", "image": "i", "imageID": "", "ready": False, "restartCount": 0}
    await pod(slot, "green-1", {"containerStatuses": [{**state, "state": {"waiting": waiting}}]})
    progress = await slot.workload.ready(2, 0)
    assert 'green-1 is in ImagePullBackOff: Back-off pulling image "toy/chat-v2:1"' in str(progress)
    assert progress.mend == "Check the image's name and the pull secret"


async def test_a_pod_that_pulls_says_for_how_long(slot: Slot) -> None:
    await slot.make()
    await slot.says(**full(0))
    await pod(slot, "green-0", {"startTime": "2026-03-01T10:00:00Z"})
    reference = {"kind": "Pod", "name": "green-0", "namespace": slot.place.name}
    event = {
        "metadata": {"name": "green-0.1"},
        "involvedObject": reference,
        "reason": "Pulling",
        "lastTimestamp": "2026-03-01T10:00:00Z",
    }
    await slot.place.admin.create(EVENTS, slot.place.name, event)
    progress = await slot.workload.ready(2, 1772359200 + 12 * 60 + 5)
    assert str(progress).endswith("pulling the image 12 min")


async def test_a_quota_that_lets_no_pod_be_made_is_told(place: Namespace, client: KubeClient) -> None:
    slot = Slot(place, client, "deployment", **SIZED)
    await slot.make()
    message = 'pods "chat-green-x" is forbidden: exceeded quota: gpus, requested: nvidia.com/gpu=8'
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    await slot.says(**full(0), conditions=[failure])
    progress = await slot.workload.ready(2, 0)
    assert "exceeded quota: gpus" in str(progress)
    assert progress.mend == "Raise the quota of the namespace, or need fewer servers"


@pytest.mark.parametrize("kind", ["statefulset", "leaderworkerset"])
async def test_where_the_object_does_not_tell_an_event_does(place: Namespace, client: KubeClient, kind: str) -> None:
    slot = Slot(place, client, kind, **SIZED)
    found = await slot.make()
    await slot.says(**full(0))
    message = 'pods "chat-green-0" is forbidden: exceeded quota: gpus'
    reference = {"kind": found["kind"], "name": "chat-green", "namespace": place.name, "uid": found["metadata"]["uid"]}
    event = {"metadata": {"name": "e"}, "involvedObject": reference, "reason": "FailedCreate", "message": message}
    await place.admin.create(EVENTS, place.name, {**event, "lastTimestamp": "2026-03-01T10:00:00Z"})
    assert "exceeded quota: gpus" in str(await slot.workload.ready(2, 0))


# Rights.

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
            waiting = {"reason": "CrashLoopBackOff"}
            state = {"name": "server", "image": "i", "imageID": "", "ready": False, "restartCount": 3}
            await pod(slot, "green-0", {"containerStatuses": [{**state, "state": {"waiting": waiting}}]})
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
