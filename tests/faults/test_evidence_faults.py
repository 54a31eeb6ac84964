"""Prometheus runs and has nothing to say: no data is never a pass.

A fault that ends within ``maxBlind`` costs time and nothing else.  One that lasts ends the ramp as blind.  In neither
does a step begin, or a bake end, on evidence that nobody has.
"""

import asyncio
from pathlib import Path

import broken_prometheus
import pytest
from broken_prometheus import Break
from fault_trial import Injection, Trial, in_baking, in_holding, in_pause, in_settling, lasting

from tailramp.ramp import Phase
from workflows.messages import Message
from workflows.ramp import RampWorkflow

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

FAULTS: dict[str, Break] = {
    "empty": broken_prometheus.empty,
    "nan": broken_prometheus.nan,
    "slow": broken_prometheus.slow,
    "wrong-labels": broken_prometheus.wrong_labels,
    "stale": broken_prometheus.stale,
}
MOMENTS: dict[str, Injection] = {
    "settling": in_settling,
    "holding": in_holding,
    "baking": in_baking,
    "paused": in_pause,
}
REPRESENTATIVE = {("nan", "holding")}
CELLS = [
    pytest.param(
        fault,
        moment,
        id=f"{fault}-{moment}",
        marks=() if (fault, moment) in REPRESENTATIVE else pytest.mark.faults,
    )
    for fault in FAULTS
    for moment in MOMENTS
]
LONG = {"hold": "5s", "bake": "5s", "steps": [{"share": "25%", "hold": "1s"}, "50%", "100%"]}
"""No hold and no bake can be over before the fault is there."""
BROKEN_SECONDS = 6.0


@pytest.mark.parametrize(("fault", "moment"), CELLS)
async def test_evidence_that_stays_away_ends_the_ramp_as_blind(tmp_path: Path, fault: str, moment: str) -> None:
    async with Trial(tmp_path / "world", ramp={**lasting(MOMENTS[moment]), "maxBlind": "5s"}).running() as trial:
        await trial.start()
        await MOMENTS[moment](trial)
        async with FAULTS[fault](trial.world):
            stood = trial.share
            result = await trial.result(90)
            assert (result.phase, result.reason) == (Phase.ROLLED_BACK, "blind"), result.detail
            assert max(version.assignment.share_of("green") for version in trial.history.versions) == stood
        await trial.assert_quiet_after_a_rollback(result)
        await trial.assert_promises()


@pytest.mark.faults
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_evidence_that_comes_back_costs_time_and_nothing_else(tmp_path: Path, fault: str, moment: str) -> None:
    ramp = {**LONG, "maxBlind": "3m", "maxSettle": "5m"}
    async with Trial(tmp_path / "world", lease="90s", ramp=ramp).running() as trial:
        await trial.start()
        await MOMENTS[moment](trial)
        async with FAULTS[fault](trial.world):
            stood = trial.stands
            broken = broken_prometheus.SLOW_SECONDS + 5 if fault == "slow" else BROKEN_SECONDS
            await asyncio.sleep(broken)  # the length of the fault is the trial's parameter
            assert trial.stands == stood
        if moment == "paused":
            await trial.handle.signal(RampWorkflow.resume, Message(actor="test"))
        result = await trial.result(90)
        assert result.phase is Phase.SUCCEEDED, result.detail
        await trial.assert_promises()
