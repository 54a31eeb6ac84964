"""The workloads: adapters that make the servers of a slot ready, and let them go.

A new kind is one module with a ``Shape`` and one line in ``SHAPES``; what is no object of the Kubernetes API
implements ``Workload`` itself and gets a case in ``make_workload``.
"""

from typing import TYPE_CHECKING

from activities.workloads.deployment import DeploymentShape
from activities.workloads.external import External
from activities.workloads.kubernetes import KubernetesWorkload
from activities.workloads.leaderworkerset import LeaderWorkerSetShape
from activities.workloads.protocol import Holder, Progress, Restored, Workload
from activities.workloads.shape import Shape
from activities.workloads.statefulset import StatefulSetShape
from tailramp.forms import SlotName
from tailramp.spec import EnvoyFileRouter, PlatformFile

if TYPE_CHECKING:
    from activities.clients import Clients

__all__ = ["SHAPES", "Holder", "Progress", "Restored", "Workload", "make_workload"]

SHAPES: dict[str, Shape] = {
    "deployment": DeploymentShape(),
    "statefulset": StatefulSetShape(),
    "leaderworkerset": LeaderWorkerSetShape(),
}


def make_workload(platform: PlatformFile, slot: SlotName, clients: "Clients") -> Workload:
    """The workload that the platform file names for ``slot``."""
    settings = platform.workload_of(slot)
    if settings is None:
        return External()
    context = settings.context
    if context is None and not isinstance(platform.router, EnvoyFileRouter):
        context = platform.router.context
    return KubernetesWorkload(
        clients.kube(context), platform.route.full_name, slot, settings, platform.models, SHAPES[settings.kind]
    )
