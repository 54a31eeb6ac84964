"""A stuck event loop is seen from outside and ends its process; a frozen process that thaws lives on."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from observed_process import address, ask, status

from lab.process import ManagedProcess, die_with_parent, wait_until
from worker.health import BEAT_SECONDS, GRACE_SECONDS, LoopGuard, Pulse, Readiness

UNHEALTHY = 0.6
EXIT = 2.0
LATE = 30.0
"""What a busy machine may need for anything that is waited for."""
TRIAL = Path(__file__).with_name("loop_process.py")


def start(
    tmp_path: Path,
    *,
    blocks: int = 1,
    unhealthy_after: float = UNHEALTHY,
    exits_after: float = EXIT,
    **environment: str,
) -> ManagedProcess:
    limits = {"TAILRAMP_STUCK_SECONDS": str(unhealthy_after), "TAILRAMP_STUCK_EXIT_SECONDS": str(exits_after)}
    environment = {"TAILRAMP_CONTROL_HTTP": "127.0.0.1:0", **limits, **environment}
    argv = [sys.executable, TRIAL, str(blocks)]
    return ManagedProcess.start(argv, tmp_path / "log", env=environment, cwd=tmp_path, name="trial")


async def test_a_loop_that_blocks_is_unhealthy_until_it_goes_on(tmp_path: Path) -> None:
    async with start(tmp_path, exits_after=600) as process:
        url = await address(process, "trial")
        await wait_until(lambda: healthy(url), LATE, "healthy before it blocks")
        (tmp_path / "go-0").touch()
        await wait_until(lambda: unhealthy(url), LATE, "unhealthy while it blocks")
        assert (await ask(f"{url}/healthz"))[1].startswith("the event loop has been stuck for ")
        (tmp_path / "end-0").touch()
        await wait_until(lambda: healthy(url), LATE, "healthy once it goes on")
        assert process.is_running


async def test_a_loop_that_stays_stuck_ends_its_process_and_the_log_says_where_it_was(tmp_path: Path) -> None:
    async with start(tmp_path) as process:
        await address(process, "trial")
        began = time.monotonic()
        (tmp_path / "go-0").touch()
        assert await process.wait_exit(EXIT + GRACE_SECONDS + LATE) == 1
        assert time.monotonic() - began >= EXIT
        assert "an_activity_that_blocks" in process.tail(200)


async def test_a_loop_that_is_guarded_but_not_observed_ends_its_process_as_well(tmp_path: Path) -> None:
    async with start(tmp_path, TAILRAMP_CONTROL_HTTP="") as process:
        (tmp_path / "go-0").touch()
        assert await process.wait_exit(EXIT + GRACE_SECONDS + LATE) == 1
        assert "are at http" not in process.tail(200)


def test_a_stuck_process_ends_even_if_nobody_reads_its_log(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(65536))
    os.set_blocking(writing, True)
    (tmp_path / "go-0").touch()
    limits = {"TAILRAMP_STUCK_SECONDS": "0.5", "TAILRAMP_STUCK_EXIT_SECONDS": "1"}
    process = subprocess.Popen(
        [sys.executable, TRIAL, "1"],
        env={**os.environ, **limits},
        cwd=tmp_path,
        stderr=writing,
        preexec_fn=die_with_parent(),
    )
    try:
        assert process.wait(LATE) == 1
    finally:
        process.kill()
        process.wait()
        os.close(reading)
        os.close(writing)


async def test_a_process_frozen_for_longer_than_the_limit_lives_on_when_it_thaws(tmp_path: Path) -> None:
    # The limit must be beyond what a busy machine keeps one thread waiting.
    limit = 2.0
    async with start(tmp_path, blocks=0, unhealthy_after=limit, exits_after=limit) as process:
        url = await address(process, "trial")
        process.suspend()
        frozen_at = time.monotonic()
        await wait_until(
            lambda: time.monotonic() - frozen_at > 1.5 * limit + GRACE_SECONDS, LATE, "longer than the limit"
        )
        process.thaw()
        answers = [await ask(f"{url}/healthz")]
        thawed_at = time.monotonic()
        while time.monotonic() - thawed_at < GRACE_SECONDS + 4 * BEAT_SECONDS:
            answers.append(await ask(f"{url}/healthz"))
        assert set(answers) == {(200, "alive\n")}, "not unhealthy for a moment either"
        assert process.is_running
        assert "stuck" not in process.tail()


async def test_a_loop_that_is_stuck_before_and_after_a_freeze_ends_its_process(tmp_path: Path) -> None:
    async with start(tmp_path, exits_after=4 * EXIT) as process:
        url = await address(process, "trial")
        (tmp_path / "go-0").touch()
        await wait_until(lambda: unhealthy(url), LATE, "it is stuck")
        process.suspend()
        process.thaw()
        assert await process.wait_exit(4 * EXIT + GRACE_SECONDS + LATE) == 1


async def unhealthy(url: str) -> bool:
    return await status(f"{url}/healthz") == 503


async def healthy(url: str) -> bool:
    return await status(f"{url}/healthz") == 200


class Trial:
    """A guard on a clock that the test moves."""

    def __init__(self, exit_seconds: float = 3.0) -> None:
        self.now = 100.0
        self.pulse = Pulse(self.clock)
        self.exits: list[int] = []
        self.reports = 0
        self.guard = LoopGuard(
            self.pulse,
            name="trial",
            exit_seconds=exit_seconds,
            monotonic=self.clock,
            exit=self.exits.append,
            report=self.report,
        )

    def clock(self) -> float:
        return self.now

    def report(self) -> None:
        self.reports += 1

    def pass_time(self, seconds: float, *, beating: bool = False) -> None:
        for _ in range(round(seconds / BEAT_SECONDS)):
            self.now += BEAT_SECONDS
            self.pulse.beats += beating
            self.guard.look()


def test_only_time_in_which_the_guard_was_awake_counts() -> None:
    trial = Trial()
    trial.now += 3600
    trial.guard.look()
    assert trial.guard.stuck <= 2 * BEAT_SECONDS
    assert (trial.reports, trial.exits) == (0, [])


def test_a_loop_that_beats_within_the_grace_is_reported_and_not_ended() -> None:
    trial = Trial()
    trial.pass_time(3.0 + GRACE_SECONDS - BEAT_SECONDS)
    assert (trial.reports, trial.exits) == (1, [])
    trial.pass_time(10, beating=True)
    assert trial.guard.stuck == 0
    assert (trial.reports, trial.exits) == (1, [])


def test_a_loop_that_does_not_beat_within_the_grace_is_ended() -> None:
    trial = Trial()
    trial.pass_time(3.0 + GRACE_SECONDS)
    assert (trial.reports, trial.exits) == (1, [1])


def test_a_loop_that_is_slow_but_beats_is_never_ended() -> None:
    trial = Trial()
    for _ in range(20):
        trial.pass_time(2.5)
        trial.pass_time(BEAT_SECONDS, beating=True)
    assert (trial.reports, trial.exits) == (0, [])


def test_the_lag_counts_a_beat_that_is_overdue() -> None:
    trial = Trial()
    assert trial.pulse.lag() == 0.0
    trial.now += BEAT_SECONDS + 7
    assert trial.pulse.lag() == pytest.approx(7)


class Clock:
    now = 10.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_readiness_lapses_by_itself(clock: Clock) -> None:
    readiness = Readiness("has not begun", clock)
    assert readiness.why_not() == "has not begun"
    readiness.confirm(6)
    clock.now += 6
    assert readiness.why_not() is None
    clock.now += 0.5
    assert readiness.why_not() == "last confirmed 6.5 s ago, which counts for 6 s"
    readiness.confirm(6)
    readiness.deny("shutting down")
    assert readiness.why_not() == "shutting down"
