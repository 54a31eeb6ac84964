"""The servers that a ramp needs: there before the users come, and gone, or as they were, after they have left.

Nothing here takes traffic away, and nothing that takes traffic away waits for it.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from tailramp import activity_contract as contract
    from tailramp import activity_names as names
    from tailramp import ramp
    from tailramp.assignment import Assignment
    from tailramp.decision import DecisionKind
    from tailramp.forms import SlotName
    from workflows import options, spec_wording
    from workflows.base import RampBase, Stopped, is_failure, why
    from workflows.messages import RampStart


class Servers(RampBase):
    """A spec without workloads issues none of these commands."""

    def __init__(self, start: RampStart) -> None:
        super().__init__(start)
        self._room: tuple[Assignment, workflow.ActivityHandle[contract.RoomReport]] | None = None
        self._prepared = start.carried is not None

    async def _prepare(self) -> tuple[str, ...]:
        """Have the candidates served; returns what is in the way."""
        platform = self._spec.platform
        if not platform.writes_workloads:
            return ()
        self._prepared = True
        request = contract.PrepareRequest(spec=self._spec, ramp=self._ramp, override=self._override)
        limit = max((slot.workload.ready for slot in platform.slots.values() if slot.workload), default=timedelta())
        handle = self._start(
            names.PREPARE,
            options.waiting_for_servers(limit),
            request,
            contract.PrepareReport,
            "prepare",
            "have the candidates served",
        )
        report = await self._settled(handle)
        if not report.problems and report.written:
            self._record(DecisionKind.PREPARED, f"served by its slot: {spec_wording.candidates(self._spec)}")
        return tuple(report.problems)

    def _ask_for_room(self, assignment: Assignment) -> "workflow.ActivityHandle[contract.RoomReport]":
        """The activity that makes room for ``assignment``, started unless it runs already."""
        plan, platform = self._have_plan, self._spec.platform
        if self._room is not None and self._room[0] == assignment:
            return self._room[1]
        if self._room is not None:
            self._room[1].cancel()
        limit = max(
            (w.ready for slot in (plan.baseline, *plan.slots) if (w := platform.workload_of(slot)) is not None),
            default=timedelta(),
        )
        request = contract.RoomRequest(
            spec=self._spec,
            ramp=self._ramp,
            plan=plan,
            epoch=self._state.epoch,
            serving=self._state.applied or plan.baseline_only,
            assignment=assignment,
        )
        handle = self._start(
            names.MAKE_ROOM,
            options.waiting_for_servers(limit),
            request,
            contract.RoomReport,
            "make-room",
            f"have the servers for {assignment.describe()}",
        )
        self._room = assignment, handle
        return handle

    async def _take_room(self, assignment: Assignment) -> None:
        """What became of the room that was asked for, once it is known."""
        assert self._room is not None  # noqa: S101 - whoever calls has asked for it
        _, handle = self._room
        self._room = None
        try:
            report = await handle
        except ActivityError as error:
            if self._state.stop is not None:
                raise Stopped from None
            if is_failure(error, names.FENCED) or is_failure(error, names.REFUSED):
                raise
            told = self._state.causes
            self._state = ramp.room_missing(self._state, _said(error))
            if self._state.causes != told:
                self._record(DecisionKind.BLOCKED, f"waiting for servers: {_said(error)}")
            return
        self._state = ramp.room_made(self._state, assignment)
        if not ramp.tries_again(self._state):
            self._record(DecisionKind.ROOM_MADE, f"servers are ready: {report.sentence}")

    async def _lower(self, applied: Assignment, since: datetime) -> None:
        """Let go of servers that a smaller share does not need; a ramp goes on whether it succeeds or not.

        ``since`` is when that share was decided: the lease runs from there, and no watch renews it meanwhile.
        """
        plan = self._have_plan
        if not plan.needs_room:
            return
        if self._room is not None:  # for a share that is not to come now
            self._room[1].cancel()
            self._room = None
        request = contract.RoomRequest(
            spec=self._spec,
            ramp=self._ramp,
            plan=plan,
            epoch=self._state.epoch,
            serving=applied,
            assignment=applied,
            waits=False,
        )
        most = options.LOWER.schedule_to_close or options.SHIFT_LIMIT
        handle = self._start(
            names.MAKE_ROOM,
            options.LOWER,
            request,
            contract.RoomReport,
            "lower-room",
            "let servers go",
            min(most, options.left_of_shift(since, workflow.now())),
        )
        try:
            await self._settled(handle)
        except ActivityError as error:
            if is_failure(error, names.FENCED):
                raise
            self._record(DecisionKind.BLOCKED, f"servers are still there: {_said(error)}")

    async def _retire(self, old: SlotName, new: SlotName) -> None:
        """The bake is over: what the new default runs is the new normal, and the old slot may become smaller."""
        if not self._spec.platform.writes_workloads:
            return
        request = contract.RetireRequest(spec=self._spec, ramp=self._ramp, old=old, new=new)
        try:
            report = await self._start(
                names.RETIRE, options.LEAVE_WORKLOADS, request, contract.LeaveReport, "retire", f"retire {old}"
            )
        except ActivityError as error:
            self._record(DecisionKind.BLOCKED, f"the workload of {old} is left as it is: {_said(error)}")
            return
        for line in report.left:
            self._record(DecisionKind.BLOCKED, line)
        if len(self._variants) > 1:  # those that were withdrawn on the way
            await self._leave_workloads()

    async def _leave_workloads(self) -> None:
        """Traffic is gone: the workloads go back to what they were, as far as that succeeds in a bounded time."""
        if not (self._prepared and self._spec.platform.writes_workloads):
            return
        self._show()
        if self._room is not None:
            # A write that is under way would come after the one that puts back.
            self._room[1].cancel()
            await asyncio.wait([self._room[1]])
            self._room = None
        request = contract.LeaveRequest(spec=self._spec, ramp=self._ramp)
        handle: workflow.ActivityHandle[Any] = self._start(
            names.LEAVE_WORKLOADS,
            options.LEAVE_WORKLOADS,
            request,
            contract.LeaveReport,
            "leave-workloads",
            "put the workloads back",
        )
        try:
            report = await handle
        except ActivityError as error:
            self._record(DecisionKind.RESTORED, f"the workloads are left as they are: {_said(error)}")
            return
        if report.restored:
            self._record(DecisionKind.RESTORED, f"the workloads of {' + '.join(report.restored)} are as before")
        for line in report.left:
            self._record(DecisionKind.RESTORED, line)


def _said(error: ActivityError) -> str:
    """What the activity said when it gave up, without the kind of its failure."""
    return error.cause.message if isinstance(error.cause, ApplicationError) else why(error)
