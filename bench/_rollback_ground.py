"""A world in which one ramp after the other is taken back, and what differs from one row of the table to the next."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.service import RPCError

from activities.routers import record_router
from gateway.route_document import RouteDocument
from lab.client_log import read_log
from lab.process import ManagedProcess, wait_until
from lab.world import World
from tailramp.activity_names import WATCH_QUEUE, WORKFLOW_QUEUE
from tailramp.ramp import Phase
from tailramp.route_record import RouteRecord, lifted
from workflows.handles import RampHandle
from workflows.ramp import RampWorkflow
from workflows.starting import start_ramp

SHARE = 0.5
"""Of all users, in the only step whose hold a trigger can come into."""
LIMITS: dict[str, object] = {"maxLatency": "10s", "maxToxicity": 0.9}
"""Nothing but the trigger may end a ramp."""

QUICK = {"tick": "1s", "window": "1s", "consecutive": 3, "minSample": 10, "floor": 2, "maxErrors": "20%"}

_QUEUES = {
    "control": (WORKFLOW_QUEUE, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW),
    "watch": (WATCH_QUEUE, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
}


class Ground:
    """A world with its roles and users on which one trial follows the other."""

    def __init__(self, directory: Path, cell: "Cell", seed: int) -> None:
        ramp = {"steps": [{"share": f"{SHARE:.0%}", "hold": "1h"}, "100%"], "hold": "1h", "bake": "1h"}
        ramp |= {"maxSettle": "10m", "lease": cell.lease}
        self.cell = cell
        self.world = World(directory, seed=seed, ramp=ramp, checks=cell.checks, scrape_seconds=cell.scrape)
        self.chance = random.Random(seed)
        self.log = self.world.directory / "clients.jsonl"
        self.roles: dict[str, list[ManagedProcess]] = {"control": [], "watch": []}

    @contextlib.asynccontextmanager
    async def running(self, seconds: float) -> AsyncIterator["Ground"]:
        async with self.world as world:
            for role, processes in self.roles.items():
                processes += [world.start_worker(role) for _ in range(2 if role in self.cell.doubled else 1)]
            world.start_sentinel(self.cell.poll)
            async with world.start_users(self.log, rate=self.cell.rate, seconds=seconds) as users:
                await users.wait_ready(lambda: self.log.exists() and read_log(self.log).started, 60, "the users")
                await wait_until(self._has_been_scraped, 90, "a scrape of both models")
                yield self
                await users.terminate(timeout=60)

    async def _has_been_scraped(self) -> bool:
        """Preflight refuses a check without a series, and at the shipped interval the first scrape takes its time."""
        url = f"{self.world.prometheus.url}/api/v1/query"
        async with self.world.http.get(url, params={"query": "count(llm_answers_scored_total) == 2"}) as response:
            return bool((await response.json())["data"]["result"])

    @property
    def record(self) -> RouteRecord:
        return RouteDocument.parse(self.world.route_file.read_text(encoding="utf-8")).record

    async def ramp(self) -> RampHandle:
        """A new ramp whose first step is served and proven; for some cells it has also been looked at in its hold."""
        spec = self.world.spec("chat-v2", "00-99", **LIMITS)
        handle = await start_ramp(self.world.client, spec, actor="bench", override="a benchmark")

        phases = {Phase.HOLDING} if self.cell.looked_at else {Phase.SETTLING, Phase.HOLDING}

        async def reached() -> bool:
            status = await handle.query(RampWorkflow.status)
            if status.phase.is_terminal:
                raise RuntimeError(f"the ramp ended before the trigger: {status.last}")
            return status.phase in phases

        await wait_until(reached, 300, "the first step is served", interval=0.25)
        before = self.renewals
        await wait_until(lambda: not self.cell.looked_at or self.renewals > before, 60, "a completed look")
        return handle

    @property
    def renewals(self) -> int:
        lease = self.record.leases.get("green")
        return lease.renewals if lease is not None else 0

    async def ended(self, handle: RampHandle) -> None:
        """Wait until the rollback is over, and lift whatever mark it left."""
        async with asyncio.timeout(240):
            while True:
                try:
                    result = await handle.result(rpc_timeout=timedelta(seconds=5))
                    break
                except RPCError:  # Temporal may be coming back
                    await asyncio.sleep(0.1)
        if result.phase is not Phase.ROLLED_BACK:
            raise RuntimeError(f"the ramp ended as {result.phase}: {result.detail}")
        await record_router(self.world.route_file).apply(lifted)

    async def out(self, within: float) -> None:
        """Wait until the route file serves nobody on the candidate."""
        await wait_until(lambda: not self.record.candidates, within, "the candidate is out", interval=0.02)

    async def killed(self, role: str, pid: int) -> None:
        """Kill the worker process ``pid`` of ``role``, as a crash would."""
        (victim,) = (process for process in self.roles[role] if process.pid == pid)
        self.roles[role].remove(victim)
        await victim.kill()

    async def replace(self, role: str) -> None:
        """Start another worker of ``role``, and wait until it is one that Temporal can give a task to."""
        started = self.world.start_worker(role)
        self.roles[role].append(started)
        queue, kind = _QUEUES[role]
        request = DescribeTaskQueueRequest(
            namespace=self.world.client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
        )

        async def polls() -> bool:
            described = await self.world.client.workflow_service.describe_task_queue(request)
            return any(process_of(poller.identity) == started.pid for poller in described.pollers)

        await wait_until(polls, 60, f"the new {role} worker polls", interval=0.25)

    async def everything_dies(self) -> None:
        """All but the sentinel, the gateway, the models and their users."""
        dying = [*self.roles["control"], *self.roles["watch"]]
        world = self.world
        await asyncio.gather(*(process.kill() for process in dying), world.temporal.kill(), world.prometheus.kill())

    async def everything_returns(self) -> None:
        await asyncio.gather(self.world.temporal.start(), self.world.prometheus.start())
        for role, processes in self.roles.items():
            processes[:] = [self.world.start_worker(role) for _ in processes]


Trigger = Callable[[Ground, RampHandle], Awaitable[Mapping[str, float]]]
"""Ends the ramp, leaves the ground as it found it, and says when the clock of each of its figures began."""


@dataclass(frozen=True)
class Cell:
    """One row of the table, or one for each figure of its trigger.  Of a role in ``doubled`` two processes run.

    ``wanted`` is the bound that the row is held against, in words.
    """

    title: str
    trials: int
    trigger: Trigger
    wanted: str = ""
    checks: Mapping[str, object] = field(default_factory=lambda: QUICK)
    lease: str = "90s"
    poll: float = 2.0
    scrape: float = 0.5
    doubled: tuple[str, ...] = ()
    looked_at: bool = True
    """Whether a hold must have begun, with a completed look, before the trigger."""
    rate: float = 50.0
    """Requests per second of all users together."""
    most: float = 60.0
    """Seconds that a trial may take, for as long as which there must be users."""


def process_of(identity: str) -> int:
    """The id of the process that a worker tells Temporal it is."""
    return int(identity.partition("@")[0])
