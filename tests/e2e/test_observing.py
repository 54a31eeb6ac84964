"""``start --observe`` beside users that somebody else moved: it tells what a ramp would have done, and does nothing."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))

from test_language import english_left

from gateway.route_document import RouteDocument
from lab.client_log import read_log
from lab.process import ManagedProcess, wait_until
from lab.world import World
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def moved(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A world without any worker, in which every fourth user is on the candidate, and live users.

    Whoever observes changes nothing in it, so that one is enough for all; who breaks its candidate comes last.
    """
    ramp = {"steps": ["25%", "100%"], "hold": "3s", "bake": "2s"}
    async with World(tmp_path_factory.mktemp("observing") / "world", seed=3, ramp=ramp) as world:
        document = RouteDocument.parse(world.route_file.read_text(encoding="utf-8"))
        record, rule = document.record, Rule(slot="green", buckets=BucketSet.parse("00-24"))
        moved = record.model_copy(update={"assignment": Assignment(default="blue", rules=(rule,))})
        new = world.route_file.with_suffix(".new")
        new.write_text(document.with_record(moved).text(), encoding="utf-8")
        new.replace(world.route_file)
        log = world.directory / "clients.jsonl"

        def served() -> bool:
            return log.exists() and sum(request.variant == "green" for request in read_log(log).requests) > 50

        async with world.start_users(log, rate=60, seconds=290) as users:
            await users.wait_ready(served, 60, "users on both slots")
            # No healthy answer is so late, on a busy machine either.
            world.write_canary(world.models["green"], maxLatency="8s")
            yield world


def observing(world: World, *options: str) -> ManagedProcess:
    canary = world.directory / "canary.yaml"
    command = [sys.executable, "-m", "cli", "start", "--observe", str(canary), *options]
    log = world.directory / f"observing{''.join(options)}.log"
    return ManagedProcess.start(command, log, name="observing")


def events(process: ManagedProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.log_file.read_text(encoding="utf-8").splitlines()]


async def test_a_good_candidate_would_have_succeeded(moved: World) -> None:
    process = observing(moved, "--share", "25%", "-o", "json")
    assert await process.wait_exit(90) == 0
    phases = [event["phase"] for event in events(process) if event["event"] == "decision"]
    assert phases[-1] == "SUCCEEDED"
    checks = [event for event in events(process) if event["event"] == "check"]
    assert checks
    assert not [event for event in checks if event["kind"] == "FAIL"]


async def test_an_observation_ends_when_its_wait_is_over(moved: World) -> None:
    process = observing(moved, "--wait", "2s", "--lang", "zh")
    assert await process.wait_exit(90) == 7
    lines = process.log_file.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("开始观察 demo/chat")
    assert lines[-1].startswith("等待时间到")
    assert english_left("\n".join(lines)) == []


async def test_a_bad_candidate_is_told_of_and_nobody_is_moved(moved: World) -> None:
    before = moved.route_file.read_bytes()
    process = observing(moved, "-o", "json")
    await wait_until(lambda: any(event["event"] == "decision" for event in events(process)), 60, "the first step")
    await moved.fault("green", "errors")
    assert await process.wait_exit(90) == 3
    told = events(process)
    assert told[0]["event"] == "observing"
    assert told[0]["shares"]["green"] == pytest.approx(0.25, abs=0.12)
    assert told[-1]["phase"] == "ROLLED_BACK"
    assert told[-1]["failed_checks"] == ["errors"]
    assert any(event["event"] == "check" and event["kind"] == "FAIL" for event in told)
    assert moved.route_file.read_bytes() == before
