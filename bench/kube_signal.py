"""How soon a canary's object is gone after an abort was accepted, and after a `kill` was typed into a cold shell.

A whole ramp on a real API server: Temporal, a worker, Traefik, users. The clock of an abort starts when Temporal has
accepted the signal, that of a kill when its process is started; both stop when a watch on another connection says that
the object is deleted, so they hold what the API server takes and nothing of what the gateway then takes
(`kube_abort`). A run that is cut short goes on where it was.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from activities.kube import KubeClient
from activities.kube.client import EventKind
from activities.kube.resources import HTTP_ROUTES, INGRESSES
from activities.routers import record_router
from activities.routers.kube import LeaseRoute
from bench._samples import RESULTS, Sample, append, load_range, machine, read, table
from lab.control_plane import NAMESPACES, ControlPlane
from lab.kube_access import ADMIN
from lab.kube_world import NAME, Kind, KubeWorld
from lab.process import wait_until
from tailramp.ramp import Phase
from tailramp.route_record import lifted
from workflows.handles import RampHandle
from workflows.messages import Message
from workflows.ramp import RampWorkflow
from workflows.starting import start_ramp

SAMPLES = RESULTS / "kube_signal.jsonl"
TEXT = RESULTS / "kube_signal.txt"
NAMESPACE = "bench"
ABORT, KILL = "abort", "kill"
WANTED = {ABORT: "p50 0.050", KILL: "p95 1.000 on an idle machine"}
RAMP = {"steps": [{"share": "25%", "hold": "1h"}, "100%"], "hold": "1h", "bake": "1h", "maxSettle": "10m"}
_GONE_SECONDS = 60.0


class Ground:
    """One world; each trial starts a ramp, waits for its first hold, and takes it out."""

    def __init__(self, world: KubeWorld, client: KubeClient) -> None:
        self._world = world
        self._client = client
        self._resource = INGRESSES if world.kind == "ingress-nginx" else HTTP_ROUTES

    async def once(self, way: str) -> float:
        """Seconds from the trigger to the deletion."""
        handle = await self._ramp()
        deleted: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        listed = asyncio.Event()
        watching = asyncio.create_task(self._watch(deleted, listed))
        try:
            await listed.wait()
            began = await (self._abort(handle) if way == ABORT else self._kill())
            return await asyncio.wait_for(deleted, _GONE_SECONDS) - began
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await asyncio.wait_for(handle.result(), 120)
            await self._lift()

    async def _ramp(self) -> RampHandle:
        handle = await start_ramp(
            self._world.client, self._world.spec("chat-v2"), actor="bench", override="a benchmark"
        )

        async def holds() -> bool:
            status = await handle.query(RampWorkflow.status)
            if status.phase.is_terminal:
                raise RuntimeError(f"the ramp ended before the trigger: {status.last}")
            return status.phase is Phase.HOLDING

        await wait_until(holds, 300, "the first hold", interval=0.25)
        return handle

    async def _abort(self, handle: RampHandle) -> float:
        await handle.signal(RampWorkflow.abort, Message(actor="bench"))
        return time.monotonic()

    async def _kill(self) -> float:
        began = time.monotonic()
        environment = {**os.environ, **self._world.worker_environment, "PYTHONPATH": str(Path(__file__).parents[1])}
        environment.pop("TAILRAMP_PLATFORM", None)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", "kill", f"{NAMESPACE}/{NAME}", "--reason", "bench"),
            env=environment,
            cwd=self._world.directory,
            stdout=asyncio.subprocess.DEVNULL,
        )
        if await process.wait() != 0:
            raise RuntimeError("the kill failed")
        return began

    async def _watch(self, deleted: "asyncio.Future[float]", listed: asyncio.Event) -> None:
        async with aclosing(self._client.watch(self._resource, NAMESPACE, selector=f"tailramp/route={NAME}")) as events:
            async for event in events:
                listed.set()
                if event.kind is EventKind.GONE and not deleted.done():
                    deleted.set_result(time.monotonic())

    async def _lift(self) -> None:
        kubeconfig = self._world.plane.api.kubeconfig()
        router = record_router(LeaseRoute(NAMESPACE, NAME, kubeconfig=kubeconfig))
        try:
            await router.apply(lifted)
        finally:
            await router.close()


async def measure(kind: Kind, trials: int) -> None:
    done = [sample.cell for sample in read(SAMPLES)]
    left = {way: trials - done.count(f"{kind}, {way}") for way in (ABORT, KILL)}
    if max(left.values()) <= 0:
        return
    with tempfile.TemporaryDirectory() as folder:
        async with ControlPlane(Path(folder) / "plane") as plane, plane.api.client() as admin:
            await admin.create(NAMESPACES, None, {"metadata": {"name": NAMESPACE}})
            world = KubeWorld(Path(folder) / "world", plane, NAMESPACE, kind, ADMIN, throttle=0.1, ramp=RAMP)
            async with world:
                world.start_worker("control")
                world.start_worker("watch")
                log = world.directory / "clients.jsonl"
                async with world.start_users(log, rate=40, seconds=24 * 3600, core_users=50) as users:
                    ground = Ground(world, admin)
                    while max(left.values()) > 0:
                        for way in (ABORT, KILL):
                            if left[way] > 0:
                                seconds = await ground.once(way)
                                append(SAMPLES, Sample(f"{kind}, {way}", seconds, os.getloadavg()[0], 0))
                                left[way] -= 1
                    await users.terminate(timeout=60)


def report() -> str:
    samples = read(SAMPLES)
    cells = sorted({sample.cell for sample in samples})
    if not cells:
        return "nothing measured\n"
    wanted = {cell: WANTED[cell.rpartition(", ")[2]] for cell in cells}
    head = f"{machine()}; {load_range(samples)}; neither Temporal's database nor etcd waits for the disk"
    return "\n".join([head, "", *table(cells, samples, wanted)]) + "\n"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench kube_signal", description=__doc__)
    parser.add_argument("--trials", type=int, default=20, help="of each way, those included that are kept already")
    parser.add_argument("--kind", choices=["ingress-nginx", "gateway-api"], default="ingress-nginx")
    parser.add_argument("--keep", action="store_true", help=f"keep the figures in {TEXT.name}")
    options = parser.parse_args(arguments)
    asyncio.run(measure(options.kind, options.trials))
    print(report(), end="")
    if options.keep:
        TEXT.write_text(report(), encoding="utf-8")
