"""Why servers are not ready: what pods, events and controllers say of it, in the words of a ramp that waits."""

from __future__ import annotations

import pytest
from kube_namespace import Namespace
from kube_workload import SIZED, Slot, full, pod, waiting

from activities.kube import KubeClient
from activities.kube.resources import EVENTS


async def test_a_stuck_pod_says_why_and_what_would_help(slot: Slot) -> None:
    await slot.make()
    await slot.says(**full(1))
    await pod(slot, "green-0", {"conditions": [{"type": "Ready", "status": "True"}]})
    await pod(slot, "green-1", waiting("ImagePullBackOff", 'Back-off pulling image "toy/chat-v2:1"'))
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
