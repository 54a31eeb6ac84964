"""What else decides how many servers a workload has: a HorizontalPodAutoscaler, or a ScaledObject of KEDA.

Whoever writes the number beside one of them is overwritten within seconds; and an autoscaler on the baseline takes its
servers away just while its users are on the candidate, so that a rollback finds too few.
"""

from dataclasses import dataclass

from activities.kube import Denied, KubeClient, NotFound, Resource
from activities.kube.client import Object
from activities.kube.resources import POD_AUTOSCALERS, SCALED_OBJECTS
from activities.routers.kube.writers import owner_of

_PAUSED = "autoscaling.keda.sh/paused-replicas"


@dataclass(frozen=True)
class Autoscaler:
    """``least`` and ``most`` servers that it keeps; ``floor`` is the JSON pointer to the lower bound.

    ``owner``: what writes the autoscaler itself, if that is not known here, and whose bounds are therefore unknown.
    """

    resource: Resource
    found: Object
    least: int
    most: int
    floor: str
    owner: str | None = None

    @property
    def name(self) -> str:
        """``horizontalpodautoscaler chat-green``."""
        return f"{self.resource.kind.lower()} {self.found['metadata']['name']}"

    def at_least(self, servers: int) -> int:
        """The lower bound for ``servers``: a HorizontalPodAutoscaler knows none below one."""
        return max(servers, 1) if self.resource is POD_AUTOSCALERS else servers


async def autoscaler_of(client: KubeClient, namespace: str, resource: Resource, name: str) -> Autoscaler | None:
    """What scales the object of that name; None if nothing does.

    KEDA makes a HorizontalPodAutoscaler of its own, which is not the one to write.
    """
    try:
        scaled = await client.find_all(SCALED_OBJECTS, namespace)
    except (NotFound, Denied):  # KEDA is not installed, or shows only in what it has made
        scaled = []
    for found in scaled:
        if _targets(found["spec"].get("scaleTargetRef") or {}, resource, name, "apps/v1", "Deployment"):
            spec = found["spec"]
            least, most = int(spec.get("minReplicaCount") or 0), int(spec.get("maxReplicaCount") or 100)
            paused = (found["metadata"].get("annotations") or {}).get(_PAUSED)
            if paused is not None and paused.isdecimal():
                least = most = int(paused)
            return Autoscaler(SCALED_OBJECTS, found, least, most, "/spec/minReplicaCount")
    for found in await client.find_all(POD_AUTOSCALERS, namespace):
        if _targets(found["spec"]["scaleTargetRef"], resource, name, "", ""):
            spec = found["spec"]
            least = 1 if spec.get("minReplicas") is None else int(spec["minReplicas"])
            most, owner = int(spec["maxReplicas"]), owner_of(found)
            return Autoscaler(POD_AUTOSCALERS, found, least, most, "/spec/minReplicas", owner)
    return None


def _targets(reference: Object, resource: Resource, name: str, api_version: str, kind: str) -> bool:
    group = str(reference.get("apiVersion") or api_version).partition("/")[0]
    return (group, reference.get("kind") or kind, reference.get("name")) == (resource.group, resource.kind, name)
