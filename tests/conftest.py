"""What holds for every test."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import warm_commands
from hypothesis import settings

from lab.process import ManagedProcess

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("tailramp", deadline=None)
settings.load_profile("tailramp")

# A shell starts what runs in its background deaf to Ctrl-C, and whatever that starts would be, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test that is marked `alone` have the machine, whatever else the other processes of the run have to do."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    folder = item.config.rootpath / ".pytest_cache"
    folder.mkdir(exist_ok=True)
    with (folder / "turn").open("a") as turn, (folder / "machine").open("a") as machine:
        # Who waits for the whole machine keeps the turn, so that nobody else begins meanwhile.
        fcntl.flock(turn, fcntl.LOCK_EX)
        fcntl.flock(machine, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        fcntl.flock(turn, fcntl.LOCK_UN)
        return (yield)


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of ``warm_commands``."""
    directory = tmp_path_factory.mktemp("warm")
    path = directory / "socket"
    # Not the program's folder: it has folders with the names of the packages.
    argv = [sys.executable, "-P", warm_commands.__file__, path]
    server = ManagedProcess.start(argv, directory / "log", env={"OPENBLAS_NUM_THREADS": "1"}, name="commands")
    asyncio.run(server.wait_ready(path.exists, 60, "the commands to be warm"))
    yield path
    asyncio.run(server.terminate())
