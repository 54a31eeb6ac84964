"""Route records in the states that a ramp from blue to green passes through."""

from datetime import UTC, datetime

from lab.sample_route import on_green
from tailramp.assignment import Assignment
from tailramp.route_record import LEASE_SECONDS, Mark, RouteRecord, SlotRecord, concluded, served, taken_over

RAMP, OTHER = "ramp-a", "ramp-b"
MARK = Mark(at=datetime(2026, 1, 1, tzinfo=UTC), by="ada", reason="because")
BASELINE_ONLY = Assignment(default="blue")
NEVER_RAMPED = RouteRecord(
    route="demo/chat",
    original_default="blue",
    slots={"blue": SlotRecord(model="chat-v1", digest="d1"), "green": SlotRecord(model="chat-v0")},
    assignment=BASELINE_ONLY,
)


def five_percent() -> Assignment:
    return on_green("00-04")


def at_epoch(record: RouteRecord | None, epoch: int) -> RouteRecord:
    assert record is not None
    return record.model_copy(update={"epoch": epoch})


def taken(record: RouteRecord = NEVER_RAMPED, ramp: str = RAMP) -> RouteRecord:
    """Held by ``ramp``, nobody served."""
    return taken_over(
        record,
        ramp=ramp,
        baseline="blue",
        candidates={"green": SlotRecord(model="chat-v2", digest="d2")},
        override="a test",
    )


def serving(ramp: str = RAMP, *, epoch: int = 7, lease_seconds: float = LEASE_SECONDS) -> RouteRecord:
    """Held by ``ramp`` with 5 % on green."""
    return served(taken(ramp=ramp), ramp=ramp, epoch=epoch, assignment=five_percent(), lease_seconds=lease_seconds)


def promoted_record() -> RouteRecord:
    """Green is the default, and the ramp over."""
    moved = served(serving(), ramp=RAMP, epoch=8, assignment=Assignment(default="green"))
    return concluded(moved, ramp=RAMP, epoch=9)
