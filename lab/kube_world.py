"""The lab's world on Kubernetes: the route is objects of an API server, and Traefik is its data plane.

Envoy stays in front: it computes the buckets, and sends everyone on to Traefik.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from activities.kube.resources import GATEWAYS, HTTP_ROUTES, INGRESSES, SERVICES
from gateway.envoy import EnvoyGateway
from gateway.pass_on_document import BEHIND, pass_on_document
from lab.control_plane import GATEWAY_CLASS, INGRESS_CLASS
from lab.given_cluster import Plane
from lab.server import Server
from lab.traefik_server import TraefikServer
from lab.world import World

NAME = "chat"

Kind = Literal["ingress-nginx", "gateway-api"]


class KubeWorld(World):
    """A world whose route is of ``kind``.

    ``plane`` and its ``namespace`` are the caller's. The worker acts as ``user``, who needs the rights of
    ``deploy/kubernetes`` there. ``throttle`` is Traefik's, in seconds.
    """

    def __init__(
        self,
        directory: Path,
        plane: Plane,
        namespace: str,
        kind: Kind,
        user: str,
        seed: int = 1,
        *,
        throttle: float = 0.1,
        **settings: Any,
    ) -> None:
        self.plane = plane
        self.namespace = namespace
        self.route = f"{namespace}/{NAME}"
        self.kind = kind
        self._user = user
        self.traefik = TraefikServer(directory.resolve() / "traefik", plane.api, "admin", namespace, throttle=throttle)
        checks = {"gateway": "traefik", **settings.pop("checks", {})}
        super().__init__(directory, seed, checks=checks, **settings)
        self.traefik.backends = {slot: f"127.0.0.1:{port}" for slot, port in self._ports.items()}

    @property
    def worker_environment(self) -> dict[str, str]:
        return {**super().worker_environment, "KUBECONFIG": str(self.plane.api.kubeconfig(self._user))}

    def _servers(self) -> list[Server]:
        return [*super()._servers(), self.traefik]

    def _gateway_metrics(self) -> tuple[str, str]:
        return self.traefik.admin_url.removeprefix("http://"), "/metrics"

    def _gateway(self) -> EnvoyGateway:
        everything = {BEHIND: self.traefik.address}
        return super()._gateway().model_copy(update={"clusters": everything})

    def _write_route_file(self) -> None:
        """The front sends everyone on to Traefik, whoever they are."""
        self.route_file.parent.mkdir(parents=True, exist_ok=True)
        self.route_file.write_text(pass_on_document(self.route), encoding="utf-8")

    async def _make_route(self) -> None:
        async with self.plane.api.client() as admin:
            if self.kind == "ingress-nginx":
                for slot, port in self._ports.items():
                    # The API server refuses loopback addresses as endpoints, but not a name that means one.
                    spec = {
                        "type": "ExternalName",
                        "externalName": "localhost",
                        "ports": [{"name": "http", "port": port}],
                    }
                    await admin.create(SERVICES, self.namespace, {"metadata": {"name": f"chat-{slot}"}, "spec": spec})
                backend = {"service": {"name": f"chat-{self.baseline}", "port": {"name": "http"}}}
                paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
                spec = {"ingressClassName": INGRESS_CLASS, "rules": [{"http": {"paths": paths}}]}
                await admin.create(INGRESSES, self.namespace, {"metadata": {"name": NAME}, "spec": spec})
            else:
                listener = {"name": "web", "protocol": "HTTP", "port": self.traefik.port}
                gateway = {"gatewayClassName": GATEWAY_CLASS, "listeners": [listener]}
                await admin.create(GATEWAYS, self.namespace, {"metadata": {"name": "public"}, "spec": gateway})
                rules = [{"backendRefs": [self._backend(self.baseline)]}]
                spec = {"parentRefs": [{"name": "public"}], "rules": rules}
                await admin.create(HTTP_ROUTES, self.namespace, {"metadata": {"name": NAME}, "spec": spec})

    def _backend(self, slot: str) -> dict[str, object]:
        if self.kind == "ingress-nginx":
            return {"name": f"chat-{slot}", "port": "http"}
        return {"group": "traefik.io", "kind": "TraefikService", "name": f"{slot}@file"}

    def _router(self) -> dict[str, object]:
        main = {"ingress": NAME, "controller": "traefik"} if self.kind == "ingress-nginx" else {"httpRoute": NAME}
        backends = {slot: self._backend(slot) for slot in self.models}
        # Twice what Traefik may wait before it takes a change up.
        return {"kind": self.kind, **main, "backends": backends, "zeroObservations": 8, "zeroInterval": "50ms"}

    def _gateway_match(self, slot: str) -> str:
        if self.kind == "gateway-api":
            return f'service="{slot}@file"'
        # Traefik names a canary after the Service that it stands beside, and not after its own.
        as_default = f"{self.namespace}-{NAME}-chat-{slot}-http@.*"
        as_canary = [f"{self.namespace}-{NAME}-chat-{other}-http-canary@.*" for other in self.models if other != slot]
        return f'service=~"{"|".join([as_default, *as_canary])}"'

    def _watched_by_sentinel(self) -> str:
        return f"kubernetes:{self.namespace}"
