"""Temporal's development server, with what tailramp expects of a cluster: its search attributes and a durable database.

It is the real server in one process. Its data is in a file, so a test may kill it at any moment and find every workflow
again after a restart. It does not wait until the disk has what it writes: the kernel has it, which outlives the server,
and on an ordinary disk a ramp's first seconds went into nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from temporalio.client import Client
from temporalio.service import RPCError

from lab import programs
from lab.process import ManagedProcess, free_port
from lab.server import READY_SECONDS, Server

SEARCH_ATTRIBUTES = {"RampPhase": "Keyword", "RampRoute": "Keyword", "RampReason": "Keyword", "RampShare": "Int"}
"""Name and type of each search attribute that a ramp sets."""

WITHOUT_PAUSES: Final[Mapping[str, str | float | bool]] = {
    "history.transferProcessorMaxPollRPS": 1000,
    "history.timerProcessorMaxTimeShift": "5ms",
}
"""Dynamic configuration for ramps that never wait for traffic. A server of one shard would hand them 20 tasks a second,
where a cluster has hundreds of shards, and a timer may be a second late."""


class TemporalServer(Server):
    """A Temporal server on loopback with the namespace `default`.

    `dynamic_config` are the server's dynamic configuration values by name, such as
    `{"history.timerProcessorMaxTimeShift": "5ms"}`.
    """

    name: ClassVar[str] = "temporal"

    def __init__(
        self, directory: Path, dynamic_config: Mapping[str, str | float | bool] | None = None, log_level: str = "warn"
    ) -> None:
        super().__init__(directory)
        self._dynamic_config = dict(dynamic_config or {})
        self._log_level = log_level
        self._port = free_port()
        self._ui_port = free_port()

    @property
    def address(self) -> str:
        """`host:port` for clients and workers."""
        return f"127.0.0.1:{self._port}"

    @property
    def ui_url(self) -> str:
        """The web interface, without a slash at its end."""
        return f"http://127.0.0.1:{self._ui_port}"

    async def stop(self) -> None:
        """End the server, at once: asked politely, it waits a second for clients, and its data is as safe."""
        await self.kill()

    def _command(self) -> tuple[list[str], dict[str, str]]:
        argv = [str(programs.ensure("temporal")), "server", "start-dev", "--ip", "127.0.0.1"]
        argv += ["--port", str(self._port), "--ui-port", str(self._ui_port), "--ui-disable-news-fetch"]
        argv += ["--db-filename", str(self.directory / "temporal.db"), "--log-level", self._log_level]
        argv += ["--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=off"]
        for attribute, kind in SEARCH_ATTRIBUTES.items():
            argv += ["--search-attribute", f"{attribute}={kind}"]
        for key, value in self._dynamic_config.items():
            argv += ["--dynamic-config-value", f"{key}={json.dumps(value)}"]
        # The server would otherwise ask its makers whether there is a newer version.
        return argv, {"TEMPORAL_VERSION_CHECK_DISABLED": "1"}

    async def _wait_ready(self, process: ManagedProcess) -> None:
        what = f"namespace default answers at {self.address} with tailramp's search attributes"
        await process.wait_ready(self._is_usable, READY_SECONDS, what)

    async def _is_usable(self) -> bool:
        try:
            client = await Client.connect(self.address)
            # The port answers a while before the namespace and its search attributes are known everywhere.
            await client.count_workflows(" AND ".join(f"{attribute} IS NULL" for attribute in SEARCH_ATTRIBUTES))
        except (RPCError, RuntimeError):
            return False
        return True
