"""Every line of an activity and of a workflow says which ramp it is about, in words and as JSON."""

import asyncio
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker
from trial_workflow import WORK, Trial

from lab.temporal_server import TemporalServer
from tailramp.decision import Decision, DecisionKind
from tailramp.ramp import Phase
from worker.__main__ import run
from worker.logging_setup import About, configure_logging
from worker.ramp_lines import NamesRamp, about_here, asked
from worker.settings import LogFormat

log = logging.getLogger("tailramp.trial")

RAMP = "1a2b3c4d-0000-0000-0000-000000000000"
WORDS = "route=demo/chat ramp=1a2b3c4d epoch=7 "


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def decision() -> Decision:
    return Decision(
        id="one",
        at=datetime(2026, 11, 22, tzinfo=UTC),
        route="demo/chat",
        ramp=RAMP,
        epoch=7,
        kind=DecisionKind.ENDED,
        sentence="told by the test",
        phase=Phase.HOLDING,
        step=1,
        actor="test",
        spec_digest="0",
    )


@activity.defn(name=WORK)
async def work(request: Decision) -> None:
    log.warning("on the loop")
    await asyncio.to_thread(log.warning, "in a thread")
    await asyncio.create_task(_later())
    raise ValueError("the activity fails")


async def _later() -> None:
    log.warning("in a task")


@pytest.fixture
async def client(temporal: TemporalServer) -> Client:
    return await Client.connect(temporal.address, data_converter=pydantic_data_converter)


async def test_lines_of_an_activity_of_its_threads_and_of_its_workflow_name_the_ramp(
    client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    configure_logging("INFO", LogFormat.TEXT, about=about_here)
    async with Worker(
        client,
        task_queue="trial",
        workflows=[Trial],
        activities=[work],
        interceptors=[NamesRamp()],
    ):
        handle = await client.start_workflow(Trial.run, decision(), id="ramp/demo/chat", task_queue="trial")
        await handle.result()
        log.warning("outside of both")
    lines = capfd.readouterr().err.splitlines()

    def line(words: str) -> str:
        (found,) = [line for line in lines if words in line and " WARNING " in line]
        return found

    for words in ("on the loop", "in a thread", "in a task"):
        assert f"] {WORDS}{words}" in line(words)
    assert f"] {WORDS}Completing activity as failed" in line("Completing activity as failed")
    first_run = str(handle.first_execution_run_id)
    assert f"] route=demo/chat ramp={first_run[:8]} epoch=9 from the workflow" in line("from the workflow")
    assert "] outside of both" in line("outside of both")


def test_a_role_is_served_with_lines_that_name_their_ramp(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def served(*_: object, **__: object) -> int:
        log.warning("while it serves")
        return 0

    monkeypatch.setattr("worker.__main__.look_for_garbage_seldom", lambda: None)
    monkeypatch.setattr("worker.process.serve", served)
    monkeypatch.setattr("worker.ramp_lines.about_here", lambda: About("demo/chat", RAMP, 7))
    assert run("control") == 0
    assert f"] {WORDS}while it serves" in capfd.readouterr().err


def test_json_lines_carry_the_same_fields_and_one_line_per_record(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", LogFormat.JSON, about=about_here)
    log.warning("two\nlines of 中文", extra={"about": About("demo/chat", RAMP, 7)})
    log.info("about nobody")
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("it failed")
    first, second, third = (json.loads(line) for line in capfd.readouterr().err.splitlines())
    assert (first["route"], first["ramp"], first["epoch"]) == ("demo/chat", "1a2b3c4d", 7)
    assert (first["level"], first["name"], first["message"]) == ("WARNING", "tailramp.trial", "two\nlines of 中文")
    assert datetime.fromisoformat(first["time"]).tzinfo is not None
    assert not {"route", "ramp", "epoch"} & set(second)
    assert "ValueError: why" in third["exception"]


def test_a_request_without_an_epoch_shows_none() -> None:
    assert About("demo/chat", RAMP).fields == {"route": "demo/chat", "ramp": "1a2b3c4d"}
    assert asked("something else") is None
