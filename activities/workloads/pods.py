"""Why pods are not ready, from what the API server says of them; pure.

A model of a hundred gigabytes is pulled and loaded for tens of minutes, and a pod that will never run looks the same
for as long unless somebody reads why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from activities.kube.client import Object

_SHORT: Final = 200


@dataclass(frozen=True)
class Story:
    """``doing`` is what a pod is at; ``stuck`` why it cannot go on, with the ``mend``.  ``since`` is when that began,
    in unix seconds."""

    doing: str = ""
    stuck: str = ""
    mend: str = ""
    since: float | None = None

    def told(self, seconds: float) -> str:
        """``pulling the image 12 min``."""
        if self.since is None or seconds - self.since < 60:
            return self.doing
        return f"{self.doing} {int((seconds - self.since) // 60)} min"


_WAITING: Final = {
    "ImagePullBackOff": "Check the image's name and the pull secret",
    "ErrImagePull": "Check the image's name and the pull secret",
    "InvalidImageName": "Mend models.image",
    "ErrImageNeverPull": "Load the image onto the node, or change imagePullPolicy",
    "CrashLoopBackOff": "Read `kubectl logs --previous` of it: the model may not fit, or not be there",
    "CreateContainerConfigError": "Create the ConfigMap or Secret that it names",
    "CreateContainerError": "Read `kubectl describe pod` of it",
    "RunContainerError": "Read `kubectl describe pod` of it",
}


_TELLING: Final = {"Pulling", "Pulled", "FailedMount", "FailedAttachVolume"}
"""Reasons of events by which a pod's latest event says what it does; of others several fall into one second."""


def story_of(pods: Sequence[Object], events: Sequence[Object]) -> Story:
    """What keeps those that are not ready: the first that is stuck, else what the one that is furthest behind does."""
    behind = [pod for pod in pods if not is_ready(pod) and not _is_leaving(pod)]
    stories = [_story(pod, events) for pod in behind]
    stuck = next((story for story in stories if story.stuck), None)
    return stuck or max(stories, key=_how_far_behind, default=Story())


def is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def refusal_in(events: Sequence[Object]) -> str:
    """Why the controller could not even make a pod, such as a quota; "" if it says nothing of that."""
    failed = [event for event in events if event.get("reason") in {"FailedCreate", "FailedCreatePod"}]
    return str(max(failed, key=_last_seen)["message"]) if failed else ""


def complaint_mend(trouble: str) -> str:
    """What would help against a complaint of a controller."""
    if "exceeded quota" in trouble:
        return "Raise the quota of the namespace, or need fewer servers"
    if "progress deadline" in trouble:
        return "Look at its pods; raise progressDeadlineSeconds if loading takes longer"
    return "Read `kubectl describe` of it"


def _is_leaving(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _how_far_behind(story: Story) -> int:
    order = ["waiting for its volumes", "starting", "pulling the image", "waiting for a node"]
    return order.index(story.doing) + 1 if story.doing in order else 0


def _story(pod: Object, events: Sequence[Object]) -> Story:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    unplaced: Object = next((c for c in status.get("conditions") or [] if c.get("type") == "PodScheduled"), {})
    if unplaced.get("status") == "False":
        since = _unix(unplaced.get("lastTransitionTime"))
        if unplaced.get("reason") == "Unschedulable":
            why = f"{name} finds no node (Unschedulable): {_cut(unplaced.get('message'))}"
            return Story("waiting for a node", why, "Free or add nodes with such GPUs, or need fewer servers", since)
        return Story("waiting for a node", since=since)
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    for container in containers:
        waiting = container.get("state", {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason in _WAITING:
            why = f"{name} is in {reason}{_last_end(container)}"
            if waiting.get("message"):
                why += f": {_cut(waiting['message'])}"
            return Story(reason, why, _WAITING[reason])
    own = [e for e in events if e.get("involvedObject", {}).get("name") == name and e.get("reason") in _TELLING]
    latest = max(own, key=_last_seen, default=None)
    if latest is not None and latest.get("reason") == "Pulling":
        return Story("pulling the image", since=_last_seen(latest) or None)
    if latest is not None and latest.get("reason") in {"FailedMount", "FailedAttachVolume"}:
        why = f"{name} waits for its volumes: {_cut(latest.get('message'))}"
        return Story("waiting for its volumes", why, "Create the volume, or mend its name")
    running = [c for c in status.get("containerStatuses") or [] if c.get("state", {}).get("running")]
    if running and len(running) == len(status.get("containerStatuses") or []):
        return Story("loading the model", since=_unix(running[0]["state"]["running"].get("startedAt")))
    return Story("starting", since=_unix(status.get("startTime")))


def _last_end(container: Object) -> str:
    """`` (OOMKilled, 4 restarts)``."""
    ended = (container.get("lastState") or {}).get("terminated") or {}
    parts = [str(ended["reason"])] if ended.get("reason") else []
    if restarts := container.get("restartCount"):
        parts.append(f"{restarts} restarts")
    return f" ({', '.join(parts)})" if parts else ""


def _last_seen(event: Object) -> float:
    series = event.get("series") or {}
    stamps = (event.get("lastTimestamp"), series.get("lastObservedTime"), event.get("eventTime"))
    return next((seconds for stamp in stamps if (seconds := _unix(stamp)) is not None), 0.0)


def _unix(stamp: object) -> float | None:
    """Unix seconds of a time as the API server writes it."""
    if not isinstance(stamp, str):
        return None
    try:
        return datetime.fromisoformat(stamp).astimezone(UTC).timestamp()
    except ValueError:
        return None


def _cut(text: object) -> str:
    said = " ".join(str(text or "").split())
    return said if len(said) <= _SHORT else said[: _SHORT - 1] + "…"
