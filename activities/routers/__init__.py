"""The routers: adapters that apply an assignment to one kind of data plane.

A new data plane is one new module that implements ``Router`` and one case in ``make_router``; one that is made of
objects of the Kubernetes API is a planner in ``activities.routers.kube``.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from activities.routers.envoy_admin import EnvoyAdmin
from activities.routers.envoy_file import EnvoyFile
from activities.routers.protocol import Change, Clear, Renewal, Router, RouteView, Served
from tailramp.spec import EnvoyFileRouter, GatewayApiRouter, GatewayLabelRouter, IngressNginxRouter, PlatformFile

if TYPE_CHECKING:  # `kill` needs no HTTP, and every tenth of a second of its start counts
    from activities.clients import Clients
    from activities.kube import KubeClient
    from activities.routers.kube import LeaseRoute

__all__ = [
    "Change",
    "Clear",
    "Renewal",
    "RouteView",
    "Router",
    "Served",
    "lease_router",
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
        case GatewayLabelRouter() as router:
            from activities.routers.gateway_label import GatewayLabel

            kube, route = clients.kube(router.context), platform.route
            return GatewayLabel(kube, route.namespace, route.name, router.admin, clients.http)


def record_router(route: "Path | LeaseRoute") -> Router:
    """A router for whoever has only the route record: it reads, clears and marks, and cannot ask the data plane."""
    if isinstance(route, Path):
        return EnvoyFile(route)
    from activities.kube import KubeClient

    return lease_router(KubeClient(route.kubeconfig, route.context), route, owns_client=True)


def lease_router(client: "KubeClient", route: "LeaseRoute", *, owns_client: bool = False) -> Router:
    """The router of a route whose record is a Lease, by the kind that was seen there, or by looking there first."""
    match route.kind:
        case None:
            from activities.routers.recorded import RecordedRouter

            return RecordedRouter(client, route, owns_client=owns_client)
        case "gateway-label":
            from activities.routers.gateway_label import GatewayLabel

            return GatewayLabel(client, route.namespace, route.name, owns_client=owns_client)
        case "ingress-nginx" | "gateway-api":
            from activities.routers.kube import KubernetesRouter

            return KubernetesRouter(client, route.namespace, route.name, owns_client=owns_client)


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
        case GatewayLabelRouter() as router:
            from activities.kube import KubeClient
            from activities.routers.gateway_label import GatewayLabel

            client, route = KubeClient(context=router.context), platform.route
            return GatewayLabel(client, route.namespace, route.name, router.admin, owns_client=True)
