"""The dead man's switch: takes a candidate out when nobody looks at it any more.

It knows neither Temporal nor Prometheus, only route records, and it clears through the same router code as everybody
else.  Any number of sentinels may run beside each other: what the second one finds is cleared already.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from activities import telemetry
from activities.routers import Router, record_router
from activities.routers.way_back import blocked_way_back, mark
from tailramp.errors import TailrampError, Unreachable
from tailramp.lease import LeaseObserver
from tailramp.route_record import RouteRecord
from worker.logging_setup import About
from worker.settings import WorkerSettings
from worker.status_server import observed

log = logging.getLogger("tailramp.sentinel")

_READ_SECONDS = 2.0


class Sentinel:
    """Watches every route file that ``patterns`` match, also those that appear later.

    ``patterns`` are paths or globs; ``monotonic`` gives seconds.
    """

    def __init__(self, patterns: Sequence[str], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._patterns = tuple(patterns)
        self._monotonic = monotonic
        self._observers: dict[Path, LeaseObserver] = {}
        self._unreadable: dict[Path, str] = {}
        self._reading: dict[Path, asyncio.Task[RouteRecord]] = {}

    def routes(self) -> list[Path]:
        """What is looked at now: files that match, whatever is named without a wildcard, and what was seen before.

        So a mistyped path, or a file that somebody has moved away, is complained about and not passed over.
        """
        found: dict[Path, None] = {}
        for pattern in self._patterns:
            path = Path(pattern)
            if not set(pattern) & set("*?["):
                found[path] = None
                continue
            for match in sorted(path.parent.glob(path.name)) if path.parent.is_dir() else []:
                if match.is_file() and not match.name.startswith("."):
                    found[match] = None
        return list(found | dict.fromkeys(self._observers))

    async def look(self) -> list[str]:
        """Look at every route once, clear those whose lease has lapsed; returns a sentence for each clear."""
        sentences = await asyncio.gather(*(self._look_at(path) for path in self.routes()))
        return [sentence for sentence in sentences if sentence]

    async def _read(self, path: Path, router: Router) -> RouteRecord:
        """The record; a read that hangs costs this look at this route, and no second thread."""
        reading = self._reading.pop(path, None) or asyncio.create_task(router.record())
        done, _ = await asyncio.wait({reading}, timeout=_READ_SECONDS)
        if not done:
            self._reading[path] = reading
            raise Unreachable(f"it could not be read within {_READ_SECONDS:g} s")
        return reading.result()

    async def _look_at(self, path: Path) -> str | None:
        router = record_router(path)
        try:
            record = await self._read(path, router)
            self._unreadable.pop(path, None)
            lapse = self._observers.setdefault(path, LeaseObserver()).observe(record, self._monotonic())
            if lapse is None:
                return None
            if blocked := await blocked_way_back(router):
                await mark(router)
                raise Unreachable(f"{lapse.slot} should be out ({lapse.reason}), but {blocked}; trying on")
            stands = await router.clear(lapse.clear)
        except (TailrampError, OSError) as error:
            if self._unreadable.get(path) != str(error):
                log.error("%s: %s", path, error)
            self._unreadable[path] = str(error)
            return None
        if not stands.closed or stands.cleared_by is None:
            return None
        sentence = f"{stands.route}: {lapse.slot} is out ({lapse.reason}), epoch {stands.epoch}"
        telemetry.CLEARS.labels(stands.cleared_by).inc()
        log.warning("%s", sentence, extra={"about": About(stands.route, lapse.ramp or "", stands.epoch)})
        return sentence


async def run_sentinel(patterns: Sequence[str], settings: WorkerSettings) -> int:
    """Look every ``settings.sentinel_poll`` seconds until SIGTERM or SIGINT.  Returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sentinel = Sentinel(patterns)
    log.info("the sentinel watches %s", ", ".join(str(path) for path in sentinel.routes()) or "no route yet")
    async with observed("sentinel", settings.sentinel_http, settings, "has not looked yet") as readiness:
        while not stop.is_set():
            await sentinel.look()
            telemetry.LOOKS.inc()
            readiness.confirm(3 * settings.sentinel_poll)
            try:
                await asyncio.wait_for(stop.wait(), settings.sentinel_poll)
            except TimeoutError:
                continue
    return 0
