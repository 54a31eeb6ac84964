"""A route with two slots as a file, and the changes that a ramp makes to its record."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from activities.routers.protocol import Change, Clear
from activities.routers.route_file import RouteFile
from gateway.route_document import RouteDocument
from lab.sample_route import on_green
from tailramp.assignment import Assignment
from tailramp.route_record import (
    LEASE_SECONDS,
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

ROUTE = "demo/chat"
RAMP, LATER_RAMP = "ramp-1", "ramp-2"
BLUE = Assignment(default="blue")
GREEN = Assignment(default="green")
SLOTS = {"blue": SlotRecord(model="chat-v1"), "green": SlotRecord(model="chat-v2")}
MARK = Mark(at=datetime(2026, 1, 5, tzinfo=UTC), by="ada", reason="toxic answers")


def new_route(folder: Path) -> RouteFile:
    """A fresh route file that serves everyone from blue."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "chat.json"
    path.write_text(RouteDocument.initial(ROUTE, slots=SLOTS, default="blue").text(), encoding="utf-8")
    return RouteFile(path)


def take_over(ramp: str = RAMP) -> Change:
    return lambda record: taken_over(
        record,
        ramp=ramp,
        baseline="blue",
        candidates={"green": SlotRecord(model="chat-v2", digest="d")},
        override="again",
    )


def serve(assignment: Assignment, epoch: int, ramp: str = RAMP, lease_seconds: float = LEASE_SECONDS) -> Change:
    return lambda record: served(record, ramp=ramp, epoch=epoch, assignment=assignment, lease_seconds=lease_seconds)


def renew(epoch: int) -> Change:
    return lambda record: renewed(record, ramp=RAMP, epoch=epoch)


def conclude(epoch: int) -> Change:
    return lambda record: concluded(record, ramp=RAMP, epoch=epoch)


def rollback(epoch: int = 0) -> Clear:
    return lambda record: cleared(record, by=Clearer.ROLLBACK, reason="unhealthy", ramp=RAMP, epoch=epoch)


def sentinel(record: RouteRecord) -> RouteRecord | None:
    return cleared(record, by=Clearer.SENTINEL, reason="lease_lapsed")


def kill(record: RouteRecord) -> RouteRecord | None:
    return killed(record, MARK)


def ramping(folder: Path) -> RouteFile:
    """A route whose ramp serves 00-04 from green, at epoch 2."""
    return _laid_out(folder, _after(take_over(), serve(on_green("00-04"), epoch=2)))


def promoted(folder: Path) -> RouteFile:
    """A route on which green has become the default, at epoch 3, and the ramp bakes."""
    return _laid_out(folder, _after(take_over(), serve(on_green("00-04"), epoch=2), serve(GREEN, epoch=3)))


def _after(*changes: Change) -> str:
    document = RouteDocument.initial(ROUTE, slots=SLOTS, default="blue")
    for change in changes:
        document = document.with_record(change(document.record))
    return document.text()


def _laid_out(folder: Path, text: str) -> RouteFile:
    (folder / "pending").mkdir(parents=True)
    (folder / "chat.json").write_text(text, encoding="utf-8")
    return RouteFile(folder / "chat.json")


def leftovers(route: RouteFile) -> list[str]:
    """Files beside the route file that nobody needs any more."""
    folder = route.path.parent
    kept = {route.path, route.path.with_name(f".{route.path.name}.lock")}
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file() and file not in kept)
