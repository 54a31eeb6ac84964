"""A real Envoy: the gateway and data plane of the demo and of the end-to-end tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lab import programs
from lab.http_probe import answers_ok
from lab.process import ManagedProcess, free_port
from lab.server import READY_SECONDS, Server


class EnvoyServer(Server):
    """An Envoy started with `bootstrap`, its configuration as plain data.

    If the bootstrap has no `admin` section, one on a free loopback port is added. Ports are the caller's to choose
    (`lab.process.free_port`): the server comes back on them after a restart. Its counters in Prometheus's format are at
    `/stats/prometheus` of `admin_url`.
    """

    name: ClassVar[str] = "envoy"

    def __init__(self, directory: Path, bootstrap: Mapping[str, Any], log_level: str = "warning") -> None:
        super().__init__(directory)
        self._bootstrap = dict(bootstrap)
        self._log_level = log_level
        self._bootstrap.setdefault(
            "admin", {"address": {"socket_address": {"address": "127.0.0.1", "port_value": free_port()}}}
        )
        try:
            socket = self._bootstrap["admin"]["address"]["socket_address"]
            self._admin_host, self._admin_port = str(socket["address"]), int(socket["port_value"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                "bootstrap: admin.address.socket_address must have an address and a numeric port_value; "
                "leave admin out to have a free port chosen"
            ) from error

    @property
    def admin_address(self) -> str:
        """`host:port` of the admin interface, as a scrape target."""
        return f"{self._admin_host}:{self._admin_port}"

    @property
    def admin_url(self) -> str:
        """The admin interface, without a slash at its end."""
        return f"http://{self.admin_address}"

    def _command(self) -> tuple[list[str], dict[str, str]]:
        file = self.directory / "envoy.json"
        file.write_text(json.dumps(self._bootstrap, indent=2), encoding="utf-8")
        argv = [str(programs.ensure("envoy")), "-c", str(file), "--concurrency", "2"]
        # Hot restart shares memory between the Envoys of one machine, and would make two tests know of each other.
        argv += ["--log-level", self._log_level, "--disable-hot-restart"]
        return argv, {}

    async def _wait_ready(self, process: ManagedProcess) -> None:
        url = f"{self.admin_url}/ready"
        await process.wait_ready(lambda: answers_ok(url), READY_SECONDS, f"{url} answers 200")
