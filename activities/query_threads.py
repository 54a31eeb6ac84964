"""Blocking queries beside an event loop, given up on when they hang.

A pool would be used up by a few connections that drip one byte at a time, which no timeout of requests ends, and would
keep the process from ending. Here a call that nobody waits for any more costs one daemon thread until its connection
breaks, and there is a limit to their number.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


class Unanswered(Exception):
    """A query that brought no usable answer; the text says why, in words for a verdict."""


class QueryThreads:
    """Runs blocking calls in daemon threads, and gives up on those that hang."""

    def __init__(self, most_hung: int) -> None:
        """`most_hung`: calls that run at once, at most, those included that nobody waits for any more."""
        self._most = most_hung
        self._lock = threading.Lock()
        self._running = 0

    async def run(self, call: Callable[[], Result]) -> Result:
        """Return what `call` returns or raises; Unanswered at once if too many earlier calls still hang."""
        with self._lock:
            if self._running >= self._most:
                raise Unanswered(f"{self._running} earlier queries still hang")
            self._running += 1
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def work() -> None:
            try:
                result = call()
            except BaseException as error:
                self._tell(loop, future, lambda error=error: future.set_exception(error))  # type: ignore[misc]
            else:
                self._tell(loop, future, lambda: future.set_result(result))

        threading.Thread(target=work, name="prometheus", daemon=True).start()
        return await future

    def _tell(self, loop: asyncio.AbstractEventLoop, future: "asyncio.Future[Any]", settle: Callable[[], None]) -> None:
        with self._lock:
            self._running -= 1
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: None if future.done() else settle())
