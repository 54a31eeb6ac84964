"""Commands that start at once: each a process of its own, forked from one that has read the libraries already.

The suite runs `tailramp` some hundreds of times, and on two cores most of that time went into imports.  What a command
does is the same here but for that: its own arguments, environment, folder and streams.  What depends on a cold start is
tested with `python -m cli` itself.

Run as a program, this module serves a Unix socket: one connection a command, which brings its standard output and error
as file descriptors and gets the exit code back.
"""

import asyncio
import importlib
import json
import os
import random
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

_MOST_BYTES = 1 << 20


async def run(
    server: Path,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    limits: Mapping[str, float] = MappingProxyType({}),
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command; it is killed if this is cancelled.

    ``limits`` are for ``set_limits``.
    """
    given = {"arguments": list(arguments), "environment": dict(environment), "folder": str(folder)}
    asked = json.dumps({**given, "limits": dict(limits)}).encode()
    (out_read, out_write), (err_read, err_write) = os.pipe(), os.pipe()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        reading = []
        try:
            reading = [loop.run_in_executor(None, _read, descriptor) for descriptor in (out_read, err_read)]
            await loop.sock_connect(connection, str(server))
            socket.send_fds(connection, [asked + b"\n"], [out_write, err_write])
        finally:
            os.close(out_write)
            os.close(err_write)
        code = await loop.sock_recv(connection, 16)
        out, err = await asyncio.gather(*reading)
    return int(code), out, err


def _read(descriptor: int) -> str:
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read().decode()


def set_limits(limits: Mapping[str, float]) -> None:
    """Give constants of this process, by module and name, another number of seconds."""
    for name, seconds in limits.items():
        module_name, _, constant = name.rpartition(".")
        module = importlib.import_module(module_name)
        is_delta = isinstance(getattr(module, constant), timedelta)
        setattr(module, constant, timedelta(seconds=seconds) if is_delta else seconds)


def serve(path: str) -> None:
    """Serve until the process is ended."""
    from cli.command_table import COMMANDS

    for entry in COMMANDS.values():
        importlib.import_module(entry.module)
    for module in ("workflows.starting", "cli.language.zh", "worker.watch"):  # the last of which reads all the rest
        importlib.import_module(module)
    for module in [name for name in sys.modules if name.startswith("kubernetes.aio.config")]:
        del sys.modules[module]  # each command reads it anew, since it keeps what KUBECONFIG says then
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait for commands
    with socket.socket(socket.AF_UNIX) as listener:
        # Whoever sees the path may connect at once.
        listener.bind(f"{path}.new")
        listener.listen(64)
        Path(f"{path}.new").rename(path)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _attend(connection)
            connection.close()


def _attend(connection: socket.socket) -> None:
    """Start the command, and end it if whoever asked has left; ends this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    text, descriptors, _, _ = socket.recv_fds(connection, _MOST_BYTES, 2)
    while not text.endswith(b"\n"):
        text += connection.recv(_MOST_BYTES)
    asked = json.loads(text)
    command = os.fork()
    if command == 0:
        connection.close()
        _become(asked, *descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    ended = os.pidfd_open(command)
    readable, _, _ = select.select([ended, connection], [], [])
    if ended not in readable:
        os.kill(command, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
    if ended in readable:
        connection.sendall(str(code).encode())
    os._exit(0)


def _become(asked: dict[str, object], out: int, err: int) -> None:
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.closerange(3, max(out, err) + 1)
    environment, arguments, limits = asked["environment"], asked["arguments"], asked["limits"]
    assert isinstance(environment, dict)
    assert isinstance(arguments, list)
    assert isinstance(limits, dict)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    random.seed()
    os.chdir(str(asked["folder"]))
    set_limits(limits)
    sys.argv = ["tailramp", *arguments]
    sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115 - of the process, which ends without closing them
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
    from cli.__main__ import entry_point

    entry_point()


if __name__ == "__main__":
    serve(sys.argv[1])
