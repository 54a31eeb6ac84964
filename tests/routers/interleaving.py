"""Writers that stop at every system call, so that a test decides who is frozen where and who goes on.

A process can be frozen between any two system calls and at no place that matters more: what it does between them,
nobody else can see.  So a writer here is a thread whose profile hook stops before every call to the operating system
until the test lets it go on.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

PATIENCE = 20.0
CALLS = frozenset(
    [
        "open",
        "write",
        "fsync",
        "close",
        "read",
        "rename",
        "replace",
        "unlink",
        "mkdir",
        "stat",
        "listdir",
        "scandir",
        "flock",
    ]
)
CHANGES = frozenset(["rename", "replace", "unlink", "mkdir"])


class Writer:
    """``work`` in a thread of its own, stopped before its first system call until it is stepped or let go.

    ``trail`` are the calls that were made, ``before`` is the one that it is about to make, None when it has ended.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._turn = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self._free = False
        self.trail: list[str] = []
        self.before: str | None = None
        self.result: object = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._wait()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def step(self, calls: int = 1) -> None:
        """Let it make ``calls`` system calls, or fewer if it ends before."""
        for _ in range(calls):
            if not self.ended:
                self._turn.release()
                self._wait()

    def step_to(self, call: str) -> bool:
        """Step until it is about to make ``call``; False if it ends first."""
        while not self.ended and self.before != call:
            self.step()
        return not self.ended

    def finish(self) -> None:
        """Let it run to its end."""
        self._free = True
        self._turn.release()
        self._thread.join(PATIENCE)
        assert self.ended, f"the writer hangs before {self.before}"

    def _wait(self) -> None:
        assert self._stopped.acquire(timeout=PATIENCE), f"the writer hangs after {self.trail[-3:]}"
        if self.before is None:
            self._thread.join(PATIENCE)

    def _run(self) -> None:
        sys.setprofile(self._hook)
        try:
            self.result = self._work()
        except BaseException as error:
            self.error = error
        finally:
            sys.setprofile(None)
            self.before = None
            self._stopped.release()

    def _hook(self, frame: FrameType, event: str, called: Any) -> None:
        if event != "c_call" or self._free or not _is_system_call(called):
            return
        self.before = called.__name__
        self._stopped.release()
        self._turn.acquire()
        self.trail.append(called.__name__)


def _is_system_call(called: Any) -> bool:
    if called.__name__ not in CALLS:
        return False
    owner = called.__module__ or type(getattr(called, "__self__", None)).__module__
    return owner in {"posix", "fcntl", "_io", "io"}


def trail_of(work: Callable[[], object]) -> list[str]:
    """The system calls of ``work`` when nobody disturbs it."""
    writer = Writer(work)
    while not writer.ended:
        writer.step()
    if writer.error is not None:
        raise writer.error
    return writer.trail
