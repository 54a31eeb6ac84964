"""How long a candidate is served after its rollback on Kubernetes, beside a plain deletion of the same object.

One route, a real API server, a real Traefik, and one user in the candidate's buckets who keeps asking. In turns the
router clears the route as a rollback does, or one DELETE on a warm connection removes the canary; the clock stops at
the last request *sent* that the candidate answered. Temporal is not in it: what a signal costs is `rollback_times`.
"""

import argparse
import asyncio
import os
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import numpy as np

from activities.clients import Clients
from activities.kube import KubeClient
from activities.routers import make_router
from activities.routers.kube import KubernetesRouter
from activities.routers.kube.planners import planner_of
from bench._samples import RESULTS, Sample, append, load_range, machine, read, table
from lab.control_plane import NAMESPACES, ControlPlane
from lab.kube_access import ADMIN
from lab.kube_world import Kind, KubeWorld
from lab.process import wait_until
from lab.world import SALT
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketFunction, BucketSet
from tailramp.route_record import Clearer, SlotRecord, cleared, served, taken_over

SAMPLES = RESULTS / "kube_abort.jsonl"
TEXT = RESULTS / "kube_abort.txt"
NAMESPACE = "bench"
BUCKETS = BucketSet.parse("00-49")
ASKERS = 4
QUIET_SECONDS = 1.0
"""So long nobody is answered by the candidate before it counts as out."""


class Trial:
    """One world; ``once`` serves the candidate, takes it out one way or the other, and returns the seconds."""

    def __init__(self, world: KubeWorld, clients: Clients, client: KubeClient) -> None:
        self._world = world
        self._client = client
        platform = world.spec("chat-v2").platform
        router = make_router(platform, clients)
        assert isinstance(router, KubernetesRouter)  # noqa: S101 - the world's route is in a cluster
        self._router = router
        bucket = BucketFunction(SALT)
        self._user = next(user for number in range(1000) if (bucket(user := f"user-{number}") or "") in BUCKETS)

    async def once(self, way: str) -> float:
        ramp, candidates = str(uuid.uuid4()), {"green": SlotRecord(model="chat-v2")}
        record = await self._router.prepare(
            lambda record: taken_over(record, ramp=ramp, baseline="blue", candidates=candidates), ["green"]
        )
        assignment = Assignment(default="blue", rules=(Rule(slot="green", buckets=BUCKETS),))
        epoch = record.epoch + 1
        await self._router.apply(lambda record: served(record, ramp=ramp, epoch=epoch, assignment=assignment))

        async def is_served() -> bool:
            return await self._ask() == "green"

        await wait_until(is_served, 30, "the candidate is served")
        await asyncio.sleep(2.5)  # Traefik is quiet again: a change soon after another one waits for its throttle
        sent: list[float] = []
        stop = asyncio.Event()
        askers = [asyncio.create_task(self._keep_asking(sent, stop)) for _ in range(ASKERS)]
        binding, _ = await self._router.objects()
        name = planner_of(binding).canary_name("green")
        resource = planner_of(binding).resource
        await self._client.get(resource, NAMESPACE, name)  # both ways have a connection that is open
        await asyncio.sleep(0.2)
        began = time.monotonic()
        if way == "tailramp":
            await self._router.clear(
                lambda record: cleared(record, by=Clearer.ROLLBACK, reason="bench", ramp=ramp, epoch=epoch + 1)
            )
        else:
            await self._client.delete(resource, NAMESPACE, name)
        await wait_until(lambda: time.monotonic() - max([began, *sent]) > QUIET_SECONDS, 60, "the candidate is out")
        stop.set()
        await asyncio.gather(*askers)
        if way != "tailramp":
            await self._router.clear(lambda record: cleared(record, by=Clearer.ROLLBACK, reason="bench"))
        return max([0.0, *(at - began for at in sent)])

    async def _keep_asking(self, sent: list[float], stop: asyncio.Event) -> None:
        while not stop.is_set():
            at = time.monotonic()
            if await self._ask() == "green":
                sent.append(at)
            await asyncio.sleep(0.01)

    async def _ask(self) -> str | None:
        headers = {"X-User-Id": self._user}
        async with self._world.http.get(f"{self._world.gateway_url}/v1/models", headers=headers) as response:
            return response.headers.get("X-Tailramp-Variant")


async def measure(kind: Kind, pairs: int, throttle: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with ControlPlane(Path(folder) / "plane") as plane, plane.api.client() as admin:
            await admin.create(NAMESPACES, None, {"metadata": {"name": NAMESPACE}})
            world = KubeWorld(Path(folder) / "world", plane, NAMESPACE, kind, ADMIN, throttle=throttle)
            async with world, aiohttp.ClientSession() as http, Clients(http, plane.api.kubeconfig()) as clients:
                trial = Trial(world, clients, admin)
                for number in range(pairs):
                    for way in ("tailramp", "plain") if number % 2 else ("plain", "tailramp"):
                        seconds = await trial.once(way)
                        cell = f"{kind}, {throttle * 1000:.0f} ms, {way}"
                        append(SAMPLES, Sample(cell, seconds, os.getloadavg()[0], 0))


def report() -> str:
    samples = read(SAMPLES)
    cells = sorted({sample.cell for sample in samples})
    lines = [f"{machine()}; {load_range(samples)}", "", *table(cells, samples, {})]
    for cell in cells:
        if not cell.endswith("tailramp"):
            continue
        ours = [sample.seconds for sample in samples if sample.cell == cell]
        plain = [sample.seconds for sample in samples if sample.cell == cell.replace("tailramp", "plain")]
        if plain:
            apart = 1000 * (float(np.median(ours)) - float(np.median(plain)))
            lines += ["", f"{cell}: median {apart:+.0f} ms beside a plain deletion"]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench kube_abort", description=__doc__)
    parser.add_argument("--pairs", type=int, default=20, help="of a rollback and a plain deletion")
    parser.add_argument("--throttle", type=float, default=0.1, help="Traefik's, in seconds; its own default is 2")
    parser.add_argument("--kind", choices=["ingress-nginx", "gateway-api"], default="ingress-nginx")
    parser.add_argument("--keep", action="store_true", help=f"keep the figures in {TEXT.name}")
    options = parser.parse_args(arguments)
    asyncio.run(measure(options.kind, options.pairs, options.throttle))
    print(report(), end="")
    if options.keep:
        TEXT.write_text(report(), encoding="utf-8")
