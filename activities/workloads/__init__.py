"""The workloads: adapters that make the servers of a slot ready, and let them go.

A new kind is one module with a ``Shape`` and one line in ``SHAPES``; what is no object of the Kubernetes API
implements ``Workload`` itself and gets a case in ``make_workload``.
"""

from typing import TYPE_CHECKING

from activities.workloads.deployment import DeploymentShape
from activities.workloads.external import External
from activities.workloads.keeping import Kept, keep_servers
from activities.workloads.kubernetes import KubernetesWorkload
from activities.workloads.leaderworkerset import LeaderWorkerSetShape
from activities.workloads.protocol import Holder, Progress, Restored, Workload
from activities.workloads.putting_back import put_all_back, references
from activities.workloads.shape import Shape
from activities.workloads.statefulset import StatefulSetShape
from tailramp.forms import SlotName
from tailramp.spec import EnvoyFileRouter, PlatformFile

if TYPE_CHECKING:
    from activities.clients import Clients

__all__ = [
    "RESOURCES",
    "SHAPES",
    "Holder",
    "Kept",
    "Progress",
    "Restored",
    "Workload",
    "cluster_of",
    "keep_servers",
    "make_workload",
    "put_all_back",
    "references",
]

SHAPES: dict[str, Shape] = {
    "deployment": DeploymentShape(),
    "statefulset": StatefulSetShape(),
    "leaderworkerset": LeaderWorkerSetShape(),
}
RESOURCES = {kind: shape.resource for kind, shape in SHAPES.items()}


def make_workload(platform: PlatformFile, slot: SlotName, clients: "Clients") -> Workload:
    """The workload that the platform file names for ``slot``."""
    settings = platform.workload_of(slot)
    if settings is None:
        return External()
    client = clients.kube(cluster_of(platform, settings.context))
    return KubernetesWorkload(client, platform.route.full_name, slot, settings, platform.models, SHAPES[settings.kind])


def cluster_of(platform: PlatformFile, own: str | None) -> str | None:
    """The context of a workload that names its ``own``, or None: then it is beside the router's objects."""
    if own is not None or isinstance(platform.router, EnvoyFileRouter):
        return own
    return platform.router.context
