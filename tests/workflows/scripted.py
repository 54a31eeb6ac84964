"""The real ramp workflow over activities that say what a test tells them to.

Activities are the workflow's only boundary, so a test of its state machine needs no data plane: it scripts what the
activities find, sends messages, and reads from the log what was asked of them, in which order and at which epoch.

A call is known by its label, which says what the workflow asked for and of which step::

    preflight   apply 1   verify 1   settle 1   hold 1   guard 1   ...   apply default   verify default
    apply rules   verify rules   bake   guard bake   conclude   clear   prove   restore   record shifted
    prepare   room 1   lower 1   leave   retire
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import repeat
from typing import Any, Self
from uuid import uuid4

from pydantic import BaseModel
from ramp_specs import ramp_spec
from scripted_activities import BEAT, QUEUES, REQUESTS, Call, Reaction, as_usual, label_of
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.worker import Worker

from tailramp import activity_names as names
from tailramp.decision import Decision
from tailramp.spec import RampSpec
from workflows.answers import RampResult, RampStatus
from workflows.handles import RampHandle
from workflows.messages import (
    Alert,
    Message,
    Promote,
    SetTarget,
)
from workflows.ramp import RampWorkflow
from workflows.starting import start_ramp

TURNS = 600
"""How often a test looks in vain, a beat apart, before it fails: 12 s by the clock on a machine that is free.  Where it
is starved a beat takes longer, and so does everything that is waited for."""


class ScriptedWorld:
    """The workers and the script of one test; entered, they run.

    ``on`` scripts the next calls of a label and ``always`` all of them; whatever is not scripted goes well: preflight
    passes, writes succeed, traffic settles, holds pass, zero is proven. A guard, and a hold without end, last until
    they are cancelled.
    """

    def __init__(self, client: Client, *, cached_workflows: int = 1000) -> None:
        """``cached_workflows`` 0 makes every workflow task replay the whole history."""
        self.client = client
        self.calls: list[Call] = []
        self.ended: list[str] = []
        self._cached = cached_workflows
        self._script: dict[str, deque[Reaction]] = {}
        self._standing: dict[str, Reaction] = {}
        self._moved = asyncio.Event()
        self._stack = AsyncExitStack()
        self._workflow_stack = AsyncExitStack()
        self._started: list[RampHandle] = []

    # The script.

    def on(self, label: str, *reactions: Reaction) -> None:
        """What the next calls of ``label`` do, one after the other; attempts count as calls."""
        self._script.setdefault(label, deque()).extend(reactions)

    def times(self, label: str, count: int, reaction: Reaction) -> None:
        """What the next ``count`` calls of ``label`` do."""
        self.on(label, *repeat(reaction, count))

    def always(self, label: str, reaction: Reaction) -> None:
        """What every call of ``label`` does that ``on`` does not script."""
        self._standing[label] = reaction

    def usual(self, label: str) -> None:
        """Forget what was scripted for ``label``."""
        self._standing.pop(label, None)
        self._script.pop(label, None)

    # The log.

    @property
    def deeds(self) -> list[str]:
        """The labels of all calls so far but the records, which run beside everything else."""
        return [call.label for call in self.calls if not call.label.startswith("record ")]

    @property
    def decisions(self) -> list[Decision]:
        """What was written down, in the workflow's order; a retry counts once."""
        written = [call for call in self.calls if isinstance(call.request, Decision)]
        found = sorted(written, key=lambda call: (call.request.at, call.order))
        return list({call.request.id: call.request for call in found}.values())

    def all(self, label: str) -> list[Call]:
        """Every call of ``label``, or of the labels that begin with it if it ends with a space."""
        return [
            call
            for call in self.calls
            if call.label == label or (label[-1] == " " and call.label[: len(label)] == label)
        ]

    async def reached(self, label: str, times: int = 1) -> Call:
        """Wait until ``label`` was called for the ``times``-th time."""
        await self.until(lambda: len(self.all(label)) >= times, f"{times} calls of {label!r}")
        return self.all(label)[times - 1]

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until something in the log makes ``condition`` true."""
        turns = TURNS
        while not condition():
            assert turns, f"{what} never came; seen: {self.deeds}"
            self._moved.clear()
            try:
                await asyncio.wait_for(self._moved.wait(), BEAT)
            except TimeoutError:
                turns -= 1

    # Ramps.

    async def start(self, spec: RampSpec | None = None, actor: str = "lin") -> Ramp:
        """Start a ramp; without a spec that of ``ramp_spec`` on a route of its own."""
        handle = await start_ramp(self.client, spec or ramp_spec(new_route()), actor)
        self._started.append(handle)
        return Ramp(handle)

    async def start_workflows(self) -> None:
        """Start the worker of the workflow tasks, after ``stop_workflows``."""
        worker = Worker(
            self.client,
            task_queue=names.WORKFLOW_QUEUE,
            workflows=[RampWorkflow],
            max_cached_workflows=self._cached,
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        )
        await self._workflow_stack.enter_async_context(worker)

    async def stop_workflows(self) -> None:
        """Stop the worker of the workflow tasks: activities run on, and nobody decides anything."""
        await self._workflow_stack.aclose()

    async def __aenter__(self) -> Self:
        for queue, asked in QUEUES.items():
            worker = Worker(
                self.client,
                task_queue=queue,
                activities=[self._activity(name) for name in asked],
                max_heartbeat_throttle_interval=timedelta(seconds=BEAT),
            )
            await self._stack.enter_async_context(worker)
        await self.start_workflows()
        return self

    async def __aexit__(self, *_: object) -> None:
        for handle in self._started:
            description = await handle.describe()
            if description.status is WorkflowExecutionStatus.RUNNING:
                await handle.terminate("the test is over")
        await self.stop_workflows()
        await self._stack.aclose()

    # Activities.

    def _activity(self, name: str) -> Callable[..., Any]:
        request_type = REQUESTS[name]

        async def scripted(request: Any) -> Any:
            info = activity.info()
            order = int(info.activity_id.rpartition("-")[2])
            return await self._react(Call(label_of(name, request), request, info.attempt, order))

        scripted.__annotations__["request"] = request_type
        return activity.defn(name=name)(scripted)

    async def _react(self, call: Call) -> BaseModel | None:
        self.calls.append(call)
        self._moved.set()
        script = self._script.get(call.label)
        reaction = script.popleft() if script else self._standing.get(call.label, as_usual)
        try:
            return await reaction(call)
        finally:
            self.ended.append(call.label)
            self._moved.set()


class Ramp:
    """One started ramp: its messages and its answers."""

    def __init__(self, handle: RampHandle) -> None:
        self.handle = handle

    async def pause(self) -> None:
        await self.handle.signal(RampWorkflow.pause, Message(actor="mei"))

    async def resume(self) -> None:
        await self.handle.signal(RampWorkflow.resume, Message(actor="mei"))

    async def promote(self, step: int, *, full: bool = False) -> None:
        await self.handle.signal(RampWorkflow.promote, Promote(actor="mei", step=step, full=full))

    async def abort(self, reason: str = "") -> None:
        await self.handle.signal(RampWorkflow.abort, Message(actor="mei", reason=reason))

    async def empty_target(self) -> None:
        await self.handle.signal(RampWorkflow.empty_target, Message(actor="ci"))

    async def alert(self, *, attributed: bool) -> None:
        await self.handle.signal(
            RampWorkflow.alert, Alert(actor="alertmanager", name="HighLatency", attributed=attributed)
        )

    async def set_target(self, spec: RampSpec) -> str:
        return await self.handle.execute_update(RampWorkflow.set_target, SetTarget(actor="ci", spec=spec))

    async def cancel(self) -> None:
        await self.handle.cancel()

    async def status(self) -> RampStatus:
        return await self.handle.query(RampWorkflow.status)

    async def result(self) -> RampResult:
        waiting = asyncio.create_task(self.handle.result())
        try:
            for _ in range(TURNS):
                await asyncio.wait({waiting}, timeout=BEAT)
                if waiting.done():
                    return waiting.result()
        finally:
            waiting.cancel()
        raise AssertionError(f"the ramp never ended; its last status was {await self.status()}")

    async def until(self, condition: Callable[[RampStatus], bool], what: str) -> RampStatus:
        """Ask for the status until ``condition`` is true of it."""
        for _ in range(TURNS):
            status = await self.status()
            if condition(status):
                return status
            await asyncio.sleep(BEAT)
        raise AssertionError(f"{what} never came; the last status was {status}")

    async def quiet(self, running: int = 0) -> None:
        """Wait until the server knows of no more than ``running`` activities that run or wait."""
        for _ in range(TURNS):
            description = await self.handle.describe()
            if len(description.raw_description.pending_activities) <= running:
                return
            await asyncio.sleep(BEAT)
        raise AssertionError(f"more than {running} activities run on")


def new_route() -> str:
    """A route that no other test has: tests share a server."""
    return f"chat-{uuid4().hex[:8]}"
