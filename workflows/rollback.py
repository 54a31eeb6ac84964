"""The way back: the only code that takes all traffic away, and the proof that it did."""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from tailramp import activity_contract as contract
    from tailramp import activity_names as names
    from tailramp import ramp
    from tailramp.decision import DecisionKind
    from tailramp.plan import Plan
    from tailramp.proof import Evidence
    from tailramp.ramp import Phase, Reason
    from tailramp.route_record import Clearer
    from workflows import options
    from workflows.servers import Servers


class Rollback(Servers):
    """Retries for ever, waits for nobody's health, and never depends on the candidate."""

    async def _roll_back(self) -> None:
        reason, detail = self._state.stop, self._state.stop_detail
        before = self._state
        self._state = ramp.rolling_back(self._state, self._state.epoch + 1 if self._plan else 0)
        self._show()
        common = {"spec": self._spec, "ramp": self._ramp}
        clear = contract.ClearRequest(**common, epoch=self._state.epoch, reason=str(reason))
        handle = self._start(
            names.CLEAR, options.CLEAR, clear, contract.ClearReport, "rollback-clear", "ROLLBACK → 0 %"
        )
        self._record(DecisionKind.ROLLBACK_INTENDED, f"rollback: {reason}: {detail}", reason=str(reason))
        await self._patiently(handle, "going back", "nobody could be taken back yet; trying on")
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
                names.RESTORE,
                options.RESTORE,
                request,
                contract.RestoreReport,
                "rollback-restore",
                "compare with the snapshot",
            )
            seen = "; ".join(restored.foreign)
            if not restored.equal:
                sentence = f"the route is not as it was before the ramp: {seen}"
            elif seen:
                sentence = f"the route is as it was before the ramp, but for what others changed: {seen}"
            else:
                sentence = "the route is as it was before the ramp"
            self._record(DecisionKind.RESTORED, sentence)
        self._state = ramp.rolled_back(self._state, report.assignment)
        # Before preflight the record is not the ramp's, and cannot say of its workloads whether they are.
        if report.held or self._plan is None:
            await self._leave_workloads()
        self._record(DecisionKind.ENDED, f"rolled back: {self._state.stop}: {detail}", reason=str(self._state.stop))

    async def _prove_zero(self, plan: Plan) -> None:
        slots = tuple(variant.slot for variant in self._variants)
        request = contract.ZeroRequest(
            spec=self._spec,
            ramp=self._ramp,
            slots=slots,
            assignment=plan.baseline_only,
            returned=plan.steps[-1].buckets,
        )
        handle = self._start(
            names.PROVE_ZERO,
            options.PROVE_ZERO,
            request,
            Evidence,
            "rollback-prove",
            "prove that no new request reaches it",
        )
        await self._patiently(handle, "proof of zero traffic", "the proof of zero traffic is missing; trying on")
        evidence = await handle
        sentence = f"zero traffic on {' + '.join(slots)}, proven by counters and {len(evidence.findings)} answers"
        self._record(DecisionKind.ZERO_PROVEN, sentence, evidence=evidence.model_dump(mode="json"))

    async def _patiently(self, handle: "workflow.ActivityHandle[Any]", what: str, sentence: str) -> None:
        """Wait for what is tried for ever, and say so when it takes long."""
        try:
            await workflow.wait_condition(handle.done, timeout=options.PROOF_PATIENCE, timeout_summary=what)
        except TimeoutError:
            self._state = self._state.model_copy(update={"phase": Phase.ROLLBACK_UNVERIFIED})
            self._record(DecisionKind.BLOCKED, sentence)
            self._show()
