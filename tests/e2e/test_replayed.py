"""A ramp that really was, recorded and run again: the same decisions, at the same ticks, with the same numbers."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_scenarios import assert_promises_to_users_are_kept

from lab.acts import Scenario, UserRun
from lab.scenario import play
from lab.world import HANG_CHECK, World
from tailramp.ramp import Phase

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

RAMP = {"steps": ["5%", "10%", "25%", "50%", "75%", "100%"]}
USERS = UserRun(rate=240.0, seconds=150.0, core_users=250, core_rate=220.0)
"""Half of those who come again and again are more than a hundred."""
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


@pytest.mark.alone  # a gateway that gets no processor for a while serves somebody by the assignment before
@pytest.mark.faults  # the next one says the same, of checks with and without a day before
async def test_a_recorded_ramp_is_decided_again_as_it_was_and_its_record_can_be_recomputed(tmp_path: Path) -> None:
    async with World(tmp_path / "world", seed=7, ramp=RAMP, checks=HANG_CHECK) as world:
        await ramped_recorded_and_replayed(world)


@pytest.mark.alone
async def test_so_is_one_that_knew_its_users_from_the_day_before(tmp_path: Path) -> None:
    history = {"sequential": {"history": {"bucketLabel": "bucket", "period": "3h"}}}
    world = World(tmp_path / "world", seed=7, ramp=RAMP, checks={**HANG_CHECK, **history})
    past = tmp_path / "past.om"
    with past.open("w", encoding="utf-8") as out:
        out.writelines(day_before(int(time.time()) // 5 * 5))
    world.prometheus.remember(past)
    async with world:
        told = [
            (v["check"], v["reason"]) for _, verdicts in await ramped_recorded_and_replayed(world) for v in verdicts
        ]
    known = {check for check, reason in told if "its users are known from before the ramp" in reason}
    assert known == {"toxicity"}
    assert any(check == "errors" and "its users are not known from before" in reason for check, reason in told)


def day_before(now: int) -> Iterator[str]:
    """Hours of answers of blue by bucket, as a scorer that names it would have counted them."""
    random = np.random.default_rng(6)
    times = range(now - 4 * 3600, now, 5)
    n = random.poisson(5, (20, len(times)))
    for name, counts in (("scored", n), ("toxic", random.binomial(n, 0.02))):
        yield f"# TYPE llm_answers_{name} counter\n"
        for bucket, values in enumerate(counts.cumsum(axis=1).tolist()):
            labels = f'slot="blue",instance="before",bucket="{bucket:02}"'
            for at, value in zip(times, values, strict=True):
                yield f"llm_answers_{name}_total{{{labels}}} {value} {at}\n"
    yield "# EOF\n"


async def ramped_recorded_and_replayed(world: World) -> list[tuple[str, Any]]:
    """What the watches decided, live and in the replay alike."""
    world.start_worker()
    facts = await play(world, Scenario.SLOW, users=USERS)
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
    return expected
