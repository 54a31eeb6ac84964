"""The route file on a disk that fills up, beside processes that freeze, with content that somebody else spoilt."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from route_samples import (
    BLUE,
    GREEN,
    LATER_RAMP,
    RAMP,
    kill,
    leftovers,
    new_route,
    promoted,
    ramping,
    renew,
    rollback,
    sentinel,
    serve,
    take_over,
)

from activities.routers import route_file
from activities.routers.route_file import RouteFile
from gateway.route_document import RouteDocument
from lab.sample_route import on_green
from tailramp.errors import Fenced, Refused, Unreachable
from tailramp.route_record import RouteRecord, lifted, prepared

# Ordinary writes.


def test_rules_and_record_change_together(tmp_path: Path) -> None:
    route = ramping(tmp_path)
    document = route.read()
    assert document.record.assignment == on_green("00-04")
    assert [entry["name"] for _, entry in document.entries] == ["tailramp/green/main", "main"]
    assert leftovers(route) == []


def test_a_change_that_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    route = ramping(tmp_path)
    before = route.path.stat()
    assert route.change(serve(on_green("00-04"), epoch=2)).record.epoch == 2
    assert route.change(lambda record: record).record.epoch == 2
    after = route.path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert leftovers(route) == []


def test_a_change_that_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    route = ramping(tmp_path)
    before = route.path.read_bytes()
    with pytest.raises(Fenced):
        route.change(serve(GREEN, epoch=1))
    assert route.path.read_bytes() == before
    assert leftovers(route) == []


def test_a_renewal_touches_no_entry_not_even_one_that_somebody_else_changed(tmp_path: Path) -> None:
    route = ramping(tmp_path)
    text = route.path.read_text(encoding="utf-8").replace('"timeout": "0s"', '"timeout": "60s"')
    route.path.write_text(text, encoding="utf-8")
    before = route.read()
    after = route.change(renew(epoch=2), entries=False)
    assert after.entries == before.entries
    assert after.record.leases["green"].renewals == before.record.leases["green"].renewals + 1


def test_the_epoch_never_falls_whoever_writes(tmp_path: Path) -> None:
    route = new_route(tmp_path)
    epochs = [route.read().record.epoch]
    writes: list[Callable[[], RouteDocument]] = [
        lambda: route.change(take_over()),
        lambda: route.change(serve(on_green("00-04"), epoch=2)),
        lambda: route.change(serve(on_green("00-09"), epoch=3)),
        lambda: route.clear(rollback(4)),
        lambda: route.clear(rollback(4)),
        lambda: route.clear(sentinel),
        lambda: route.clear(kill),
        lambda: route.clear(kill),
        lambda: route.change(lifted),
        lambda: route.change(take_over(LATER_RAMP)),
        lambda: route.clear(sentinel),
    ]
    for write in writes:
        epochs.append(write().record.epoch)
        assert route.read().record.epoch == epochs[-1]
    assert epochs == sorted(epochs)
    assert epochs[4] < epochs[5] < epochs[6] < epochs[7] < epochs[8], "no clear is a no-op"


@pytest.mark.parametrize("clear", [rollback(9), sentinel, kill])
def test_a_clear_writes_even_when_nobody_is_on_the_candidate(tmp_path: Path, clear: Callable[..., RouteRecord]) -> None:
    route = new_route(tmp_path)
    route.change(take_over())
    before = route.path.stat().st_ino
    cleared = route.clear(clear)
    assert route.path.stat().st_ino != before
    assert cleared.record.closed
    with pytest.raises(Fenced):
        route.change(serve(on_green("00"), epoch=2))


def test_a_clear_that_has_nothing_to_say_leaves_the_file_alone(tmp_path: Path) -> None:
    route = ramping(tmp_path)
    route.clear(kill)
    before = route.path.read_bytes()
    assert route.clear(rollback(9)).record.kill is not None
    assert route.path.read_bytes() == before


def test_a_clear_after_the_default_has_moved_puts_it_back(tmp_path: Path) -> None:
    route = promoted(tmp_path)
    assert route.read().record.assignment == GREEN
    document = route.clear(kill)
    assert document.record.assignment == BLUE
    assert [entry["route"]["cluster"] for _, entry in document.entries] == ["blue"]


def test_hundreds_of_writers_at_once_lose_no_write(tmp_path: Path) -> None:
    route = ramping(tmp_path)

    def renew_often() -> None:
        for _ in range(25):
            RouteFile(route.path).change(renew(epoch=2), entries=False)

    before = route.read().record.leases["green"].renewals
    threads = [threading.Thread(target=renew_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert route.read().record.leases["green"].renewals == before + 100


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    route = ramping(tmp_path)
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not done.is_set():
            seen.append(route.read().record.leases["green"].renewals)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(40):
        route.change(renew(epoch=2), entries=False)
    done.set()
    reader.join()
    assert seen == sorted(seen)


# The lock.


def test_a_forward_writer_gives_up_when_the_lock_is_held_for_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route_file, "LOCK_SECONDS", 0.05)
    route = ramping(tmp_path)
    with route._locked(0), pytest.raises(Unreachable, match=r"the lock of .*chat.json was held for 0.05 s"):
        route.change(serve(GREEN, epoch=3))
    assert route.change(serve(GREEN, epoch=3)).record.assignment == GREEN


FROZEN_WRITER = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from activities.routers.route_file import RouteFile
    from tailramp.errors import Fenced
    from tailramp.route_record import served
    from tailramp.assignment import Assignment

    def freeze_then_promote(record):
        os.kill(os.getpid(), signal.SIGSTOP)
        return served(record, ramp="ramp-1", epoch=3, assignment=Assignment(default="green"))

    try:
        RouteFile(Path(sys.argv[1])).change(freeze_then_promote)
    except Fenced as error:
        print(error)
        sys.exit(7)
    """)


def test_a_process_that_is_frozen_with_the_lock_delays_a_clear_by_a_second_and_wakes_up_fenced(tmp_path: Path) -> None:
    route = ramping(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", FROZEN_WRITER, str(route.path)], stdout=subprocess.PIPE, text=True
    )
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert len(list(route.pending.iterdir())) == 1
        began = time.monotonic()
        cleared = route.clear(rollback(9)).record
        assert 0.9 < time.monotonic() - began < 3
        assert cleared.candidates == ()
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 7
    assert said == "demo/chat was cleared by rollback during this write\n"
    assert route.read().record == cleared
    assert leftovers(route) == []


def test_a_process_that_dies_with_the_lock_holds_up_nobody(tmp_path: Path) -> None:
    route = ramping(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", FROZEN_WRITER, str(route.path)])
    try:
        os.waitpid(process.pid, os.WUNTRACED)
    finally:
        process.kill()
        process.wait()
    assert route.change(serve(on_green("00-09"), epoch=3)).record.epoch == 3
    assert leftovers(route) == [], "what the dead process began is tidied up with the next write"


# The disk.


class FullDisk:
    """Takes ``room`` bytes, a few at a time, and then no more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int, at_once: int = 10**9) -> None:
        self._room, self._at_once, self._write = room, at_once, os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, descriptor: int, data: bytes) -> int:
        if self._room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._write(descriptor, data[: min(self._room, self._at_once)])
        self._room -= written
        return written


@pytest.mark.parametrize("room", [0, 1, 700])
def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    route = ramping(tmp_path)
    before = route.path.read_bytes()
    FullDisk(monkeypatch, room)
    with pytest.raises(OSError, match="No space left"):
        route.change(serve(GREEN, epoch=3))
    assert route.path.read_bytes() == before
    assert leftovers(route) == []


def test_a_disk_that_takes_a_few_bytes_at_a_time_gets_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = ramping(tmp_path)
    FullDisk(monkeypatch, room=10**6, at_once=100)
    route.change(serve(GREEN, epoch=3))
    assert route.read().record.assignment == GREEN


@pytest.mark.parametrize("room", [0, 700])
def test_a_full_disk_without_a_ready_file_leaves_the_old_file_whole_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    route = ramping(tmp_path)
    before = route.path.read_bytes()
    FullDisk(monkeypatch, room)
    with pytest.raises(OSError, match="No space left"):
        route.clear(rollback(9))
    assert route.path.read_bytes() == before
    assert leftovers(route) == []


@pytest.mark.parametrize("clear", [rollback(9), sentinel, kill])
@pytest.mark.parametrize("begin", [ramping, promoted])
def test_on_a_full_disk_the_ready_file_takes_everyone_back(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    begin: Callable[[Path], RouteFile],
    clear: Callable[..., RouteRecord],
) -> None:
    route = begin(tmp_path)
    route.make_ready(prepared)
    FullDisk(monkeypatch, room=0)
    document = route.clear(clear)
    assert document.record.candidates == ()
    assert document.record.assignment == BLUE
    assert [entry["route"]["cluster"] for _, entry in route.read().entries] == ["blue"]
    monkeypatch.undo()
    with pytest.raises((Fenced, Refused)):
        route.change(serve(GREEN, epoch=500))
    with pytest.raises((Fenced, Refused)):
        route.change(take_over(RAMP))


def test_the_ready_file_is_a_route_file_that_refuses_its_ramp(tmp_path: Path) -> None:
    route = ramping(tmp_path)
    route.make_ready(prepared)
    (ready,) = leftovers(route)
    record = RouteFile(tmp_path / ready).read().record
    assert record.closed
    assert record.assignment == BLUE
    assert record.epoch > route.read().record.epoch + 1000


# Content that somebody else spoilt.


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"resources": []}',
        b"[" * 100_000,
        b"\x00" * 100,
        b"version_info: yaml",
    ],
)
def test_a_file_that_is_no_route_file_is_refused_by_readers_writers_and_clears(tmp_path: Path, content: bytes) -> None:
    route = ramping(tmp_path)
    route.path.write_bytes(content)
    with pytest.raises(Refused, match=r"route file|not UTF-8"):
        route.read()
    with pytest.raises(Refused):
        route.change(serve(GREEN, epoch=3))
    with pytest.raises(Refused):
        route.clear(rollback(9))
    assert route.path.read_bytes() == content
    assert leftovers(route) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"there is no route file .*gone.json: check router.file"):
        RouteFile(tmp_path / "gone.json").read()


def test_a_folder_in_the_place_of_the_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "chat.json").mkdir()
    with pytest.raises(Unreachable, match="Is a directory"):
        RouteFile(tmp_path / "chat.json").read()
