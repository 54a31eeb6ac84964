"""A forward writer is frozen at every system call in turn while somebody clears the route, and then wakes."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest
from interleaving import Writer, trail_of
from route_samples import (
    GREEN,
    LATER_RAMP,
    conclude,
    kill,
    leftovers,
    promoted,
    ramping,
    renew,
    rollback,
    sentinel,
    serve,
    take_over,
)

from activities.routers import route_file
from activities.routers.protocol import Change, Clear
from activities.routers.route_file import RouteFile
from gateway.route_document import RouteDocument
from lab.sample_route import on_green
from tailramp.errors import Fenced

CLEARS: dict[str, Clear] = {"rollback": rollback(9), "sentinel": sentinel, "kill": kill}


@pytest.fixture(autouse=True)
def _nobody_waits_long_for_a_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock's holder is frozen in these tests: waiting for it the full second each time would prove nothing more."""
    monkeypatch.setattr(route_file, "CLEAR_LOCK_SECONDS", 0.0)
    monkeypatch.setattr(route_file, "LOCK_SECONDS", 0.0)
    monkeypatch.setattr(os, "fsync", lambda _: None)


Setup = Callable[[Path], RouteFile]
FORWARD: dict[str, tuple[Setup, Change, bool]] = {
    "more users": (ramping, serve(on_green("00-49"), epoch=3), True),
    "the promotion": (ramping, serve(GREEN, epoch=3), True),
    "a renewed lease": (ramping, renew(epoch=2), False),
    "the end of a bake": (promoted, conclude(epoch=4), True),
    "another ramp": (ramping, take_over(LATER_RAMP), True),
}


@pytest.mark.parametrize("clear", CLEARS)
@pytest.mark.parametrize("forward", FORWARD)
def test_a_writer_that_was_frozen_anywhere_cannot_undo_a_clear(tmp_path: Path, forward: str, clear: str) -> None:
    begin, change, entries = FORWARD[forward]
    over = forward == "the end of a bake"  # once it is written, green is the baseline and there is nothing to clear
    stop = 0
    ended_before = False
    while not ended_before:
        route = begin(tmp_path / str(stop))
        writer = Writer(partial(route.change, change, entries=entries))
        writer.step(stop)
        ended_before, frozen_before, written_before = writer.ended, writer.before, "rename" in writer.trail
        cleared = route.clear(CLEARS[clear]).record
        assert cleared.closed
        assert cleared.candidates == ()
        writer.finish()

        record = route.read().record
        where = f"frozen before {frozen_before} after {writer.trail}"
        assert record.candidates == (), where
        assert record.assignment.default == ("green" if over and written_before else "blue"), where
        assert record.epoch >= cleared.epoch, where
        assert (record.kill is not None) == (clear == "kill"), where
        if forward != "another ramp":
            assert record == cleared, where
            assert written_before or isinstance(writer.error, Fenced), where
        assert leftovers(route) == [], where
        stop += 1
    assert stop >= 10


def test_the_walk_through_the_fence_meets_every_kind_of_call(tmp_path: Path) -> None:
    """The test above is worth as much as its stops: this is where it stops."""
    route = ramping(tmp_path)
    calls = trail_of(lambda: route.change(serve(on_green("00-49"), epoch=3)))
    assert {"open", "flock", "mkdir", "read", "write", "rename", "close"} <= set(calls)
    assert (
        calls.index("flock") < calls.index("mkdir") < calls.index("read") < calls.index("write") < calls.index("rename")
    )


@pytest.mark.parametrize("clear", ["rollback", "kill"])
@pytest.mark.parametrize("forward", ["the promotion", "the end of a bake"])
def test_a_writer_that_wakes_in_the_middle_of_a_clear_cannot_undo_it_either(
    tmp_path: Path, forward: str, clear: str
) -> None:
    """The writer freezes with the lock; the clear goes on without it and is stopped twice, the writer running between:
    first up to its rename, then to its end."""
    begin, change, entries = FORWARD[forward]
    first = 0
    while True:
        for second in range(9):
            route = begin(tmp_path / f"{first}-{second}")
            writer = Writer(partial(route.change, change, entries=entries))
            assert writer.step_to("mkdir")
            clearing = Writer(partial(route.clear, CLEARS[clear]))
            clearing.step(first)
            if clearing.ended:
                assert first >= 14
                return
            writer.step_to("rename")
            clearing.step(second)
            stood = f"clear stopped before {clearing.before} after {clearing.trail}, writer after {writer.trail}"
            writer.finish()
            clearing.finish()
            assert clearing.error is None, stood
            record = route.read().record
            assert isinstance(clearing.result, RouteDocument)
            assert record == clearing.result.record, stood
            assert record.closed, stood
            assert record.candidates == (), stood
            # The end of a bake that was written while the clear had read already may have been in time or not.
            if forward != "the end of a bake" or isinstance(writer.error, Fenced):
                assert record.assignment.default == "blue", stood
            assert (record.kill is not None) == (clear == "kill"), stood
            assert leftovers(route) == [], stood
        first += 1


@pytest.mark.parametrize("other", ["rollback", "sentinel"])
@pytest.mark.parametrize("holder", [True, False], ids=["while a frozen writer has the lock", "with the lock free"])
def test_a_kill_mark_survives_every_clear_that_is_frozen_around_it(tmp_path: Path, other: str, holder: bool) -> None:
    stop = 0
    ended_before = False
    while not ended_before:
        route = ramping(tmp_path / str(stop))
        frozen = Writer(partial(route.change, serve(GREEN, epoch=3)))
        if holder:
            frozen.step_to("mkdir")
        clearing = Writer(partial(route.clear, CLEARS[other]))
        clearing.step(stop)
        ended_before = clearing.ended
        stood = f"{other} frozen before {clearing.before} after {clearing.trail}"
        killed = route.clear(kill).record
        clearing.finish()
        frozen.finish()
        record = route.read().record
        assert record.kill == killed.kill is not None, stood
        assert record.candidates == (), stood
        assert leftovers(route) == [], stood
        stop += 1
    assert stop > 10


def test_two_clears_at_once_in_any_order_leave_one_closed_record(tmp_path: Path) -> None:
    for stop in range(25):
        for one, other in (
            ("rollback", "sentinel"),
            ("sentinel", "rollback"),
            ("kill", "rollback"),
            ("rollback", "rollback"),
        ):
            route = ramping(tmp_path / f"{stop}-{one}-{other}")
            before = route.read().record.epoch
            frozen = Writer(partial(route.change, serve(GREEN, epoch=3)))
            frozen.step_to("mkdir")
            writers = [Writer(partial(route.clear, CLEARS[by])) for by in (one, other)]
            writers[0].step(stop)
            writers[1].step(stop // 2)
            writers[0].finish()
            writers[1].finish()
            frozen.finish()
            record = route.read().record
            assert [writer.error for writer in writers] == [None, None]
            assert record.closed
            assert record.candidates == ()
            assert record.epoch > before
            assert leftovers(route) == []


def test_whoever_is_frozen_wherever_and_wakes_whenever_a_kill_holds(tmp_path: Path) -> None:
    """A forward writer, a rollback, a sentinel and a kill, interleaved at random, call by call."""
    for seed in range(80):
        random = Random(seed)
        begin, change, entries = FORWARD[random.choice(list(FORWARD))]
        route = begin(tmp_path / str(seed))
        works: list[Callable[[], object]] = [
            partial(route.change, change, entries=entries),
            *(partial(route.clear, clear) for clear in CLEARS.values()),
        ]
        writers = [Writer(work) for work in works]
        history: list[str] = []
        while awake := [writer for writer in writers if not writer.ended]:
            writer = random.choice(awake)
            history.append(f"{writers.index(writer)} {writer.before}")
            writer.step(random.choice([1, 1, 2, 5, 30]))
        killer = writers[-1]
        story = f"seed {seed}: {history}"
        assert killer.error is None, story
        record = route.read().record
        assert record.kill is not None, story
        assert record.closed, story
        assert record.candidates == (), story
        assert leftovers(route) == [], story
