"""A route by label: our Envoy or nginx names the slot, and a Traefik without patterns matches the name exactly."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal, cast

import yaml
from kube_namespace import ROLE_FILE, Namespace
from living_kube import SALT, LivingKube
from record_changes import BLUE

from activities.kube.resources import INGRESSES, LEASES
from activities.routers import make_router
from activities.routers.gateway_label import GatewayLabel
from gateway.envoy import EnvoyGateway
from gateway.nginx import NginxGateway
from lab.control_plane import INGRESS_CLASS
from lab.envoy_server import EnvoyServer
from lab.nginx_server import NginxServer
from lab.process import ManagedProcess, free_port, wait_until
from tailramp.proof import Answer
from tailramp.spec import CanaryFile, GatewayLabelRouter, PlatformFile, RampSpec

ROOT = Path(__file__).parents[2]
GATEWAY = ROOT / "deploy" / "kubernetes" / "gateway-label"
GATEWAY_ROLE_FILE = GATEWAY / "common" / "account.yaml"
_NGINX = "nginx.ingress.kubernetes.io/"

GatewayProgram = Literal["envoy", "nginx"]


def role_of(file: Path) -> dict[str, Any]:
    """The one Role in a file of manifests."""
    documents = yaml.safe_load_all(file.read_text(encoding="utf-8"))
    return next(document for document in documents if document["kind"] == "Role")


class LivingLabel(LivingKube):
    """See ``LivingKube``; the objects stand as the platform team wrote them, and nothing of them is ever changed.

    ``program`` is our gateway's, and ``follower`` the process beside it.
    """

    def __init__(self, folder: Path, namespace: Namespace, program: GatewayProgram) -> None:
        super().__init__(folder, namespace, "ingress-nginx")
        self._program = program
        self.route_file = folder / "gateway" / "routes.json"
        self.platform_file = folder / "tailramp.yaml"
        self._listener, self._admin = free_port(), free_port()
        self.follower: ManagedProcess

    async def _make_objects(self) -> None:
        await super()._make_objects()
        # Worker and gateway are one user here; each role alone is tried where it is all that a user has.
        await self.within.allow([*role_of(ROLE_FILE)["rules"], *role_of(GATEWAY_ROLE_FILE)["rules"]])
        annotations = {
            f"{_NGINX}canary": "true",
            f"{_NGINX}canary-by-header": "X-Model-Route",
            f"{_NGINX}canary-by-header-value": "green",
        }
        service = {"service": {"name": "chat-green", "port": {"name": "http"}}}
        paths = [{"path": "/", "pathType": "Prefix", "backend": service}]
        spec = {"ingressClassName": INGRESS_CLASS, "rules": [{"http": {"paths": paths}}]}
        body = {"metadata": {"name": "chat-green", "annotations": annotations}, "spec": spec}
        await self.admin.create(INGRESSES, self.namespace, body)

    def _front(self) -> EnvoyServer | NginxServer:
        self.url = f"http://127.0.0.1:{self._listener}"
        gateway = (EnvoyGateway if self._program == "envoy" else NginxGateway)(
            listener_port=self._listener,
            admin_port=self._admin,
            route_config_name=f"{self.namespace}/chat",
            route_file=self.route_file,
            lease_file=self.route_file.parent / "lease" / self.route_file.name,
            salt=SALT,
            salt_id="demo",
            clusters=dict.fromkeys(("blue", "green"), self.traefik.address),
        )
        if isinstance(gateway, NginxGateway):
            return NginxServer(self._folder / "nginx", gateway)
        return EnvoyServer(self._folder / "envoy", gateway.bootstrap())

    async def _answers(self) -> bool:
        """Also to our gateway's health checks, which ask once a second."""
        ready = [await self.label_router.ready(slot) for slot in ("blue", "green")]
        return ready == [True, True] and await super()._answers()

    async def _before_the_front(self) -> None:
        data = self.platform.model_dump(by_alias=True, mode="json", exclude_unset=True)
        self.platform_file.write_text(yaml.safe_dump(data), encoding="utf-8")
        self.start_follower()
        self._stack.push_async_callback(self._end_follower)

        async def written() -> bool:
            return self.route_file.exists()

        await wait_until(written, 60, "the follower has written the routes")

    def start_follower(self) -> None:
        argv = [sys.executable, "-m", "cli", "follow", "--platform", str(self.platform_file), "--default", "blue"]
        argv += ["--admin", f"http://127.0.0.1:{self._admin}"]
        environment = {"KUBECONFIG": str(self.within.kubeconfig)}
        log = self._folder / "follower.log"
        self.follower = ManagedProcess.start(argv, log, env=environment, cwd=ROOT, name="follower")

    async def begin_anew(self) -> None:
        """As if there had never been a record."""
        if await self.admin.find(LEASES, self.namespace, "tailramp-chat"):
            await self.admin.delete(LEASES, self.namespace, "tailramp-chat")
        await self.follower.kill()
        lease_file = self.platform_router.lease_file
        for file in (self.route_file, lease_file):
            file.unlink(missing_ok=True)
        self.start_follower()

        async def trusted() -> bool:
            return lease_file.exists()

        await wait_until(trusted, 60, "the gateway trusts its follower")
        await self.served(BLUE)

    async def loaded(self) -> None:
        """Wait until the gateway has loaded what the record says."""

        async def has_loaded() -> bool:
            return (await self.label_router.read()).loaded.answer is Answer.YES

        await wait_until(has_loaded, 40, "the gateway has loaded the record")

    async def route_reads(self) -> int:
        """How often Envoy has read its routes."""
        async with self.http.get(f"{self.envoy.admin_url}/stats?filter=rds.*update_attempt") as response:
            text = await response.text()
        return int(text.rpartition(":")[2])

    async def _end_follower(self) -> None:
        await self.follower.kill()

    def _spec(self) -> RampSpec:
        data = super()._spec().platform.model_dump(by_alias=True, mode="json", exclude_unset=True)
        data["router"] = {
            "kind": "gateway-label",
            "admin": f"http://127.0.0.1:{self._admin}",
            "gateway": self.url,
            "behind": f"http://{self.traefik.address}",
            "file": str(self.route_file),
            "zeroObservations": 4,
            "zeroInterval": "50ms",
        }
        data["slots"] = {slot: data["slots"][slot] for slot in ("blue", "green")}
        canary = {"canary": {"model": "chat-v2", "buckets": "00-49"}}
        return RampSpec(canary=CanaryFile.model_validate(canary), platform=PlatformFile.model_validate(data))

    @property
    def platform_router(self) -> GatewayLabelRouter:
        return cast("GatewayLabelRouter", self.platform.router)

    @property
    def label_router(self) -> GatewayLabel:
        return cast("GatewayLabel", make_router(self.platform, self.clients))
