"""A ramp that really was, recorded and run again: the same decisions, at the same ticks, with the same numbers."""

import asyncio
import json
import os
import sys
from typing import Any

import pytest
from test_scenarios import assert_promises_to_users_are_kept

from lab.scenario import Scenario, play
from lab.world import World
from tailramp.ramp import Phase

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

_OF_A_WATCH = ("SETTLED", "PASS", "FAIL", "INCONCLUSIVE")


async def tailramp(world: World, *arguments: object) -> Any:
    """What a command says in JSON."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", *map(str, arguments), "-o", "json"),
        env={**os.environ, **world.worker_environment},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return json.loads(out)


def of_watches(decisions: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """What the watches decided: the sentence, which has the step, and every verdict with its tick and numbers."""
    return [
        (decision["sentence"], decision.get("verdicts") or decision["evidence"]["verdicts"])
        for decision in decisions
        if any(f" {word}: " in decision["sentence"] for word in _OF_A_WATCH)
    ]


async def test_a_recorded_ramp_is_decided_again_as_it_was_and_its_record_can_be_recomputed(world: World) -> None:
    world.start_worker()
    facts = await play(world, Scenario.SLOW)
    assert (facts.outcome, facts.reason) == (Phase.ROLLED_BACK, "unhealthy")
    assert_promises_to_users_are_kept(facts)
    (log,) = world.records.glob("*.jsonl")
    live = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]

    canary = world.write_canary(world.models["green"])
    recording = world.directory / "ramp.gz"
    await tailramp(world, "record", canary, "--ramp", "--out", recording)
    await world.prometheus.kill()
    again = await tailramp(world, "replay", recording, canary, "--assert", "rolled-back by latency")

    assert again["digest"] == live[0]["spec_digest"]
    decided, expected = of_watches(again["decisions"]), of_watches(live)
    assert len(expected) >= 8, "four steps settle, three pass and one fails"
    assert [sentence for sentence, _ in decided] == [sentence for sentence, _ in expected]
    assert [[v["at"] for v in verdicts] for _, verdicts in decided] == [
        [v["at"] for v in verdicts] for _, verdicts in expected
    ]
    assert decided == expected

    recomputed = await tailramp(world, "replay", "--record", log)
    assert recomputed["agree"]
    on_counts = [decision["verdicts"] for decision in recomputed["decisions"] if decision["holds_counts"]]
    assert on_counts == [4] * len(expected)
