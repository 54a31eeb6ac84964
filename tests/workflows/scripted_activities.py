"""What the scripted activities do: how a call is known, what it may do instead of going well, and what is usual."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError

from tailramp import activity_contract as contract
from tailramp import activity_names as names
from tailramp.assignment import Assignment
from tailramp.decision import Decision
from tailramp.evidence import Numbers, Verdict, VerdictKind
from tailramp.plan import Plan
from tailramp.planning import make_plan
from tailramp.proof import Answer, Evidence, Finding
from tailramp.ramp import Block, Cause, WatchMode, WatchOutcome
from tailramp.route_record import Clearer

FIRST_EPOCH = 7
"""The epoch of the take-over: a route that has seen ramps before."""
BEAT = 0.02
"""Seconds between two heartbeats of an activity that waits."""


@dataclass(frozen=True)
class Call:
    """One attempt of one activity."""

    label: str
    request: Any
    attempt: int
    order: int
    """The number that the workflow gave the activity: calls that run at once arrive in any order."""

    @property
    def epoch(self) -> int:
        """The epoch at which a write was decided."""
        return int(self.request.epoch)


Reaction = Callable[[Call], Awaitable[BaseModel | None]]


# What an activity may do instead of its usual answer.


def answers(answer: BaseModel | None) -> Reaction:
    async def react(call: Call) -> BaseModel | None:
        return answer

    return react


def fails(kind: str = "Broken", message: str = "it does not work") -> Reaction:
    """Raise a failure of type ``kind``; Temporal retries it unless the options say that it is final."""

    async def react(call: Call) -> BaseModel | None:
        raise ApplicationError(message, type=kind)

    return react


def waits(until: asyncio.Event | None = None, then: Reaction | None = None) -> Reaction:
    """Beat until ``until`` is set or a cancel arrives, then react as ``then``, or with nothing."""

    async def react(call: Call) -> BaseModel | None:
        while until is None or not until.is_set():
            activity.heartbeat("waiting")
            await asyncio.sleep(BEAT)
        return await then(call) if then is not None else None

    return react


def ignores_cancel(until: asyncio.Event) -> Reaction:
    """A write that has begun and cannot be called back: it ends when ``until`` is set, whatever was asked of it."""

    async def react(call: Call) -> BaseModel | None:
        while not until.is_set() and not activity.is_worker_shutdown():
            activity.heartbeat("writing")
            try:
                await asyncio.sleep(BEAT)
            except asyncio.CancelledError:
                continue
        return None

    return react


def ends(
    outcome: WatchOutcome,
    sentence: str = "",
    *,
    blocks: Sequence[Block] = (),
    causes: Sequence[Cause] = (),
    slot: str = "green",
) -> Reaction:
    """A watch that comes back with ``outcome``; a failure is that of ``slot``."""

    async def react(call: Call) -> BaseModel | None:
        result = _watch_result(outcome, sentence or f"scripted {outcome}", blocks, slot)
        return result.model_copy(update={"causes": tuple(causes)})

    return react


def clear_finds(
    *, cleared_by: Clearer | None = None, reason: str = "", held: bool = True, superseded_by: str | None = None
) -> Reaction:
    """A clear that finds somebody else's hand in the route record."""

    async def react(call: Call) -> BaseModel | None:
        return contract.ClearReport(
            held=held,
            epoch=call.epoch,
            assignment=Assignment(default="blue"),
            cleared_by=cleared_by,
            reason=reason,
            superseded_by=superseded_by,
        )

    return react


REQUESTS: dict[str, type[BaseModel]] = {
    names.PREFLIGHT: contract.PreflightRequest,
    names.APPLY: contract.WriteRequest,
    names.VERIFY: contract.VerifyRequest,
    names.WATCH: contract.WatchRequest,
    names.CONCLUDE: contract.ConcludeRequest,
    names.RECORD: Decision,
    names.CLEAR: contract.ClearRequest,
    names.WITHDRAW: contract.WithdrawRequest,
    names.PROVE_ZERO: contract.ZeroRequest,
    names.RESTORE: contract.RestoreRequest,
    names.PREPARE: contract.PrepareRequest,
    names.MAKE_ROOM: contract.RoomRequest,
    names.LEAVE_WORKLOADS: contract.LeaveRequest,
    names.RETIRE: contract.RetireRequest,
}
QUEUES = {
    names.WATCH_QUEUE: (
        names.PREPARE,
        names.MAKE_ROOM,
        names.PREFLIGHT,
        names.APPLY,
        names.VERIFY,
        names.WATCH,
        names.CONCLUDE,
        names.RECORD,
    ),
    names.ROLLBACK_QUEUE: (
        names.CLEAR,
        names.WITHDRAW,
        names.PROVE_ZERO,
        names.RESTORE,
        names.APPLY,
        names.LEAVE_WORKLOADS,
        names.RETIRE,
    ),
}
_SHORT = {
    names.APPLY: "apply",
    names.VERIFY: "verify",
    names.CLEAR: "clear",
    names.WITHDRAW: "withdraw",
    names.PROVE_ZERO: "prove",
    names.PREPARE: "prepare",
    names.LEAVE_WORKLOADS: "leave",
    names.RETIRE: "retire",
}


def label_of(name: str, request: Any) -> str:
    if isinstance(request, Decision):
        return f"record {request.kind}"
    short = _SHORT.get(name, name)
    if isinstance(request, contract.WatchRequest):
        place = _place(request.plan, request.assignment)
        return (
            f"{request.mode} {place}"
            if place != "rules"
            else {"bake": "bake"}.get(request.mode, f"{request.mode} bake")
        )
    if isinstance(request, contract.RoomRequest):
        return f"{'room' if request.waits else 'lower'} {_place(request.plan, request.assignment)}"
    if isinstance(request, contract.WriteRequest | contract.VerifyRequest):
        return f"{short} {_place(request.plan, request.assignment)}"
    return short


def _place(plan: Plan, assignment: Assignment) -> str:
    """The step that the assignment belongs to, or what it does."""
    for step in plan.steps:
        if step.assignment == assignment:
            return str(step.index)
    named = [
        (plan.promoting, "default"),
        (plan.baking, "rules"),
        (plan.promoted, "everyone"),
        (plan.baseline_only, "nobody"),
    ]
    return next((name for known, name in named if known == assignment), assignment.describe())


async def as_usual(call: Call) -> BaseModel | None:
    """What an activity does when nothing else is scripted: all goes well."""
    request = call.request
    match request:
        case contract.PrepareRequest():
            return contract.PrepareReport(written=("green",))
        case contract.RoomRequest():
            return contract.RoomReport(sentence="green: 1 of 1 pods ready")
        case contract.LeaveRequest():
            return contract.LeaveReport(restored=("green",))
        case contract.RetireRequest():
            return contract.LeaveReport()
        case contract.PreflightRequest():
            plan = make_plan(request.spec, default="blue", candidates=["green", "red"][: len(request.spec.candidates)])
            return contract.PreflightReport(
                plan=plan, epoch=FIRST_EPOCH, applied=plan.baseline_only, snapshot="as it was"
            )
        case contract.WatchRequest(mode=WatchMode.SETTLE):
            return _watch_result(WatchOutcome.SETTLED, "traffic has reached the step")
        case contract.WatchRequest(mode=WatchMode.GUARD) | contract.WatchRequest(hold=None):
            return await waits()(call)
        case contract.WatchRequest():
            return _watch_result(WatchOutcome.PASSED, "all is well")
        case contract.ClearRequest():
            return await clear_finds(cleared_by=Clearer.ROLLBACK, reason=request.reason)(call)
        case contract.VerifyRequest() | contract.ZeroRequest():
            return Evidence(findings=(Finding(question="user u1 is served as asked", answer=Answer.YES),))
        case contract.RestoreRequest():
            return contract.RestoreReport(equal=True)
    return None


def _watch_result(
    outcome: WatchOutcome, sentence: str, blocks: Sequence[Block] = (), slot: str = "green"
) -> contract.WatchResult:
    kind = VerdictKind.FAIL if outcome is WatchOutcome.FAILED else VerdictKind.PASS
    verdict = Verdict(
        kind=kind,
        check="latency",
        slot=slot,
        judge="threshold",
        reason=sentence,
        numbers=Numbers(n=640, bad=3, seen=640),
    )
    return contract.WatchResult(
        outcome=outcome,
        at=activity.info().current_attempt_scheduled_time,
        sentence=sentence,
        verdicts=(verdict,),
        blocks=tuple(blocks),
        failed=(slot,) if outcome is WatchOutcome.FAILED else (),
        ticks=4,
    )
