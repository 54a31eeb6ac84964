"""What a ramp, a rollback and a person do to a route record, in the words of the tests of routers."""

from __future__ import annotations

from collections.abc import Callable

from tailramp.assignment import Assignment
from tailramp.route_record import (
    Clearer,
    Mark,
    RouteRecord,
    SlotRecord,
    cleared,
    concluded,
    killed,
    renewed,
    served,
    taken_over,
)

RAMP = "0f0e0d0c-0000-4000-8000-000000000001"
LATER_RAMP = "0f0e0d0c-0000-4000-8000-000000000002"
BLUE, GREEN = Assignment(default="blue"), Assignment(default="green")


def take_over(
    ramp: str = RAMP, baseline: str = "blue", candidate: str = "green", override: str | None = None
) -> Callable[[RouteRecord], RouteRecord]:
    candidates = {candidate: SlotRecord(model="chat-v2", digest="d2")}
    return lambda record: taken_over(record, ramp=ramp, baseline=baseline, candidates=candidates, override=override)


def serve(
    assignment: Assignment, epoch: int, ramp: str = RAMP, lease_seconds: float = 90.0
) -> Callable[[RouteRecord], RouteRecord]:
    return lambda record: served(record, ramp=ramp, epoch=epoch, assignment=assignment, lease_seconds=lease_seconds)


def renew(epoch: int, ramp: str = RAMP) -> Callable[[RouteRecord], RouteRecord]:
    return lambda record: renewed(record, ramp=ramp, epoch=epoch)


def conclude(epoch: int, ramp: str = RAMP) -> Callable[[RouteRecord], RouteRecord]:
    return lambda record: concluded(record, ramp=ramp, epoch=epoch)


def roll_back(epoch: int = 0, ramp: str = RAMP) -> Callable[[RouteRecord], RouteRecord | None]:
    return lambda record: cleared(record, by=Clearer.ROLLBACK, reason="a test", ramp=ramp, epoch=epoch)


def kill(record: RouteRecord) -> RouteRecord:
    return killed(record, Mark.model_validate({"at": "2026-03-01T00:00:00Z", "by": "ada", "reason": "a test"}))
