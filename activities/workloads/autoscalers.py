"""What else decides how many servers a workload has: a HorizontalPodAutoscaler, or a ScaledObject of KEDA.

Whoever writes the number beside one of them is overwritten within seconds; and an autoscaler on the baseline takes its
servers away just while its users are on the candidate, so that a rollback finds too few.
"""

from dataclasses import dataclass

from activities.kube import Denied, NotFound, Resource
from activities.kube.client import Object
from activities.kube.resources import POD_AUTOSCALERS, SCALED_OBJECTS
from activities.routers.kube.writers import owner_of
from activities.workloads.noted_object import NotedObject

_PAUSED = "autoscaling.keda.sh/paused-replicas"
_UNSET = {POD_AUTOSCALERS: 1, SCALED_OBJECTS: 0}
"""The lower bound where none is written."""


@dataclass(frozen=True)
class Autoscaler:
    """``least`` and ``most`` servers that it keeps; ``floor`` is the JSON pointer to the lower bound.

    ``owner``: what writes the autoscaler itself, if that is not known here, and whose bounds are therefore unknown.
    """

    noted: NotedObject
    found: Object
    least: int
    most: int
    floor: str
    owner: str | None = None

    @property
    def name(self) -> str:
        """``horizontalpodautoscaler chat-green``."""
        return f"{self.noted.resource.kind.lower()} {self.noted.name}"

    @property
    def unset(self) -> int:
        """The lower bound where none is written."""
        return _UNSET[self.noted.resource]

    def at_least(self, servers: int) -> int:
        """The lower bound for ``servers``: a HorizontalPodAutoscaler knows none below one."""
        return max(servers, 1) if self.noted.resource is POD_AUTOSCALERS else servers


async def autoscaler_of(target: NotedObject) -> Autoscaler | None:
    """What scales an object; None if nothing does.

    KEDA makes a HorizontalPodAutoscaler of its own, which is not the one to write.
    """
    client, namespace = target.client, target.namespace
    try:
        scaled = await client.find_all(SCALED_OBJECTS, namespace)
    except (NotFound, Denied):  # KEDA is not installed, or shows only in what it has made
        scaled = []
    for found in scaled:
        spec = found["spec"]
        if _targets(spec.get("scaleTargetRef") or {}, target, "apps/v1", "Deployment"):
            least = _bound(spec.get("minReplicaCount"), SCALED_OBJECTS)
            most = int(spec.get("maxReplicaCount") or 100)
            paused = (found["metadata"].get("annotations") or {}).get(_PAUSED)
            if paused is not None and paused.isdecimal():
                least = most = int(paused)
            noted = NotedObject(client, SCALED_OBJECTS, namespace, found["metadata"]["name"])
            return Autoscaler(noted, found, least, most, "/spec/minReplicaCount")
    for found in await client.find_all(POD_AUTOSCALERS, namespace):
        spec = found["spec"]
        if _targets(spec["scaleTargetRef"], target, "", ""):
            least = _bound(spec.get("minReplicas"), POD_AUTOSCALERS)
            noted = NotedObject(client, POD_AUTOSCALERS, namespace, found["metadata"]["name"])
            return Autoscaler(noted, found, least, int(spec["maxReplicas"]), "/spec/minReplicas", owner_of(found))
    return None


def _bound(written: int | None, resource: Resource) -> int:
    return _UNSET[resource] if written is None else int(written)


def _targets(reference: Object, target: NotedObject, api_version: str, kind: str) -> bool:
    group = str(reference.get("apiVersion") or api_version).partition("/")[0]
    named = (group, reference.get("kind") or kind, reference.get("name"))
    return named == (target.resource.group, target.resource.kind, target.name)
