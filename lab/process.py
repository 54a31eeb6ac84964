"""Programs that the lab starts: each in a group of its own, each sure to end.

The tests kill, freeze and restart real servers, and a test run may itself be killed at any moment. A server that
outlives its test holds a port and a core and makes the next run fail for no reason that anybody can see. So every
program is started under the kernel's promise to kill it when the process that started it is gone, and whatever it
started itself ends with it.

Needs Linux, and only the standard library.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import inspect
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

TERMINATE_SECONDS = 20.0
POLL_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1


class ProcessError(Exception):
    """A program could not be started, ended too early or did not become ready. The text has the end of its log."""


class ManagedProcess:
    """One running program with its log, made by `ManagedProcess.start`.

    Also an async context manager that terminates the program when left. Signals go to the program's whole group.
    """

    def __init__(self, popen: subprocess.Popen[bytes], name: str, log_file: Path) -> None:
        self._popen = popen
        self.name = name
        self.log_file = log_file

    @classmethod
    def start(
        cls,
        argv: Sequence[str | Path],
        log_file: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        name: str | None = None,
    ) -> Self:
        """Start `argv`, its output appended to `log_file`.

        `env` is added to this process's environment; `name` is for messages. The program dies when the *thread* that
        called this ends, so call it from the thread that will outlive it: usually the main one. Raises ProcessError if
        there is no such program.
        """
        name = name or Path(argv[0]).name
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("ab") as log:
            try:
                popen = subprocess.Popen(
                    [str(part) for part in argv],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(env or {})},
                    cwd=cwd,
                    start_new_session=True,
                    preexec_fn=die_with_parent(),
                )
            except OSError as error:
                raise ProcessError(f"{name} could not be started: {error}") from error
        return cls(popen, name, log_file)

    @property
    def pid(self) -> int:
        """The process id, also of a program that has ended."""
        return self._popen.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal as with `subprocess`; None while the program runs."""
        if self._popen.returncode is None:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                # Not reaped yet, so the number of its group cannot belong to anybody else.
                self._signal_group(signal.SIGKILL)
                self._popen.wait()
        return self._popen.returncode

    @property
    def is_running(self) -> bool:
        """Whether the program has not ended; a suspended one runs."""
        return self.poll() is None

    async def terminate(self, timeout: float = TERMINATE_SECONDS) -> int:
        """Ask the program to end, kill it after `timeout` seconds, and return its exit code. May be called again."""
        if self.poll() is None:
            self._signal_group(signal.SIGTERM)
            # A suspended program would not see the request.
            self._signal_group(signal.SIGCONT)
            try:
                return await self.wait_exit(timeout)
            except TimeoutError:
                pass
        return await self.kill()

    async def kill(self) -> int:
        """End the program as a crash would, suspended or not, and return its exit code. May be called again."""
        if self.poll() is None:
            self._signal_group(signal.SIGKILL)
        return await self.wait_exit(TERMINATE_SECONDS)

    def suspend(self) -> None:
        """Freeze the program: it keeps its ports and connections and answers nothing until `thaw`."""
        self._signal_running(signal.SIGSTOP)
        # Its threads run on for a moment, and may still answer what comes next.
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let a suspended program go on."""
        self._signal_running(signal.SIGCONT)

    async def wait_exit(self, timeout: float | None = None) -> int:
        """Wait until the program ends and return its exit code. Raises TimeoutError after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"{self.name} (process {self.pid}) did not end within {timeout:g} s")
            await asyncio.sleep(POLL_SECONDS)
        return code

    async def wait_ready(self, condition: Callable[[], object], timeout: float, what: str) -> None:
        """As `wait_until`, but raises ProcessError with the end of the log, and at once if the program ends first."""

        async def ready_or_ended() -> bool:
            if (code := self.poll()) is not None:
                raise ProcessError(f"{self.name} ended with exit code {code} before {what}. {self._log_for_people()}")
            return await _is_true(condition)

        try:
            await wait_until(ready_or_ended, timeout, what)
        except TimeoutError as error:
            raise ProcessError(f"{self.name}: {error}. {self._log_for_people()}") from error

    def tail(self, lines: int = 20) -> str:
        """The last lines of the log, at most 64 KiB of it; empty if nothing was written."""
        with contextlib.suppress(FileNotFoundError), self.log_file.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - 65536))
            return "\n".join(log.read().decode("utf-8", errors="replace").splitlines()[-lines:])
        return ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.terminate()

    def _log_for_people(self) -> str:
        tail = self.tail()
        return f"Its log {self.log_file} ends with:\n{tail}" if tail else f"Its log {self.log_file} is empty."

    def _signal_running(self, number: signal.Signals) -> None:
        if (code := self.poll()) is not None:
            raise ProcessError(f"{self.name} has ended with exit code {code}: it cannot be sent {number.name}")
        self._signal_group(number)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def die_with_parent() -> Callable[[], None]:
    """A `preexec_fn` after which the kernel kills the program when the thread that starts it is no more."""
    # Looked up before the fork: in the child of a process with threads hardly anything is safe to do.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()
    kill = int(signal.SIGKILL)

    def ask_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, kill, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return ask_the_kernel


async def wait_until(condition: Callable[[], object], timeout: float, what: str, interval: float = 0.05) -> None:
    """Ask `condition`, a function, plain or async, every `interval` seconds until its answer is true.

    It is asked at least once. Raises TimeoutError naming `what` ("the route serves the candidate") after `timeout`
    seconds, also while an answer hangs; whatever the condition raises goes through.
    """
    try:
        async with asyncio.timeout(timeout) as limit:
            while True:
                if await _is_true(condition):
                    return
                await asyncio.sleep(interval)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TimeoutError(f"waited {timeout:g} s in vain until {what}") from error


async def _is_true(condition: Callable[[], object]) -> bool:
    answer = condition()
    return bool(await answer if inspect.isawaitable(answer) else answer)


def free_port() -> int:
    """A loopback TCP port that nobody listens on, and that no outgoing connection will take either.

    The kernel's own choice (port 0) lies in the range that outgoing connections use: a server that is killed and
    restarted on such a port now and then finds it taken by one of its clients. So ports come from below that range.

    Nor is it given to another process, now or later, while this one lives. A port is free between its choice and the
    start of its server, and while its server is down: two processes that tested side by side chose the same one, and
    one ran its ramp on the other's Temporal. Raises OSError if no ports are left.
    """
    while True:
        if not _ports:
            _ports.extend(_claimed())
        port = _ports.pop()
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _claimed() -> range:
    """Ports that are this process's alone, as long as it lives, among all who ask here."""
    lowest_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    first, end = (10000, lowest_outgoing) if lowest_outgoing > 12000 else (1024, 65536)
    # Not the global generator: tests seed it.
    for start in random.SystemRandom().sample(starts := range(first, end - _BLOCK, _BLOCK), len(starts)):
        # A name that the kernel forgets with the process, unlike a file.
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0tailramp-lab-ports-{start}")
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return range(start, start + _BLOCK)
    raise OSError(f"all loopback ports from {first} to {end} are given away")


_BLOCK: Final = 32
_ports: list[int] = []
_claims: list[socket.socket] = []
"""Held open until the process ends; programs that it starts do not inherit them."""
os.register_at_fork(after_in_child=_ports.clear)
