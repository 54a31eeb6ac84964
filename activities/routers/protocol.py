"""What every router owes, whatever data plane it writes.

What a write means is decided in ``tailramp.route_record``; a router stores the record together with the rules that
express its assignment, so that no observer ever sees the one without the other.
"""

from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from tailramp.activity_contract import RestoreReport
from tailramp.errors import Problem
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.proof import Evidence
from tailramp.route_record import RouteRecord

Change = Callable[[RouteRecord], RouteRecord]
"""A forward change of the record; raises Fenced or Refused to refuse."""

Clear = Callable[[RouteRecord], RouteRecord | None]
"""A clearing change; None leaves the record as it is, and so does whatever it raises."""


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
class Renewal:
    """The record after a renewal, and what somebody else changed in the router's own part of the route, in words."""

    record: RouteRecord
    drift: tuple[str, ...] = ()


class Router(Protocol):
    async def record(self) -> RouteRecord:
        """The route record.  Raises Refused if there is none, Unreachable if its store does not answer."""

    async def preflight(self, plan: Plan) -> list[Problem]:
        """Whatever would keep this plan from working on this data plane."""

    async def snapshot(self) -> str:
        """Digest of everything that a rollback must leave as it was."""

    async def prepare(self, change: Change, slots: Collection[SlotName] = ()) -> RouteRecord:
        """Store a change of what a rollback would go back to, when a ramp begins or has been promoted, and make ready
        what it needs under stress.

        ``slots`` are those that rules of the ramp may name; a ramp that is over names none.
        """

    async def apply(self, change: Change) -> RouteRecord:
        """Store a forward change and what it serves.  Idempotent; a change that changes nothing writes nothing.

        A writer that was overtaken by a clear fails with Fenced, at whatever instruction it was stopped.
        """

    async def renew(self, change: Change) -> Renewal:
        """Store a change that moves nobody, such as a renewed lease, without touching what is served."""

    async def read(self) -> RouteView: ...

    def disturbances(self) -> AsyncGenerator[None, None]:
        """Yields whenever somebody else may have written the route, for ever; ends at once where nobody would tell.

        It only says when to look: what was changed, and by whom, is what ``renew`` finds.
        """

    async def clear(self, change: Clear) -> RouteRecord:
        """Store a clearing change, in one write per object, whatever else is going on.  Returns what stands then."""

    async def restore(self, snapshot: str) -> RestoreReport:
        """After a clear: compare with the snapshot; what somebody else changed is named and left."""

    async def ready(self, slot: str) -> bool | None:
        """Whether the data plane sees any server of ``slot`` that is ready; None means unknown."""

    async def served(self, slot: str) -> Served | None:
        """Requests that the data plane has sent to ``slot``; None means unknown."""

    async def release(self, check: Callable[[RouteRecord], None]) -> None:
        """Take away the record and whatever else is tailramp's, moving nobody.

        ``check`` raises Refused for a record that is still needed.
        """

    @property
    def place(self) -> str:
        """Where the record is, in words."""

    async def close(self) -> None:
        """Close the connections that are the router's own."""
