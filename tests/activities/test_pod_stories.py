"""Why a pod is not ready, read from what the API server says of it."""

from __future__ import annotations

from typing import Any

import pytest

from activities.workloads.pods import story_of

NOON = 1772366400.0  # 2026-03-01T12:00:00Z


def pod(name: str = "green-0", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": status}


def waiting(reason: str, message: str = "", **container: Any) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    return pod(containerStatuses=[{"name": "server", "state": state, **container}])


def event(reason: str, message: str = "", at: str = "2026-03-01T11:48:00Z", name: str = "green-0") -> dict[str, Any]:
    return {"involvedObject": {"name": name}, "reason": reason, "message": message, "lastTimestamp": at}


UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/9 nodes are available: 9 Insufficient nvidia.com/gpu.",
}
OOM = {"restartCount": 4, "lastState": {"terminated": {"reason": "OOMKilled"}}}


@pytest.mark.parametrize(
    ("found", "events", "stuck", "mend"),
    [
        (
            pod(conditions=[UNSCHEDULABLE]),
            [],
            "green-0 finds no node (Unschedulable): 0/9 nodes are available: 9 Insufficient nvidia.com/gpu.",
            "Free or add nodes with such GPUs, or need fewer servers",
        ),
        (
            waiting("ImagePullBackOff", 'Back-off pulling image "x"'),
            [],
            'green-0 is in ImagePullBackOff: Back-off pulling image "x"',
            "Check the image's name and the pull secret",
        ),
        (waiting("InvalidImageName"), [], "green-0 is in InvalidImageName", "Mend models.image"),
        (
            waiting("CrashLoopBackOff", **OOM),
            [],
            "green-0 is in CrashLoopBackOff (OOMKilled, 4 restarts)",
            "Read `kubectl logs --previous` of it",
        ),
        (
            waiting("CreateContainerConfigError", 'secret "hf" not found'),
            [],
            'green-0 is in CreateContainerConfigError: secret "hf" not found',
            "Create the ConfigMap or Secret that it names",
        ),
        (
            waiting("ContainerCreating"),
            [event("FailedMount", 'persistentvolumeclaim "weights" not found')],
            'green-0 waits for its volumes: persistentvolumeclaim "weights" not found',
            "Create the volume, or mend its name",
        ),
        (
            pod(initContainerStatuses=[{"name": "fetch", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]),
            [],
            "green-0 is in CrashLoopBackOff",
            "Read `kubectl logs --previous` of it",
        ),
    ],
)
def test_a_pod_that_cannot_go_on_says_why_and_what_would_help(
    found: dict[str, Any], events: list[dict[str, Any]], stuck: str, mend: str
) -> None:
    story = story_of([found], events)
    assert story.stuck == stuck
    assert story.mend.startswith(mend)


RUNNING = {"name": "server", "state": {"running": {"startedAt": "2026-03-01T11:29:00Z"}}}


@pytest.mark.parametrize(
    ("found", "events", "told"),
    [
        (waiting("ContainerCreating"), [event("Scheduled"), event("Pulling")], "pulling the image 12 min"),
        (
            waiting("ContainerCreating"),
            [event("Pulling", at="2026-03-01T11:00:00Z"), event("Pulled", at="2026-03-01T11:58:00Z")],
            "starting",
        ),
        (pod(containerStatuses=[RUNNING]), [], "loading the model 31 min"),
        (pod(startTime="2026-03-01T11:59:30Z"), [], "starting"),
        (pod(startTime="2026-03-01T11:55:00Z"), [], "starting 5 min"),
        (pod(conditions=[{"type": "PodScheduled", "status": "False"}]), [], "waiting for a node"),
        (waiting("ContainerCreating"), [event("Pulling", name="another")], "starting"),
    ],
)
def test_a_pod_that_goes_on_says_what_it_does_and_for_how_long(
    found: dict[str, Any], events: list[dict[str, Any]], told: str
) -> None:
    assert story_of([found], events).told(NOON) == told


def test_the_pod_that_is_stuck_is_told_before_those_that_are_only_slow() -> None:
    ready = pod("green-9", conditions=[{"type": "Ready", "status": "True"}])
    slow = pod("green-1", containerStatuses=[RUNNING])
    assert story_of([ready, slow, waiting("ImagePullBackOff")], []).stuck == "green-0 is in ImagePullBackOff"


def test_of_slow_pods_the_one_that_is_furthest_behind_is_told() -> None:
    loading = pod("green-1", containerStatuses=[RUNNING])
    assert story_of([loading, waiting("ContainerCreating")], [event("Pulling")]).doing == "pulling the image"


def test_pods_that_are_ready_or_on_their_way_out_are_no_story() -> None:
    leaving = waiting("CrashLoopBackOff")
    leaving["metadata"]["deletionTimestamp"] = "2026-03-01T11:59:00Z"
    ready = pod("green-9", conditions=[{"type": "Ready", "status": "True"}])
    assert story_of([leaving, ready], []).told(NOON) == ""


def test_a_long_message_is_cut() -> None:
    assert len(story_of([waiting("ErrImagePull", "x" * 5000)], []).stuck) < 260
