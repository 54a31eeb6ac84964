"""Where a ramp stands, as far as its history has been read, and what every event changes of that.

Every decision is the input of a ``record`` activity, and the plan that holds is in the requests of the others.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import (
    ActivityTaskCompletedEventAttributes,
    ActivityTaskScheduledEventAttributes,
    HistoryEvent,
)

from cli.following.changes import Change, ChangeKind
from cli.ramps import Ramp, Sighting
from tailramp import activity_contract as contract
from tailramp import activity_names as names
from tailramp.assignment import Assignment
from tailramp.decision import Decision, DecisionKind
from tailramp.plan import Plan
from tailramp.ramp import Phase
from tailramp.spec import RampSpec
from workflows.answers import RampResult
from workflows.messages import RampStart

_KEPT_DECISIONS: Final = 50

Value = TypeVar("Value")


class Story:
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
            case names.PREFLIGHT:
                self._preflights.add(event_id)
            case names.VERIFY:
                self._verifying[event_id] = await self._decode(scheduled.input, contract.VerifyRequest)
            case names.WATCH:
                self.watch = request = await self._decode(scheduled.input, contract.WatchRequest)
                self.spec = request.spec
                self._serves(request.plan, request.assignment)
            case names.RECORD:
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
