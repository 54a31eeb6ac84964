"""A program of the lab can be ended, frozen and waited for, and never outlives whoever started it."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.process import ManagedProcess, ProcessError, free_port, wait_until

# Starts a child, and ignores the request to end: a test has to kill it.
STUBBORN_WITH_CHILD = """
import signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "600"])
print("child", child.pid, flush=True)
time.sleep(600)
"""

# Starts a child by the lab's own means, and lives until a test kills it.
STARTER = """
import sys, time
from pathlib import Path
from lab.process import ManagedProcess
print("child", ManagedProcess.start(["sleep", "600"], Path(sys.argv[1])).pid, flush=True)
time.sleep(600)
"""


def state_of(pid: int) -> str:
    """The kernel's letter for the state of a process, such as S or T; Z (a zombie) also if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def sleeper(tmp_path: Path) -> ManagedProcess:
    return ManagedProcess.start(["sleep", "600"], tmp_path / "sleep.log")


async def child_of(process: ManagedProcess) -> int:
    await wait_until(lambda: process.tail().startswith("child "), 40, "the program has started its child")
    return int(process.tail().split()[1])


async def test_a_program_that_ends_by_itself_gives_its_exit_code_and_its_log(tmp_path: Path) -> None:
    script = 'echo "$GREETING"; pwd; echo oops >&2; exit 7'
    process = ManagedProcess.start(
        ["sh", "-c", script], tmp_path / "logs" / "sh.log", env={"GREETING": "hello"}, cwd=tmp_path
    )
    assert await process.wait_exit(40) == 7
    assert process.tail() == f"hello\n{tmp_path}\noops"
    assert process.tail(lines=1) == "oops"
    assert not process.is_running


async def test_a_program_that_does_not_exist_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="no-such-program could not be started"):
        ManagedProcess.start(["no-such-program"], tmp_path / "log")


async def test_a_program_is_terminated_when_its_block_is_left_and_again_does_no_harm(tmp_path: Path) -> None:
    async with sleeper(tmp_path) as process:
        assert process.is_running
        assert process.poll() is None
    assert state_of(process.pid) == "Z"
    assert await process.terminate() == -signal.SIGTERM
    assert await process.kill() == -signal.SIGTERM


async def test_a_program_that_ignores_the_request_is_killed_after_the_bound_and_its_child_with_it(
    tmp_path: Path,
) -> None:
    process = ManagedProcess.start([sys.executable, "-c", STUBBORN_WITH_CHILD], tmp_path / "log")
    child = await child_of(process)
    began = time.monotonic()
    assert await process.terminate(timeout=0.3) == -signal.SIGKILL
    assert time.monotonic() - began >= 0.3
    await wait_until(lambda: state_of(child) == "Z", 40, "the child is dead too")


async def test_children_that_a_program_leaves_behind_end_with_it(tmp_path: Path) -> None:
    process = ManagedProcess.start(["sh", "-c", "sleep 600 & echo child $!"], tmp_path / "log")
    assert await process.wait_exit(40) == 0
    child = await child_of(process)
    await wait_until(lambda: state_of(child) == "Z", 40, "the child is dead too")


async def test_a_suspended_program_stands_still_until_it_is_thawed(tmp_path: Path) -> None:
    async with sleeper(tmp_path) as process:
        process.suspend()
        await wait_until(lambda: state_of(process.pid) == "T", 40, "the program is stopped")
        assert process.is_running
        process.thaw()
        await wait_until(lambda: state_of(process.pid) == "S", 40, "the program goes on")


async def test_a_suspended_program_still_ends_in_good_order(tmp_path: Path) -> None:
    process = sleeper(tmp_path)
    process.suspend()
    await wait_until(lambda: state_of(process.pid) == "T", 40, "the program is stopped")
    assert await process.terminate() == -signal.SIGTERM


async def test_a_program_that_has_ended_cannot_be_suspended(tmp_path: Path) -> None:
    process = sleeper(tmp_path)
    await process.kill()
    with pytest.raises(ProcessError, match="sleep has ended with exit code -9"):
        process.suspend()


async def test_a_program_dies_when_whoever_started_it_is_killed(tmp_path: Path) -> None:
    starter = ManagedProcess.start([sys.executable, "-c", STARTER, tmp_path / "sleep.log"], tmp_path / "starter.log")
    pid = await child_of(starter)
    assert state_of(pid) != "Z"
    await starter.kill()
    await wait_until(lambda: state_of(pid) == "Z", 40, "the program is dead")


async def test_waiting_for_the_end_is_bounded_and_says_for_whom(tmp_path: Path) -> None:
    async with sleeper(tmp_path) as process:
        with pytest.raises(TimeoutError, match=rf"sleep \(process {process.pid}\) did not end within 0.05 s"):
            await process.wait_exit(0.05)


async def test_a_program_that_ends_before_it_is_ready_shows_its_log_at_once(tmp_path: Path) -> None:
    process = ManagedProcess.start(["sh", "-c", "echo bad config; exit 1"], tmp_path / "log", name="server")
    with pytest.raises(
        ProcessError, match=r"server ended with exit code 1 before it answers\. .*log ends with:\nbad c"
    ):
        await process.wait_ready(lambda: False, 50, "it answers")


async def test_a_program_that_never_becomes_ready_shows_its_log_after_the_bound(tmp_path: Path) -> None:
    async with ManagedProcess.start(["sh", "-c", "echo thinking; sleep 600"], tmp_path / "log") as process:
        await wait_until(process.tail, 40, "the program has spoken")
        with pytest.raises(ProcessError, match=r"sh: waited 0.1 s in vain until it answers\. .*:\nthinking"):
            await process.wait_ready(lambda: False, 0.1, "it answers")


async def test_a_condition_may_be_plain_or_async_and_is_asked_at_least_once() -> None:
    answers = iter([False, False, True])

    async def later() -> bool:
        return next(answers)

    await wait_until(later, 40, "the third answer is there", interval=0.001)
    await wait_until(lambda: True, 0, "it is so")
    assert next(answers, None) is None


async def test_a_condition_that_hangs_is_given_up_by_name() -> None:
    with pytest.raises(TimeoutError, match=r"waited 0.05 s in vain until the event is set"):
        await wait_until(asyncio.Event().wait, 0.05, "the event is set")


async def test_what_a_condition_raises_is_not_swallowed() -> None:
    def ask() -> bool:
        raise TimeoutError("of the condition itself")

    with pytest.raises(TimeoutError, match="of the condition itself"):
        await wait_until(ask, 40, "never mind")


def test_two_processes_are_never_given_the_same_port() -> None:
    """Not even while nobody listens on it."""
    ask = "from lab.process import free_port, os; print(*(free_port() for _ in range(1000)), flush=True); os.read(0, 1)"
    with contextlib.ExitStack() as stack:
        others = [
            stack.enter_context(
                subprocess.Popen([sys.executable, "-c", ask], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(2)
        ]
        given = []
        for other in others:
            assert other.stdout is not None
            given += other.stdout.readline().split()
    assert len(given) == len(set(given)) == 2000


def test_a_process_that_was_forked_is_not_given_its_parents_ports() -> None:
    free_port()
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, str(free_port()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    of_child = int(os.read(reader, 10))
    os.close(reader)
    os.close(writer)
    assert of_child not in [free_port() for _ in range(100)]


def test_free_ports_differ_and_stay_out_of_the_way_of_outgoing_connections() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert lowest <= 12000 or max(ports) < lowest
    with socket.create_server(("127.0.0.1", ports[0])) as listener:
        assert listener.getsockname()[1] == ports[0]
