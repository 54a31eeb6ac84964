"""What every router owes, whatever data plane it writes.

Writes come in two kinds.  ``apply`` is a forward write: it is fenced, so that a writer who was frozen and wakes after a
clear is refused.  ``clear`` takes traffic away from candidates: it raises the epoch, is never a no-op, and nothing that
a candidate or an older writer does may stop it.
"""

from dataclasses import dataclass
from typing import Protocol

from tailramp.activity_contract import ClearReport, RestoreReport
from tailramp.assignment import Assignment
from tailramp.errors import Problem
from tailramp.plan import Plan
from tailramp.proof import Evidence
from tailramp.route_record import KillMark, RouteRecord


@dataclass(frozen=True)
class Served:
    """``count`` requests that the data plane has sent to a slot since it started ``uptime`` seconds ago.

    A restart of the data plane restarts the count, and with it any proof that rests on it.
    """

    count: int
    uptime: float


@dataclass(frozen=True)
class RouteView:
    """What is stored for the route, and what the data plane says about it.

    ``loaded`` has a finding for each thing that must agree: a stored assignment that the data plane has not taken up is
    not yet served, one that it refused never will be.
    """

    record: RouteRecord
    loaded: Evidence


@dataclass(frozen=True)
class Clearing:
    """Who clears the route and why.

    ``ramp`` None clears whoever holds the route (``kill``, the sentinel); a ramp clears only what is its own.
    ``epoch`` 0 says that the ramp never held the route.
    """

    by: str
    ramp: str | None = None
    epoch: int = 0
    kill: KillMark | None = None


class Router(Protocol):
    async def record(self) -> RouteRecord:
        """The route record.  Raises Refused if there is none, Unreachable if its store does not answer."""

    async def preflight(self, plan: Plan) -> list[Problem]:
        """Whatever would keep this plan from working on this data plane."""

    async def snapshot(self) -> str:
        """Digest of everything that a rollback must leave as it was."""

    async def prepare(self, plan: Plan, ramp: str, digest: str) -> RouteRecord:
        """Take the route over for ``ramp`` with nobody on the candidate.  The last act of preflight.

        ``digest`` identifies the candidate.  Repeating it for the same ramp changes nothing.  Raises Fenced for a ramp
        that was cleared meanwhile, Refused if another ramp still serves a candidate.
        """

    async def apply(self, ramp: str, epoch: int, assignment: Assignment) -> None:
        """Store ``assignment``, decided at ``epoch``.  Idempotent.  Raises Fenced."""

    async def read(self) -> RouteView: ...

    async def conclude(self, ramp: str, epoch: int) -> None:
        """A promoted ramp is over: what is the default now is the baseline of the next one.  Raises Fenced."""

    async def clear(self, clearing: Clearing) -> ClearReport:
        """Everyone back on the original default, in one write per object."""

    async def lift(self) -> RouteRecord:
        """Remove the kill mark, so that ramps may start again."""

    async def restore(self, snapshot: str) -> RestoreReport:
        """After a clear: compare with the snapshot; what somebody else changed is named and left."""

    async def served(self, slot: str) -> Served | None:
        """Requests that the data plane has sent to ``slot``; None means unknown."""
