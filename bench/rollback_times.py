"""How long after an `abort` or a `kill` the last request is sent that the candidate serves.

The clock is the user's: it starts before the message is sent or the command is started, and ends with the sending of
the last request that the candidate answered, by the clients' own log.  A real gateway, real worker processes and a
steady load, on one machine that also carries all of them.
"""

import argparse
import asyncio
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from activities.routers import record_router
from lab.client_log import ClientRequest, read_log
from lab.process import ManagedProcess, wait_until
from lab.world import World
from tailramp.ramp import Phase
from tailramp.route_record import lifted
from workflows.messages import Message
from workflows.ramp import RampWorkflow
from workflows.starting import RampHandle, start_ramp

RESULTS = Path(__file__).parent / "results" / "rollback_times.txt"
REQUESTS_PER_SECOND = 200.0
RAMP = {
    "steps": [{"share": "5%", "hold": "1s"}, {"share": "25%", "hold": "1h"}, "100%"],
    "hold": "1h",
    "bake": "1h",
    "maxSettle": "1m",
}
CHECKS = {"tick": "1s", "window": "1s", "consecutive": 3, "minSample": 10, "floor": 2, "maxErrors": "50%"}
LIMITS: dict[str, object] = {"maxLatency": "10s", "maxToxicity": 0.9}
"""The candidate is healthy, and nothing but the trigger may end a ramp."""


@dataclass(frozen=True)
class Trial:
    """One ramp: ``began`` and ``triggered`` are wall-clock seconds."""

    began: float
    triggered: float


Trigger = Callable[[World, RampHandle], Awaitable[None]]


async def abort(_world: World, handle: RampHandle) -> None:
    await handle.signal(RampWorkflow.abort, Message(actor="bench"))


async def kill(world: World, _handle: RampHandle) -> None:
    """The command as a person starts it, interpreter and all."""
    argv = [sys.executable, "-m", "cli", "kill", "--route-file", str(world.route_file), "--reason", "bench"]
    async with ManagedProcess.start(argv, world.directory / "kill.log", name="tailramp kill") as process:
        if code := await process.wait_exit(30):
            raise RuntimeError(f"kill ended with {code}: {process.tail()}")


TRIGGERS: dict[str, Trigger] = {"abort": abort, "kill": kill}


async def run_trial(world: World, trigger: Trigger, chance: random.Random) -> Trial:
    """A ramp to its second step, ended by ``trigger`` at some moment between two looks of the watch."""
    began = time.time()
    handle = await start_ramp(
        world.client, world.spec("chat-v2", "00-99", **LIMITS), actor="bench", override="a benchmark"
    )

    async def proven() -> bool:
        status = await handle.query(RampWorkflow.status)
        if status.phase.is_terminal:
            raise RuntimeError(f"the ramp ended before the trigger: {status.last}")
        return status.step == 2 and status.phase in {Phase.SETTLING, Phase.HOLDING}

    await wait_until(proven, 60, "the second step is served")
    await asyncio.sleep(chance.random())
    triggered = time.time()
    await trigger(world, handle)
    result = await asyncio.wait_for(handle.result(), 60)
    if result.phase is not Phase.ROLLED_BACK:
        raise RuntimeError(f"the ramp ended as {result.phase}: {result.detail}")
    await record_router(world.route_file).apply(lifted)
    return Trial(began, triggered)


def last_served(trials: Sequence[Trial], requests: Sequence[ClientRequest], candidate: str) -> list[float]:
    """For each trial the seconds from its trigger to the sending of the last request that the candidate answered."""
    sent = np.sort([request.sent for request in requests if request.variant == candidate])
    ends = [*(trial.began for trial in trials[1:]), np.inf]
    seconds = []
    for trial, end in zip(trials, ends, strict=True):
        of_trial = sent[(sent >= trial.began) & (sent < end)]
        if not len(of_trial):
            raise RuntimeError("a trial without a single candidate request proves nothing")
        seconds.append(float(of_trial[-1]) - trial.triggered)
    return seconds


def summary(name: str, seconds: Sequence[float]) -> str:
    p50, p95 = np.percentile(seconds, [50, 95])
    return f"{name:6} {len(seconds):7d} {p50:8.3f} {p95:8.3f} {max(seconds):8.3f}"


async def measure(directory: Path, count: int, seed: int) -> str:
    chance = random.Random(seed)
    measured: dict[str, list[Trial]] = {name: [] for name in TRIGGERS}
    async with World(directory, seed=seed, ramp=RAMP, checks=CHECKS) as world:
        for role in ("control", "watch"):
            world.start_worker(role)
        log = world.directory / "clients.jsonl"
        async with world.start_users(log, rate=REQUESTS_PER_SECOND, seconds=len(TRIGGERS) * count * 15 + 120) as users:
            await users.wait_ready(lambda: log.exists() and read_log(log).started, 60, "the users")
            for name, trigger in TRIGGERS.items():
                for number in range(1, count + 1):
                    measured[name].append(await run_trial(world, trigger, chance))
                    print(f"\r{name}: {number} of {count}", end="", file=sys.stderr, flush=True)
                print(file=sys.stderr)
            await users.terminate(timeout=60)
    found = read_log(log)
    trials = [trial for of_name in measured.values() for trial in of_name]
    seconds = iter(last_served(trials, found.requests, "green"))
    load = os.getloadavg()[1]
    apart = 1000 / REQUESTS_PER_SECOND / 0.25
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return "\n".join(
        [
            "trigger → sending of the last request that the candidate served, in seconds",
            f"{REQUESTS_PER_SECOND:g} requests/s, 25 % on the candidate: one of its requests every {apart:.0f} ms",
            f"{machine}, load average {load:.0f}; the users' own process was behind at {len(found.behind)} moments",
            "",
            "        trials      p50      p95      max",
            *(summary(name, [next(seconds) for _ in of_name]) for name, of_name in measured.items()),
            "",
            "abort: from before the signal is sent.  kill: from before `tailramp kill` is started.",
            "A negative figure: the last such request was sent before the trigger.",
        ]
    )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench rollback_times", description=__doc__)
    parser.add_argument("--trials", type=int, default=300, help="of each trigger (300)")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tailramp-bench-") as folder:
        text = asyncio.run(measure(Path(folder) / "world", chosen.trials, chosen.seed))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(text + "\n", encoding="utf-8")
    print(text)
