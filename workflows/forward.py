"""The way forward: everything that may give the candidate traffic, and the watching in between."""

from collections.abc import Callable, Coroutine
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from tailramp import activity_contract as contract
    from tailramp import activity_names as names
    from tailramp import ramp
    from tailramp.assignment import Assignment
    from tailramp.buckets import BucketSet
    from tailramp.decision import DecisionKind
    from tailramp.forms import SlotName
    from tailramp.plan import Step
    from tailramp.proof import Evidence
    from tailramp.ramp import Block, Reason, WatchMode, WatchOutcome
    from tailramp.units import format_duration
    from tailramp.watch_request import watch_request
    from workflows import options, spec_wording, wording
    from workflows.base import Stopped, is_failure, why
    from workflows.servers import Servers


class Forward(Servers):
    """Carries out what ``next_action`` says, one action after the other."""

    async def _guarded(self, forward: Coroutine[Any, Any, None]) -> None:
        """Run ``forward``; what ends it becomes the reason of the stop.  Any other exception is a bug."""
        try:
            await forward
        except Stopped:
            pass
        except ActivityError as error:
            reason = Reason.FENCED if is_failure(error, names.FENCED) else Reason.ACTIVITY_FAILED
            self._state = ramp.stopped(self._state, reason, f"{error.activity_type}: {why(error)}")

    async def _forward(self) -> None:
        while True:
            self._show()
            match ramp.next_action(self._plan, self._state):
                case ramp.RunPreflight():
                    await self._preflight()
                case ramp.Shift(step):
                    await self._shift(step)
                case ramp.Shrink(assignment):
                    await self._shrink(assignment)
                case ramp.Withdraw(slots, assignment):
                    await self._withdraw(slots, assignment)
                case ramp.Watch() | ramp.AwaitPerson() | ramp.MakeRoom() if (
                    workflow.info().is_continue_as_new_suggested()
                ):
                    self._continuing = True
                    return
                case ramp.MakeRoom(assignment, watched):
                    await self._make_room(assignment, watched=watched)
                case ramp.Watch(mode):
                    await self._watch(mode)
                case ramp.Advance():
                    self._state = ramp.advanced(self._have_plan, self._state)
                case ramp.MoveDefault() | ramp.RemoveRules() | ramp.EndHoldBack() | ramp.Conclude() as action:
                    await self._complete(action)
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
            self._state = ramp.freeze_looked_at(self._state)

    async def _make_room(self, assignment: Assignment, *, watched: bool) -> None:
        """Wait until there are servers for ``assignment``, for a message, or for what the guards find meanwhile."""
        handle = self._ask_for_room(assignment)
        if watched:
            await self._watch(WatchMode.GUARD, handle.done)
        else:
            before = self._messages
            await workflow.wait_condition(
                lambda: handle.done() or self._messages != before or self._state.stop is not None
            )
        if self._state.stop is not None:
            raise Stopped
        if handle.done():
            await self._take_room(assignment)

    async def _preflight(self) -> None:
        if problems := await self._prepare():
            return await self._refuse(problems)
        request = contract.PreflightRequest(spec=self._spec, ramp=self._ramp, override=self._override)
        report = await self._settled(
            self._start(
                names.PREFLIGHT,
                options.PREFLIGHT,
                request,
                contract.PreflightReport,
                "preflight",
                "check everything first",
            )
        )
        if report.plan is None or report.applied is None:
            return await self._refuse(report.problems)
        self._plan, self._variants, self._snapshot = report.plan, report.plan.candidates, report.snapshot
        self._state = ramp.preflight_passed(self._state, epoch=report.epoch, applied=report.applied, users=report.users)
        self._record(DecisionKind.PREFLIGHT_PASSED, wording.preflight_passed(report.plan))
        return None

    async def _refuse(self, problems: tuple[str, ...]) -> None:
        await self._leave_workloads()
        self._problems = problems
        self._state = ramp.preflight_refused(self._state)
        self._record(DecisionKind.REFUSED, "refused: " + "; ".join(problems))

    async def _shift(self, step: Step) -> None:
        if not ramp.tries_again(self._state):
            self._record(DecisionKind.SHIFT_INTENDED, f"step {step.index}: {step.label} is next")
        try:
            proof = await self._serve(step.assignment, f"step-{step.index}", step.label)
        except ActivityError as error:
            return self._meet_freeze(error, f"step {step.index}")
        evidence = await self._settled_unless(proof, lambda: self._state.shrink_to is not None)
        if evidence is None:
            return None
        self._state = ramp.shifted(self._state, step.assignment, workflow.now())
        sentence = f"step {step.index}: {step.label} is served, proven by {len(evidence.findings)} answers"
        self._record(DecisionKind.SHIFTED, sentence, evidence=evidence.model_dump(mode="json"))
        return None

    async def _shrink(self, assignment: Assignment) -> None:
        """Lower the candidate's traffic: on the rollback queue, retried for ever, whatever else waits."""
        self._state, since = ramp.with_next_epoch(self._state), workflow.now()
        common = {"spec": self._spec, "ramp": self._ramp, "plan": self._have_plan, "assignment": assignment}
        write = contract.WriteRequest(**common, epoch=self._state.epoch)
        label = f"shrink to {assignment.describe()}"
        await self._settled(self._start(names.APPLY, options.SHRINK, write, None, "shrink-apply", label))
        verify = contract.VerifyRequest(**common)
        proof = self._start(names.VERIFY, options.VERIFY, verify, Evidence, "shrink-verify", f"prove: {label}")
        evidence = await self._settled(proof)
        self._state = ramp.shrunk(self._have_plan, self._state, assignment, workflow.now())
        sentence = f"shrunk: {assignment.describe()}, proven by {len(evidence.findings)} answers"
        self._record(DecisionKind.SHIFTED, sentence, evidence=evidence.model_dump(mode="json"))
        await self._lower(assignment, since)

    async def _withdraw(self, slots: tuple[SlotName, ...], assignment: Assignment) -> None:
        """Take the users of some candidates back, with proof, on the rollback queue; the others do not notice.

        Without proof in time everybody goes back: nobody watches the others meanwhile.
        """
        state = self._state = ramp.with_next_epoch(self._state)
        since = workflow.now()
        common = {"spec": self._spec, "ramp": self._ramp}
        reasons = {slot: state.withdrawn[slot] for slot in slots}
        who = " + ".join(slots)
        self._record(DecisionKind.WITHDRAWN, f"{who} leaves the ramp: {' + '.join(dict.fromkeys(reasons.values()))}")
        write = contract.WithdrawRequest(
            **common, plan=self._have_plan, epoch=state.epoch, assignment=assignment, reasons=reasons
        )
        label = f"WITHDRAW {who} → 0 %"
        await self._settled(self._start(names.WITHDRAW, options.SHRINK, write, None, "withdraw-apply", label))
        returned = BucketSet()
        for slot in slots:
            returned = returned.union(state.applied.buckets_of(slot)) if state.applied is not None else returned
        proof = contract.ZeroRequest(**common, slots=slots, assignment=assignment, returned=returned)
        what = f"prove that no new request reaches {who}"
        evidence = await self._settled(
            self._start(
                names.PROVE_ZERO, options.PROVE_ZERO, proof, Evidence, "withdraw-prove", what, options.SHIFT_LIMIT
            )
        )
        self._state = ramp.taken_back(self._state, assignment)
        sentence = f"{who} serves nobody, proven by {len(evidence.findings)} answers: {assignment.describe()}"
        self._record(DecisionKind.ZERO_PROVEN, sentence, evidence=evidence.model_dump(mode="json"))
        await self._lower(assignment, since)

    async def _serve(self, assignment: Assignment, name: str, label: str) -> "workflow.ActivityHandle[Evidence]":
        """Apply an assignment and begin to prove it; both share one time limit."""
        self._state = ramp.with_next_epoch(self._state)
        since = workflow.now()
        common = {"spec": self._spec, "ramp": self._ramp, "plan": self._have_plan, "assignment": assignment}
        write = contract.WriteRequest(**common, epoch=self._state.epoch)
        await self._settled(self._start(names.APPLY, options.APPLY, write, None, f"{name}-apply", f"apply {label}"))
        return self._start(
            names.VERIFY,
            options.VERIFY,
            contract.VerifyRequest(**common),
            Evidence,
            f"{name}-verify",
            f"prove {label} by responses",
            # Nobody may have decided for longer than the limit.
            limit=options.left_of_shift(since, workflow.now()),
        )

    def _meet_freeze(self, error: ActivityError, name: str) -> None:
        """The route is frozen: nothing has moved, the ramp waits.  Any other failure goes on its way."""
        if not is_failure(error, names.FROZEN):
            raise error
        told = self._state.causes
        self._state = ramp.freeze_met(self._state, why(error))
        if self._state.causes != told:
            self._record(DecisionKind.BLOCKED, f"{name}: {why(error)}")

    async def _watch(self, mode: WatchMode, over: Callable[[], bool] = lambda: False) -> None:
        """Watch until there is something to decide, a message comes or ``over`` says so."""
        state, plan = self._state, self._have_plan
        request = watch_request(self._spec, plan, state, mode, ramp=self._ramp, segment=options.WATCH_SEGMENT)
        summary = spec_wording.watch_summary(self._spec, plan, state, mode)
        before = self._messages
        handle = self._start(
            names.WATCH, options.WATCH, request, contract.WatchResult, f"step-{state.step}-{mode}", summary
        )
        result = await self._settled_unless(handle, lambda: self._messages != before or over(), fenced_off=True)
        if result is None:
            return
        state, plan = self._state, self._have_plan  # a message may have come in the same activation as the answer
        self._verdicts = result.verdicts
        evidence = {"verdicts": [verdict.model_dump(mode="json") for verdict in result.verdicts], "ticks": result.ticks}
        if result.counts:
            evidence["counts"] = result.counts
        kind = DecisionKind.FAILED
        match result.outcome:
            case WatchOutcome.FAILED:
                automatic = {v.slot for v in plan.candidates if self._spec.candidate_of(v.model).auto_rollback}
                self._state = ramp.check_failed(
                    plan,
                    state,
                    result.failed,
                    result.sentence,
                    automatic=automatic,
                    now=workflow.now(),
                    causes=result.causes,
                )
                self._leave(state)
            case WatchOutcome.BLIND:
                goes_back = self._spec.platform.ramp.on_blind == "rollback"
                stopped = ramp.stopped(state, Reason.BLIND, result.sentence)
                self._state = stopped if goes_back else ramp.blinded(state, result.causes)
            case WatchOutcome.BLOCKS_CHANGED:
                self._state = ramp.blocks_changed(state, frozenset(result.blocks), result.causes)
                kind = DecisionKind.BLOCKED
            case WatchOutcome.SEGMENT_OVER:
                return
            case outcome:
                self._state = ramp.watched(
                    plan, state, outcome, result.at, next_step=result.next_step, causes=result.causes
                )
                kinds = {WatchOutcome.SETTLED: DecisionKind.SETTLED, WatchOutcome.PASSED: DecisionKind.PASSED}
                kind = kinds.get(outcome, DecisionKind.BLOCKED)
        sentence = wording.watched(plan, state, self._state, result.outcome, result.sentence, result.verdicts)
        self._record(kind, sentence, evidence=evidence)

    async def _complete(self, action: ramp.MoveDefault | ramp.RemoveRules | ramp.EndHoldBack | ramp.Conclude) -> None:
        """What comes after the last step."""
        match action:
            case ramp.MoveDefault():
                await self._move_default()
            case ramp.RemoveRules():
                await self._remove_rules()
            case ramp.EndHoldBack():
                await self._end_hold_back()
            case ramp.Conclude():
                await self._conclude()

    async def _move_default(self) -> None:
        plan = self._have_plan
        self._record(DecisionKind.PROMOTION_INTENDED, f"{plan.candidate} becomes the default for everyone")
        label = f"default → {plan.candidate}"
        try:
            proof = await self._serve(plan.promoting, "promote-default", label)
        except ActivityError as error:
            return self._meet_freeze(error, "promotion")
        evidence = await self._settled(proof)
        self._state = ramp.default_moved(self._state, plan.promoting)
        sentence = f"{plan.candidate} is the default, its rule still stands"
        self._record(DecisionKind.DEFAULT_MOVED, sentence, evidence=evidence.model_dump(mode="json"))
        return None

    async def _remove_rules(self) -> None:
        plan = self._have_plan
        label = f"the rule of {plan.candidate} is removed"
        evidence = await self._settled(await self._serve(plan.baking, "promote-rules", label))
        self._state = ramp.rules_removed(self._state, plan.baking, workflow.now())
        sentence = f"100 %: everyone is served by {plan.candidate}; bake {format_duration(plan.bake)}"
        self._record(DecisionKind.RULES_REMOVED, sentence, evidence=evidence.model_dump(mode="json"))

    async def _end_hold_back(self) -> None:
        plan = self._have_plan
        evidence = await self._settled(await self._serve(plan.promoted, "hold-back", f"{plan.hold_back} follow"))
        self._state = ramp.hold_back_ended(self._state, plan.promoted)
        sentence = f"the bake is over: {plan.hold_back} follow to {plan.candidate}"
        self._record(DecisionKind.RULES_REMOVED, sentence, evidence=evidence.model_dump(mode="json"))

    async def _conclude(self) -> None:
        self._state = ramp.with_next_epoch(self._state)
        request = contract.ConcludeRequest(spec=self._spec, ramp=self._ramp, epoch=self._state.epoch)
        await self._settled(
            self._start(names.CONCLUDE, options.CONCLUDE, request, None, "conclude", "close the route record")
        )
        self._state = ramp.concluded(self._state)
        self._record(DecisionKind.ENDED, f"succeeded: {self._have_plan.candidate} serves everyone", reason="succeeded")
        await self._retire(self._have_plan.baseline, self._have_plan.candidate)
