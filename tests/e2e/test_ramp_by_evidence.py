"""Ramps that grow by evidence, with live users and a real Prometheus: to everyone, and not a step with a fault."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.route_document import RouteDocument
from lab.acts import Scenario, UserRun
from lab.scenario import play
from lab.world import World
from tailramp.assignment import Assignment
from tailramp.ramp import Phase

# Alone: a baseline that gets no processor has no ready server for a while, and a ramp beside it waits.
pytestmark = [pytest.mark.alone, pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(400)]

# What takes minutes to hours at production's numbers: here a rollback takes effect within two seconds, and a ratio of
# four is close enough.
EVIDENCE = {"dwell": "3s", "reaction": "2s", "promoteBelow": 4, "maxHold": "150s"}
LONGER = UserRun(seconds=150.0)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    ramp = {"advance": "evidence", "evidence": EVIDENCE}
    async with World(tmp_path / "world", seed=5, ramp=ramp) as world:
        yield world


async def test_a_good_candidate_grows_by_evidence_to_everyone(world: World) -> None:
    world.start_worker()
    facts = await play(world, Scenario.HEALTHY, users=LONGER, linger=2, most_seconds=200)
    assert (facts.outcome, facts.reason) == (Phase.SUCCEEDED, "succeeded")
    assert facts.as_promised, facts.model_dump_json()
    assert facts.users_seen_on_both >= 100
    record = RouteDocument.parse(world.route_file.read_text(encoding="utf-8")).record
    assert record.assignment == Assignment(default="green")


async def test_a_candidate_that_fails_is_taken_back_and_not_grown(world: World) -> None:
    world.start_worker()
    before = RouteDocument.parse(world.route_file.read_text(encoding="utf-8")).digest
    facts = await play(world, Scenario.ERRORS, fault_step=2, users=LONGER, linger=3)
    assert (facts.outcome, facts.reason) == (Phase.ROLLED_BACK, "unhealthy")
    assert facts.as_promised, facts.model_dump_json()
    assert facts.seconds_trigger_to_last_candidate_request is not None
    assert facts.seconds_trigger_to_last_candidate_request <= 2.0
    assert facts.responses.get("green", 0) < 0.1 * facts.responses["blue"]
    assert RouteDocument.parse(world.route_file.read_text(encoding="utf-8")).digest == before
