"""What people see of a ramp: in the list, in the history, in its status; with and without a worker."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ramp_specs import TWO_STEPS, ramp_spec
from scripted import Ramp, ScriptedWorld, new_route
from scripted_activities import ends, fails, waits
from temporalio.common import TypedSearchAttributes
from temporalio.exceptions import WorkflowAlreadyStartedError

from tailramp import activity_names as names
from tailramp.ramp import Phase, WatchOutcome
from tailramp.spec import RampSpec
from workflows import search_attributes
from workflows.handles import ramp_handle, workflow_id
from workflows.starting import TASK_TIMEOUT, start_ramp


async def _attributes(ramp: Ramp) -> TypedSearchAttributes:
    return (await ramp.handle.describe()).typed_search_attributes


async def test_a_second_ramp_of_a_route_is_refused_while_the_first_is_live(world: ScriptedWorld) -> None:
    spec = ramp_spec(new_route())
    world.on("hold 1", ends(WatchOutcome.FAILED))
    world.on("clear", waits())
    await world.start(spec)
    await world.reached("clear")
    with pytest.raises(WorkflowAlreadyStartedError):
        await start_ramp(world.client, spec, "lin")


async def test_the_handle_of_a_route_is_that_of_its_latest_ramp(world: ScriptedWorld) -> None:
    spec = ramp_spec(new_route())
    world.times("hold 1", 2, ends(WatchOutcome.FAILED))
    results = [await (await world.start(spec)).result() for _ in range(2)]
    assert results[0].ramp != results[1].ramp
    handle = ramp_handle(world.client, spec.platform.route.full_name)
    assert handle.id == workflow_id(spec.platform.route.full_name)
    assert (await handle.result()).ramp == results[1].ramp


async def test_a_ramp_is_started_with_a_short_task_timeout_and_none_that_would_terminate_it(
    world: ScriptedWorld,
) -> None:
    world.on("preflight", waits())
    ramp = await world.start()
    started = (await ramp.handle.fetch_history()).events[0].workflow_execution_started_event_attributes
    assert started.workflow_task_timeout.ToTimedelta() == TASK_TIMEOUT == timedelta(seconds=3)
    assert not started.workflow_run_timeout.ToTimedelta()
    assert not started.workflow_execution_timeout.ToTimedelta()


async def test_a_ramp_can_be_found_before_any_worker_has_seen_it(world: ScriptedWorld) -> None:
    await world.stop_workflows()
    spec = ramp_spec(new_route())
    ramp = await world.start(spec)
    shown = await ramp.handle.describe()
    assert shown.typed_search_attributes[search_attributes.PHASE] == Phase.PREFLIGHT
    assert shown.typed_search_attributes[search_attributes.ROUTE] == spec.platform.route.full_name
    assert shown.typed_search_attributes[search_attributes.SHARE] == 0
    assert await shown.static_summary() == f"{spec.platform.route.name} → chat-v2: 10/100 % of 00-99"
    details = await shown.static_details()
    assert details is not None
    assert "| limits | errors ≤ 5 %, p99 ≤ 2s, toxicity ≤ 5 % |" in details
    assert spec.digest[:16] in details


async def test_a_name_that_is_too_long_for_the_list_is_cut_between_two_characters(world: ScriptedWorld) -> None:
    await world.stop_workflows()
    data = ramp_spec(new_route()).model_dump(mode="json", by_alias=True)
    data["canary"]["canary"]["model"] = "通义千问" * 50
    ramp = await world.start(RampSpec.model_validate(data))
    summary = await (await ramp.handle.describe()).static_summary()
    assert summary is not None
    assert 197 < len(summary.encode()) <= 200


async def test_the_list_follows_phase_share_and_reason(world: ScriptedWorld) -> None:
    world.on("hold 1", waits())
    world.on("prove", waits())
    ramp = await world.start()
    await world.reached("hold 1")
    shown = await _attributes(ramp)
    assert (shown[search_attributes.PHASE], shown[search_attributes.SHARE]) == (Phase.HOLDING, 10)
    await ramp.abort()
    await world.reached("prove")
    shown = await _attributes(ramp)
    assert shown[search_attributes.PHASE] == Phase.ROLLING_BACK
    assert shown[search_attributes.REASON] == "operator_abort"


async def test_the_history_reads_as_a_log(world: ScriptedWorld) -> None:
    world.on("hold 1", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"))
    ramp = await world.start()
    await ramp.result()
    lines = [
        (event.activity_task_scheduled_event_attributes.activity_id, event.user_metadata.summary.data.decode())
        for event in (await ramp.handle.fetch_history()).events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    told = [f"{name.rpartition('-')[0]}: {summary}" for name, summary in lines]
    assert len({name for name, _ in lines}) == len(lines)
    for line in (
        'step-1-apply: "apply 10 % (00-09)"',
        'step-1-verify: "prove 10 % (00-09) by responses"',
        'step-1-hold: "hold 10 % (00-09) 10m: errors ≤ 5 %, p99 ≤ 2s, toxicity ≤ 5 %"',
        'record-failed: "step 1, 10 % (00-09) FAIL: p99 3 s > 2 s → rollback"',
        'rollback-clear: "ROLLBACK → 0 %"',
        'record-ended: "rolled back: unhealthy: p99 3 s > 2 s"',
    ):
        assert line in told


# What comes next.


async def _next(ramp: Ramp) -> str:
    return (await ramp.status()).next


async def test_the_status_of_a_shift_says_what_is_applied_unless_a_person_came_first(
    world: ScriptedWorld,
) -> None:
    world.on("apply 1", waits())
    world.on("prove", waits())
    ramp = await world.start(ramp_spec(new_route(), steps=TWO_STEPS))
    await world.reached("apply 1")
    assert await _next(ramp) == "10 % (00-09) is applied and proven by responses"
    await ramp.pause()
    assert await _next(ramp) == "waits for `tailramp resume`; guards go on"
    await ramp.abort()
    await world.reached("prove")
    assert (await _next(ramp)).startswith("everyone goes back to the baseline")


async def test_the_status_of_a_hold_says_how_long_it_still_takes_and_what_follows(world: ScriptedWorld) -> None:
    world.on("settle 1", waits(), ends(WatchOutcome.SETTLED))
    world.on("hold 1", waits())
    ramp = await world.start(ramp_spec(new_route(), steps=TWO_STEPS))
    await world.reached("settle 1")
    assert (await _next(ramp)).startswith("the hold starts once traffic has reached the step")
    await ramp.promote(2)
    await ramp.alert(attributed=False)
    await world.reached("guard 1")
    assert (await _next(ramp)) == "50 % (00-49), once this is resolved: approval; or `tailramp promote`"


async def test_a_ramp_that_a_freeze_holds_says_that_it_waits_for_its_lift(world: ScriptedWorld) -> None:
    world.on("apply default", fails(names.FROZEN, "frozen by ops: holidays"))
    ramp = await world.start()
    await world.reached("guard 1")
    assert await _next(ramp) == "green becomes the default, once the freeze is lifted"
    described = (await ramp.handle.fetch_history()).events
    summaries = [event.user_metadata.summary.data.decode() for event in described]
    assert '"waiting for freeze at 10 % (00-09), guards on: errors ≤ 5 %, p99 ≤ 2s, toxicity ≤ 5 %"' in summaries


async def test_the_status_of_a_ramp_that_is_over_says_so(world: ScriptedWorld) -> None:
    world.on("hold 1", ends(WatchOutcome.FAILED))
    ramp = await world.start()
    await ramp.result()
    assert await _next(ramp) == "nothing: the ramp is over"
