"""How long each command takes from a cold start: a process of its own, its imports and its answer.

All commands in turn, round after round, so that whatever else the machine does falls on all of them alike.  A world of
real servers runs, with a live, paused ramp to look at.  The processor time of the command's own process is printed
beside the time on the wall: on a busy machine only the former says something about the command.
"""

import argparse
import asyncio
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from cli.command_table import COMMANDS
from lab.process import wait_until
from lab.world import ROUTE, World
from tailramp.ramp import Phase
from workflows.messages import Message
from workflows.ramp import RampWorkflow
from workflows.starting import start_ramp

RESULTS = Path(__file__).parent / "results" / "cli.txt"
_BUDGETS = {"--help": 150, f"status {ROUTE}": 450}
"""Milliseconds on an idle machine."""


def looking(folder: Path) -> list[str]:
    """The commands that are run to their end; what starts, moves or ends something is measured by its help page."""
    files = folder / "canary.yaml"
    commands = ["--help", "--lang zh --help", "--version", f"status {ROUTE}", f"status {ROUTE} -o json"]
    commands += [f"explain {ROUTE}", f"history {ROUTE}", "list", f"validate {files}", f"plan --offline {files}"]
    commands += [f"plan {files}", "bucket --salt demo-2026 13800001234", "doctor"]
    return commands + [f"{name} --help" for name in COMMANDS]


def timed(command: str, environment: Mapping[str, str]) -> tuple[float, float]:
    """Run one command; returns milliseconds on the wall and of its own processor time."""
    before, since = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "cli", *command.split()],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    wall, after = time.monotonic() - since, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in {0, 5}:
        raise RuntimeError(f"tailramp {command} ended with {done.returncode}: {done.stderr.decode()}")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall * 1000, spent * 1000


async def measure(folder: Path, rounds: int) -> str:
    async with World(folder / "world", ramp={"hold": "1h", "maxSettle": "1h"}) as world:
        world.start_worker()
        handle = await start_ramp(world.client, world.spec(world.models["green"]), actor="bench")

        async def served() -> bool:
            status = await handle.query(RampWorkflow.status)
            return status.phase in {Phase.SETTLING, Phase.HOLDING}

        await wait_until(served, 60, "the first step")
        await handle.signal(RampWorkflow.pause, Message(actor="bench"))
        environment = {**os.environ, **world.worker_environment}
        commands = looking(world.directory)
        spent: dict[str, list[tuple[float, float]]] = {command: [] for command in commands}
        for number in range(rounds + 1):
            for command in commands:
                times = await asyncio.to_thread(timed, command, environment)
                if number:  # the first round compiles what was never imported
                    spent[command].append(times)
    return report(spent, rounds, world.directory)


def report(spent: Mapping[str, Sequence[tuple[float, float]]], rounds: int, folder: Path) -> str:
    load = os.getloadavg()[0]
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    lines = [
        f"cold start of each command, medians of {rounds} runs, milliseconds",
        f"{machine}, load average {load:.1f}",
        "",
        f"{'wall':>6} {'fastest':>8} {'own CPU':>8}  command",
    ]
    for command, times in spent.items():
        walls, cpus = [wall for wall, _ in times], [cpu for _, cpu in times]
        budget = f"   (budget {_BUDGETS[command]} on an idle machine)" if command in _BUDGETS else ""
        shown = command.replace(f"{folder}/", "")
        wall, own = statistics.median(walls), statistics.median(cpus)
        lines.append(f"{wall:6.0f} {min(walls):8.0f} {own:8.0f}  tailramp {shown}{budget}")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench cli", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="runs of each command")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tailramp-bench-") as folder:
        text = asyncio.run(measure(Path(folder), options.rounds))
    sys.stdout.write(text)
    RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
