"""What takes the candidate out when those who should do it cannot: the short lease, the sentinel, the prepared file.

Leases are shorter than what is shipped where they are to lapse; the sentinel looks every half second.
"""

import asyncio
import resource
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from fault_trial import (
    BASELINE_ONLY,
    SENTINEL_POLL,
    Injection,
    Trial,
    in_baking,
    in_holding,
    in_pause,
    in_promoting,
    lasting,
)

from lab.process import ManagedProcess
from tailramp.ramp import Phase
from tailramp.route_record import SHORT_LEASE_SECONDS, Clearer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

OUTAGE_WITH_A_BAD_CANDIDATE_SECONDS = 15.0
OUTAGE_SECONDS = 120.0
SLACK_SECONDS = 5.0
"""What two looks of a process may be late on a busy machine.  That it needs no more than them when the machine is free
is tested without a world: ``tests/worker/test_sentinel.py``."""


async def cleared_after(trial: Trial, since: float, within: float) -> float:
    """Wait until the route file serves nobody on green; returns the seconds since ``since``."""
    await trial.until_file(lambda stands: stands == BASELINE_ONLY, "the cleared route", within)
    return time.monotonic() - since


async def test_with_temporal_gone_for_good_a_bad_candidate_is_out_within_15_seconds(tmp_path: Path) -> None:
    async with Trial(tmp_path / "world", lease="90s", ramp={"hold": "10m"}).running() as trial:
        await trial.start()
        await in_holding_of_the_first_step(trial)
        await trial.world.temporal.kill()
        await trial.world.fault("green", "errors")
        seconds = await cleared_after(trial, time.monotonic(), OUTAGE_WITH_A_BAD_CANDIDATE_SECONDS)
        assert seconds >= SHORT_LEASE_SECONDS, "nobody but the sentinel could have done it, after the short lease"
        record = trial.record
        assert (record.cleared_by, record.cleared_reason) == (Clearer.SENTINEL, "unhealthy")
        await trial.world.temporal.start()
        result = await trial.result()
        assert (result.phase, result.reason) == (Phase.ROLLED_BACK, "unhealthy")
        await trial.assert_quiet_after_a_rollback(result)
        await trial.assert_promises()


@pytest.mark.faults
@pytest.mark.parametrize(
    "moment",
    [pytest.param(in_pause, id="paused"), pytest.param(in_holding, id="holding"), pytest.param(in_baking, id="baking")],
)
async def test_temporal_that_is_down_for_two_minutes_hears_afterwards_what_was_done_meanwhile(
    tmp_path: Path, moment: Injection
) -> None:
    ramp = {"hold": "10m", "bake": "10m"} if moment is not in_baking else {"bake": "10m"}
    ramp |= {"steps": [{"share": "25%", "hold": "1s"}, "50%", "100%"]}
    async with Trial(tmp_path / "world", lease="90s", ramp=ramp).running() as trial:
        await trial.start()
        await moment(trial)
        await trial.until_watched()
        down = time.monotonic()
        await trial.world.temporal.kill()
        await trial.world.fault("green", "errors")
        await cleared_after(trial, down, OUTAGE_WITH_A_BAD_CANDIDATE_SECONDS)
        cleared = trial.record
        assert (cleared.cleared_by, cleared.cleared_reason) == (Clearer.SENTINEL, "unhealthy")
        await asyncio.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - down)))  # the length of the outage
        assert trial.record == cleared, "whoever is cut off from Temporal writes nothing more"
        await trial.world.temporal.start()
        result = await trial.result(90)
        assert (result.phase, result.reason) == (Phase.ROLLED_BACK, "unhealthy")
        await trial.assert_quiet_after_a_rollback(result)
        await trial.assert_promises()


async def in_holding_of_the_first_step(trial: Trial) -> None:
    await trial.until(lambda status: status.phase is Phase.HOLDING, "the hold of the first step")
    await trial.until_watched()


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(in_holding_of_the_first_step, id="holding"),
        pytest.param(in_pause, id="paused", marks=pytest.mark.faults),
        pytest.param(in_promoting, id="promoting", marks=pytest.mark.faults),
        pytest.param(in_baking, id="baking", marks=pytest.mark.faults),
    ],
)
async def test_with_everything_dead_but_the_sentinel_the_candidate_is_out_when_its_lease_is(
    tmp_path: Path, moment: Injection
) -> None:
    lease = 8.0
    ramp = {"hold": "10m"} if moment is in_holding_of_the_first_step else lasting(moment)
    async with Trial(tmp_path / "world", lease="8s", ramp=ramp).running() as trial:
        await trial.start()
        await moment(trial)
        dead = [trial.roles["control"], trial.roles["watch"]]
        await asyncio.gather(*(process.kill() for process in dead))
        since = time.monotonic()
        await asyncio.gather(trial.world.temporal.kill(), trial.world.prometheus.kill())
        await cleared_after(trial, since, lease + 2 * SENTINEL_POLL + SLACK_SECONDS)
        record = trial.record
        assert (record.cleared_by, record.cleared_reason) == (Clearer.SENTINEL, "lease_lapsed")
        await asyncio.gather(trial.world.temporal.start(), trial.world.prometheus.start())
        trial.start_role("control")
        trial.start_role("watch")
        result = await trial.result(90)
        assert (result.phase, result.reason) == (Phase.ROLLED_BACK, "lease_lapsed")
        await trial.assert_quiet_after_a_rollback(result)
        await trial.assert_promises()


@pytest.mark.faults
async def test_with_prometheus_gone_for_good_the_ramp_is_blind_and_goes_back(tmp_path: Path) -> None:
    async with Trial(tmp_path / "world", ramp={"maxBlind": "4s", "hold": "10m"}).running() as trial:
        await trial.start()
        await in_holding_of_the_first_step(trial)
        await trial.world.prometheus.kill()
        result = await trial.result()
        assert (result.phase, result.reason) == (Phase.ROLLED_BACK, "blind")
        await trial.assert_quiet_after_a_rollback(result)
        await trial.assert_promises()


@pytest.mark.faults
async def test_with_prometheus_and_temporal_gone_the_blind_watch_shortens_the_lease(tmp_path: Path) -> None:
    async with Trial(tmp_path / "world", lease="60s", ramp={"maxBlind": "4s", "hold": "10m"}).running() as trial:
        await trial.start()
        await in_holding_of_the_first_step(trial)
        await asyncio.gather(trial.world.prometheus.kill(), trial.world.temporal.kill())
        await cleared_after(trial, time.monotonic(), 25)
        assert (trial.record.cleared_by, trial.record.cleared_reason) == (Clearer.SENTINEL, "blind")
        await trial.world.temporal.start()
        result = await trial.result()
        assert (result.phase, result.reason) == (Phase.ROLLED_BACK, "blind")
        await trial.assert_promises()


@pytest.mark.faults
async def test_a_terminated_ramp_keeps_its_users_no_longer_than_its_lease(tmp_path: Path) -> None:
    async with Trial(tmp_path / "world", lease="4s", ramp={"hold": "10m"}).running() as trial:
        handle = await trial.start()
        await in_holding_of_the_first_step(trial)
        await handle.terminate("a person at the UI")
        # The watch hears of it with a heartbeat, and renews once more at most.
        await cleared_after(trial, time.monotonic(), 4 + 2 * SENTINEL_POLL + 2)
        assert (trial.record.cleared_by, trial.record.cleared_reason) == (Clearer.SENTINEL, "lease_lapsed")
        await trial.assert_promises()


@pytest.mark.faults
async def test_a_lapse_in_the_middle_of_a_ramp_becomes_its_reason(tmp_path: Path) -> None:
    async with Trial(tmp_path / "world", lease="3s", ramp={"hold": "10m"}).running() as trial:
        await trial.start()
        await in_holding_of_the_first_step(trial)
        trial.roles["watch"].suspend()
        await cleared_after(trial, time.monotonic(), 3 + 2 * SENTINEL_POLL + SLACK_SECONDS)
        trial.roles["watch"].thaw()
        result = await trial.result()
        assert (result.phase, result.reason) == (Phase.ROLLED_BACK, "lease_lapsed")
        await trial.assert_quiet_after_a_rollback(result)
        await trial.assert_promises()


class FullDisk:
    """No process in it can make a file longer than a hundred bytes: what a full disk looks like to it."""

    def __init__(self, processes: Iterable[ManagedProcess]) -> None:
        self._pids = [process.pid for process in processes]

    def __enter__(self) -> None:
        self._limit(100)

    def __exit__(self, *_: object) -> None:
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        for pid in self._pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.faults
async def test_on_a_full_disk_a_rollback_needs_only_a_rename(tmp_path: Path) -> None:
    async with Trial(tmp_path / "world", ramp={"hold": "10m"}).running() as trial:
        await trial.start()
        await in_holding_of_the_first_step(trial)
        with FullDisk(trial.roles.values()):
            await trial.abort()
            await cleared_after(trial, time.monotonic(), 10)
            assert trial.record.closed
        result = await trial.result()
        assert (result.phase, result.reason) == (Phase.ROLLED_BACK, "operator_abort")
        await trial.assert_quiet_after_a_rollback(result)
        await trial.assert_promises()


@pytest.mark.faults
async def test_on_a_full_disk_the_sentinel_needs_only_a_rename(tmp_path: Path) -> None:
    async with Trial(tmp_path / "world", lease="3s", ramp={"hold": "10m"}).running() as trial:
        await trial.start()
        await in_holding_of_the_first_step(trial)
        await asyncio.gather(trial.roles["control"].kill(), trial.roles["watch"].kill())
        with FullDisk([trial.roles["sentinel"]]):
            await cleared_after(trial, time.monotonic(), 3 + 2 * SENTINEL_POLL + SLACK_SECONDS)
        trial.start_role("control")
        trial.start_role("watch")
        result = await trial.result()
        assert result.phase is Phase.ROLLED_BACK
        await trial.assert_quiet_after_a_rollback(result)
        await trial.assert_promises()


@pytest.mark.faults
async def test_a_disk_that_is_full_while_the_ramp_grows_leaves_its_users_where_they_were(tmp_path: Path) -> None:
    async with Trial(tmp_path / "world").running() as trial:
        await trial.start()
        await in_holding_of_the_first_step(trial)
        with FullDisk(trial.roles.values()):
            before = trial.stands
            await asyncio.sleep(4)  # the length of the fault is the trial's parameter
            assert trial.stands == before
        result = await trial.result(90)
        assert result.phase is Phase.SUCCEEDED, result.detail
        await trial.assert_promises()
