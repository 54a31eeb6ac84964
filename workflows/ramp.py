"""The ramp as a durable workflow: it carries out what ``tailramp.ramp`` decides.

Many may want a ramp to stop: a person, the server's cancel, a failed check, an activity that gave up.  They only set
the reason; the first one stays.  The forward task looks at it again after every await, because a cancellation of an
inner task can be lost when what it awaits completes in the same activation.  The only actor that takes traffic away is
the rollback task, which no second cancel can interrupt.
"""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from tailramp import activity_names as names
    from tailramp import ramp
    from tailramp.decision import DecisionKind
    from tailramp.errors import Refused
    from tailramp.ramp import Reason
    from tailramp.spec import Trust
    from tailramp.target import change_of_target
    from workflows import spec_wording, wording
    from workflows.answers import STATUS_QUERY, USERS_QUERY, CandidateStatus, RampResult, RampStatus
    from workflows.forward import Forward
    from workflows.messages import (
        Alert,
        Message,
        Promote,
        RampStart,
        SetTarget,
        Spend,
    )
    from workflows.rollback import Rollback


@workflow.defn(name="Ramp")
class RampWorkflow(Forward, Rollback):
    """One run of moving one route to a candidate; its workflow id is ``ramp/<namespace>/<route>``."""

    @workflow.init
    def __init__(self, start: RampStart) -> None:
        super().__init__(start)

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
    def acknowledge(self, message: Message) -> None:
        """A person has seen the alert or the failed check that holds the ramp."""
        state = ramp.acknowledged(self._state)
        self._receive(state, DecisionKind.ACKNOWLEDGED, f"acknowledged by {message.actor}", message)

    @workflow.signal
    def abort(self, message: Message) -> None:
        """Everyone back on the baseline, now."""
        sentence = f"aborted by {message.actor}"
        stopped = ramp.stopped(self._state, Reason.OPERATOR_ABORT, message.reason or sentence)
        self._receive(stopped, DecisionKind.ABORTED, sentence, message)

    @workflow.signal
    def alert(self, message: Alert) -> None:
        """A firing alert: back to the baseline if it is the candidate's fault, else hold until a person looks."""
        before = self._state
        attributed = message.attributed or self._spec.platform.alerts.trust is Trust.ALL
        state = ramp.alerted(self._plan, before, message.name, attributed=attributed, slot=message.slot)
        self._receive(state, DecisionKind.ALERTED, f"alert {message.name} from {message.actor}", message)
        self._leave(before)

    @workflow.signal
    def spend(self, message: Spend) -> None:
        """What whoever watches the day's spend says: over the cap everyone goes back, unknown holds."""
        state = ramp.spent(self._state, message.word, message.reason)
        self._receive(state, DecisionKind.SPENT, f"spend {message.word}: {message.reason}", message)

    @workflow.signal
    def empty_target(self, message: Message) -> None:
        """The file's owner has emptied ``buckets``: all traffic back."""
        sentence = f"target emptied by {message.actor}"
        stopped = ramp.stopped(self._state, Reason.TARGET_EMPTIED, message.reason or sentence)
        self._receive(stopped, DecisionKind.ABORTED, sentence, message)

    @workflow.update
    def set_target(self, message: SetTarget) -> str:
        """The canary file has changed.  Returns what that means, in words; the validator refuses, with the reason."""
        change = change_of_target(self._spec, message.spec, self._plan, self._state)
        if change is None:
            return "nothing to change"
        plan, state = self._have_plan, self._state
        self._spec, self._plan = message.spec, change.plan
        state = ramp.withdrawn(plan, state, change.emptied, Reason.TARGET_EMPTIED, change.sentence)
        if change.shrink_to is not None:
            state = ramp.shrink_wanted(state, change.shrink_to)
        self._messages += 1
        self._state = state
        self._record(DecisionKind.TARGET_CHANGED, change.sentence, actor=message.actor, reason=message.reason)
        return change.sentence

    @set_target.validator
    def _validate_target(self, message: SetTarget) -> None:
        try:
            change_of_target(self._spec, message.spec, self._plan, self._state)
        except Refused as error:
            raise ApplicationError(str(error), type=names.REFUSED) from None

    @property
    def _candidates(self) -> tuple[CandidateStatus, ...]:
        """Those of the spec that ever got a slot, in their order; then those that have left it."""
        return tuple(
            CandidateStatus(
                slot=variant.slot,
                model=variant.model,
                target=str(variant.buckets),
                share=self._state.applied.share_of(variant.slot) if self._state.applied is not None else 0.0,
                withdrawn=self._state.withdrawn.get(variant.slot),
            )
            for variant in self._variants
        )

    def _receive(self, state: ramp.RampState, kind: DecisionKind, sentence: str, message: Message) -> None:
        if state is self._state:
            return
        self._state = state
        self._messages += 1
        self._record(kind, sentence, actor=message.actor, reason=message.reason)

    @workflow.query(name=USERS_QUERY)
    def users(self) -> str | None:
        """What is known of the first users from before the ramp, as its watches are told."""
        return self._state.users

    @workflow.query(name=STATUS_QUERY)
    def status(self) -> RampStatus:
        """Where the ramp is, why, and what comes next."""
        state, plan = self._state, self._plan
        return RampStatus(
            route=self._route,
            ramp=self._ramp,
            model=" + ".join(candidate.model for candidate in self._spec.candidates),
            candidates=self._candidates,
            phase=state.phase,
            step=state.step,
            steps=len(plan.steps) if plan else 0,
            share=self._share,
            paused=state.paused,
            blocked_by=tuple(sorted(state.blocked_by)),
            causes=state.causes,
            reason=self._reason,
            last=self._last,
            next=wording.next_event(plan, state, workflow.now()),
            epoch=state.epoch,
            anchor=state.anchor,
            watched=state.watched,
            evidence_since=state.evidence_since,
            began=state.began,
            stretches=state.stretches,
            held=state.held,
            default_moved=state.default_moved,
            room=state.room,
            acknowledgeable=ramp.acknowledged(state) is not state,
            started_at=self._started_at,
            assignment=state.applied,
            plan=plan,
            verdicts=self._verdicts,
        )

    @workflow.run
    async def run(self, start: RampStart) -> RampResult:
        if start.carried is None:
            self._record(DecisionKind.STARTED, spec_wording.started(self._spec, start.actor), actor=start.actor)
        else:
            for decision in start.carried.unwritten:
                self._write_down(decision)
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
            candidates=self._candidates,
            problems=self._problems,
        )
