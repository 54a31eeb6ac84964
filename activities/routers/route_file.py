"""Reading and replacing the route file so that a writer who slept through a clear cannot undo it.

A lock alone is no fence: its holder may be frozen, and whoever clears must not wait for it.  So a forward writer
creates its temporary file in ``pending/`` first, then reads the record, then renames the file into place.  Whoever
clears waits at most a second for the lock, removes everything in ``pending/``, renames its own file into place and
removes ``pending/``'s files once more: a forward writer either read the record before that, and then its file is gone
and its rename fails, or it reads the raised epoch.  Should its rename have fallen exactly between the two, the clear
sees it when it reads back and clears again.  Clears fence each other in the same way, in ``clearing/``, so that one
that was frozen before a kill cannot wipe out its mark.
"""

import contextlib
import errno
import fcntl
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from activities.routers.protocol import Change, Clear
from gateway.route_document import RouteDocument
from tailramp.errors import Fenced, Refused, Unreachable
from tailramp.route_record import RouteRecord

LOCK_SECONDS = 5.0
CLEAR_LOCK_SECONDS = 1.0
_CLEAR_ATTEMPTS = 10


class RouteFile:
    """The route file at ``path``.  All methods block for milliseconds: call them in a thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # A folder for each route: what clears one must not fence the writers of another.
        self.pending = path.parent / "pending" / path.name
        self.clearing = path.parent / "clearing" / path.name
        self._ready = path.parent / "ready" / path.name
        self._lock = path.with_name(f".{path.name}.lock")

    def read(self) -> RouteDocument:
        """Raises Refused for a file that is missing or not a route file."""
        try:
            return RouteDocument.parse(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise Refused(f"there is no route file {self.path}: check router.file") from None
        except UnicodeDecodeError:
            raise Refused(f"{self.path} is not UTF-8") from None
        except OSError as error:
            raise Unreachable(f"the route file {self.path} cannot be read: {error.strerror}") from None

    def change(self, change: Change, *, entries: bool = True) -> RouteDocument:
        """Replace the record by ``change(record)``, and with ``entries`` the rules that express it.

        ``change`` raises Fenced to refuse.  Returns what stands then; a change that changes nothing writes nothing.
        """
        with self._locked(LOCK_SECONDS) as locked:
            if not locked:
                raise Unreachable(f"the lock of {self.path} was held for {LOCK_SECONDS:g} s")
            self.pending.mkdir(parents=True, exist_ok=True)
            temporary = self.pending / uuid.uuid4().hex
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            try:
                document = self.read()
                record = change(document.record)
                if record == document.record:
                    return document
                changed = document.with_record(record) if entries else document.with_record_only(record)
                _write_all(descriptor, changed.text())
                try:
                    temporary.rename(self.path)
                except FileNotFoundError:
                    now = self.read().record
                    raise Fenced(f"{now.route} was cleared by {now.cleared_by} during this write") from None
                self._remove_others(temporary)  # a clear that was decided before this, and froze without the lock
                return changed
            finally:
                os.close(descriptor)
                temporary.unlink(missing_ok=True)

    def release(self, check: Callable[[RouteRecord], None]) -> None:
        """Take the record out of the file, and whatever lies beside it for tailramp's sake.

        ``check`` raises Refused for a record that is still needed.  Raises Unreachable if the lock cannot be had: a
        writer that is under way must end first.
        """
        with self._locked(LOCK_SECONDS) as locked:
            if not locked:
                raise Unreachable(f"{self.path} is being written by somebody else: try again")
            temporary = self.clearing / uuid.uuid4().hex
            temporary.parent.mkdir(parents=True, exist_ok=True)
            try:
                document = self.read()
                check(document.record)
                _write_file(temporary, document.without_record().text())
                self._remove_others(temporary)
                temporary.rename(self.path)
            finally:
                temporary.unlink(missing_ok=True)
            self._ready.unlink(missing_ok=True)
            for folder in (self.pending, self.clearing, self.pending.parent, self.clearing.parent, self._ready.parent):
                with contextlib.suppress(OSError):  # another route's files lie there too, or it was never made
                    folder.rmdir()
            self._lock.unlink(missing_ok=True)

    def make_ready(self, change: Change) -> None:
        """Lay the file that ``change`` means beside the route file, ready for a clear on a full disk."""
        self._ready.parent.mkdir(exist_ok=True)
        temporary = self._ready.with_name(f".{self._ready.name}.{uuid.uuid4().hex}")
        try:
            document = self.read()
            _write_file(temporary, document.with_record(change(document.record)).text())
            temporary.rename(self._ready)
        finally:
            temporary.unlink(missing_ok=True)

    def clear(self, change: Clear) -> RouteDocument:
        """Replace the record by ``change(record)``, which closes it, whatever else is going on; None leaves it.

        A disk that takes no more bytes still takes a rename: then the file that lies ready is put in place.
        """
        with self._locked(CLEAR_LOCK_SECONDS):
            for _ in range(_CLEAR_ATTEMPTS):
                temporary = self.clearing / uuid.uuid4().hex
                try:
                    stands = self._clear_once(change, temporary)
                finally:
                    temporary.unlink(missing_ok=True)
                if stands is not None:
                    return stands
        raise Unreachable(f"{self.path} was overwritten {_CLEAR_ATTEMPTS} times while it was cleared")

    def _clear_once(self, change: Clear, temporary: Path) -> RouteDocument | None:
        """One attempt; None if somebody else's write came between, so that the record is to be looked at again."""
        took_bytes = _touched(temporary)
        try:
            document = self.read()
        except Refused:
            if not self._ready.exists():
                raise
            self._ready.rename(self.path)  # whatever stands there is no route: what lies ready is
            return self.read()
        record = change(document.record)
        if record is None:
            return document
        changed = document.with_record(record)
        self._remove_others(temporary)
        try:
            took_bytes = took_bytes and self._written(changed, temporary)
            (temporary if took_bytes else self._ready).rename(self.path)
        except FileNotFoundError:
            return None  # another clear was faster and has removed this one's file
        self._remove_others(temporary)
        stands = self.read()
        if not took_bytes:  # what lay ready has no marks, and nothing could have been written since
            return stands
        return stands if _holds(record, stands.record) else None

    def _written(self, document: RouteDocument, temporary: Path) -> bool:
        """Write ``document``; False if the disk takes no more and something lies ready instead."""
        descriptor = os.open(temporary, os.O_WRONLY)
        try:
            _write_all(descriptor, document.text())
        except OSError:
            if not self._ready.exists():
                raise
            return False
        finally:
            os.close(descriptor)
        return True

    def _remove_others(self, mine: Path) -> None:
        """Whoever has begun to write and has read the record already loses the file that it would rename."""
        for folder in (self.pending, self.clearing):
            for file in folder.iterdir() if folder.is_dir() else ():
                if file != mine:
                    with contextlib.suppress(IsADirectoryError, PermissionError):  # nobody renames a folder
                        file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self, seconds: float) -> Iterator[bool]:
        """Hold the lock if it can be had within ``seconds``; yields whether it was."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            until = time.monotonic() + seconds
            locked = False
            while not locked:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    locked = True
                except BlockingIOError:
                    if time.monotonic() >= until:
                        break
                    time.sleep(0.005)  # flock has no time limit of its own
            yield locked
        finally:
            os.close(descriptor)


def _holds(wanted: RouteRecord, stands: RouteRecord) -> bool:
    """Whether a clear has had its effect: the record is closed at its epoch or above, and its marks are there."""
    marked = (wanted.kill is None or stands.kill is not None) and (not wanted.off or stands.off)
    return stands.closed and stands.epoch >= wanted.epoch and not stands.candidates and marked


def _touched(path: Path) -> bool:
    """Create an empty file; False if the disk has no room even for that."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return False
        raise
    return True


def _write_file(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        _write_all(descriptor, text)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, text: str) -> None:
    data = text.encode("utf-8")
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)
