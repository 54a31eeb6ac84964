"""Deployments, StatefulSets and LeaderWorkerSets on a real API server, written by a user who may do just that.

No controller runs: the tests write the statuses that controllers would write.
"""

from __future__ import annotations

from typing import Any

import pytest
from kube_namespace import Namespace
from kube_workload import (
    LATER,
    RAMP,
    SIZED,
    WAYS,
    Slot,
    body,
    full,
    holder,
    inside,
    may,
    said,
)

from activities.kube import KubeClient
from activities.workloads import Holder
from tailramp.errors import Fenced


async def test_a_model_is_put_into_every_place_that_names_it_and_taken_out_again_without_a_trace(slot: Slot) -> None:
    found = await slot.make()
    assert await slot.workload.preflight("chat-v2") == []
    await slot.workload.prepare("chat-v2", holder())
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
    await slot.workload.prepare("chat-v2", holder())
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
    await slot.workload.prepare("chat-v2", holder())
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


async def test_what_the_controller_said_of_an_earlier_object_counts_for_nothing(slot: Slot) -> None:
    await slot.make()
    await slot.says(**full(2))
    await slot.workload.prepare("chat-v2", holder())
    progress = await slot.workload.ready(2, 0)
    assert (progress.ready, progress.is_done) == (0, False)
    await slot.workload.grow(2, Holder(RAMP, may, order=3))  # a write that leaves the servers alone
    assert not (await slot.workload.ready(2, 0)).is_done


async def test_a_controller_that_tells_no_generation_has_seen_a_change_once_it_says_something_else(
    place: Namespace, client: KubeClient
) -> None:
    """LeaderWorkerSet up to 0.7, from groups of the old model to groups of the new one."""
    slot = Slot(place, client, "leaderworkerset", **WAYS, **SIZED)

    async def says(updated: int, updating: bool, at: str) -> bool:
        told = {"type": "UpdateInProgress", "status": str(updating), "lastTransitionTime": f"2026-03-01T{at}Z"}
        told |= {"reason": "GroupsUpdating", "message": "a test"}
        await slot.says(**{**full(2), "updatedReplicas": updated}, conditions=[told])
        return (await slot.workload.ready(2, 0)).is_done

    await slot.make()
    assert await says(2, False, "10:00:00")
    await slot.workload.prepare("chat-v2", holder())
    assert not (await slot.workload.ready(2, 0)).is_done
    assert not await says(1, True, "10:05:00")
    assert not await says(2, True, "10:05:00")
    assert await says(2, False, "10:40:00")


async def test_where_there_were_no_servers_the_controller_has_nothing_else_to_say(slot: Slot) -> None:
    await slot.make(replicas=0)
    await slot.says(replicas=0)
    await slot.workload.prepare("chat-v2", holder())
    await slot.says(replicas=0)
    assert (await slot.workload.ready(0, 0)).is_done


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
            raise Fenced("llm/chat is held by another ramp")
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
            raise Fenced("llm/chat is held by another ramp")
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

    await slot.workload.prepare("chat-v2", Holder(RAMP, replaced))
    found = await slot.read()
    assert found["metadata"]["labels"] == {"made": "anew"}
    assert inside(found)[0]["spec"]["containers"][0]["image"] == "toy/chat-v2:1"


# What stands in the way.


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
