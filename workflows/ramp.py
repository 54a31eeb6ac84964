"""The ramp as a durable workflow: it carries out what ``tailramp.ramp`` decides.

Many may want a ramp to stop: a person, the server's cancel, a failed check, an activity that gave up.  They only set
the reason; the first one stays.  The forward task looks at it again after every await, because a cancellation of an
inner task can be lost when what it awaits completes in the same activation.  The only actor that takes traffic away is
the rollback task, which no second cancel can interrupt.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar, cast

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

with workflow.unsafe.imports_passed_through():
    from pydantic import BaseModel

    from tailramp import activity_contract as contract
    from tailramp import ramp
    from tailramp.assignment import Assignment
    from tailramp.decision import Decision, DecisionKind
    from tailramp.evidence import Verdict
    from tailramp.plan import Plan, Step
    from tailramp.proof import Evidence
    from tailramp.ramp import Block, Phase, Reason, WatchMode, WatchOutcome
    from tailramp.route_record import Clearer
    from tailramp.units import format_duration
    from workflows import options, search_attributes, wording
    from workflows.messages import Alert, Carried, Message, Promote, RampResult, RampStart, RampStatus
    from workflows.requests import watch_request

Answer = TypeVar("Answer", bound=BaseModel)


class Stopped(Exception):
    """The forward task has seen that the ramp is to stop."""


@workflow.defn(name="Ramp")
class RampWorkflow:
    """One run of moving one route to a candidate; its workflow id is ``ramp/<namespace>/<route>``."""

    @workflow.init
    def __init__(self, start: RampStart) -> None:
        carried = start.carried
        self._spec = start.spec
        self._ramp = workflow.info().first_execution_run_id
        self._state = carried.state if carried else ramp.RampState()
        self._plan: Plan | None = carried.plan if carried else None
        self._snapshot = carried.snapshot if carried else ""
        self._started_at = carried.started_at if carried else workflow.now()
        self._last = carried.last if carried else f"started by {start.actor}"
        self._verdicts: tuple[Verdict, ...] = carried.verdicts if carried else ()
        self._actor = start.actor
        self._problems: tuple[str, ...] = ()
        self._messages = 0
        self._activities = 0
        self._continuing = False
        self._records: list[workflow.ActivityHandle[Any]] = []
        self._shown: tuple[Phase, float, Reason | None] | None = None

    # Messages: they only set fields, at once, so that none is cut off by the end of the ramp.

    @workflow.signal
    def pause(self, message: Message) -> None:
        """Stop advancing.  Guards go on."""
        self._receive(
            ramp.paused(self._state, workflow.now()), DecisionKind.PAUSED, f"paused by {message.actor}", message
        )

    @workflow.signal
    def resume(self, message: Message) -> None:
        """Let the hold's clock run on."""
        self._receive(
            ramp.resumed(self._state, workflow.now()), DecisionKind.RESUMED, f"resumed by {message.actor}", message
        )

    @workflow.signal
    def promote(self, message: Promote) -> None:
        """Skip the rest of the hold of the step that the person saw."""
        to = "to the target" if message.full else f"beyond step {message.step}"
        state = ramp.promoted(self._state, message.step, full=message.full)
        self._receive(state, DecisionKind.PROMOTED, f"promoted {to} by {message.actor}", message)

    @workflow.signal
    def abort(self, message: Message) -> None:
        """Everyone back on the baseline, now."""
        sentence = f"aborted by {message.actor}"
        stopped = ramp.stopped(self._state, Reason.OPERATOR_ABORT, message.reason or sentence)
        self._receive(stopped, DecisionKind.ABORTED, sentence, message)

    @workflow.signal
    def alert(self, message: Alert) -> None:
        """A firing alert: back to the baseline if it is the candidate's fault, else hold until a person looks."""
        state = ramp.alerted(self._state, message.name, attributed=message.attributed)
        self._receive(state, DecisionKind.ALERTED, f"alert {message.name} from {message.actor}", message)

    @workflow.signal
    def empty_target(self, message: Message) -> None:
        """The file's owner has emptied ``buckets``: all traffic back."""
        sentence = f"target emptied by {message.actor}"
        stopped = ramp.stopped(self._state, Reason.TARGET_EMPTIED, message.reason or sentence)
        self._receive(stopped, DecisionKind.ABORTED, sentence, message)

    def _receive(self, state: ramp.RampState, kind: DecisionKind, sentence: str, message: Message) -> None:
        if state is self._state:
            return
        self._state = state
        self._messages += 1
        self._record(kind, sentence, actor=message.actor, reason=message.reason)

    @workflow.query
    def status(self) -> RampStatus:
        """Where the ramp is, why, and what comes next."""
        state, plan = self._state, self._plan
        return RampStatus(
            route=self._route,
            ramp=self._ramp,
            model=self._spec.candidate.model,
            phase=state.phase,
            step=state.step,
            steps=len(plan.steps) if plan else 0,
            share=self._share,
            paused=state.paused,
            blocked_by=tuple(sorted(state.blocked_by)),
            reason=self._reason,
            last=self._last,
            next=wording.next_event(plan, state, workflow.now()),
            epoch=state.epoch,
            anchor=state.anchor,
            started_at=self._started_at,
            assignment=state.applied,
            plan=plan,
            verdicts=self._verdicts,
        )

    @workflow.run
    async def run(self, start: RampStart) -> RampResult:
        if start.carried is None:
            self._record(DecisionKind.STARTED, wording.started(self._spec, start.actor), actor=start.actor)
        # A task of its own: the server's cancel reaches the main task only.
        forward = asyncio.create_task(self._guarded(self._forward()))
        while True:
            try:
                await workflow.wait_condition(lambda: forward.done() and workflow.all_handlers_finished())
                break
            except asyncio.CancelledError:
                if workflow.cancellation_reason() is None:  # an eviction from the cache, not a wish
                    raise
                self._state = ramp.stopped(self._state, Reason.CANCELLED, "the workflow was cancelled")
        forward.result()
        if self._continuing and self._state.stop is None:  # no await between this look and the raise
            workflow.continue_as_new(start.model_copy(update={"carried": self._carry_over()}))
        if self._state.stop is not None and not self._state.phase.is_terminal:
            await self._uninterrupted(self._roll_back())
        self._show()
        await self._uninterrupted(self._flush_records())
        return RampResult(
            route=self._route,
            ramp=self._ramp,
            phase=self._state.phase,
            reason=self._reason or Reason.SUCCEEDED,
            detail=self._last,
            assignment=self._state.applied,
            problems=self._problems,
        )

    # Forward: everything that may give the candidate traffic.

    async def _guarded(self, forward: Coroutine[Any, Any, None]) -> None:
        """Run ``forward``; what ends it becomes the reason of the stop.  Any other exception is a bug."""
        try:
            await forward
        except Stopped:
            pass
        except ActivityError as error:
            reason = Reason.FENCED if _is(error, contract.FENCED) else Reason.ACTIVITY_FAILED
            self._state = ramp.stopped(self._state, reason, f"{error.activity_type}: {_why(error)}")

    async def _forward(self) -> None:
        while True:
            self._show()
            match ramp.next_action(self._plan, self._state):
                case ramp.RunPreflight():
                    await self._preflight()
                case ramp.Shift(step):
                    await self._shift(step)
                case ramp.Watch(mode):
                    if workflow.info().is_continue_as_new_suggested():
                        self._continuing = True
                        return
                    await self._watch(mode)
                case ramp.Advance():
                    self._state = ramp.advanced(self._have_plan, self._state)
                case ramp.MoveDefault():
                    await self._move_default()
                case ramp.RemoveRules():
                    await self._remove_rules()
                case ramp.Conclude():
                    await self._conclude()
                case ramp.AwaitPerson():
                    await self._await_person()
                case ramp.RollBack():
                    raise Stopped
                case ramp.Finish():
                    return

    async def _await_person(self) -> None:
        """Wait for a message; a freeze is looked at again every now and then, since its lift sends none."""
        before = self._messages
        frozen = Block.FREEZE in self._state.blocked_by and not self._state.paused
        try:
            await workflow.wait_condition(
                lambda: self._messages != before or self._state.stop is not None,
                timeout=options.FREEZE_LOOK if frozen else None,
                timeout_summary="frozen: look again",
            )
        except TimeoutError:
            self._state = ramp.blocks_changed(self._state, frozenset())

    async def _preflight(self) -> None:
        request = contract.PreflightRequest(spec=self._spec, ramp=self._ramp)
        report = await self._settled(
            self._start(
                contract.PREFLIGHT,
                options.PREFLIGHT,
                request,
                contract.PreflightReport,
                "preflight",
                "check everything first",
            )
        )
        if report.plan is None or report.applied is None:
            self._problems = report.problems
            self._state = ramp.preflight_refused(self._state)
            self._record(DecisionKind.REFUSED, "refused: " + "; ".join(report.problems))
            return
        self._plan, self._snapshot = report.plan, report.snapshot
        self._state = ramp.preflight_passed(self._state, epoch=report.epoch, applied=report.applied)
        self._record(DecisionKind.PREFLIGHT_PASSED, wording.preflight_passed(report.plan))

    async def _shift(self, step: Step) -> None:
        self._record(DecisionKind.SHIFT_INTENDED, f"step {step.index}: {step.label} is next")
        try:
            evidence = await self._serve(step.assignment, f"step-{step.index}", step.label)
        except ActivityError as error:
            if not _is(error, contract.FROZEN):
                raise
            self._state = ramp.freeze_met(self._state)
            self._record(DecisionKind.BLOCKED, f"step {step.index}: {_why(error)}")
            return
        self._state = ramp.shifted(self._state, step.assignment, workflow.now())
        sentence = f"step {step.index}: {step.label} is served, proven by {len(evidence.findings)} answers"
        self._record(DecisionKind.SHIFTED, sentence, evidence=evidence.model_dump(mode="json"))

    async def _serve(self, assignment: Assignment, name: str, label: str) -> Evidence:
        """Apply an assignment and prove it; both share one time limit."""
        self._state = ramp.with_next_epoch(self._state)
        since = workflow.now()
        common = {"spec": self._spec, "ramp": self._ramp, "plan": self._have_plan, "assignment": assignment}
        write = contract.WriteRequest(**common, epoch=self._state.epoch)
        await self._settled(self._start(contract.APPLY, options.APPLY, write, None, f"{name}-apply", f"apply {label}"))
        verify = contract.VerifyRequest(**common)
        left = options.SHIFT_LIMIT - (workflow.now() - since)
        proof = self._start(
            contract.VERIFY,
            options.VERIFY,
            verify,
            Evidence,
            f"{name}-verify",
            f"prove {label} by responses",
            limit=left,
        )
        return await self._settled(proof)

    async def _watch(self, mode: WatchMode) -> None:
        state, plan = self._state, self._have_plan
        request = watch_request(self._spec, plan, state, mode, ramp=self._ramp, segment=options.WATCH_SEGMENT)
        summary = wording.watch_summary(self._spec, plan, state, mode)
        before = self._messages
        handle = self._start(
            contract.WATCH, options.WATCH, request, contract.WatchResult, f"step-{state.step}-{mode}", summary
        )
        result = await self._settled_unless(handle, lambda: self._messages != before)
        if result is None:
            return
        self._verdicts = result.verdicts
        evidence = {"verdicts": [verdict.model_dump(mode="json") for verdict in result.verdicts], "ticks": result.ticks}
        name = wording.place(plan, state)
        match result.outcome:
            case WatchOutcome.FAILED:
                automatic = self._spec.candidate.auto_rollback
                self._state = ramp.check_failed(state, result.sentence, auto_rollback=automatic, now=workflow.now())
                then = "rollback" if automatic else "paused, waiting for a person"
                self._record(DecisionKind.FAILED, f"{name} FAIL: {result.sentence} → {then}", evidence=evidence)
            case WatchOutcome.BLIND:
                self._state = ramp.stopped(state, Reason.BLIND, result.sentence)
                self._record(DecisionKind.FAILED, f"{name} BLIND: {result.sentence} → rollback", evidence=evidence)
            case WatchOutcome.BLOCKS_CHANGED:
                self._state = ramp.blocks_changed(state, frozenset(result.blocks))
                self._record(DecisionKind.BLOCKED, f"{name}: {result.sentence}", evidence=evidence)
            case WatchOutcome.SEGMENT_OVER:
                pass
            case outcome:
                self._state = ramp.watched(plan, state, outcome, result.at)
                kind = {WatchOutcome.SETTLED: DecisionKind.SETTLED, WatchOutcome.PASSED: DecisionKind.PASSED}
                sentence = f"{name} {outcome.upper()}: {result.sentence}"
                if outcome is WatchOutcome.PASSED:
                    what = wording.evidence(result.verdicts)
                    sentence = f"{name} PASS: {what} → {wording.place(plan, self._state)}"
                self._record(kind.get(outcome, DecisionKind.BLOCKED), sentence, evidence=evidence)

    async def _move_default(self) -> None:
        plan = self._have_plan
        self._record(DecisionKind.PROMOTION_INTENDED, f"{plan.candidate} becomes the default for everyone")
        label = f"default → {plan.candidate}"
        evidence = await self._serve(plan.promoting, "promote-default", label)
        self._state = ramp.default_moved(self._state, plan.promoting)
        sentence = f"{plan.candidate} is the default, its rule still stands"
        self._record(DecisionKind.DEFAULT_MOVED, sentence, evidence=evidence.model_dump(mode="json"))

    async def _remove_rules(self) -> None:
        plan = self._have_plan
        evidence = await self._serve(plan.promoted, "promote-rules", "100 % without a rule")
        self._state = ramp.rules_removed(self._state, plan.promoted, workflow.now())
        sentence = f"100 %: everyone is served by {plan.candidate}; bake {format_duration(plan.bake)}"
        self._record(DecisionKind.RULES_REMOVED, sentence, evidence=evidence.model_dump(mode="json"))

    async def _conclude(self) -> None:
        self._state = ramp.with_next_epoch(self._state)
        request = contract.ConcludeRequest(spec=self._spec, ramp=self._ramp, epoch=self._state.epoch)
        await self._settled(
            self._start(contract.CONCLUDE, options.CONCLUDE, request, None, "conclude", "close the route record")
        )
        self._state = ramp.concluded(self._state)
        self._record(DecisionKind.ENDED, f"succeeded: {self._have_plan.candidate} serves everyone", reason="succeeded")

    # Rollback: the only code that takes traffic away.

    async def _roll_back(self) -> None:
        reason, detail = self._state.stop, self._state.stop_detail
        before = self._state
        self._state = ramp.rolling_back(self._state, self._state.epoch + 1 if self._plan else 0)
        self._show()
        common = {"spec": self._spec, "ramp": self._ramp}
        clear = contract.ClearRequest(**common, epoch=self._state.epoch, reason=str(reason))
        handle = self._start(
            contract.CLEAR, options.CLEAR, clear, contract.ClearReport, "rollback-clear", "ROLLBACK → 0 %"
        )
        self._record(DecisionKind.ROLLBACK_INTENDED, f"rollback: {reason}: {detail}", reason=str(reason))
        report = await handle
        if report.superseded_by is not None:
            self._state = self._state.model_copy(update={"phase": Phase.SUPERSEDED, "stop": Reason.SUPERSEDED})
            self._record(DecisionKind.ENDED, f"superseded by ramp {report.superseded_by}: nothing was touched")
            return
        if report.cleared_by is Clearer.KILL:
            self._state = self._state.model_copy(update={"stop": Reason.KILLED})
        if report.cleared_by is Clearer.SENTINEL:
            known = report.reason in set(Reason)
            self._state = self._state.model_copy(
                update={"stop": Reason(report.reason) if known else Reason.LEASE_LAPSED}
            )
        self._state = self._state.model_copy(update={"applied": report.assignment})
        sentence = f"cleared: {report.assignment.describe()}"
        if report.cleared_by is not None and report.cleared_by is not Clearer.ROLLBACK:
            sentence += f"; the {report.cleared_by} had been there first ({report.reason})"
        self._record(DecisionKind.CLEARED, sentence)
        if self._plan is not None and before.applied is not None:
            await self._prove_zero(self._plan)
            request = contract.RestoreRequest(**common, snapshot=self._snapshot)
            restored = await self._start(
                contract.RESTORE,
                options.RESTORE,
                request,
                contract.RestoreReport,
                "rollback-restore",
                "compare with the snapshot",
            )
            same = (
                "as it was before the ramp"
                if restored.equal
                else "left with foreign changes: " + "; ".join(restored.foreign)
            )
            self._record(DecisionKind.RESTORED, f"the route is {same}")
        self._state = ramp.rolled_back(self._state, report.assignment)
        self._record(DecisionKind.ENDED, f"rolled back: {self._state.stop}: {detail}", reason=str(self._state.stop))

    async def _prove_zero(self, plan: Plan) -> None:
        request = contract.ZeroRequest(spec=self._spec, ramp=self._ramp, plan=plan, slots=(plan.candidate,))
        handle = self._start(
            contract.PROVE_ZERO,
            options.PROVE_ZERO,
            request,
            Evidence,
            "rollback-prove",
            "prove that no new request reaches it",
        )
        try:
            await workflow.wait_condition(
                handle.done, timeout=options.PROOF_PATIENCE, timeout_summary="proof of zero traffic"
            )
        except TimeoutError:
            self._state = self._state.model_copy(update={"phase": Phase.ROLLBACK_UNVERIFIED})
            self._record(DecisionKind.BLOCKED, "the proof of zero traffic is missing; trying on")
            self._show()
        evidence = await handle
        sentence = f"zero traffic on {plan.candidate}, proven by counters and {len(evidence.findings)} answers"
        self._record(DecisionKind.ZERO_PROVEN, sentence, evidence=evidence.model_dump(mode="json"))

    # Waiting.

    async def _settled(self, handle: "workflow.ActivityHandle[Answer]") -> Answer:
        """The activity's answer, or Stopped.  On a stop the activity is cancelled and awaited as its options say."""
        return cast("Answer", await self._settled_unless(handle, lambda: False))

    async def _settled_unless(
        self, handle: "workflow.ActivityHandle[Answer]", interrupted: Callable[[], bool]
    ) -> Answer | None:
        """As ``_settled``, and None if ``interrupted`` became true first."""
        await workflow.wait_condition(lambda: handle.done() or self._state.stop is not None or interrupted())
        if not handle.done():
            handle.cancel()
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

    # Small things.

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
        handle = self._start(contract.RECORD, options.RECORD, decision, None, f"record-{kind}", sentence)
        self._records.append(handle)

    async def _flush_records(self) -> None:
        for handle in self._records:
            await handle

    def _carry_over(self) -> Carried:
        return Carried(
            state=self._state,
            plan=self._have_plan,
            snapshot=self._snapshot,
            started_at=self._started_at,
            last=self._last,
            verdicts=self._verdicts,
        )

    def _show(self) -> None:
        """Search attributes and memo: what can be seen without a worker."""
        attributes = (
            search_attributes.PHASE.value_set(self._state.phase),
            search_attributes.SHARE.value_set(round(self._share * 100)),
            search_attributes.REASON.value_set(str(self._reason or "")),
        )
        shown = (self._state.phase, self._share, self._reason)
        if shown != self._shown:
            workflow.upsert_search_attributes(attributes)
            workflow.upsert_memo(
                {"last": self._last, "next": wording.next_event(self._plan, self._state, workflow.now())}
            )
            self._shown = shown

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
        return self._state.applied.share_of(self._plan.candidate)

    @property
    def _reason(self) -> Reason | None:
        return wording.reason(self._state)


def _is(error: ActivityError, kind: str) -> bool:
    return isinstance(error.cause, ApplicationError) and error.cause.type == kind


def _why(error: ActivityError) -> str:
    """The innermost cause in words; for a time limit, what the activity said last."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, ActivityTimeoutError) and cause.last_heartbeat_details:
        return f"time limit; last seen: {cause.last_heartbeat_details[0]}"
    return str(cause)
