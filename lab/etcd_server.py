"""A real etcd: where the API server keeps its objects."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lab import programs
from lab.http_probe import answers_ok
from lab.process import ManagedProcess, free_port
from lab.server import READY_SECONDS, Server


class EtcdServer(Server):
    """One member on loopback, which keeps its data over a restart but not over a power cut.

    `quota` is how many bytes it stores at most; a write beyond that raises its alarm, and it takes only deletions.
    """

    name: ClassVar[str] = "etcd"

    def __init__(self, directory: Path, quota: int | None = None) -> None:
        super().__init__(directory)
        self._quota = quota
        self._client_port, self._peer_port = free_port(), free_port()

    @property
    def url(self) -> str:
        """The address for clients, without a slash at its end."""
        return f"http://127.0.0.1:{self._client_port}"

    def _command(self) -> tuple[list[str], dict[str, str]]:
        peer = f"http://127.0.0.1:{self._peer_port}"
        argv = [str(programs.ensure("etcd")), f"--data-dir={self.directory / 'data'}", "--unsafe-no-fsync"]
        argv += [f"--listen-client-urls={self.url}", f"--advertise-client-urls={self.url}"]
        argv += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
        argv += [f"--initial-cluster=default={peer}", "--log-level=warn"]
        if self._quota is not None:
            argv += [f"--quota-backend-bytes={self._quota}"]
        return argv, {}

    async def _wait_ready(self, process: ManagedProcess) -> None:
        url = f"{self.url}/health"
        await process.wait_ready(lambda: answers_ok(url), READY_SECONDS, f"{url} answers 200")
