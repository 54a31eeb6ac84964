"""The objects of a route on a real API server, without any data plane."""

from __future__ import annotations

import json
from typing import Any, Literal

from kube_namespace import Namespace
from record_changes import BLUE, serve, take_over

from activities.kube import KubeClient, Resource
from activities.kube.resources import HTTP_ROUTES, INGRESSES, LEASES, SERVICES
from activities.routers.kube import Binding, KubernetesRouter
from activities.routers.kube.binding import Reference
from lab.control_plane import INGRESS_CLASS
from tailramp.assignment import Assignment

Kind = Literal["ingress-nginx", "gateway-api"]


class Objects:
    """The objects of a route without any data plane: what the API server holds is all that is looked at."""

    def __init__(self, namespace: Namespace, kind: Kind) -> None:
        self.kind = kind
        self.namespace = namespace.name
        self.admin = namespace.admin
        self.within = namespace
        self.kubeconfig = namespace.kubeconfig
        self._client = KubeClient(namespace.kubeconfig)

    async def __aenter__(self) -> Objects:
        if self.kind == "ingress-nginx":
            for slot in ("blue", "green", "red"):
                ports = [{"name": "http", "port": 8000}]
                spec = {"type": "ExternalName", "externalName": "localhost", "ports": ports}
                await self.admin.create(SERVICES, self.namespace, {"metadata": {"name": f"chat-{slot}"}, "spec": spec})
        await self.admin.create(self.resource, self.namespace, self.main_route())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    @property
    def resource(self) -> Resource:
        return INGRESSES if self.kind == "ingress-nginx" else HTTP_ROUTES

    @property
    def canary_name(self) -> str:
        return "chat-canary" if self.kind == "ingress-nginx" else "chat-green-canary"

    def main_route(self) -> dict[str, Any]:
        if self.kind == "ingress-nginx":
            service = {"service": {"name": "chat-blue", "port": {"name": "http"}}}
            paths = [{"path": path, "pathType": "Prefix", "backend": service} for path in ("/", "/v1")]
            spec: dict[str, Any] = {"ingressClassName": INGRESS_CLASS, "rules": [{"http": {"paths": paths}}]}
        else:
            spec = {"parentRefs": [{"name": "public"}], "rules": [{"backendRefs": [self.backend("blue")]}]}
        return {"metadata": {"name": "chat"}, "spec": spec}

    def backend(self, slot: str) -> dict[str, Any]:
        if self.kind == "ingress-nginx":
            return {"name": f"chat-{slot}", "port": "http"}
        return {"group": "traefik.io", "kind": "TraefikService", "name": f"{slot}@file"}

    @property
    def binding(self) -> Binding:
        backends = {slot: Reference.model_validate(self.backend(slot)) for slot in ("blue", "green", "red")}
        return Binding(kind=self.kind, main="chat", backends=backends, exact=False)

    @property
    def router(self) -> KubernetesRouter:
        return self.router_with(self._client)

    def router_with(self, client: KubeClient, binding: Binding | None = None) -> KubernetesRouter:
        return KubernetesRouter(client, self.namespace, "chat", binding or self.binding)

    async def reset(self) -> None:
        """As if nothing had ever been here."""
        for found in await self.admin.find_all(self.resource, self.namespace):
            await self.admin.delete(self.resource, self.namespace, found["metadata"]["name"])
        if await self.admin.find(LEASES, self.namespace, "tailramp-chat"):
            await self.admin.delete(LEASES, self.namespace, "tailramp-chat")
        await self.admin.create(self.resource, self.namespace, self.main_route())

    async def begin(self, served: Assignment | None) -> None:
        """A ramp that serves ``served``; None: no ramp yet."""
        await self.reset()
        if served is None:
            return
        await self.router.prepare(take_over(), ["green"])
        if served != BLUE:
            await self.router.apply(serve(served, 2))

    async def main(self) -> dict[str, Any]:
        return await self.admin.get(self.resource, self.namespace, "chat")

    async def point_at(self, slot: str) -> None:
        """Somebody else sends everyone of the main route to a slot."""
        main = await self.main()
        text = json.dumps(main["spec"]).replace(self.backend("blue")["name"], self.backend(slot)["name"])
        change = [{"op": "replace", "path": "/spec", "value": json.loads(text)}]
        await self.admin.patch(self.resource, self.namespace, "chat", change)

    async def points_at_blue(self) -> bool:
        spec = str((await self.main())["spec"])
        return self.backend("blue")["name"] in spec and self.backend("green")["name"] not in spec

    async def canary(self) -> dict[str, Any] | None:
        return await self.admin.find(self.resource, self.namespace, self.canary_name)
