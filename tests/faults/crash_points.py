"""A process that stops itself at a chosen instruction of its own: before and after each one that touches the world.

Not luck but every point in turn.  The process is a forked child of the test; there it is killed, or it sleeps while
others go on and is let go.
"""

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from activities.routers.route_file import RouteFile
from tailramp.errors import Fenced

DONE, FENCED, FAILED, KILLED = 0, 3, 4, -signal.SIGKILL

Act = Callable[[RouteFile], object]
NEVER = 1_000_000
"""A point that no act reaches."""


class Stopped:
    """A child that has stopped itself at its instruction number ``point``, or ended before it."""

    def __init__(self, act: Act, file: RouteFile, point: int) -> None:
        self._pid = os.fork()
        if self._pid == 0:
            os._exit(_run(act, file, point))
        _, status = os.waitpid(self._pid, os.WUNTRACED)
        self.code = None if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status)

    @property
    def ended(self) -> bool:
        return self.code is not None

    def signal(self, number: signal.Signals) -> int:
        """Let it go, or end it; returns its exit code."""
        os.kill(self._pid, number)
        _, status = os.waitpid(self._pid, 0)
        return os.waitstatus_to_exitcode(status)


def _run(act: Act, file: RouteFile, point: int) -> int:
    _stop_at(point)
    try:
        act(file)
    except Fenced:
        return FENCED
    except Exception:
        return FAILED
    return DONE


def _stop_at(point: int) -> None:
    passed = 0

    def pass_a_point() -> None:
        nonlocal passed
        if passed == point:
            passed += 1
            os.kill(os.getpid(), signal.SIGSTOP)
        passed += 1

    def with_points(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:
            pass_a_point()
            try:
                return original(*args, **named)
            finally:
                pass_a_point()

        return wrapped

    for name in ("open", "write", "fsync", "rename", "unlink", "mkdir", "listdir"):
        setattr(os, name, with_points(getattr(os, name)))
    fcntl.flock = with_points(fcntl.flock)
    Path.read_text = with_points(Path.read_text)  # type: ignore[method-assign]


def points(act: Act, fresh: Callable[[int], RouteFile]) -> Iterator[tuple[int, RouteFile, Stopped]]:
    """The act stopped at every one of its instructions in turn, each time on a ``fresh`` route."""
    for point in range(500):
        file = fresh(point)
        child = Stopped(act, file, point)
        if child.ended:
            assert child.code == DONE, "undisturbed, the act succeeds"
            assert point >= 8, "the act has hardly any instruction: the hooks do not see it"
            return
        yield point, file, child
    raise AssertionError("the act does not end")


def again(act: Act, file: RouteFile) -> int | None:
    """The act in another process, undisturbed; returns its exit code."""
    return Stopped(act, file, NEVER).code
