"""A real nginx with Lua before tiny upstreams, reading the files that `tailramp follow` writes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest
from running_envoy import ROUTE, SALT, RunningGateway, until

from activities.routers.envoy_admin import EnvoyAdmin
from gateway.label_document import LABEL_HEADER, LabelDocument
from gateway.nginx import NginxGateway
from lab.nginx_server import NginxServer, why_no_nginx
from lab.process import free_port
from tailramp.assignment import Assignment
from tailramp.route_record import Lease, RouteRecord

needs_nginx = pytest.mark.skipif(bool(why_no_nginx()), reason=why_no_nginx())


def record(assignment: Assignment, **changes: object) -> RouteRecord:
    """Of a route whose users were all on blue; everybody else whom ``assignment`` serves holds a lease."""
    leases = {"green": Lease()} if assignment != Assignment(default="blue") else {}
    made = RouteRecord(route=ROUTE, original_default="blue", assignment=assignment, leases=leases, epoch=2)
    return made.model_copy(update=changes)


def document(assignment: Assignment, **changes: object) -> LabelDocument:
    return LabelDocument.of(record(assignment, **changes))


def settings(folder: Path, behind: str, **changes: Any) -> dict[str, Any]:
    """Of a gateway that names blue and green to whoever listens at ``behind``."""
    return {
        "listener_port": free_port(),
        "admin_port": free_port(),
        "route_config_name": ROUTE,
        "route_file": folder / "gateway" / "routes.json",
        "lease_file": folder / "gateway" / "lease" / "routes.json",
        "salt": SALT,
        "salt_id": "demo",
        "clusters": dict.fromkeys(("blue", "green"), behind),
    } | changes


@dataclass
class RunningNginx(RunningGateway):
    server: NginxServer

    @property
    def admin_reader(self) -> EnvoyAdmin:
        return EnvoyAdmin(self.server.admin_url, self.session)

    async def label(self, *headers: tuple[str, str | bytes]) -> str:
        """The one label that the gateway behind was given."""
        (label,) = (await self.get(*headers)).values(LABEL_HEADER)
        return label

    def trust(self, seconds: float) -> None:
        """Let the routes be trusted for so long from now."""
        assert self.gateway.lease_file is not None
        self.gateway.lease_file.parent.mkdir(parents=True, exist_ok=True)
        self.gateway.lease_file.write_text(str(round((time.time() + seconds) * 1000)), encoding="utf-8")

    async def loads(self, routes: LabelDocument) -> None:
        """Give it these routes, and wait until it says that it serves them."""
        self.write_routes(routes.data)

        async def has_loaded() -> bool:
            return await self.admin_reader.loaded_version(ROUTE) == routes.version

        await until(has_loaded, f"nginx serves version {routes.version}")

    def configuration_text(self) -> str:
        return self.server.configuration.read_text(encoding="utf-8")

    def log(self) -> str:
        return self.server.log_file.read_text(encoding="utf-8")


class StartNginx(Protocol):
    """Starts nginx with these routes, trusted for ten minutes."""

    async def __call__(self, routes: LabelDocument, **changes: Any) -> RunningNginx: ...


def made(folder: Path, session: aiohttp.ClientSession, behind: str, **changes: Any) -> RunningNginx:
    """Not started yet."""
    gateway = NginxGateway.model_validate(settings(folder, behind, **changes))
    return RunningNginx(gateway, session, NginxServer(folder / "nginx", gateway))
