"""What the way forward and the way back share: the ramp's state, its activities, its records, and waiting."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar, cast

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

with workflow.unsafe.imports_passed_through():
    from pydantic import BaseModel

    from tailramp import activity_names as names
    from tailramp import ramp
    from tailramp.decision import Decision, DecisionKind
    from tailramp.evidence import Verdict
    from tailramp.plan import Plan, Variant
    from tailramp.ramp import RampState, Reason
    from workflows import options, search_attributes, wording
    from workflows.messages import Carried, RampStart

Answer = TypeVar("Answer", bound=BaseModel)


class Stopped(Exception):
    """The forward task has seen that the ramp is to stop."""


class RampBase:
    """The parts are mixed into ``RampWorkflow``; nothing here is a message or an entry point."""

    def __init__(self, start: RampStart) -> None:
        carried = start.carried
        self._spec = carried.spec if carried else start.spec
        self._ramp = workflow.info().first_execution_run_id
        self._state = carried.state if carried else ramp.RampState()
        self._plan: Plan | None = carried.plan if carried else None
        self._variants: tuple[Variant, ...] = carried.variants if carried else ()
        self._snapshot = carried.snapshot if carried else ""
        self._started_at = carried.started_at if carried else workflow.now()
        self._last = carried.last if carried else f"started by {start.actor}"
        self._verdicts: tuple[Verdict, ...] = carried.verdicts if carried else ()
        self._override = start.override
        self._problems: tuple[str, ...] = ()
        self._messages = 0
        self._activities = 0
        self._continuing = False
        self._records: list[tuple[Decision, workflow.ActivityHandle[Any]]] = []
        self._shown: tuple[object, ...] | None = None

    # Waiting.

    async def _settled(self, handle: "workflow.ActivityHandle[Answer]") -> Answer:
        """The activity's answer, or Stopped.  On a stop the activity is cancelled and awaited as its options say."""
        return cast("Answer", await self._settled_unless(handle, lambda: False))

    async def _settled_unless(
        self,
        handle: "workflow.ActivityHandle[Answer]",
        interrupted: Callable[[], bool],
        *,
        fenced_off: bool = False,
    ) -> Answer | None:
        """As ``_settled``, and None if ``interrupted`` became true first.

        ``fenced_off``: the clear fences off whatever the activity may still write.  Nobody waits for the end of such a
        one once it is stopped: a rollback is the sooner.
        """
        await workflow.wait_condition(lambda: handle.done() or self._state.stop is not None or interrupted())
        if not handle.done():
            handle.cancel()
            if fenced_off and self._state.stop is not None:
                handle.add_done_callback(_forget)
                await asyncio.sleep(0)  # the cancel goes out before whatever comes next
                raise Stopped
        try:
            answer = await handle
        except ActivityError:
            if self._state.stop is not None:
                raise Stopped from None
            if interrupted():
                return None
            raise
        if self._state.stop is not None:  # the cancel may have been swallowed: look again
            raise Stopped
        return answer

    async def _uninterrupted(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry ``work`` through whatever cancels come."""
        task = asyncio.create_task(work)
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                if workflow.cancellation_reason() is None:
                    raise
        task.result()

    # Activities and records.

    def _start(
        self,
        name: str,
        how: options.Options,
        request: BaseModel,
        answer: type[Answer] | None,
        activity_id: str,
        summary: str | None = None,
        limit: timedelta | None = None,
    ) -> "workflow.ActivityHandle[Any]":
        self._activities += 1
        return workflow.start_activity(
            name,
            request,
            result_type=answer or type(None),
            task_queue=how.task_queue,
            start_to_close_timeout=how.start_to_close,
            schedule_to_close_timeout=limit or how.schedule_to_close,
            heartbeat_timeout=how.heartbeat,
            retry_policy=how.retry,
            cancellation_type=how.cancellation,
            activity_id=f"{activity_id}-{self._activities}",
            summary=summary or name,
        )

    def _record(
        self,
        kind: DecisionKind,
        sentence: str,
        *,
        actor: str = "tailramp",
        reason: str = "",
        evidence: dict[str, Any] | None = None,
    ) -> None:
        """Write a decision down without waiting: a dead log delays no rollback.  The ramp ends when all are written."""
        self._last = sentence
        decision = Decision(
            id=str(workflow.uuid4()),
            at=workflow.now(),
            route=self._route,
            ramp=self._ramp,
            epoch=self._state.epoch,
            kind=kind,
            sentence=sentence,
            phase=self._state.phase,
            step=self._state.step,
            actor=actor,
            reason=reason,
            evidence=evidence or {},
            spec_digest=self._spec.digest,
        )
        self._write_down(decision)

    def _write_down(self, decision: Decision) -> None:
        name = f"record-{decision.kind}"
        handle = self._start(names.RECORD, options.RECORD, decision, None, name, decision.sentence)
        self._records.append((decision, handle))

    async def _flush_records(self) -> None:
        for _, handle in self._records:
            await handle

    def _carry_over(self) -> Carried:
        return Carried(
            spec=self._spec,
            state=self._state,
            plan=self._have_plan,
            variants=self._variants,
            snapshot=self._snapshot,
            started_at=self._started_at,
            last=self._last,
            verdicts=self._verdicts,
            unwritten=tuple(_lightened(decision) for decision, handle in self._records if not handle.done()),
        )

    def _show(self) -> None:
        """Search attributes and memo: what can be seen without a worker."""
        attributes = (
            search_attributes.PHASE.value_set(self._state.phase),
            search_attributes.SHARE.value_set(round(self._share * 100)),
            search_attributes.REASON.value_set(str(self._reason or "")),
        )
        shown: tuple[object, ...] = (self._state.phase, self._share, self._reason)
        if workflow.patched("show-what-holds"):  # a ramp that began without it has no such upserts in its history
            shown = (*shown, self._state.paused, self._state.blocked_by, self._state.causes)
        if shown != self._shown:
            workflow.upsert_search_attributes(attributes)
            workflow.upsert_memo(
                {"last": self._last, "next": wording.next_event(self._plan, self._state, workflow.now())}
            )
            self._shown = shown

    def _leave(self, before: RampState) -> None:
        """Candidates that were withdrawn since ``before`` are part of the plan no more."""
        gone = self._state.withdrawn.keys() - before.withdrawn.keys()
        if gone:
            self._plan = self._have_plan.without(gone)

    @property
    def _route(self) -> str:
        return self._spec.platform.route.full_name

    @property
    def _have_plan(self) -> Plan:
        assert self._plan is not None  # noqa: S101 - preflight made it
        return self._plan

    @property
    def _share(self) -> float:
        if self._plan is None or self._state.applied is None:
            return 0.0
        return self._plan.share_in(self._state.applied)

    @property
    def _reason(self) -> Reason | None:
        return wording.reason(self._state)


def _lightened(decision: Decision) -> Decision:
    """Without its counts: what a run hands to the next is one payload, and those have a limit."""
    return decision.model_copy(update={"evidence": {k: v for k, v in decision.evidence.items() if k != "counts"}})


def is_failure(error: ActivityError, kind: str) -> bool:
    return isinstance(error.cause, ApplicationError) and error.cause.type == kind


def why(error: ActivityError) -> str:
    """The innermost cause in words; for a time limit, what the activity said last."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, ActivityTimeoutError) and cause.last_heartbeat_details:
        return f"time limit; last seen: {cause.last_heartbeat_details[0]}"
    return str(cause)


def _forget(handle: "workflow.ActivityHandle[Any]") -> None:
    """Take note of how it ended: an error that nobody asks for would be logged as lost."""
    if not handle.cancelled():
        handle.exception()
