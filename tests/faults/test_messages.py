"""What people do to a ramp at the wrong moment: aborts, cancels, kills, resets, and a second ramp beside it."""

import asyncio
import sys
import uuid
from pathlib import Path

import pytest
from fault_trial import (
    BASELINE_ONLY,
    Injection,
    Trial,
    in_baking,
    in_holding,
    in_promoting,
    in_rolling_back,
    in_shifting,
    lasting,
)
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, ResetReapplyExcludeType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.exceptions import WorkflowAlreadyStartedError

from lab.process import ManagedProcess
from tailramp import activity_names as names
from tailramp.ramp import Phase
from tailramp.route_record import Clearer
from workflows.answers import RampResult
from workflows.handles import ramp_handle
from workflows.messages import Message
from workflows.ramp import RampWorkflow
from workflows.starting import start_ramp

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


async def ended_as(trial: Trial, reason: str) -> RampResult:
    """The ramp rolls back for ``reason``, nothing is written afterwards, and every promise was kept."""
    result = await trial.result()
    assert (result.phase, str(result.reason)) == (Phase.ROLLED_BACK, reason), result.detail
    await trial.assert_quiet_after_a_rollback(result)
    await trial.assert_promises()
    return result


@pytest.mark.faults
@pytest.mark.parametrize("moment", [in_shifting, in_holding, in_promoting, in_baking, in_rolling_back])
async def test_two_aborts_are_one_rollback(tmp_path: Path, moment: Injection) -> None:
    async with Trial(tmp_path / "world", ramp=lasting(moment)).running() as trial:
        await trial.start()
        await moment(trial)
        await asyncio.gather(trial.abort(), trial.abort())
        await ended_as(trial, "operator_abort")
        clears = [version for version in trial.history.versions if version.assignment == BASELINE_ONLY]
        assert len(clears) == 2, "before the ramp, and after it"


@pytest.mark.faults
async def test_an_abort_before_the_first_step_leaves_the_route_as_it_was(tmp_path: Path) -> None:
    async with Trial(tmp_path / "world").running() as trial:
        await trial.start()
        await trial.abort()
        await ended_as(trial, "operator_abort")
        assert [version.assignment for version in trial.history.versions] == [BASELINE_ONLY]


@pytest.mark.faults
@pytest.mark.parametrize("moment", [in_holding, in_promoting, in_baking])
async def test_cancelling_the_workflow_rolls_back_once_however_often_it_is_cancelled(
    tmp_path: Path, moment: Injection
) -> None:
    async with Trial(tmp_path / "world", ramp=lasting(moment)).running() as trial:
        handle = await trial.start()
        await moment(trial)
        await handle.cancel()
        await trial.until_file(lambda stands: stands == BASELINE_ONLY, "the cleared route")
        await handle.cancel()
        await ended_as(trial, "cancelled")


@pytest.mark.faults
async def test_a_second_ramp_on_the_route_is_refused_and_the_first_one_goes_on(tmp_path: Path) -> None:
    async with Trial(tmp_path / "world").running() as trial:
        await trial.start()
        await in_holding(trial)
        with pytest.raises(WorkflowAlreadyStartedError):
            await start_ramp(trial.world.client, trial.world.spec("chat-v2"), actor="another")
        result = await trial.result()
        assert result.phase is Phase.SUCCEEDED
        await trial.assert_promises()


async def kill(trial: Trial) -> int:
    """``tailramp kill`` as a person runs it: with the route file and nothing else.  Returns its exit code."""
    argv = [sys.executable, "-m", "cli", "kill", "--route-file", str(trial.world.route_file), "--reason", "a test"]
    async with ManagedProcess.start(argv, trial.world.directory / "kill.log", name="tailramp kill") as process:
        return await process.wait_exit(60)


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(in_shifting, id="shifting", marks=pytest.mark.faults),
        pytest.param(in_holding, id="holding"),
        pytest.param(in_promoting, id="promoting", marks=pytest.mark.faults),
        pytest.param(in_baking, id="baking", marks=pytest.mark.faults),
        pytest.param(in_rolling_back, id="rolling-back", marks=pytest.mark.faults),
    ],
)
async def test_a_kill_beside_a_running_ramp_ends_it_and_its_mark_stays(tmp_path: Path, moment: Injection) -> None:
    async with Trial(tmp_path / "world", ramp=lasting(moment)).running() as trial:
        await trial.start()
        await moment(trial)
        assert await kill(trial) == 0
        assert trial.record.candidates == ()
        await ended_as(trial, "operator_abort" if moment is in_rolling_back else "killed")
        record = trial.record
        assert record.kill is not None
        assert record.kill.reason == "a test"
        assert record.cleared_by is (Clearer.ROLLBACK if moment is in_rolling_back else Clearer.KILL)


async def reset(trial: Trial, *, after_preflight: bool, with_messages: bool = True) -> None:
    """What the button in Temporal's UI does, to the first workflow task or to the one after preflight.

    ``with_messages`` False leaves out the signals that the old run had received.
    """
    client, handle = trial.world.client, trial.handle
    events = (await handle.fetch_history()).events
    preflight = next(
        event.event_id
        for event in events
        if event.activity_task_scheduled_event_attributes.activity_type.name == names.PREFLIGHT
    )
    passed = next(
        event.event_id
        for event in events
        if event.activity_task_completed_event_attributes.scheduled_event_id == preflight
    )
    tasks = [event.event_id for event in events if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED]
    chosen = next(task for task in tasks if task > passed) if after_preflight else tasks[0]
    excluded = ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=handle.result_run_id or ""),
            reason="a test",
            workflow_task_finish_event_id=chosen,
            request_id=str(uuid.uuid4()),
            reset_reapply_exclude_types=[] if with_messages else [excluded],
        )
    )
    trial.handle = ramp_handle(client, "demo/chat")


@pytest.mark.faults
async def test_a_run_that_was_reset_behind_its_own_writes_is_fenced_and_goes_back(tmp_path: Path) -> None:
    async with Trial(tmp_path / "world").running() as trial:
        await trial.start()
        await in_holding(trial)
        await reset(trial, after_preflight=True)
        await ended_as(trial, "fenced")


@pytest.mark.faults
async def test_a_run_that_was_reset_to_its_start_goes_the_whole_way_again(tmp_path: Path) -> None:
    async with Trial(tmp_path / "world").running() as trial:
        await trial.start()
        await in_holding(trial)
        await reset(trial, after_preflight=False)
        result = await trial.result()
        assert result.phase is Phase.SUCCEEDED, result.detail
        await trial.assert_promises()


@pytest.mark.faults
@pytest.mark.parametrize("after_preflight", [True, False])
@pytest.mark.parametrize(("with_messages", "reason"), [(True, "operator_abort"), (False, "fenced")])
async def test_a_finished_rollback_that_is_reset_serves_nobody_again(
    tmp_path: Path, after_preflight: bool, with_messages: bool, reason: str
) -> None:
    async with Trial(tmp_path / "world").running() as trial:
        await trial.start()
        await in_holding(trial)
        await trial.abort()
        await trial.result()
        versions = len(trial.history.versions)
        await reset(trial, after_preflight=after_preflight, with_messages=with_messages)
        result = await trial.result()
        assert (result.phase, str(result.reason)) == (Phase.ROLLED_BACK, reason)
        assert trial.history.versions[versions:] == []
        await trial.assert_promises()


@pytest.mark.faults
async def test_a_pause_and_an_abort_at_once_abort(tmp_path: Path) -> None:
    async with Trial(tmp_path / "world").running() as trial:
        handle = await trial.start()
        await in_holding(trial)
        await asyncio.gather(
            *(handle.signal(RampWorkflow.pause, Message(actor=f"p{number}")) for number in range(3)),
            trial.abort(),
            *(handle.signal(RampWorkflow.resume, Message(actor=f"r{number}")) for number in range(3)),
        )
        await ended_as(trial, "operator_abort")
