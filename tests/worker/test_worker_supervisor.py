"""The one command that keeps both worker processes running, on a real Temporal server."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from lab.process import ManagedProcess, free_port, wait_until
from lab.temporal_server import TemporalServer


class Supervised:
    """``tailramp worker`` under a name of its own; its log tells which children it has."""

    def __init__(self, process: ManagedProcess) -> None:
        self.process = process

    @property
    def log(self) -> str:
        return self.process.log_file.read_text(encoding="utf-8", errors="replace")

    def children(self) -> dict[str, int]:
        """The latest process of each role."""
        return {role: int(pid) for role, pid in re.findall(r"(\w+) runs as process (\d+)", self.log)}

    def serving(self) -> list[int]:
        """Processes that have begun to serve their queues, in order."""
        return [int(pid) for pid in re.findall(r"tailramp\.worker\[(\d+)\] \w+ serves ", self.log)]

    async def serves(self) -> dict[str, int]:
        """The children, once both of them serve."""
        await self.process.wait_ready(
            lambda: len(self.children()) == 2 and set(self.children().values()) <= set(self.serving()),
            80,
            "both roles serve",
        )
        return self.children()


Start = Callable[..., Supervised]


def runs(pid: int) -> bool:
    """Whether a process runs, a zombie counting as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def ended(*pids: int, within: float = 40) -> None:
    await wait_until(lambda: not any(runs(pid) for pid in pids), within, f"{pids} have ended")


@pytest.fixture
async def start(temporal: TemporalServer, tmp_path: Path) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        def start(*arguments: str, program: Sequence[str] = ("-m", "worker"), **environment: str) -> Supervised:
            given = {
                "TEMPORAL_ADDRESS": temporal.address,
                "TAILRAMP_RECORDS": str(tmp_path / "records"),
                "TAILRAMP_SHUTDOWN_SECONDS": "1",
                "PYTHONUNBUFFERED": "1",
            }
            argv = [sys.executable, *program, *arguments]
            process = ManagedProcess.start(argv, tmp_path / "worker.log", env={**given, **environment}, name="worker")
            stack.push_async_callback(process.kill)
            return Supervised(process)

        yield start


async def test_a_child_that_is_killed_is_started_again_and_the_other_goes_on(start: Start) -> None:
    worker = start()
    before = await worker.serves()
    assert set(before) == {"control", "watch"}
    os.kill(before["watch"], signal.SIGKILL)
    await wait_until(lambda: worker.children()["watch"] != before["watch"], 40, "watch is started again")
    after = await worker.serves()
    assert after["control"] == before["control"]
    assert runs(before["control"])
    assert "watch (process" in worker.log
    assert "ended with -9; starting it again" in worker.log


async def test_a_polite_end_takes_the_children_down_and_succeeds(start: Start) -> None:
    worker = start()
    children = await worker.serves()
    os.kill(worker.process.pid, signal.SIGTERM)  # to it alone, not to its group
    assert await worker.process.wait_exit(40) == 0
    assert not any(runs(pid) for pid in children.values())
    assert worker.log.count("shuts down") == 2


async def test_with_json_every_line_of_all_three_processes_is_an_object_and_says_who_began_and_ended(
    start: Start,
) -> None:
    worker = start("--json")
    await worker.process.wait_ready(lambda: worker.log.count('"event": "started"') == 2, 80, "both roles serve")
    os.kill(worker.process.pid, signal.SIGTERM)
    assert await worker.process.wait_exit(40) == 0
    lines = [json.loads(line) for line in worker.log.splitlines()]
    said = {event: {line["pid"] for line in lines if line.get("event") == event} for event in ("started", "ended")}
    assert len(said["started"]) == 2
    assert said["ended"] == said["started"]
    assert len({line["pid"] for line in lines}) == 3


async def test_children_of_a_supervisor_that_is_killed_do_not_live_on(start: Start) -> None:
    worker = start()
    children = await worker.serves()
    os.kill(worker.process.pid, signal.SIGKILL)
    await wait_until(lambda: not runs(worker.process.pid), 40, "the supervisor has ended")
    await ended(*children.values())


SUPERVISES = """
import asyncio, logging
from worker.supervisor import supervise
logging.basicConfig(level="INFO")
raise SystemExit(asyncio.run(supervise(grace=0.5)))
"""


async def test_a_frozen_child_is_killed_when_its_time_is_over(start: Start) -> None:
    worker = start(program=("-c", SUPERVISES))
    children = await worker.serves()
    os.kill(children["control"], signal.SIGSTOP)
    os.kill(worker.process.pid, signal.SIGTERM)
    await worker.process.wait_exit(40)
    assert not any(runs(pid) for pid in children.values())


async def test_a_worker_waits_for_a_server_that_is_not_there_yet_and_leaves_when_told(start: Start) -> None:
    worker = start("watch", TEMPORAL_ADDRESS=f"127.0.0.1:{free_port()}")
    await worker.process.wait_ready(lambda: "cannot be reached" in worker.log, 30, "it says what it waits for")
    assert "trying again" in worker.log
    os.kill(worker.process.pid, signal.SIGTERM)
    assert await worker.process.wait_exit(40) == 0


async def test_bad_settings_end_it_at_once_with_exit_code_5_and_no_traceback(start: Start) -> None:
    worker = start(TAILRAMP_MAX_RAMPS="none")
    assert await worker.process.wait_exit(40) == 5
    assert "TAILRAMP_MAX_RAMPS = none" in worker.log
    assert "Traceback" not in worker.log
    assert worker.children() == {}
