"""What the lab's servers have in common: a folder, a log, ports that stay, and a life that tests can end in any way."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from lab.process import ManagedProcess, ProcessError

READY_SECONDS = 60.0


class Server(ABC):
    """One real server that keeps its ports and its data across `kill` and `restart`.

    An async context manager: entered, it is started and ready; left, it is stopped. Everything it writes is under
    `directory`, and its log is `directory/<name>.log`.
    """

    name: ClassVar[str]

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self._process: ManagedProcess | None = None

    @property
    def log_file(self) -> Path:
        """Where the server's output goes; restarts append."""
        return self.directory / f"{self.name}.log"

    @property
    def process(self) -> ManagedProcess:
        """The running program. Raises ProcessError if the server was never started, or was stopped."""
        if self._process is None:
            raise ProcessError(f"{self.name} is not started")
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether the program runs, suspended or not."""
        return self._process is not None and self._process.is_running

    async def start(self) -> Self:
        """Start the server and return when it is ready; nothing happens if it runs already.

        Raises ProcessError with the end of the log if it does not become ready within 60 s.
        """
        if self.is_running:
            return self
        self.directory.mkdir(parents=True, exist_ok=True)
        # In a thread, because the program may have to be built first.
        argv, env = await asyncio.to_thread(self._command)
        self._process = ManagedProcess.start(argv, self.log_file, env=env, cwd=self.directory, name=self.name)
        try:
            await self._wait_ready(self._process)
        except BaseException:
            await self.kill()
            raise
        return self

    async def stop(self) -> None:
        """End the server in good order. May be called again, and before `start`."""
        if self._process is not None:
            await self._process.terminate()
            self._process = None

    async def kill(self) -> None:
        """End the server as a crash would (SIGKILL). May be called again, and before `start`."""
        if self._process is not None:
            await self._process.kill()
            self._process = None

    async def restart(self) -> None:
        """Stop the server if it runs, and start it on the same ports with the same data."""
        await self.stop()
        await self.start()

    def suspend(self) -> None:
        """Freeze the server: connections open, answers none, until `thaw`."""
        self.process.suspend()

    def thaw(self) -> None:
        """Let a suspended server go on."""
        self.process.thaw()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @abstractmethod
    def _command(self) -> tuple[list[str], dict[str, str]]:
        """Write what the server reads, and return its argv and the environment variables to add."""

    @abstractmethod
    async def _wait_ready(self, process: ManagedProcess) -> None:
        """Return when the server answers, by way of `process.wait_ready`."""
