"""Every write of a ramp's life, crashed before and after every instruction, and started again by another process.

That is what Temporal does with an activity whose worker died: the same request once more, at the same epoch.  After it
the route must stand exactly as if nothing had happened, and in between at what was before the write or after it.
"""

import os
import shutil
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from crash_points import DONE, KILLED, Act, again, points

from activities.routers.route_file import RouteFile
from gateway.route_document import RouteDocument
from lab.sample_route import on_green
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.lease import Lapse
from tailramp.route_record import (
    Clearer,
    RouteRecord,
    SlotRecord,
    cleared,
    concluded,
    prepared,
    renewed,
    served,
    shortened,
    taken_over,
)

RAMP = "ramp-a"
BASELINE_ONLY = Assignment(default="blue")
HELD_BACK = Rule(slot="blue", buckets=BucketSet.parse("98-99"))


def changed(change: Callable[[RouteRecord], RouteRecord], *, ready: bool = False, entries: bool = True) -> Act:
    """A forward write; with ``ready`` what lies ready for a rollback is laid down anew after it."""

    def act(file: RouteFile) -> None:
        file.change(change, entries=entries)
        if ready:
            file.make_ready(prepared)

    return act


def serves(assignment: Assignment, epoch: int) -> Act:
    return changed(lambda record: served(record, ramp=RAMP, epoch=epoch, assignment=assignment))


def _taken(record: RouteRecord) -> RouteRecord:
    return taken_over(
        record, ramp=RAMP, baseline="blue", candidates={"green": SlotRecord(model="chat-v2", digest="d2")}
    )


PROMOTING = Assignment(default="green", rules=(*on_green("00-49").rules, HELD_BACK))
LIFE: dict[str, Act] = {
    "preflight": changed(_taken, ready=True),
    "the first step": serves(on_green("00-09"), 2),
    "a renewal": changed(lambda record: renewed(record, ramp=RAMP, epoch=2), entries=False),
    "the second step": serves(on_green("00-49"), 3),
    "a shrink": serves(on_green("00-19"), 4),
    "the second step again": serves(on_green("00-49"), 5),
    "the moved default": serves(PROMOTING, 6),
    "the removed rule": serves(Assignment(default="green", rules=(HELD_BACK,)), 7),
    "a shortened lease": changed(
        lambda record: shortened(record, ramp=RAMP, epoch=7, slot="green", reason="unhealthy"), entries=False
    ),
    "the end of the hold-back": serves(Assignment(default="green"), 8),
    "the end of the bake": changed(lambda record: concluded(record, ramp=RAMP, epoch=9), ready=True),
}
"""What the workflow asks for from preflight to the end, with the epochs at which it decides."""


def _lapse(file: RouteFile) -> None:
    record = file.read().record
    if record.leases:
        slot, lease = next(iter(record.leases.items()))
        file.clear(Lapse(slot, lease, record.ramp).clear)


def _roll_back(file: RouteFile) -> None:
    file.clear(lambda record: cleared(record, by=Clearer.ROLLBACK, reason="unhealthy", ramp=RAMP, epoch=20))


CLEARS: dict[str, Act] = {"rollback": _roll_back, "sentinel": _lapse}


@dataclass(frozen=True)
class Stage:
    """The route's folder before one write of the life, and what stands after it."""

    folder: Path
    before: RouteDocument
    after: RouteDocument
    ready: str

    def copy(self, to: Path) -> RouteFile:
        shutil.copytree(self.folder, to)
        return RouteFile(to / "chat.json")


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Stage]:
    """The undisturbed life, stage by stage."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # no machine loses its power here
    folder = tmp_path / "undisturbed"
    folder.mkdir()
    file = RouteFile(folder / "chat.json")
    slots = {"blue": SlotRecord(model="chat-v1", digest="d1"), "green": SlotRecord()}
    file.path.write_text(RouteDocument.initial("demo/chat", slots=slots, default="blue").text(), encoding="utf-8")
    found = {}
    for number, (name, act) in enumerate(LIFE.items()):
        before = tmp_path / f"before-{number}"
        shutil.copytree(folder, before)
        stood = file.read()
        act(file)
        found[name] = Stage(before, stood, file.read(), _ready(file))
    return found


def _ready(file: RouteFile) -> str:
    return (file.path.parent / "ready" / file.path.name).read_text(encoding="utf-8")


def cells(names: Iterable[str], *representative: str) -> list[Any]:
    """Those that run with every ``make test``, and the others."""
    return [pytest.param(name, marks=() if name in representative else pytest.mark.faults) for name in names]


@pytest.mark.parametrize("name", cells(LIFE, "preflight", "the second step", "the end of the bake"))
def test_a_write_that_crashes_anywhere_and_is_started_again_leaves_what_it_would_have_left(
    stages: dict[str, Stage], tmp_path: Path, name: str
) -> None:
    stage, act = stages[name], LIFE[name]
    for point, file, child in points(act, lambda point: stage.copy(tmp_path / f"at-{point}")):
        assert child.signal(signal.SIGKILL) == KILLED
        crashed = file.read()
        assert crashed in (stage.before, stage.after), f"point {point}: something in between stands"
        assert not crashed.drift
        assert again(act, file) == DONE, f"point {point}"
        assert _without_renewals(file) == _renewals_left_out(stage.after.record), f"point {point}"
        assert file.read().drift == ()
        assert RouteDocument.parse(_ready(file)) == RouteDocument.parse(stage.ready), f"point {point}"


def _without_renewals(file: RouteFile) -> RouteRecord:
    return _renewals_left_out(file.read().record)


def _renewals_left_out(record: RouteRecord) -> RouteRecord:
    """A look that is taken twice renews twice; everything else is the same however often it is written."""
    leases = {slot: lease.model_copy(update={"renewals": 0}) for slot, lease in record.leases.items()}
    return record.model_copy(update={"leases": leases})


@pytest.mark.parametrize("clear", CLEARS)
@pytest.mark.parametrize(
    "after",
    cells(["the first step", "the moved default", "the removed rule", "a shortened lease"], "the moved default"),
)
def test_a_clear_that_crashes_anywhere_and_is_started_again_clears(
    stages: dict[str, Stage], tmp_path: Path, after: str, clear: str
) -> None:
    following = list(LIFE)[list(LIFE).index(after) + 1]
    stage, act = stages[following], CLEARS[clear]
    for point, file, child in points(act, lambda point: stage.copy(tmp_path / f"at-{point}")):
        assert child.signal(signal.SIGKILL) == KILLED
        crashed = file.read().record
        assert crashed.assignment in (stage.before.record.assignment, BASELINE_ONLY), f"point {point}"
        assert again(act, file) == DONE, f"point {point}"
        record = file.read().record
        assert (record.assignment, record.closed, record.leases) == (BASELINE_ONLY, True, {}), f"point {point}"
        assert record.epoch > stage.before.record.epoch
        assert again(LIFE[following], file) != DONE, f"point {point}: the next write of the ramp is fenced"
        assert file.read().record == record


@pytest.mark.parametrize(
    "name", cells([name for name in LIFE if name not in {"preflight", "the end of the bake"}], "a shrink")
)
def test_a_write_that_crashes_anywhere_can_be_cleared_instead(
    stages: dict[str, Stage], tmp_path: Path, name: str
) -> None:
    stage, act = stages[name], LIFE[name]
    for point, file, child in points(act, lambda point: stage.copy(tmp_path / f"at-{point}")):
        child.signal(signal.SIGKILL)
        assert again(_roll_back, file) == DONE
        assert file.read().record.assignment == BASELINE_ONLY, f"point {point}"
        assert again(act, file) != DONE, f"point {point}: the late attempt is fenced"
        assert file.read().record.assignment == BASELINE_ONLY, f"point {point}"
