"""Whether every scenario of the demo ends as its table says, for several seeds of users and latencies.

Each run is the command that a newcomer types, in a process of its own, and is believed by its exit code and its facts.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench._samples import RESULTS, machine
from lab.acts import ACTS, Scenario

RUNS = RESULTS / "demo_scenarios.jsonl"
TEXT = RESULTS / "demo_scenarios.txt"
SEEDS = 5
_MOST_SECONDS = 400


@dataclass(frozen=True)
class Run:
    scenario: Scenario
    seed: int
    exit_code: int
    facts: dict[str, Any]

    @property
    def as_promised(self) -> bool:
        return self.exit_code == 0

    @property
    def seconds(self) -> float | None:
        """From the first scrape that shows the fault to the last request of the candidate."""
        return self.facts.get("seconds_trigger_to_last_candidate_request")


def play(scenario: Scenario, seed: int) -> Run:
    command = [sys.executable, "-m", "cli", "demo", "--scenario", scenario, "--seed", str(seed), "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_MOST_SECONDS, check=False)
    try:
        facts = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        facts = {"error": (done.stdout + done.stderr)[-500:]}
    return Run(scenario, seed, done.returncode, facts)


def read(path: Path = RUNS) -> list[Run]:
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Run(Scenario(line["scenario"]), line["seed"], line["exit_code"], line["facts"]) for line in lines]


def report(runs: Sequence[Run]) -> str:
    lines = [
        "scenarios of `tailramp demo`: how each must end, and how many runs did so without a broken promise to a user",
        machine(),
        "",
        f"{'scenario':<18}{'must end':<32}{'as promised':>12}   trigger → last request, worst",
    ]
    for scenario, act in ACTS.items():
        of_it = [run for run in runs if run.scenario is scenario]
        kept = sum(run.as_promised for run in of_it)
        seconds = [run.seconds for run in of_it if run.seconds is not None]
        worst = f"{max(seconds):.1f} s" if seconds else "-"
        lines.append(f"{scenario:<18}{f'{act.outcome} ({act.reason})':<32}{f'{kept} of {len(of_it)}':>12}   {worst}")
    lines += [
        "",
        "As promised: the end above; no share grew in an incident; no request failed but the candidate's after its",
        "fault; no forged or missing id on the candidate, no user moved back and forth, no answer of the candidate",
        "that no assignment of its time allowed.",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench demo_scenarios", description=__doc__)
    parser.add_argument("--scenario", choices=list(Scenario), action="append", help="all of them by default")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"1 to this one ({SEEDS}); what was run stays")
    chosen = parser.parse_args(arguments)
    done = {(run.scenario, run.seed) for run in read()}
    for seed in range(1, chosen.seeds + 1):
        for scenario in map(Scenario, chosen.scenario or Scenario):
            if (scenario, seed) in done:
                continue
            run = play(scenario, seed)
            print(f"{scenario} with seed {seed}: exit code {run.exit_code}", file=sys.stderr, flush=True)
            line = {"scenario": scenario, "seed": seed, "exit_code": run.exit_code, "facts": run.facts}
            with RUNS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    text = report(read())
    TEXT.write_text(text + "\n", encoding="utf-8")
    print(text)
