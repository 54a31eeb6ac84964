"""A process that writes the route file, stopped before and after every instruction that touches it.

There it is killed, and whoever comes next must find a route that can be cleared and ramped again; or it sleeps while
others go on, and is let go.
"""

import fcntl
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import crash_points
import pytest
from crash_points import DONE, KILLED, Act, Stopped

from activities.routers import route_file
from activities.routers.route_file import RouteFile
from gateway.route_document import RouteDocument
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.lease import Lapse
from tailramp.route_record import (
    Clearer,
    Mark,
    RouteRecord,
    SlotRecord,
    cleared,
    concluded,
    killed,
    prepared,
    renewed,
    served,
    taken_over,
)

RAMP = "ramp-a"
MARK = Mark(at=datetime(2026, 1, 1, tzinfo=UTC), by="ada", reason="because")
BASELINE_ONLY = Assignment(default="blue")
TWENTY = Assignment(default="blue", rules=(Rule(slot="green", buckets=BucketSet.parse("00-19")),))
FIFTY = Assignment(default="blue", rules=(Rule(slot="green", buckets=BucketSet.parse("00-49")),))
MOVED = Assignment(default="green")


def take_over(file: RouteFile, ramp: str, slot: str = "green", default: str = "blue") -> None:
    def change(record: RouteRecord) -> RouteRecord:
        return taken_over(record, ramp=ramp, baseline=default, candidates={slot: SlotRecord(model=ramp, digest=ramp)})

    file.change(change)
    file.make_ready(prepared)


def serve(assignment: Assignment, ramp: str = RAMP) -> Act:
    """The write of a step, decided at the epoch that the record has when the act is begun."""

    def act(file: RouteFile) -> None:
        epoch = file.read().record.epoch + 1
        file.change(lambda record: served(record, ramp=ramp, epoch=epoch, assignment=assignment))

    return act


def renew(file: RouteFile) -> None:
    epoch = file.read().record.epoch
    file.change(lambda record: renewed(record, ramp=RAMP, epoch=epoch), entries=False)


def roll_back(file: RouteFile) -> None:
    file.clear(lambda record: cleared(record, by=Clearer.ROLLBACK, reason="operator_abort", ramp=RAMP))


def lapse(file: RouteFile) -> None:
    """A sentinel that has seen the lease of now lapse."""
    record = file.read().record
    slot, lease = next(iter(record.leases.items()))
    file.clear(Lapse(slot, lease, record.ramp).clear)


def kill(file: RouteFile) -> None:
    file.clear(lambda record: killed(record, MARK))


FORWARD: dict[str, Act] = {"a step": serve(FIFTY), "a promotion": serve(MOVED), "a renewal": renew}
CLEARS: dict[str, Act] = {"rollback": roll_back, "sentinel": lapse, "kill": kill}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RouteFile:
    """A route whose ramp serves 20 %.  Nobody waits long for a lock that a stopped process holds."""
    monkeypatch.setattr(route_file, "CLEAR_LOCK_SECONDS", 0.01)
    monkeypatch.setattr(route_file, "LOCK_SECONDS", 0.05)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # no machine loses its power here
    return fresh(tmp_path)


def fresh(folder: Path) -> RouteFile:
    path = folder / "chat.json"
    slots = {"blue": SlotRecord(model="chat-v1", digest="d1"), "green": SlotRecord()}
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(RouteDocument.initial("demo/chat", slots=slots, default="blue").text(), encoding="utf-8")
    file = RouteFile(path)
    take_over(file, RAMP)
    serve(TWENTY)(file)
    return file


def points(act: Act, folder: Path) -> Iterator[tuple[int, RouteFile, Stopped]]:
    """The act stopped at every one of its instructions in turn, each time on a route whose ramp serves 20 %."""
    return crash_points.points(act, lambda point: fresh(folder / str(point)))


@pytest.mark.parametrize("clear", CLEARS)
@pytest.mark.parametrize("act", FORWARD)
def test_a_writer_that_is_killed_anywhere_leaves_a_route_that_can_be_cleared_and_ramped_again(
    file: RouteFile, tmp_path: Path, act: str, clear: str
) -> None:
    for point, route, child in points(FORWARD[act], tmp_path):
        assert child.signal(signal.SIGKILL) == KILLED
        before = route.read().record
        assert before.assignment in {TWENTY, FIFTY, MOVED}, f"point {point}"
        CLEARS[clear](route)
        record = route.read().record
        assert (record.assignment, record.closed) == (BASELINE_ONLY, True), f"point {point}"
        assert record.epoch > before.epoch
        if record.kill is None:
            take_over(route, "ramp-b")
            serve(TWENTY, "ramp-b")(route)
            assert not list(route.pending.iterdir()), f"point {point}: leftovers"


@pytest.mark.parametrize("first", CLEARS)
def test_a_clear_that_is_killed_anywhere_is_finished_by_the_next_one(
    file: RouteFile, tmp_path: Path, first: str
) -> None:
    for point, route, child in points(CLEARS[first], tmp_path):
        child.signal(signal.SIGKILL)
        kill(route)
        record = route.read().record
        assert (record.assignment, record.kill) == (BASELINE_ONLY, MARK), f"point {point}"


def test_a_sentinel_that_sleeps_until_the_next_ramp_does_not_send_everyone_to_its_candidate(
    file: RouteFile, tmp_path: Path
) -> None:
    """It lapsed in the bake; the ramp came back, ended, and the slot that was the default holds the next candidate."""

    def promote_and_begin_the_next_ramp(route: RouteFile) -> None:
        serve(MOVED)(route)
        epoch = route.read().record.epoch + 1
        route.change(lambda record: concluded(record, ramp=RAMP, epoch=epoch))
        take_over(route, "ramp-b", slot="blue", default="green")

    def lapse_without_the_lock(route: RouteFile) -> None:
        """Whoever clears goes on when somebody frozen holds the lock, who may be gone when the clearer sleeps."""
        fcntl.flock = _never_got
        lapse(route)

    reached = 0
    for point, route, child in points(lapse_without_the_lock, tmp_path):
        if route.read().record.closed:
            child.signal(signal.SIGKILL)
            continue
        reached += 1
        promote_and_begin_the_next_ramp(route)
        before = route.read().record
        child.signal(signal.SIGCONT)
        after = route.read().record
        assert after == before, f"point {point}: it wrote {after.assignment.describe()}"
    assert reached > 8


def _never_got(*_: object) -> None:
    raise BlockingIOError


def test_clearing_one_route_does_not_fence_the_ramp_of_another(file: RouteFile, tmp_path: Path) -> None:
    for point, route, child in points(FORWARD["a step"], tmp_path):
        other = RouteFile(route.path.with_name("other.json"))
        other.path.write_text(route.path.read_text(encoding="utf-8"), encoding="utf-8")
        kill(other)
        assert child.signal(signal.SIGCONT) == DONE, f"point {point}"
        assert route.read().record.assignment == FIFTY
