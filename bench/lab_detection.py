"""Time to detection in the lab, at five requests a second on the candidate, and healthy ramps that must not be lost.

Real servers, a real Prometheus, real users: a candidate with 5 % of 100 requests a second breaks while its first step
is held, and the clock runs from the fault to the first scrape at which a recount of the raw counters fails.  Beside it,
whole healthy demos and demos with an incident of both versions.  One line a run is added to a file, so that the whole
can be done in pieces; what was run stays.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench._samples import RESULTS, machine
from bench.demo_scenarios import play as play_demo
from lab.acts import Scenario, UserRun
from lab.scenario import play
from lab.world import World

RUNS = RESULTS / "lab_detection.jsonl"
TEXT = RESULTS / "lab_detection.txt"
SEEDS = 20
WANTED = {Scenario.SLOW: 120.0, Scenario.ERRORS: 60.0, Scenario.TOXIC: 360.0, Scenario.HANGING: 60.0}
"""Seconds that 95 of 100 may take: those of p99 +50 %, errors ×20 and toxicity 1 → 6 %, and a minute for hung ones."""

HEALTHY = (Scenario.HEALTHY, Scenario.SHARED_INCIDENT)

_RATE, _SHARE = 100.0, "5%"
_MOST_SECONDS = 420.0
_USERS = UserRun(rate=_RATE, seconds=_MOST_SECONDS, core_users=1000)
# Production's judges and samples; a shorter tick and window, since nothing here is gathered for weeks.
_RAMP = {"steps": [_SHARE, "100%"], "hold": "1h", "maxSettle": "2m"}
_CHECKS = {"tick": "5s", "window": "15s", "minSample": 100, "floor": 500, "maxHang": "10s"}
_SCRAPE_SECONDS = 5.0


@dataclass(frozen=True)
class Run:
    """``seconds`` from the fault to the scrape that shows it; None if nothing was found, or nothing was wrong."""

    scenario: Scenario
    seed: int
    as_promised: bool
    seconds: float | None
    load: float
    told: str = ""


async def detect(scenario: Scenario, seed: int) -> Run:
    with tempfile.TemporaryDirectory(prefix="tailramp-detection-") as folder:
        world = World(Path(folder), seed, ramp=_RAMP, checks=_CHECKS, scrape_seconds=_SCRAPE_SECONDS)
        async with world:
            world.start_worker()
            facts = await play(world, scenario, fault_step=1, users=_USERS, linger=3, most_seconds=_MOST_SECONDS)
    return Run(scenario, seed, facts.as_promised, facts.seconds_fault_to_trigger, os.getloadavg()[0])


def attempt(scenario: Scenario, seed: int) -> Run:
    """Whatever goes wrong is a run that did not find the fault, and says why."""
    if scenario in HEALTHY:
        demo = play_demo(scenario, seed)
        told = "" if demo.as_promised else json.dumps(demo.facts, ensure_ascii=False)
        return Run(scenario, seed, demo.as_promised, None, os.getloadavg()[0], told)
    try:
        return asyncio.run(detect(scenario, seed))
    except Exception as error:  # a bench of hours goes on
        return Run(scenario, seed, False, None, os.getloadavg()[0], f"{type(error).__name__}: {error}"[:300])


def read(path: Path = RUNS) -> list[Run]:
    if not path.exists():
        return []
    lines: list[dict[str, Any]] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Run(**{**line, "scenario": Scenario(line["scenario"])}) for line in lines]


def append(run: Run, path: Path = RUNS) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(vars(run), ensure_ascii=False) + "\n")


def report(runs: Sequence[Run]) -> str:
    loads = [run.load for run in runs] or [0.0]
    lines = [
        f"a fault at 5 requests/s on the candidate ({_SHARE} of {_RATE:g}/s), from its first moment to the scrape that",
        f"shows it: scraped and looked at every {_SCRAPE_SECONDS:g} s, by the threshold rule and the sequential test",
        f"{machine()}, load average {min(loads):.0f} to {max(loads):.0f}",
        "",
        f"{'fault':<18}{'found':>10}{'median':>10}{'p95':>10}{'largest':>10}{'wanted p95':>12}",
    ]
    for scenario, wanted in WANTED.items():
        of_it = [run for run in runs if run.scenario is scenario]
        seconds = [run.seconds for run in of_it if run.seconds is not None and run.as_promised]
        figures = [*np.percentile(seconds, [50, 95]), max(seconds)] if seconds else []
        told = "".join(f"{figure:>8.0f} s" for figure in figures) or f"{'-':>10}" * 3
        lines.append(f"{scenario:<18}{f'{len(seconds)} of {len(of_it)}':>10}{told}{wanted:>10.0f} s")
    lines += ["", f"{'healthy':<18}{'kept':>10}"]
    for scenario in HEALTHY:
        of_it = [run for run in runs if run.scenario is scenario]
        lines.append(f"{scenario:<18}{f'{sum(run.as_promised for run in of_it)} of {len(of_it)}':>10}")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench lab_detection", description=__doc__)
    known = [*WANTED, *HEALTHY]
    parser.add_argument("--scenario", choices=known, action="append", help="all of them by default")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"1 to this one ({SEEDS}); what was run stays")
    parser.add_argument("--runs", type=int, help="so many at most, then the table: go on later")
    chosen = parser.parse_args(arguments)
    done = {(run.scenario, run.seed) for run in read()}
    scenarios = [Scenario(name) for name in chosen.scenario or known]
    # Ten healthy demos of each kind are twenty in a row.
    missing = [
        (scenario, seed)
        for seed in range(1, chosen.seeds + 1)
        for scenario in scenarios
        if (scenario, seed) not in done and (scenario not in HEALTHY or 2 * seed <= chosen.seeds)
    ]
    for scenario, seed in missing[: chosen.runs]:
        run = attempt(scenario, seed)
        append(run)
        found = f"{run.seconds:.0f} s" if run.seconds is not None else "as promised" if run.as_promised else "NOT"
        print(f"{scenario} with seed {seed}: {found} {run.told}".rstrip(), file=sys.stderr, flush=True)
    text = report(read())
    TEXT.write_text(text + "\n", encoding="utf-8")
    print(text)
