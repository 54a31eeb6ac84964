"""A ramp as the command line sees it: what its workflow answers, and what Temporal shows without any worker.

A worker's answer is the fuller one, but a ramp has to be seen above all when workers are gone.  So a look asks the
server first (phase, share, the last decision, the heartbeats of running activities) and a worker only then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from pydantic import ValidationError
from temporalio.api.enums.v1 import PendingActivityState, PendingWorkflowTaskState
from temporalio.api.failure.v1 import Failure
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
)
from temporalio.common import SearchAttributeKey

from cli.exit_codes import ExitCode
from cli.temporal import RPC_TIMEOUT, connect, in_words
from tailramp.activity_names import (
    CLEAR,
    LEAVE_WORKLOADS,
    PROVE_ZERO,
    RESTORE,
    RETIRE,
    ROLLBACK_QUEUE,
    WATCH,
    WATCH_QUEUE,
    WORKFLOW_QUEUE,
)
from tailramp.errors import Unreachable
from tailramp.evidence import Verdict
from tailramp.ramp import Block, Phase, RampState
from workflows import search_attributes
from workflows.answers import STATUS_QUERY, USERS_QUERY, RampResult, RampStatus
from workflows.handles import RampHandle, ramp_handle
from workflows.wording import next_event

_QUERY_TIMEOUT: Final = timedelta(seconds=3)
"""A worker answers in milliseconds; without one the server would hold the question for ten seconds and more."""

_ROLLBACK: Final = {CLEAR, PROVE_ZERO, RESTORE, LEAVE_WORKLOADS, RETIRE}
_REPORTED: Final = SearchAttributeKey.for_keyword_list("TemporalReportedProblems")


@dataclass(frozen=True)
class Pending:
    """An activity that is not done.  ``failure`` is that of its latest attempt; ``details`` its latest heartbeat."""

    name: str
    activity_id: str
    attempt: int
    failure: str
    details: Any = None

    @property
    def checks(self) -> dict[str, str]:
        """For a watch: ``<slot> <check>`` → ``<verdict>: <reason>``, of its latest tick."""
        live = self.details if self.name == WATCH and isinstance(self.details, dict) else {}
        checks = live.get("checks")
        return {str(name): str(said) for name, said in checks.items()} if isinstance(checks, dict) else {}

    @property
    def servers(self) -> dict[str, str]:
        """While servers are waited for: slot → how far its servers are, such as ``3 of 8 pods ready, pulling ...``."""
        told = self.details.get("workloads") if isinstance(self.details, dict) else None
        return {str(slot): str(said) for slot, said in told.items()} if isinstance(told, dict) else {}

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """For a watch: the verdicts of its latest tick; none from a worker that does not tell them."""
        live = self.details if self.name == WATCH and isinstance(self.details, dict) else {}
        try:
            return tuple(Verdict.model_validate(verdict) for verdict in live.get("verdicts") or ())
        except ValidationError:  # of a worker with another version
            return ()

    @property
    def renewed(self) -> datetime | None:
        """For a watch: when it renewed the leases last."""
        at = self.details.get("renewed") if self.name == WATCH and isinstance(self.details, dict) else None
        return datetime.fromisoformat(at) if isinstance(at, str) else None


@dataclass(frozen=True)
class Sighting:
    """One look at a ramp.

    ``ramp`` is its first run id.  ``reported`` are problems that Temporal itself reports.  ``untaken`` are the queues
    on which a task waits for a worker: no news at first, after some seconds a sign that none runs.  ``status`` is None
    if no worker answered or none was asked.  ``result`` is there for a ramp that is over, unless it was ended from
    outside.
    """

    route: str
    ramp: str
    run_id: str
    execution: WorkflowExecutionStatus
    phase: Phase
    share: float
    reason: str
    last: str
    next: str
    summary: str
    reported: tuple[str, ...]
    untaken: tuple[str, ...]
    pending: tuple[Pending, ...]
    status: RampStatus | None = None
    result: RampResult | None = None

    @property
    def name(self) -> str:
        return ramp_name(self.route, self.ramp)

    @property
    def is_open(self) -> bool:
        return self.execution is WorkflowExecutionStatus.RUNNING

    @property
    def reached_target(self) -> bool:
        """Whether a ramp that does not promote holds its target: there is nothing more to wait for."""
        status = self.status
        return (
            status is not None
            and status.plan is not None
            and not status.plan.promotes
            and status.phase is Phase.HOLDING
            and status.step == status.steps
        )

    @property
    def waits_for_person(self) -> bool:
        return self.status is not None and (self.status.paused or Block.APPROVAL in self.status.blocked_by)

    @property
    def exit_code(self) -> ExitCode:
        """What a command that waited, and waits no more, has to say."""
        if self.is_open and self.phase in {Phase.ROLLING_BACK, Phase.ROLLBACK_UNVERIFIED}:
            return ExitCode.UNVERIFIED
        if self.is_open and self.waits_for_person:
            return ExitCode.WAITING_FOR_PERSON
        if self.is_open:
            return ExitCode.DONE if self.reached_target else ExitCode.STILL_RUNNING
        return exit_code_of(self.result)


def exit_code_of(result: RampResult | None) -> ExitCode:
    """For a ramp that is over.  None: it was ended from outside, so nobody has taken the candidate out."""
    if result is None:
        return ExitCode.UNVERIFIED
    if result.phase is Phase.SUCCEEDED:
        return ExitCode.DONE
    return ExitCode.ROLLED_BACK if result.phase is Phase.ROLLED_BACK else ExitCode.REFUSED


def next_now(status: RampStatus, now: datetime) -> str:
    """What happens next, and how long that is from ``now``: a workflow's own clock stands still between its tasks."""
    state = RampState(
        phase=status.phase,
        step=status.step,
        paused=status.paused,
        blocked_by=frozenset(status.blocked_by),
        stop=status.reason,
        held=status.held,
        default_moved=status.default_moved,
        room=status.room,
    )
    return next_event(status.plan, state, now)


def ramp_name(route: str, ramp: str) -> str:
    """``default/chat@1a2b3c4d``."""
    return f"{route}@{ramp[:8]}"


class Ramp:
    """The latest ramp of one route, live or ended.  Every method raises NoRamp and Unreachable in words."""

    def __init__(self, client: Client, route: str) -> None:
        self.client = client
        self.route = route
        self.handle: RampHandle = ramp_handle(client, route)

    @classmethod
    async def find(cls, route: str) -> Self:
        return cls(await connect(), route)

    def run(self, run_id: str) -> RampHandle:
        """One run of it."""
        return ramp_handle(self.client, self.route, run_id)

    async def look(self, *, ask_worker: bool = True) -> Sighting:
        """What there is to see now.  Without a worker this takes three seconds; ``ask_worker`` False asks none."""
        with in_words(self.client, self.route):
            described = await self.handle.describe(rpc_timeout=RPC_TIMEOUT)
            if described.status is not WorkflowExecutionStatus.RUNNING:
                return await self._sighting(described, result=await self._result(described))
        status = await self.ask() if ask_worker else None
        return await self._sighting(described, status=status)

    async def ask(self) -> RampStatus | None:
        """A worker's answer, or None if none comes within three seconds."""
        try:
            with in_words(self.client, self.route):
                status: RampStatus = await self.handle.query(
                    STATUS_QUERY, result_type=RampStatus, rpc_timeout=_QUERY_TIMEOUT
                )
                return status
        except (Unreachable, WorkflowQueryFailedError):
            return None

    async def users_before(self) -> str | None:
        """What the ramp knows of its users from before it began: "" is nothing, None that nobody can tell."""
        try:
            with in_words(self.client, self.route):
                known: str | None = await self.handle.query(USERS_QUERY, rpc_timeout=_QUERY_TIMEOUT)
                return known
        except (Unreachable, WorkflowQueryFailedError):
            return None

    async def _result(self, described: WorkflowExecutionDescription) -> RampResult | None:
        if described.status is not WorkflowExecutionStatus.COMPLETED:
            return None
        try:
            return await self.run(described.run_id or "").result(follow_runs=False, rpc_timeout=RPC_TIMEOUT)
        except WorkflowFailureError:
            return None

    async def _sighting(
        self,
        described: WorkflowExecutionDescription,
        status: RampStatus | None = None,
        result: RampResult | None = None,
    ) -> Sighting:
        seen, memo = described.typed_search_attributes, await described.memo()
        raw = described.raw_description
        phase = Phase(seen.get(search_attributes.PHASE) or Phase.PREFLIGHT)
        share = (seen.get(search_attributes.SHARE) or 0) / 100
        reason = seen.get(search_attributes.REASON) or ""
        last, following = str(memo.get("last", "")), str(memo.get("next", ""))
        if status is not None:
            phase, share, reason, last, following = (
                status.phase,
                status.share,
                str(status.reason or ""),
                status.last,
                next_now(status, datetime.now(UTC)),
            )
        if result is not None:
            phase, reason, last = result.phase, str(result.reason), result.detail
        if described.status is not WorkflowExecutionStatus.RUNNING:
            following = "nothing: the ramp is over"
        return Sighting(
            route=self.route,
            ramp=raw.workflow_execution_info.first_run_id or (described.run_id or ""),
            run_id=described.run_id or "",
            execution=described.status or WorkflowExecutionStatus.RUNNING,
            phase=phase,
            share=share,
            reason=reason,
            last=last,
            next=following,
            summary=await described.static_summary() or "",
            reported=tuple(seen.get(_REPORTED) or ()),
            untaken=_untaken(raw),
            pending=tuple([await self._pending(info) for info in raw.pending_activities]),
            status=status,
            result=result,
        )

    async def _pending(self, info: PendingActivityInfo) -> Pending:
        details: Sequence[Any] = ()
        if info.HasField("heartbeat_details"):
            details = await self.client.data_converter.decode(info.heartbeat_details.payloads)
        return Pending(
            name=info.activity_type.name,
            activity_id=info.activity_id,
            attempt=info.attempt,
            failure=_innermost(info.last_failure) if info.HasField("last_failure") else "",
            details=details[0] if details else None,
        )


def _untaken(raw: DescribeWorkflowExecutionResponse) -> tuple[str, ...]:
    queues = []
    if raw.pending_workflow_task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED:
        queues.append(WORKFLOW_QUEUE)
    for info in raw.pending_activities:
        backing_off = info.HasField("next_attempt_schedule_time")
        if info.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED and not backing_off:
            queues.append(ROLLBACK_QUEUE if info.activity_type.name in _ROLLBACK else WATCH_QUEUE)
    return tuple(dict.fromkeys(queues))


def _innermost(failure: Failure) -> str:
    """The first cause of a failure, in its own words."""
    while failure.HasField("cause"):
        failure = failure.cause
    return failure.message
