"""What of Kubernetes a one-machine world needs: an API server with its store, and the resources that routers write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from activities.kube import Changed, KubeClient, Resource
from activities.kube.resources import INGRESS_CLASSES
from lab import programs
from lab.api_server import ApiServer
from lab.etcd_server import EtcdServer
from lab.lasting import Lasting

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
GATEWAY_CLASSES = Resource("gateway.networking.k8s.io", "v1", "gatewayclasses", "GatewayClass", namespaced=False)

INGRESS_CLASS = "nginx"
GATEWAY_CLASS = "traefik"
INGRESS_CONTROLLER = "k8s.io/ingress-nginx"
GATEWAY_CONTROLLER = "traefik.io/gateway-controller"


class ControlPlane(Lasting):
    """An API server and its etcd, with the Gateway API's resources and one class of each kind of route.

    An async context manager. `users` are those of `ApiServer`, `etcd_quota` is the quota of `EtcdServer`.
    """

    def __init__(
        self, directory: Path, users: Mapping[str, Sequence[str]] | None = None, etcd_quota: int | None = None
    ) -> None:
        super().__init__()
        self.prefix = "t"
        """Of the names of the namespaces that tests make."""
        self.etcd = EtcdServer(directory / "etcd", etcd_quota)
        self.api = ApiServer(directory / "api", self.etcd.url, users)

    async def _start(self) -> None:
        await self._stack.enter_async_context(self.etcd)
        await self._stack.enter_async_context(self.api)
        await self.api.define(programs.ensure_folder("gateway-api"))
        async with self.api.client() as admin:
            await _class(admin, INGRESS_CLASSES, INGRESS_CLASS, {"controller": INGRESS_CONTROLLER})
            await _class(admin, GATEWAY_CLASSES, GATEWAY_CLASS, {"controllerName": GATEWAY_CONTROLLER})


async def _class(admin: KubeClient, resource: Resource, name: str, spec: dict[str, Any]) -> None:
    try:
        await admin.create(resource, None, {"metadata": {"name": name}, "spec": spec})
    except Changed:
        return  # a restarted plane has it already
