"""The lab's world with a gateway by label: ours names the slot, and Traefik behind it matches the name exactly.

The objects stand as a platform team would have written them; a ramp changes the route record, and `tailramp follow`
beside our gateway, an Envoy or an nginx, gives it the routes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from activities.kube.resources import INGRESSES
from activities.routers.envoy_admin import EnvoyAdmin
from gateway.envoy import EnvoyGateway
from gateway.label_document import LABEL_HEADER
from gateway.nginx import NginxGateway
from lab.control_plane import INGRESS_CLASS
from lab.envoy_server import EnvoyServer
from lab.given_cluster import Plane
from lab.kube_world import KubeWorld
from lab.nginx_server import NginxServer
from lab.process import ManagedProcess, wait_until

_NGINX = "nginx.ingress.kubernetes.io/"


class LabelWorld(KubeWorld):
    """See ``KubeWorld``; ``user`` needs the rights of ``deploy/kubernetes/gateway-label`` as well.

    ``program`` is what our gateway runs in.
    """

    def __init__(
        self,
        directory: Path,
        plane: Plane,
        namespace: str,
        user: str,
        seed: int = 1,
        *,
        program: Literal["envoy", "nginx"] = "envoy",
        checks: Mapping[str, object] | None = None,
        **settings: Any,
    ) -> None:
        self._program = program
        by_envoy = {"gateway": "envoy", **(checks or {})}
        super().__init__(directory, plane, namespace, "ingress-nginx", user, seed, checks=by_envoy, **settings)
        self.follower: ManagedProcess

    async def _start(self) -> None:
        await super()._start()
        await self._labels_answer()

    async def deploy(self, slot: str, model: str) -> None:
        await super().deploy(slot, model)
        await self._labels_answer()

    async def _labels_answer(self) -> None:
        admin = EnvoyAdmin(self.envoy.admin_url, self.http)

        async def ready() -> bool:
            return all([await admin.ready(slot) is True for slot in self.models])

        await wait_until(ready, 60, "every slot answers to its label")

    # Our gateway counts, as where there is no cluster.
    def _gateway_metrics(self) -> tuple[str, str]:
        return super(KubeWorld, self)._gateway_metrics()

    def _gateway_match(self, slot: str) -> str:
        return super(KubeWorld, self)._gateway_match(slot)

    def _gateway(self) -> EnvoyGateway:
        clusters = dict.fromkeys(self._ports, self.traefik.address)
        lease_file = self.route_file.parent / "lease" / self.route_file.name
        return super()._gateway().model_copy(update={"clusters": clusters, "lease_file": lease_file})

    def _front(self) -> EnvoyServer | NginxServer:
        if self._program == "envoy":
            return super()._front()
        return NginxServer(self.directory / "nginx", NginxGateway.model_validate(self._gateway().model_dump()))

    def _write_route_file(self) -> None:
        """The follower does."""

    async def _make_route(self) -> None:
        await super()._make_route()
        async with self.plane.api.client() as admin:
            for slot in self._ports:
                if slot != self.baseline:
                    await admin.create(INGRESSES, self.namespace, self._labelled(slot))
        argv = [sys.executable, "-m", "cli", "follow", "--platform", str(self.directory / "tailramp.yaml")]
        argv += ["--default", self.baseline, "--admin", f"http://127.0.0.1:{self._admin_port}"]
        log = self.directory / "follower.log"
        self.follower = ManagedProcess.start(argv, log, env=self.worker_environment, name="follower")
        self._started.append(self.follower)

        async def written() -> bool:
            return self.route_file.exists()

        await wait_until(written, 60, "the follower has written the routes")

    def _labelled(self, slot: str) -> dict[str, Any]:
        """The Ingress of everyone whose label is ``slot``."""
        annotations = {
            f"{_NGINX}canary": "true",
            f"{_NGINX}canary-by-header": LABEL_HEADER,
            f"{_NGINX}canary-by-header-value": slot,
        }
        backend = {"service": {"name": f"chat-{slot}", "port": {"name": "http"}}}
        paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
        spec = {"ingressClassName": INGRESS_CLASS, "rules": [{"http": {"paths": paths}}]}
        return {"metadata": {"name": f"chat-{slot}", "annotations": annotations}, "spec": spec}

    def _router(self) -> dict[str, object]:
        return {
            "kind": "gateway-label",
            "admin": f"http://127.0.0.1:{self._admin_port}",
            "behind": f"http://{self.traefik.address}",
            "file": str(self.route_file),
            "zeroObservations": 4,
            "zeroInterval": "50ms",
        }
