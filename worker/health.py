"""Whether a worker process is alive, and what ends it when it is not.

One blocking call on the event loop stops everything that the loop serves, the heartbeats and the answer to a liveness
probe included, and nothing crashes: ramps simply wait.  So the loop beats, and a thread beside it counts for how long
no beat came.  A loop that stays stuck ends its process, which whoever started it then replaces.

The thread counts only time in which it was awake itself.  A process that was frozen (SIGSTOP, a suspended machine) and
thaws after an hour has a gap of an hour between two beats and nothing wrong with it.

A C extension that holds the interpreter's lock stops this thread too; then a liveness probe from outside runs into its
time limit.
"""

import asyncio
import contextlib
import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable

log = logging.getLogger("tailramp.health")

BEAT_SECONDS = 0.25
"""Between two beats, and between two looks of the thread that counts them."""

GRACE_SECONDS = 1.0
"""A loop that beats again within this time after the verdict on it goes on."""

_WRITE_SECONDS = 2.0


class Pulse:
    """The beat of one event loop.  ``beats`` and ``lag`` may be read from any thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._due = monotonic() + BEAT_SECONDS
        self._late = 0.0
        self.beats = 0

    async def beat(self) -> None:
        """Beat on the running loop for ever."""
        while True:
            self._due = self._monotonic() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            self._late = max(0.0, self._monotonic() - self._due)
            self.beats += 1

    def lag(self) -> float:
        """Seconds by which the latest beat was late, or by which the next one already is."""
        return max(self._late, self._monotonic() - self._due)


class LoopGuard:
    """Counts for how long ``pulse`` has not beaten, and ends the process at ``exit_seconds``.

    ``exit`` must not return to a caller that could hang: the process is to be gone.  ``report`` writes the stacks of
    all threads to wherever the log goes.
    """

    def __init__(
        self,
        pulse: Pulse,
        *,
        name: str,
        exit_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
        exit: Callable[[int], object] = os._exit,  # noqa: A002 - injected, as everything that ends or waits
        report: Callable[[], None] = lambda: faulthandler.dump_traceback(file=sys.stderr, all_threads=True),
    ) -> None:
        self._pulse = pulse
        self._name = name
        self._exit_seconds = exit_seconds
        self._monotonic = monotonic
        self._exit = exit
        self._report = report
        self._seen = pulse.beats
        self._looked_at = monotonic()
        self._given_notice = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loop-guard", daemon=True)
        self.stuck = 0.0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Look at the pulse once; due every ``BEAT_SECONDS``."""
        now = self._monotonic()
        passed, self._looked_at = now - self._looked_at, now
        if self._pulse.beats != self._seen:
            self._seen = self._pulse.beats
            if self._given_notice:
                log.error("%s: the event loop goes on after %.1f s", self._name, self.stuck)
            self.stuck, self._given_notice = 0.0, False
            return
        # More than that between two looks: this thread slept as well, and the loop may not be the one to blame.
        self.stuck += min(passed, 2 * BEAT_SECONDS)
        if self.stuck >= self._exit_seconds and not self._given_notice:
            self._given_notice = True
            self._write(self._give_notice)
        elif self.stuck >= self._exit_seconds + GRACE_SECONDS:
            self._write(lambda: log.critical("%s: the event loop is stuck for good; the process ends", self._name))
            self._exit(1)

    def _give_notice(self) -> None:
        log.critical("%s: the event loop has been stuck for %.1f s; all threads:", self._name, self.stuck)
        self._report()

    def _write(self, words: Callable[[], None]) -> None:
        """Write from a thread of its own: what the loop is stuck in may be the very pipe that the log goes to."""
        writer = threading.Thread(target=words, name="last-words", daemon=True)
        writer.start()
        writer.join(_WRITE_SECONDS)

    def _run(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            self.look()


class Readiness:
    """Whether the process does its work now.  It must be confirmed again and again, or it lapses by itself."""

    def __init__(self, why_not: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._why_not: str | None = why_not
        self._confirmed_at = monotonic()
        self._seconds = 0.0

    def confirm(self, seconds: float) -> None:
        """Ready for the next ``seconds``."""
        self._confirmed_at, self._seconds, self._why_not = self._monotonic(), seconds, None

    def deny(self, why_not: str) -> None:
        """Not ready until confirmed."""
        self._why_not = why_not

    def why_not(self) -> str | None:
        """None while ready.  May be asked from any thread."""
        if (reason := self._why_not) is not None:
            return reason
        age = self._monotonic() - self._confirmed_at
        if age > self._seconds:
            return f"last confirmed {age:.1f} s ago, which counts for {self._seconds:g} s"
        return None


@contextlib.asynccontextmanager
async def guarded(name: str, exit_seconds: float) -> AsyncIterator[tuple[Pulse, LoopGuard]]:
    """Guard the running loop until the block is left."""
    pulse = Pulse()
    guard = LoopGuard(pulse, name=name, exit_seconds=exit_seconds)
    beating = asyncio.create_task(pulse.beat())
    guard.start()
    try:
        yield pulse, guard
    finally:
        guard.stop()
        beating.cancel()
