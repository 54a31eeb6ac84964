"""A ramp as a stream of changes: every decision exactly once, as it is made.

The decisions are read from the workflow's history, where each is the input of a ``record`` activity: so none is missed
between two looks, none is told twice, and none needs a worker to be told.  What is not in history (the verdicts of the
watch that is running, a retry that keeps failing, a queue without a worker) comes from looks in between.
"""

import asyncio
import contextlib
import re
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar

from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import (
    ActivityTaskCompletedEventAttributes,
    ActivityTaskScheduledEventAttributes,
    HistoryEvent,
)
from temporalio.client import WorkflowExecutionStatus, WorkflowHistoryEventAsyncIterator
from temporalio.service import RPCError

from cli.ramps import Ramp, Sighting
from cli.temporal import in_words
from tailramp import activity_contract as contract
from tailramp.assignment import Assignment
from tailramp.decision import Decision, DecisionKind
from tailramp.errors import Unreachable
from tailramp.plan import Plan
from tailramp.ramp import Phase
from tailramp.spec import RampSpec
from workflows.messages import RampResult, RampStart

LOOK_INTERVAL: Final = timedelta(seconds=0.5)
PATIENCE: Final = timedelta(seconds=30)
"""How long the server may be gone before the connection counts as lost: a restart takes less."""
IDLE_SECONDS: Final = 5.0
"""How long a task may wait before it is said that no worker takes it: one that is there takes it in milliseconds."""

_KEPT_DECISIONS: Final = 50

Value = TypeVar("Value")


class ChangeKind(StrEnum):
    """``decision``: the ramp decided something.  ``check``: a verdict changed its kind.  ``progress``: servers that are
    waited for have come nearer, or are stuck.  ``trouble``: what keeps the ramp from being carried out.  ``end``:
    nothing comes after it."""

    DECISION = "decision"
    CHECK = "check"
    PROGRESS = "progress"
    TROUBLE = "trouble"
    END = "end"


@dataclass(frozen=True)
class Change:
    """One change, with where the ramp stood after it.  ``steps`` is 0 before there is a plan; ``share`` is 0 to 1.

    ``decision`` is there for a decision; ``check`` and ``verdict`` for a check.  ``result`` is there at the end, unless
    the workflow was ended from outside.
    """

    kind: ChangeKind
    at: datetime
    route: str
    ramp: str
    phase: Phase
    step: int
    steps: int
    share: float
    sentence: str
    decision: Decision | None = None
    check: str = ""
    verdict: str = ""
    result: RampResult | None = None
    plan: Plan | None = field(default=None, repr=False)

    @property
    def reached_target(self) -> bool:
        """Whether this is the moment at which a ramp that does not promote begins to hold its target."""
        settled = self.decision is not None and self.decision.kind is DecisionKind.SETTLED
        return settled and self.plan is not None and not self.plan.promotes and self.step == self.steps


class Follower:
    """One ramp, followed: ``changes`` tells what happens, the attributes where it stands meanwhile.

    ``stands`` is the latest change; ``decisions`` are the latest ones, oldest first; ``spec`` and ``watch`` what the
    ramp was started with and the request of its latest watch, None until they are known; ``sighting`` is the latest
    look; ``troubles`` are what keeps the ramp from being carried out now, in words; ``lost_since`` is the monotonic
    time since when the server is silent.
    """

    def __init__(self, ramp: Ramp) -> None:
        self.ramp = ramp
        self.sighting: Sighting | None = None
        self.lost_since: float | None = None
        self._following: _Following | None = None
        self._looks: _Looks | None = None

    @property
    def stands(self) -> Change | None:
        return None if self._following is None else self._following.stands

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return () if self._following is None else tuple(self._following.decisions)

    @property
    def spec(self) -> RampSpec | None:
        return None if self._following is None else self._following.spec

    @property
    def watch(self) -> contract.WatchRequest | None:
        return None if self._following is None else self._following.watch

    @property
    def started_at(self) -> datetime | None:
        return None if self._following is None else self._following.started_at

    @property
    def troubles(self) -> tuple[str, ...]:
        return () if self._looks is None else self._looks.troubles

    async def changes(
        self, *, from_start: bool = False, patience: timedelta = PATIENCE
    ) -> AsyncGenerator[Change, None]:
        """Every change from now on, the first one being where the ramp stands, the last one its end.

        ``from_start`` begins with the ramp's first decision (of its present run, if it has continued as new) instead.
        Raises NoRamp if there is none, Unreachable once the server has been silent for ``patience``.
        """
        self.sighting = sighting = await self.ramp.look(ask_worker=False)
        following = _Following(self.ramp, sighting)
        history = _History(self.ramp, sighting.run_id)
        looks = _Looks(following)
        try:
            told = await following.fold(await history.all_there_is(), tell_all=from_start)
            self._following, self._looks = following, looks
            for change in told:
                yield change
            while not following.is_over:
                try:
                    events = await history.next(LOOK_INTERVAL)
                    for change in await following.fold(events, tell_all=True):
                        yield change
                    if not following.is_over:
                        self.sighting = await self.ramp.look(ask_worker=False)
                        for change in looks.compare(self.sighting):
                            yield change
                    self.lost_since = None
                except Unreachable:
                    history.drop()
                    self.lost_since = time.monotonic() if self.lost_since is None else self.lost_since
                    if time.monotonic() - self.lost_since >= patience.total_seconds():
                        raise
                    await asyncio.sleep(LOOK_INTERVAL.total_seconds())
        finally:
            await history.close()


def follow(ramp: Ramp, *, from_start: bool = False, patience: timedelta = PATIENCE) -> AsyncGenerator[Change, None]:
    """The changes of ``ramp``, for who needs no more: see ``Follower.changes``."""
    return Follower(ramp).changes(from_start=from_start, patience=patience)


class _History:
    """The events of a run and of those that it continues as, each once."""

    def __init__(self, ramp: Ramp, run_id: str) -> None:
        self._ramp = ramp
        self._run_id = run_id
        self._last = 0
        self._iterator: WorkflowHistoryEventAsyncIterator | None = None
        self._page: asyncio.Task[None] | None = None

    async def all_there_is(self) -> list[HistoryEvent]:
        """The events up to now; does not wait for more."""
        with in_words(self._ramp.client, self._ramp.route):
            events = [event async for event in self._ramp.run(self._run_id).fetch_history_events()]
        return self._new(events)

    async def next(self, limit: timedelta) -> list[HistoryEvent]:
        """The next events, or none after ``limit``; the question to the server stays open."""
        if self._iterator is None:
            self._iterator = self._ramp.run(self._run_id).fetch_history_events(wait_new_event=True)
        if self._page is None:
            self._page = asyncio.create_task(self._iterator.fetch_next_page())
        await asyncio.wait({self._page}, timeout=limit.total_seconds())
        if not self._page.done():
            return []
        page, self._page = self._page, None
        with in_words(self._ramp.client, self._ramp.route):
            await page
        return self._new(self._iterator.current_page or ())

    def _new(self, events: Sequence[HistoryEvent]) -> list[HistoryEvent]:
        fresh = [event for event in events if event.event_id > self._last]
        if fresh:
            self._last = fresh[-1].event_id
            continued = fresh[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
            if continued:
                self._run_id, self._last = continued, 0
                self.drop()
        return fresh

    def drop(self) -> None:
        """Forget the open question: the next one starts anew, behind what was told already."""
        if self._page is not None:
            self._page.cancel()
        self._iterator = self._page = None

    async def close(self) -> None:
        page = self._page
        self.drop()
        if page is not None:
            with contextlib.suppress(asyncio.CancelledError, RPCError):
                await page


class _Following:
    """Where the ramp stands, as far as its history has been read."""

    def __init__(self, ramp: Ramp, sighting: Sighting) -> None:
        self._converter = ramp.client.data_converter
        self._preflights: set[int] = set()
        self._verifying: dict[int, contract.VerifyRequest] = {}
        self._told: set[str] = set()
        self.decisions: deque[Decision] = deque(maxlen=_KEPT_DECISIONS)
        self.spec: RampSpec | None = None
        self.watch: contract.WatchRequest | None = None
        self.started_at: datetime | None = None
        self.is_over = False
        self.stands = Change(
            kind=ChangeKind.DECISION,
            at=datetime.now(UTC),
            route=ramp.route,
            ramp=sighting.ramp,
            phase=Phase.PREFLIGHT,
            step=1,
            steps=0,
            share=0.0,
            sentence="nothing was decided yet",
        )

    async def fold(self, events: Sequence[HistoryEvent], *, tell_all: bool) -> list[Change]:
        """The changes that ``events`` bring.  Unless ``tell_all``, only the last of them, or where the ramp stands."""
        changes = []
        for event in events:
            if (change := await self._take(event)) is not None:
                self.stands = change
                changes.append(change)
        return changes if tell_all else [self.stands]

    async def _take(self, event: HistoryEvent) -> Change | None:
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                self.started_at = event.event_time.ToDatetime(UTC)
                await self._take_start(event.workflow_execution_started_event_attributes.input)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                return await self._take_scheduled(event.event_id, event.activity_task_scheduled_event_attributes)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                await self._take_completed(event.activity_task_completed_event_attributes)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
                result = await self._decode(event.workflow_execution_completed_event_attributes.result, RampResult)
                return self._ended(event, result, f"the ramp has ended: {result.detail}")
            case kind if kind in _ENDED_FROM_OUTSIDE:
                sentence = (
                    f"the workflow was {_ENDED_FROM_OUTSIDE[kind]} from outside: nobody takes the candidate out. "
                    f"`tailramp kill {self.stands.route}` does"
                )
                return self._ended(event, None, sentence)
        return None

    async def _take_start(self, payloads: Payloads) -> None:
        start = await self._decode(payloads, RampStart)
        carried = start.carried
        self.spec = start.spec if carried is None else carried.spec
        if carried is None:
            return
        state = carried.state
        self.started_at = carried.started_at
        self._serves(carried.plan, state.applied or carried.plan.baseline_only)
        self.stands = replace(self.stands, phase=state.phase, step=state.step, sentence=carried.last)

    async def _take_scheduled(self, event_id: int, scheduled: ActivityTaskScheduledEventAttributes) -> Change | None:
        """The plan may change while the ramp is live; the requests of its activities carry the one that holds."""
        match scheduled.activity_type.name:
            case contract.PREFLIGHT:
                self._preflights.add(event_id)
            case contract.VERIFY:
                self._verifying[event_id] = await self._decode(scheduled.input, contract.VerifyRequest)
            case contract.WATCH:
                self.watch = request = await self._decode(scheduled.input, contract.WatchRequest)
                self.spec = request.spec
                self._serves(request.plan, request.assignment)
            case contract.RECORD:
                decision = await self._decode(scheduled.input, Decision)
                if decision.id not in self._told:  # a run that continues as new asks again for what was not written yet
                    self._told.add(decision.id)
                    return self._decided(decision)
        return None

    async def _take_completed(self, completed: ActivityTaskCompletedEventAttributes) -> None:
        if completed.scheduled_event_id in self._preflights:
            report = await self._decode(completed.result, contract.PreflightReport)
            if report.plan is not None:
                self._serves(report.plan, report.applied or report.plan.baseline_only)
        elif (verified := self._verifying.pop(completed.scheduled_event_id, None)) is not None:
            self._serves(verified.plan, verified.assignment)

    def _serves(self, plan: Plan, assignment: Assignment) -> None:
        share = plan.share_in(assignment)
        self.stands = replace(self.stands, plan=plan, steps=len(plan.steps), share=share)

    def _decided(self, decision: Decision) -> Change:
        self.decisions.append(decision)
        return replace(
            self.stands,
            kind=ChangeKind.DECISION,
            at=decision.at,
            phase=Phase(decision.phase),
            step=decision.step,
            share=0.0 if decision.kind is DecisionKind.CLEARED else self.stands.share,
            sentence=decision.sentence,
            decision=decision,
        )

    def _ended(self, event: HistoryEvent, result: RampResult | None, sentence: str) -> Change:
        self.is_over = True
        phase = result.phase if result is not None else self.stands.phase
        at = event.event_time.ToDatetime(UTC)
        stands = replace(self.stands, kind=ChangeKind.END, at=at, phase=phase, sentence=sentence)
        return replace(stands, decision=None, result=result)

    async def _decode(self, payloads: Payloads, model: type[Value]) -> Value:
        value: Value = (await self._converter.decode(payloads.payloads, [model]))[0]
        return value


_ENDED_FROM_OUTSIDE: Final[dict[Any, str]] = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: "terminated",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: "timed out",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: "failed",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: "cancelled",
}


class _Looks:
    """What one look shows that the one before did not."""

    def __init__(self, following: _Following) -> None:
        self._following = following
        self._watch = ""
        self._verdicts: dict[str, str] = {}
        self._servers: dict[str, str] = {}
        self._failures: dict[str, str] = {}
        self._retried: dict[str, str] = {}
        self._idle_since: dict[str, float] = {}
        self._idle: set[str] = set()
        self._reported: tuple[str, ...] = ()

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong now, in words."""
        idle = [no_worker(queue) for queue in sorted(self._idle)]
        retried = [f"{name} is tried again: {failure}" for name, failure in self._retried.items()]
        return (*idle, *retried, *(f"Temporal reports {problem}" for problem in self._reported))

    def compare(self, sighting: Sighting) -> list[Change]:
        if sighting.execution is not WorkflowExecutionStatus.RUNNING:
            return []
        told = [*self._checks(sighting), *self._progress(sighting)]
        return [*told, *self._retries(sighting), *self._queues(sighting), *self._problems(sighting)]

    def _checks(self, sighting: Sighting) -> list[Change]:
        changes = []
        for pending in sighting.pending:
            if pending.checks and pending.activity_id != self._watch:
                # A new watch knows nothing yet: that is no news.
                self._watch, self._verdicts = pending.activity_id, dict.fromkeys(pending.checks, _UNKNOWN)
            for check, said in pending.checks.items():
                verdict = said.partition(":")[0]
                if self._verdicts.get(check) != verdict:
                    self._verdicts[check] = verdict
                    sentence = f"{check} {said}"
                    changes.append(self._change(ChangeKind.CHECK, sentence, check=check, verdict=verdict))
        return changes

    def _progress(self, sighting: Sighting) -> list[Change]:
        """How far servers are, each time that it changes; the minutes that pass are no news."""
        changes = []
        for pending in sighting.pending:
            for slot, said in pending.servers.items():
                news = _MINUTES.sub("", said)
                if self._servers.get(slot) != news:
                    self._servers[slot] = news
                    changes.append(self._change(ChangeKind.PROGRESS, f"{slot}: {said}"))
        return changes

    def _retries(self, sighting: Sighting) -> list[Change]:
        failures = {pending.activity_id: pending for pending in sighting.pending if pending.failure}
        changes = [
            self._change(ChangeKind.TROUBLE, f"{p.name} is tried again (attempt {p.attempt}): {p.failure}")
            for activity, p in failures.items()
            if self._failures.get(activity) != p.failure
        ]
        self._failures = {activity: pending.failure for activity, pending in failures.items()}
        self._retried = {pending.name: pending.failure for pending in failures.values()}
        return changes

    def _queues(self, sighting: Sighting) -> list[Change]:
        now = time.monotonic()
        self._idle_since = {queue: self._idle_since.get(queue, now) for queue in sighting.untaken}
        idle = {queue for queue, since in self._idle_since.items() if now - since >= IDLE_SECONDS}
        changes = [self._change(ChangeKind.TROUBLE, no_worker(queue)) for queue in sorted(idle - self._idle)]
        changes += [
            self._change(ChangeKind.TROUBLE, f"a worker takes the tasks of {queue} again")
            for queue in sorted(self._idle - set(sighting.untaken))
        ]
        self._idle = (self._idle & set(sighting.untaken)) | idle
        return changes

    def _problems(self, sighting: Sighting) -> list[Change]:
        if sighting.reported == self._reported:
            return []
        self._reported = sighting.reported
        said = ", ".join(sighting.reported)
        return [self._change(ChangeKind.TROUBLE, f"Temporal reports: {said or 'no problem any more'}")]

    def _change(self, kind: ChangeKind, sentence: str, *, check: str = "", verdict: str = "") -> Change:
        stands = replace(self._following.stands, kind=kind, at=datetime.now(UTC), sentence=sentence)
        return replace(stands, decision=None, check=check, verdict=verdict)


_UNKNOWN = "INCONCLUSIVE"
_MINUTES = re.compile(r" \d+ min")


def no_worker(queue: str) -> str:
    """What to say about a queue whose tasks nobody takes."""
    return f"no worker takes the tasks of {queue}: `tailramp worker` runs one"
