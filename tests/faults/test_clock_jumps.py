"""The clock of one process is set an hour forward or back in the middle of a ramp.

All decisions go by the clock of Temporal's server, and leases by each observer's monotonic clock, so that a wrong
clock may neither shorten a hold, nor end a ramp, nor keep a rollback from being proven.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fault_trial import Injection, Trial, in_baking, in_holding, in_rolling_back

from lab.process import wait_until
from tailramp.ramp import Phase

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

HOUR = 3600.0
ROLES = ["control", "watch", "sentinel"]
JUMPS = {"ahead": HOUR, "behind": -HOUR}
LOOKS = 3
JUMPING_CLOCK = Path(__file__).with_name("jumping_clock.py")
QUICK_TO_STEP_2: dict[str, object] = {
    "steps": [{"share": "25%", "hold": "1s"}, {"share": "50%", "hold": "10m"}, "100%"]
}

CELLS = [
    pytest.param(
        role, jump, id=f"{role}-{jump}", marks=() if (role, jump) == ("watch", "ahead") else pytest.mark.faults
    )
    for role in ROLES
    for jump in JUMPS
]


class JumpingTrial(Trial):
    """A trial in which the clock of one role can be set; the others keep the machine's."""

    def __init__(self, directory: Path, role: str, ramp: dict[str, object] | None = None) -> None:
        super().__init__(directory, ramp=ramp)
        self._role = role
        self._shift = self.world.directory / "clock-shift"

    def start_role(self, role: str) -> None:
        self.set_clock(0.0)
        if role == self._role:
            self.world.worker_program = [str(JUMPING_CLOCK), str(self._shift)]
        super().start_role(role)
        self.world.worker_program = ["-m", "worker"]

    def set_clock(self, seconds: float) -> None:
        """By how much the role's clock is wrong from now on."""
        staged = self._shift.with_suffix(".new")
        staged.write_text(str(seconds), encoding="utf-8")
        staged.rename(self._shift)


@asynccontextmanager
async def jumped(
    directory: Path, role: str, jump: str, ramp: dict[str, object] | None = None
) -> AsyncIterator[JumpingTrial]:
    """A ramp in the hold of its second step, at the moment at which ``role``'s clock has been set."""
    trial = JumpingTrial(directory, role, ramp)
    async with trial.running():
        await trial.start()
        await in_holding(trial)
        await trial.until_watched()
        trial.set_clock(JUMPS[jump])
        yield trial


@pytest.mark.parametrize(("role", "jump"), CELLS)
async def test_a_wrong_clock_neither_ends_a_hold_nor_hides_a_rollback(tmp_path: Path, role: str, jump: str) -> None:
    async with jumped(tmp_path / "world", role, jump, QUICK_TO_STEP_2) as trial:
        stands, renewals = trial.stands, trial.renewals
        await wait_until(lambda: trial.renewals >= renewals + LOOKS, 60, "the watch goes on looking")
        assert trial.stands == stands, "an hour of somebody's clock is no hour of the hold"
        await trial.until(lambda status: status.phase is Phase.HOLDING, "the hold, still")
        await trial.abort()
        result = await trial.result()
        assert (result.phase, result.reason) == (Phase.ROLLED_BACK, "operator_abort")
        await trial.assert_quiet_after_a_rollback(result)
        await trial.assert_promises()


@pytest.mark.faults
@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("role", ROLES)
async def test_a_process_that_starts_with_a_wrong_clock_brings_the_ramp_to_its_end(
    tmp_path: Path, role: str, jump: str
) -> None:
    async with jumped(tmp_path / "world", role, jump) as trial:
        await trial.roles[role].kill()
        trial.start_role(role)
        trial.set_clock(JUMPS[jump])
        result = await trial.result(90)
        assert result.phase is Phase.SUCCEEDED, result.detail
        await trial.assert_promises()


@pytest.mark.faults
@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("moment", [in_rolling_back, in_baking])
async def test_a_clock_that_jumps_late_changes_no_end(tmp_path: Path, moment: Injection, role: str, jump: str) -> None:
    trial = JumpingTrial(tmp_path / "world", role)
    async with trial.running():
        await trial.start()
        await moment(trial)
        trial.set_clock(JUMPS[jump])
        result = await trial.result(90)
        assert result.phase is (Phase.ROLLED_BACK if moment is in_rolling_back else Phase.SUCCEEDED), result.detail
        await trial.assert_quiet_after_a_rollback(result)
        await trial.assert_promises()
