"""What two hundred open ramps cost, and how long an abort of one of them takes until it is written.

Every ramp is in the hold of its second step, watched at the shipped interval of 15 s.  Then they are aborted: one after
the other, and the last of them all at once.  Written means that the route file with everyone on the baseline stands.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from bench._estate import Estate
from bench._samples import RESULTS, machine
from gateway.route_document import RouteDocument
from lab.client_log import read_log
from lab.process import ManagedProcess, wait_until
from workflows.handles import RampHandle
from workflows.messages import Message
from workflows.ramp import RampWorkflow
from workflows.starting import start_ramp

TEXT = RESULTS / "open_ramps.txt"
RAMP = {
    "steps": [{"share": "10%", "hold": "1s"}, {"share": "30%", "hold": "1h"}, "100%"],
    "hold": "1h",
    "bake": "1h",
    "maxSettle": "1h",
}
CHECKS = {"tick": "15s", "window": "15s", "consecutive": 3, "minSample": 20, "floor": 2, "maxErrors": "50%"}
AT_ONCE = 32
USERS_PER_SECOND = 30.0
_PAGE, _TICKS = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What a process and its children hold and have used: bytes, and seconds of a core."""

    memory: int
    cpu: float

    @classmethod
    def of(cls, process: ManagedProcess) -> "Usage":
        stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()
        return cls(int(stat[21]) * _PAGE, (int(stat[11]) + int(stat[12])) / _TICKS)


class Meter:
    """The processes whose cost is told."""

    def __init__(self, estate: Estate) -> None:
        self._processes = {
            "control": estate.control,
            "watch": estate.watch,
            "Temporal": estate.temporal.process,
            "Prometheus": estate.prometheus.process,
        }

    def read(self) -> dict[str, Usage]:
        return {name: Usage.of(process) for name, process in self._processes.items()}


async def open_ramp(estate: Estate, route: str, gate: asyncio.Semaphore) -> RampHandle:
    """A new ramp, when its second step has been written; one that a busy machine has refused is started again.

    The file tells how far it is, so that asking costs the server nothing.
    """
    async with gate:
        for _ in range(10):
            handle = await start_ramp(estate.client, estate.spec(route), actor="bench")
            ended = asyncio.create_task(handle.result())
            await wait_until(
                lambda ended=ended: ended.done() or _share(estate, route) >= 0.3,  # type: ignore[misc]
                600,
                f"the second step of {route}",
                interval=0.5,
            )
            if not ended.done():
                ended.cancel()
                return handle
        raise RuntimeError(f"{route} was refused ten times: {ended.result().detail}")


def _share(estate: Estate, route: str) -> float:
    assignment = RouteDocument.parse(estate.file(route).read_text(encoding="utf-8")).record.assignment
    return sum(rule.buckets.share for rule in assignment.rules)


async def abort(estate: Estate, route: str, handle: RampHandle) -> float:
    """Returns the seconds from before the signal is sent until the cleared file stands."""
    file = estate.file(route)
    began = time.time()
    await handle.signal(RampWorkflow.abort, Message(actor="bench"))

    await wait_until(lambda: _share(estate, route) == 0, 60, f"{route} is cleared", interval=0.02)
    return file.stat().st_mtime - began  # of its last byte; the rename follows within a millisecond


async def events_of(handle: RampHandle) -> tuple[int, int]:
    """All events of a ramp that was aborted in its second step, and those from its first step to its second."""
    events = (await handle.fetch_history()).events
    shifts = [
        event.event_id
        for event in events
        if event.activity_task_scheduled_event_attributes.activity_id.startswith("record-shift_intended")
    ]
    return len(events), max(after - before for before, after in pairwise(shifts))


async def measure(directory: Path, real: int, files: int, seconds: float, seed: int) -> str:
    chance = random.Random(seed)
    async with Estate(directory, real=real, files=files, ramp=RAMP, checks=CHECKS) as estate:
        log = directory / "users.jsonl"
        argv = [*_USERS, "--gateway", estate.gateway_url, "--log", str(log), "--seed", str(seed)]
        argv += ["--rate", f"{USERS_PER_SECOND}", "--duration", "3600"]
        async with ManagedProcess.start(argv, directory / "users.log", name="users") as users:
            await users.wait_ready(lambda: log.exists() and read_log(log).started, 60, "the users")
            await asyncio.sleep(5)  # some scrapes, so that every counter has been seen
            meter = Meter(estate)
            idle = meter.read()
            gate = asyncio.Semaphore(AT_ONCE)
            opened = time.monotonic()
            handles = dict(
                zip(
                    estate.routes,
                    await asyncio.gather(*(open_ramp(estate, route, gate) for route in estate.routes)),
                    strict=True,
                )
            )
            opening = time.monotonic() - opened
            await asyncio.sleep(30)  # until the last of them is proven and has been looked at
            held = meter.read()
            await asyncio.sleep(seconds)
            later = meter.read()
            load = os.getloadavg()[0]
            routes = chance.sample(estate.routes, len(estate.routes))
            half = len(routes) // 2
            one_by_one = []
            for route in routes[:half]:
                one_by_one.append(await abort(estate, route, handles[route]))
                await asyncio.sleep(chance.random() * 0.4)
            at_once = await asyncio.gather(*(abort(estate, route, handles[route]) for route in routes[half:]))
            await asyncio.gather(*(handle.result() for handle in handles.values()))
            events, of_step = await events_of(handles[routes[0]])
    count = len(routes)
    rows = [
        f"{name:12} {idle[name].memory / 1e6:8.0f} {held[name].memory / 1e6:8.0f}"
        f" {(held[name].memory - idle[name].memory) / count / 1e3:14.0f}"
        f" {(later[name].cpu - held[name].cpu) / seconds:10.1%}"
        for name in idle
    ]
    return "\n".join(
        [
            f"{count} open ramps in the hold of their second step: {real} through a real Envoy, {files} to files",
            f"{machine()}, load average {load:.0f}; opened in {opening:.0f} s, {AT_ONCE} at a time",
            "",
            f"{'':12} {'MB idle':>8} {'MB open':>8} {'KB per ramp':>14} {'of a core':>10}",
            *rows,
            "",
            f"{events} events in a ramp that was aborted in its second step, {of_step} from one step to the next",
            "",
            f"abort → written, in seconds{'':9} aborts      p50      p95      p99      max",
            _row(f"one by one, {count} to {count - half} open", one_by_one),
            _row(f"{count - half} at once", at_once),
            "",
            f"A look at each ramp every 15 s; CPU over {seconds:g} s. All ask one Prometheus about one route's users.",
        ]
    )


_USERS = [sys.executable, "-m", "lab.users"]


def _row(name: str, seconds: Sequence[float]) -> str:
    p50, p95, p99 = np.percentile(seconds, [50, 95, 99])
    return f"{name:35} {len(seconds):6d} {p50:8.3f} {p95:8.3f} {p99:8.3f} {max(seconds):8.3f}"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench open_ramps", description=__doc__)
    parser.add_argument("--real", type=int, default=20, help="routes behind a real Envoy, at least 1 (20)")
    parser.add_argument("--files", type=int, default=180, help="routes whose file nobody but a reader looks at (180)")
    parser.add_argument("--seconds", type=float, default=120, help="over which the CPU is measured (120)")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tailramp-bench-") as folder:
        text = asyncio.run(measure(Path(folder) / "estate", chosen.real, chosen.files, chosen.seconds, chosen.seed))
    RESULTS.mkdir(exist_ok=True)
    TEXT.write_text(text + "\n", encoding="utf-8")
    print(text)
