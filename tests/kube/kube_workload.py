"""A workload on the API server, the user who writes it, and what its controller would say: for tests of workloads."""

from __future__ import annotations

from typing import Any

from kube_namespace import Namespace

from activities.kube import KubeClient, Resource
from activities.kube.resources import DEPLOYMENTS, LEADER_WORKER_SETS, PODS, STATEFUL_SETS
from activities.workloads import SHAPES, Holder
from activities.workloads.kubernetes import KubernetesWorkload
from tailramp.spec.models import Models
from tailramp.spec.workload import DeploymentWorkload, LeaderWorkerSetWorkload, ManagedWorkload, StatefulSetWorkload

KINDS: dict[str, tuple[Resource, type[ManagedWorkload]]] = {
    "deployment": (DEPLOYMENTS, DeploymentWorkload),
    "statefulset": (STATEFUL_SETS, StatefulSetWorkload),
    "leaderworkerset": (LEADER_WORKER_SETS, LeaderWorkerSetWorkload),
}
MODELS = Models.model_validate(
    {"image": "toy/{model}:1", "storageUri": "oss://llm-models/{model}", "labels": {"model-version": "{model}"}}
)
WAYS = {
    "arguments": {"--model": "storageUri", "--served-model-name": "served"},
    "env": {"MODEL_URI": "storageUri"},
    "annotations": {"example.com/model": "model"},
}
SIZED = {"replicas": {"full": 8}}
RAMP, LATER = "ramp-one", "ramp-two"


def template(labels: dict[str, str]) -> dict[str, Any]:
    server = {
        "name": "server",
        "image": "toy/chat-v0:1",
        "args": ["--model", "oss://llm-models/chat-v0", "--port=8000"],
        "env": [{"name": "MODEL_URI", "value": "oss://llm-models/chat-v0"}, {"name": "TZ", "value": "Asia/Shanghai"}],
    }
    return {"metadata": {"labels": labels}, "spec": {"containers": [server]}}


def body(kind: str, replicas: int = 2) -> dict[str, Any]:
    labels = {"app": "chat-green"}
    if kind == "leaderworkerset":
        inside = {"size": 2, "leaderTemplate": template(labels), "workerTemplate": template(labels)}
        spec: dict[str, Any] = {"replicas": replicas, "leaderWorkerTemplate": inside}
    else:
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template(labels)}
        spec |= {"serviceName": "chat-green"} if kind == "statefulset" else {}
    return {"metadata": {"name": "chat-green"}, "spec": spec}


class Slot:
    """One object and its workload; ``client`` acts as the user with the Role."""

    def __init__(self, place: Namespace, client: KubeClient, kind: str, **settings: Any) -> None:
        self.resource, self._settings = KINDS[kind]
        self.kind, self.place, self.client = kind, place, client
        self.settings = self._settings.model_validate({"kind": kind, "name": "chat-green", **settings})

    @property
    def workload(self) -> KubernetesWorkload:
        return KubernetesWorkload(
            self.client, f"{self.place.name}/chat", "green", self.settings, MODELS, SHAPES[self.kind]
        )

    async def make(self, replicas: int = 2, **changes: Any) -> dict[str, Any]:
        made = body(self.kind, replicas)
        made["spec"] |= changes
        await self.place.admin.create(self.resource, self.place.name, made)
        return await self.read()

    async def read(self) -> dict[str, Any]:
        return await self.place.admin.get(self.resource, self.place.name, "chat-green")

    async def says(self, **status: Any) -> None:
        """What the controller says of the present object."""
        found = await self.read()
        whole = {"observedGeneration": found["metadata"]["generation"], **status}
        if self.kind == "leaderworkerset":
            for name in ("observedGeneration", "availableReplicas"):
                whole.pop(name, None)
        await self.place.admin.patch(
            self.resource,
            self.place.name,
            "chat-green",
            [{"op": "add", "path": "/status", "value": whole}],
            subresource="status",
        )

    async def change(self, path: str, value: Any) -> None:
        """Somebody else's write."""
        await self.place.admin.patch(
            self.resource, self.place.name, "chat-green", [{"op": "replace", "path": path, "value": value}]
        )

    @property
    def containers(self) -> str:
        inside = "leaderWorkerTemplate/workerTemplate" if self.kind == "leaderworkerset" else "template"
        return f"/spec/{inside}/spec/containers"


async def may() -> None:
    """The route is the writer's."""


def holder(ramp: str = RAMP) -> Holder:
    return Holder(ramp, may)


def full(ready: int, total: int = 2, **status: Any) -> dict[str, Any]:
    counts = {"replicas": total, "updatedReplicas": total, "readyReplicas": ready, "availableReplicas": ready}
    return {**counts, **status}


def inside(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The pod templates of an object."""
    spec = found["spec"]
    if "leaderWorkerTemplate" in spec:
        return [spec["leaderWorkerTemplate"][name] for name in ("leaderTemplate", "workerTemplate")]
    return [spec["template"]]


def pod_autoscaler(slot: Slot, least: int, most: int, **metadata: Any) -> dict[str, Any]:
    target = {"apiVersion": slot.resource.api_version, "kind": slot.resource.kind, "name": "chat-green"}
    spec = {"scaleTargetRef": target, "minReplicas": least, "maxReplicas": most}
    return {"metadata": {"name": "chat-green", **metadata}, "spec": spec}


def scaled_object(slot: Slot, least: int, most: int) -> dict[str, Any]:
    target = {"apiVersion": slot.resource.api_version, "kind": slot.resource.kind, "name": "chat-green"}
    trigger = {"type": "prometheus", "metadata": {"query": "up", "threshold": "1", "serverAddress": "http://p"}}
    spec = {"scaleTargetRef": target, "minReplicaCount": least, "maxReplicaCount": most, "triggers": [trigger]}
    return {"metadata": {"name": "chat-green"}, "spec": spec}


def kedas_own(slot: Slot) -> dict[str, Any]:
    """What KEDA makes of a ScaledObject."""
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "chat", "uid": "u", "controller": True}
    return pod_autoscaler(slot, 1, 8, ownerReferences=[owner])


async def pod(slot: Slot, name: str, status: dict[str, Any]) -> None:
    """A pod of the slot, and what its kubelet says of it."""
    container = {"name": "server", "image": "toy/chat-v2:1"}
    labels = {"app": "chat-green", "leaderworkerset.sigs.k8s.io/name": "chat-green"}
    made = {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [container]}}
    await slot.place.admin.create(PODS, slot.place.name, made)
    change = [{"op": "add", "path": "/status", "value": status}]
    await slot.place.admin.patch(PODS, slot.place.name, name, change, subresource="status")


async def said(slot: Slot, model: str | None = "chat-v2") -> str:
    """What is in the way of the model, in words."""
    return " ".join(str(problem) for problem in await slot.workload.preflight(model))


def waiting(reason: str, message: str = "", restarts: int = 0) -> dict[str, Any]:
    """The status of a pod whose container waits."""
    state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    container = {"name": "server", "image": "i", "imageID": "", "ready": False, "restartCount": restarts}
    return {"containerStatuses": [{**container, "state": state}]}
