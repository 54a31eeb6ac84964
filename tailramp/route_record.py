"""The one durable record per route that outlives ramps.

It says who may write the route and what stands there.  ``kill``, the sentinel and ``list`` need only this record: never
the two files, never Temporal.  Where it is stored is the router's business (with Envoy by file it lies inside the route
file, so that rules and record change in one rename); what it means is decided here, once, by ``fence``.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from tailramp.assignment import Assignment, SlotName
from tailramp.errors import Fenced


class SlotRecord(BaseModel):
    """What runs in a slot, as far as tailramp put or found it there."""

    model_config = ConfigDict(frozen=True)

    model: str | None = None
    digest: str | None = None


class Lease(BaseModel):
    """A candidate's right to be served.

    Lapsed means that ``renewals`` stood still for ``seconds`` on the observer's own monotonic clock: wall clocks decide
    nothing.  ``reason`` is set when a bad verdict shortened it.
    """

    model_config = ConfigDict(frozen=True)

    seconds: float = 90.0
    renewals: int = 0
    reason: str | None = None


class KillMark(BaseModel):
    """Somebody shut the route's candidates off by hand; only ``lift`` removes it."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    by: str
    reason: str


class RouteRecord(BaseModel):
    """See the module.  ``epoch`` only ever rises; ``ramp`` is the id of the ramp that holds the route, or None."""

    model_config = ConfigDict(frozen=True)

    route: str
    ramp: str | None = None
    epoch: int = 0
    closed: bool = Field(default=False, description="the holder's ramp was cleared: it may write nothing more")
    cleared_by: str | None = Field(default=None, description="rollback, kill or sentinel: who closed the record")
    router: str = "envoy-file"
    objects: tuple[str, ...] = ()
    slots: dict[SlotName, SlotRecord] = Field(default_factory=dict)
    original_default: SlotName
    previous_default: SlotName | None = None
    assignment: Assignment
    leases: dict[SlotName, Lease] = Field(default_factory=dict)
    kill: KillMark | None = None
    blind_since: datetime | None = None
    refused: dict[str, str] = Field(default_factory=dict, description="digest of a candidate → why it is refused")
    off_slot: SlotName | None = None

    @property
    def served_candidates(self) -> tuple[str, ...]:
        """Slots other than the original default that users are sent to now."""
        slots = [self.assignment.default, *(rule.slot for rule in self.assignment.rules)]
        return tuple(dict.fromkeys(slot for slot in slots if slot != self.original_default))


def fence(record: RouteRecord, *, ramp: str, epoch: int) -> None:
    """Refuse a forward write of ``ramp`` that was decided at ``epoch`` if the record has moved on since.

    A write carries the epoch at which it was decided.  Its own retry finds that epoch stored and may repeat itself;
    whoever cleared the route has raised the epoch, so a writer that slept through the clear is refused.
    """
    if record.kill is not None:
        raise Fenced(f"{record.route} was shut off by {record.kill.by}", holder=record.ramp, epoch=record.epoch)
    if record.ramp != ramp:
        raise Fenced(
            f"{record.route} is held by {record.ramp or 'nobody'}, not by {ramp}",
            holder=record.ramp,
            epoch=record.epoch,
        )
    if record.closed:
        raise Fenced(f"{record.route} was cleared by {record.cleared_by}", holder=record.ramp, epoch=record.epoch)
    if record.epoch > epoch:
        raise Fenced(
            f"{record.route} is at epoch {record.epoch}, this write was decided at {epoch}",
            holder=record.ramp,
            epoch=record.epoch,
        )
