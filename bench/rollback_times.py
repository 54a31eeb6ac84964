"""How long after a trigger the last request is sent that the candidate serves.

The clock is the user's: it starts before the trigger, and ends with the sending of the last request that the candidate
answered, by the clients' own log.  A real gateway, real worker processes and a steady load, on one machine that also
carries all of them.  Every trial is a ramp of its own, and a line of its own in ``results/rollback_times.jsonl``:
a run may be cut short and go on later.
"""

import argparse
import asyncio
import contextlib
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from temporalio.api.enums.v1 import EventType, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.service import RPCError

from activities.routers import record_router
from bench._samples import RESULTS, Sample, append, load_range, machine, read, table
from gateway.route_document import RouteDocument
from lab.client_log import ClientRequest, last_candidate_request_sent, read_log
from lab.process import ManagedProcess, wait_until
from lab.scenario import trigger_of
from lab.world import World
from tailramp.activity_contract import WATCH, WATCH_QUEUE, WORKFLOW_QUEUE
from tailramp.ramp import Phase
from tailramp.route_record import RouteRecord, lifted
from workflows.messages import Message
from workflows.ramp import RampWorkflow
from workflows.starting import RampHandle, start_ramp

SAMPLES = RESULTS / "rollback_times.jsonl"
TEXT = RESULTS / "rollback_times.txt"
SHARE = 0.5
CALM = 10.0
LIMITS: dict[str, object] = {"maxLatency": "10s", "maxToxicity": 0.9}
"""Nothing but the trigger may end a ramp."""

QUICK = {"tick": "1s", "window": "1s", "consecutive": 3, "minSample": 10, "floor": 2, "maxErrors": "20%"}
TENTH = {"tick": "1s", "window": "6s", "consecutive": 3, "minSample": 50, "floor": 50, "maxErrors": "5%"}
"""A tenth of the shipped 15 s, 60 s and 500; ticks are whole seconds."""
SHIPPED = {"tick": "15s", "window": "1m", "consecutive": 3, "minSample": 500, "floor": 500, "maxErrors": "5%"}


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
            return any(_pid(poller.identity) == started.pid for poller in described.pollers)

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


async def _send_abort(handle: RampHandle) -> None:
    await handle.signal(RampWorkflow.abort, Message(actor="bench"))


async def abort(ground: Ground, handle: RampHandle) -> Mapping[str, float]:
    began = time.time()
    await _send_abort(handle)
    await ground.ended(handle)
    return {"": began}


async def kill(ground: Ground, handle: RampHandle) -> Mapping[str, float]:
    """The command as a person starts it, interpreter and all."""
    world = ground.world
    argv = [sys.executable, "-m", "cli", "kill", "--route-file", str(world.route_file), "--reason", "bench"]
    began = time.time()
    async with ManagedProcess.start(argv, world.directory / "kill.log", name="tailramp kill") as process:
        if code := await process.wait_exit(30):
            raise RuntimeError(f"kill ended with {code}: {process.tail()}")
    await ground.ended(handle)
    return {"": began}


async def failed_check(ground: Ground, handle: RampHandle) -> Mapping[str, float]:
    """From the first stored scrape at which a recount of the raw counters fails."""
    fault = await ground.world.fault("green", "errors")
    await ground.ended(handle)
    began = await _recounted(ground, handle)
    await ground.world.fault("green", "none")
    return {"": began, ", from the fault on": fault}


async def _recounted(ground: Ground, handle: RampHandle) -> float:
    status = await handle.query(RampWorkflow.status)
    began = await trigger_of(ground.world.spec("chat-v2", "00-99", **LIMITS), status, until=time.time())
    if began is None:
        raise RuntimeError("the recount found no trigger")
    return began


async def control_killed(ground: Ground, handle: RampHandle) -> Mapping[str, float]:
    """An abort, and the control worker that decides for this ramp dies with it.  Another one runs."""
    tasks = [
        event.workflow_task_completed_event_attributes.identity
        for event in (await handle.fetch_history()).events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    ]
    began = time.time()
    await ground.killed("control", _pid(tasks[-1]))
    await _send_abort(handle)
    await ground.ended(handle)
    await ground.replace("control")
    return {"": began}


async def watch_killed(ground: Ground, handle: RampHandle) -> Mapping[str, float]:
    """An abort, and the worker that watches this ramp dies with it.  Another one runs."""
    watching = await _watching(handle)
    began = time.time()
    await ground.killed("watch", watching)
    await _send_abort(handle)
    await ground.ended(handle)
    await ground.replace("watch")
    return {"": began}


async def failed_check_watch_killed(ground: Ground, handle: RampHandle) -> Mapping[str, float]:
    """The candidate turns bad, and the worker that watches it dies before it can see that.  Another one runs."""
    watching = await _watching(handle)
    began = await ground.world.fault("green", "errors")
    await ground.killed("watch", watching)
    await ground.ended(handle)
    await ground.replace("watch")
    await ground.world.fault("green", "none")
    return {"": began}


async def _watching(handle: RampHandle) -> int:
    """The process that runs the watch of this ramp."""
    described = await handle.describe()
    (identity,) = (
        pending.last_worker_identity
        for pending in described.raw_description.pending_activities
        if pending.activity_type.name == WATCH
    )
    return _pid(identity)


def _pid(identity: str) -> int:
    return int(identity.partition("@")[0])


async def lapse(ground: Ground, handle: RampHandle) -> Mapping[str, float]:
    """Everything dies but the sentinel."""
    began = time.time()
    await ground.everything_dies()
    await ground.out(150)
    await ground.everything_returns()
    await ground.ended(handle)
    return {"": began}


async def outage(ground: Ground, handle: RampHandle) -> Mapping[str, float]:
    """Temporal dies, then the candidate turns bad: the watch can tell nobody but the sentinel, by the lease."""
    world = ground.world
    await world.temporal.kill()
    await world.fault("green", "errors")

    def is_short() -> bool:
        lease = ground.record.leases.get("green")
        return lease is not None and lease.reason is not None

    await wait_until(is_short, 400, "the lease is short", interval=0.02)
    looked = time.time()
    await ground.out(60)
    await world.temporal.start()
    await ground.ended(handle)
    began = await _recounted(ground, handle)
    await world.fault("green", "none")
    return {", from the failed look on": looked, ", from the failed scrape on": began}


CELLS: dict[str, Cell] = {
    "abort": Cell("abort", 300, abort, looked_at=False),
    "kill": Cell("kill", 300, kill, looked_at=False),
    "failed-check": Cell("failed check", 100, failed_check),
    "control-killed": Cell(
        "abort, control worker killed", 100, control_killed, "p95 <= 4 s", doubled=("control",), looked_at=False
    ),
    "watch-killed": Cell("abort, watch worker killed", 100, watch_killed, doubled=("watch",), looked_at=False),
    "unwatched": Cell("fault, watch worker killed", 100, failed_check_watch_killed, doubled=("watch",)),
    "lapse-tenth": Cell(
        "all dead but the sentinel, a tenth",
        100,
        lapse,
        "9.5 s",
        lease="9s",
        poll=0.2,
        checks=TENTH,
        scrape=1.5,
        rate=30.0,
    ),
    "outage-tenth": Cell(
        "Temporal dead, a tenth", 100, outage, lease="9s", poll=0.2, checks=TENTH, scrape=1.5, rate=30.0
    ),
    "lapse": Cell("all dead but the sentinel", 5, lapse, "95 s", checks=SHIPPED, scrape=15.0, rate=30.0, most=400),
    "outage": Cell("Temporal dead", 5, outage, "15 s", checks=SHIPPED, scrape=15.0, rate=30.0, most=600),
}
NOTES = """\
One row a trigger; the clock begins before the message is sent, the command is started or the process is killed.
failed check: from the first stored scrape at which a recount of the raw counters fails; or from the fault on.
Temporal dead: then the candidate turns bad. From the look at which the watch finds that, or from the failed scrape on.
killed: kill -9 of the process that decides for, or watches, this very ramp, while a second one of its kind runs.
a tenth: of lease, scrape interval, window, sample and the sentinel's interval; the short lease stays at 5 s.
A negative figure: the last such request was sent before the trigger."""


@dataclass(frozen=True)
class Ended:
    """A trial that is over: when it began, where the log stood then, when its clocks began, and the load at its end."""

    began: float
    log_at: int
    clocks: Mapping[str, float]
    load: float


def measured(cell: Cell, trial: Ended, requests: Sequence[ClientRequest], behind: int) -> list[Sample]:
    """The figures of ``trial``.  ``requests`` are those of its time; raises if the candidate served none of them."""
    last = last_candidate_request_sent(requests, "green", trial.began)
    if last is None:
        raise RuntimeError("a trial without a single candidate request proves nothing")
    return [
        Sample(cell.title + figure, round(last - since, 4), round(trial.load, 1), behind)
        for figure, since in trial.clocks.items()
    ]


async def run_cell(cell: Cell, count: int, seed: int, directory: Path) -> None:
    """Run ``count`` trials in one world, and write each down once every answer of its time is in the log."""
    ground = Ground(directory, cell, seed)
    before: Ended | None = None
    async with ground.running(seconds=cell.most * count + 120):
        for number in range(count):
            began, log_at = time.time(), ground.log.stat().st_size
            handle = await ground.ramp()
            await asyncio.sleep(ground.chance.random())  # at some moment between two looks of the watch
            ended = Ended(began, log_at, await cell.trigger(ground, handle), os.getloadavg()[0])
            if before is not None:
                _write_down(ground, cell, before, began)
            before = ended
            print(f"{cell.title}: {number + 1} of {count}", file=sys.stderr, flush=True)
    if before is not None:
        _write_down(ground, cell, before, float("inf"))


def _write_down(ground: Ground, cell: Cell, trial: Ended, until: float) -> None:
    found = read_log(ground.log, trial.log_at)
    of_trial = [request for request in found.requests if trial.began <= request.sent < until]
    behind = sum(trial.began <= moment.at < until for moment in found.behind)
    for sample in measured(cell, trial, of_trial, behind):
        append(SAMPLES, sample)


def report() -> str:
    samples = read(SAMPLES)
    rows = list(dict.fromkeys(sample.cell for cell in CELLS.values() for sample in samples if _is_of(cell, sample)))
    wanted = {row: cell.wanted for cell in CELLS.values() for row in rows if row.split(", from")[0] == cell.title}
    behind = sum(sample.behind > 0 for sample in samples)
    return "\n".join(
        [
            "trigger → sending of the last request that the candidate served, in seconds",
            f"30 to 100 requests/s, {SHARE:.0%} of them to the candidate: one of its requests in 20 to 70 ms",
            f"{machine()}, {load_range(samples)}; the users' own process was behind in {behind} trials",
            "",
            *table(rows, samples, wanted),
            "",
            f"Only the trials at a load average of at most {CALM:g}; the others measure the machine too:",
            "",
            *table(rows, [sample for sample in samples if sample.load <= CALM], wanted),
            "",
            NOTES,
        ]
    )


def _is_of(cell: Cell, sample: Sample) -> bool:
    return sample.cell.split(", from")[0] == cell.title


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench rollback_times", description=__doc__)
    parser.add_argument("--cell", choices=[*CELLS, "report"], action="append", help="all of them by default")
    parser.add_argument("--trials", type=int, help="of each cell; by default what is missing of the wanted number")
    parser.add_argument("--worlds", type=int, default=1, help="that run beside each other (1)")
    parser.add_argument("--seed", type=int, default=None)
    chosen = parser.parse_args(arguments)
    for name in chosen.cell or CELLS:
        if name in CELLS:
            asyncio.run(_run(CELLS[name], chosen.trials, chosen.worlds, chosen.seed))
    text = report()
    TEXT.write_text(text + "\n", encoding="utf-8")
    print(text)


async def _run(cell: Cell, trials: int | None, worlds: int, seed: int | None) -> None:
    if trials is None:
        trials = cell.trials - min(
            Counter(sample.cell for sample in read(SAMPLES) if _is_of(cell, sample)).values(), default=0
        )
    seed = seed if seed is not None else random.randrange(1_000_000)
    counts = [len(range(number, trials, worlds)) for number in range(worlds)]
    with tempfile.TemporaryDirectory(prefix="tailramp-bench-") as folder:
        running = [
            run_cell(cell, count, seed + number, Path(folder) / str(number))
            for number, count in enumerate(counts)
            if count > 0
        ]
        for error in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(error, BaseException):
                raise error
