"""Ramps that are under way when the code changes: recorded histories replayed through the code of today."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import command_fingerprint
import pytest
from history_scenarios import ENDS
from ramp_specs import TWO_STEPS, ramp_spec
from scripted import ScriptedWorld, new_route
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tailramp.ramp import Reason
from workflows.ramp import RampWorkflow

FOLDER = Path(__file__).with_name("histories")
HISTORIES = sorted(path.stem for path in FOLDER.glob("*.json"))
NOT_REACHABLE_YET = {Reason.DRIFT}
EVENTS_PER_STEP = 60
"""At most 56: a step is eight activities, of which four write its decisions down, each of up to six events, and four
changes of what the list of ramps shows, of two. What is decided in one go shares its events: 43 to 55 were measured."""

BROKEN = """\
{name} does not replay: a ramp that is under way would be stuck as soon as this code is deployed.
Guard the changed commands with workflow.patched("what-changes"), so that old histories take the old way, and keep this
file. Only if no ramp of the old code is alive anywhere, record anew: python tests/workflows/record_histories.py"""

MOVED = """\
The commands of the workflow have changed:
{changes}
A ramp that is under way replays its history through this code, and the order of its commands must not change under it.
If the order or the number of activities, timers, upserts or random ids changed on any path, guard the change with
workflow.patched("what-changes") and see that the replay tests pass. If it only moved within the source, or no ramp of
the old code is alive anywhere, accept it: python tests/workflows/record_histories.py"""


def _text(name: str) -> str:
    return (FOLDER / f"{name}.json").read_text(encoding="utf-8")


def _events(name: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads(_text(name))["events"]
    return events


def _payloads(value: Any) -> Iterator[str]:
    """What is inside the payloads, which a search of the text would not see."""
    if isinstance(value, dict):
        if "data" in value and "metadata" in value:
            yield base64.b64decode(value["data"]).decode()
        for part in value.values():
            yield from _payloads(part)
    elif isinstance(value, list):
        for part in value:
            yield from _payloads(part)


async def _replay(name: str, text: str) -> None:
    replayer = Replayer(workflows=[RampWorkflow], data_converter=pydantic_data_converter)
    await replayer.replay_workflow(WorkflowHistory.from_json(f"ramp/{name}", text))


@pytest.mark.parametrize("name", HISTORIES)
async def test_a_ramp_of_an_earlier_day_goes_on_in_todays_code(name: str) -> None:
    try:
        await _replay(name, _text(name))
    except NondeterminismError as error:
        pytest.fail(f"{error}\n\n{BROKEN.format(name=name)}", pytrace=False)


@pytest.mark.parametrize(("was", "became"), [("verify_assignment", "watch"), ("clear_route", "restore")])
async def test_a_replay_notices_another_command(was: str, became: str) -> None:
    events = _events("operator_abort")
    scheduled = [
        event["activityTaskScheduledEventAttributes"]
        for event in events
        if event.get("activityTaskScheduledEventAttributes", {}).get("activityType") == {"name": was}
    ]
    scheduled[-1]["activityType"]["name"] = became
    with pytest.raises(NondeterminismError):
        await _replay("operator_abort", json.dumps({"events": events}))


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in NOT_REACHABLE_YET])
def test_there_is_a_history_of_every_end(reason: Reason) -> None:
    assert reason in ENDS
    completed = _events(reason)[-1]["workflowExecutionCompletedEventAttributes"]
    (result,) = _payloads(completed)
    assert json.loads(result)["reason"] == reason


def test_there_is_a_history_that_is_still_going_on_and_one_that_has_continued_as_new() -> None:
    assert "workflowExecutionCompletedEventAttributes" not in _events("mid_hold")[-1]
    carried = _events("before_continue_as_new")[-1]["workflowExecutionContinuedAsNewEventAttributes"]
    assert any('"carried"' in payload for payload in _payloads(carried["input"]))


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_names_no_machine(name: str) -> None:
    text = _text(name) + "".join(_payloads(_events(name)))
    assert set(re.findall(r'"identity": "([^"]*)"', text)) == {"worker"}
    assert set(re.findall(r"https?://([^/:\"]+)", text)) <= {"127.0.0.1"}
    assert set(re.findall(r'"(/[^"]*)"', text)) <= {"/routes/chat.json", "/v1/models"}
    assert "site-packages" not in text


def test_the_commands_of_the_workflow_come_in_the_order_in_which_they_were_recorded() -> None:
    now, then = command_fingerprint.of_workflows(), command_fingerprint.committed()
    changes = [
        f"  {name}\n    was {then.get(name, 'not there')}\n    is  {now.get(name, 'not there')}"
        for name in sorted({*now, *then})
        if now.get(name) != then.get(name)
    ]
    if changes:
        pytest.fail(MOVED.format(changes="\n".join(changes)), pytrace=False)


def test_the_fingerprint_sees_what_a_shift_does() -> None:
    """A walk that found nothing would never find a change."""
    fingerprint = command_fingerprint.of_workflows()
    assert "self._start(names.APPLY)" in fingerprint["forward.Forward._serve"]
    assert fingerprint["rollback.Rollback._roll_back"][1] == "self._start(names.CLEAR)"
    assert "continue_as_new" in fingerprint["ramp.RampWorkflow.run"]


async def test_a_step_takes_a_bounded_number_of_events(world: ScriptedWorld) -> None:
    """The server ends a workflow at 51,200 events without giving it a chance to roll back."""
    ramp = await world.start(ramp_spec(new_route(), steps=TWO_STEPS))
    await world.reached("apply default")
    began = [
        event.event_id
        for event in (await ramp.handle.fetch_history()).events
        if event.activity_task_scheduled_event_attributes.activity_id.startswith(
            ("record-shift_intended", "record-promotion_intended")
        )
    ]
    steps = [after - before for before, after in pairwise(began)]
    assert len(steps) == 2
    assert max(steps) <= EVENTS_PER_STEP
