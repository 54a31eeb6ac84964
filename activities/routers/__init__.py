"""The routers: adapters that apply an assignment to one kind of data plane.

A new data plane is one new module that implements ``Router`` and one case in ``make_router``; one that is made of
objects of the Kubernetes API is a planner in ``activities.routers.kube``.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from activities.routers.envoy_admin import EnvoyAdmin
from activities.routers.envoy_file import EnvoyFile
from activities.routers.protocol import Change, Clear, Renewal, Router, RouteView, Served
from tailramp.spec import EnvoyFileRouter, GatewayApiRouter, IngressNginxRouter, PlatformFile

if TYPE_CHECKING:  # `kill` needs no HTTP, and every tenth of a second of its start counts
    from activities.clients import Clients
    from activities.routers.kube import LeaseRoute

__all__ = [
    "Change",
    "Clear",
    "Renewal",
    "RouteView",
    "Router",
    "Served",
    "make_router",
    "platform_record_router",
    "record_router",
]


def make_router(platform: PlatformFile, clients: "Clients") -> Router:
    """The router that the platform file names."""
    match platform.router:
        case EnvoyFileRouter() as router:
            return EnvoyFile(router.file, EnvoyAdmin(router.admin, clients.http))
        case IngressNginxRouter() | GatewayApiRouter() as router:
            from activities.routers.kube import KubernetesRouter, binding_of

            route = platform.route
            return KubernetesRouter(clients.kube(router.context), route.namespace, route.name, binding_of(platform))


def record_router(route: "Path | LeaseRoute") -> Router:
    """A router for whoever has only the route record: it reads, clears and marks, and cannot ask the data plane."""
    if isinstance(route, Path):
        return EnvoyFile(route)
    from activities.kube import KubeClient
    from activities.routers.kube import KubernetesRouter

    client = KubeClient(route.kubeconfig, route.context)
    return KubernetesRouter(client, route.namespace, route.name, owns_client=True)


def platform_record_router(platform: PlatformFile) -> Router:
    """Like ``record_router``, for the route of a platform file, which may have no record yet.  The caller closes it."""
    match platform.router:
        case EnvoyFileRouter() as router:
            return EnvoyFile(router.file)
        case IngressNginxRouter() | GatewayApiRouter() as router:
            from activities.kube import KubeClient
            from activities.routers.kube import KubernetesRouter, binding_of

            client, route = KubeClient(context=router.context), platform.route
            return KubernetesRouter(client, route.namespace, route.name, binding_of(platform), owns_client=True)
