"""What ends a ramp in the table of rollback times, and the rows that the table has."""

import sys
import time
from collections.abc import Mapping

from temporalio.api.enums.v1 import EventType

from bench._rollback_ground import LIMITS, Cell, Ground, process_of
from lab.process import ManagedProcess, wait_until
from lab.scenario import trigger_of
from tailramp.activity_names import WATCH
from workflows.handles import RampHandle
from workflows.messages import Message
from workflows.ramp import RampWorkflow

TENTH = {"tick": "1s", "window": "6s", "consecutive": 3, "minSample": 50, "floor": 50, "maxErrors": "5%"}
"""A tenth of the shipped 15 s, 60 s and 500; ticks are whole seconds."""
SHIPPED = {"tick": "15s", "window": "1m", "consecutive": 3, "minSample": 500, "floor": 500, "maxErrors": "5%"}


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
    return await _aborted_without(ground, handle, "control", process_of(tasks[-1]))


async def watch_killed(ground: Ground, handle: RampHandle) -> Mapping[str, float]:
    """An abort, and the worker that watches this ramp dies with it.  Another one runs."""
    return await _aborted_without(ground, handle, "watch", await _watching(handle))


async def _aborted_without(ground: Ground, handle: RampHandle, role: str, process: int) -> Mapping[str, float]:
    """The worker of this process dies, and the abort is sent; another one of its role runs."""
    began = time.time()
    await ground.killed(role, process)
    await _send_abort(handle)
    await ground.ended(handle)
    await ground.replace(role)
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
    return process_of(identity)


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
