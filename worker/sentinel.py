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
from activities.kube import KubeClient
from activities.routers import Router, lease_router, record_router
from activities.routers.kube import LeaseRoute, lease_records
from activities.routers.kube.record_lease import IN_CLUSTER
from activities.routers.way_back import NoWayBack, clear_if_ready, mark
from tailramp.errors import Refused, TailrampError, Unreachable
from tailramp.lease import LeaseObserver
from tailramp.route_record import RouteRecord
from worker.logging_setup import About, Event
from worker.settings import WorkerSettings
from worker.status_server import observed

log = logging.getLogger("tailramp.sentinel")

_READ_SECONDS = 2.0

Place = Path | LeaseRoute


class Sentinel:
    """Watches every route file and every namespace's routes that ``patterns`` match, also those that appear later.

    ``patterns`` are paths, globs, or ``kubernetes:NAMESPACE``; ``monotonic`` gives seconds; ``kube`` is a client of the
    cluster that the namespaces are in.
    """

    def __init__(
        self,
        patterns: Sequence[str],
        monotonic: Callable[[], float] = time.monotonic,
        kube: KubeClient | None = None,
    ) -> None:
        self._patterns = [pattern for pattern in patterns if not pattern.startswith(IN_CLUSTER)]
        self._namespaces = [p.removeprefix(IN_CLUSTER) for p in patterns if p.startswith(IN_CLUSTER)]
        self._monotonic = monotonic
        self._kube = kube or KubeClient()
        self._observers: dict[Place, LeaseObserver] = {}
        self._unreadable: dict[Place | str, str] = {}
        self._reading: dict[Place, asyncio.Task[RouteRecord]] = {}

    async def close(self) -> None:
        await self._kube.close()

    async def routes(self) -> list[Place]:
        """What is looked at now: routes that match, whatever is named without a wildcard, and what was seen before.

        So a mistyped path, or a record that somebody has taken away, is complained about and not passed over.
        """
        return list(await self._found())

    async def _found(self) -> dict[Place, RouteRecord | Refused | None]:
        """Every route, with what a list said of it; None where the record is yet to be read."""
        found: dict[Place, RouteRecord | Refused | None] = dict.fromkeys(self._files())
        for records in await asyncio.gather(*(self._records_in(namespace) for namespace in self._namespaces)):
            found.update(records)
        return found | {place: None for place in self._observers if place not in found}

    async def _records_in(self, namespace: str) -> list[tuple[LeaseRoute, RouteRecord | Refused]]:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                records = await lease_records(self._kube, namespace)
        except (TailrampError, TimeoutError) as error:
            self._complain(namespace, str(error) or f"its routes could not be listed within {_READ_SECONDS:g} s")
            return []
        self._unreadable.pop(namespace, None)
        return records

    def _files(self) -> list[Path]:
        found: dict[Path, None] = {}
        for pattern in self._patterns:
            path = Path(pattern)
            if not set(pattern) & set("*?["):
                found[path] = None
                continue
            for match in sorted(path.parent.glob(path.name)) if path.parent.is_dir() else []:
                if match.is_file() and not match.name.startswith("."):
                    found[match] = None
        return list(found)

    def _complain(self, place: Place | str, why: str, trace: Exception | None = None) -> None:
        """Say what is wrong once, not at every look."""
        if self._unreadable.get(place) != why:
            log.error("%s: %s", place, why, exc_info=trace)
        self._unreadable[place] = why

    async def look(self) -> list[str]:
        """Look at every route once, clear those whose lease has lapsed; returns a sentence for each clear."""
        found = await self._found()
        sentences = await asyncio.gather(*(self._look_at(place, listed) for place, listed in found.items()))
        return [sentence for sentence in sentences if sentence]

    async def _read(self, place: Place, router: Router) -> RouteRecord:
        """The record; a read that hangs costs this look at this route, and no second thread."""
        reading = self._reading.pop(place, None) or asyncio.create_task(router.record())
        done, _ = await asyncio.wait({reading}, timeout=_READ_SECONDS)
        if not done:
            self._reading[place] = reading
            raise Unreachable(f"it could not be read within {_READ_SECONDS:g} s")
        return reading.result()

    def _router_of(self, place: Place) -> Router:
        if isinstance(place, Path):
            return record_router(place)
        return lease_router(self._kube, place)

    async def _look_at(self, place: Place, listed: RouteRecord | Refused | None) -> str | None:
        router = self._router_of(place)
        try:
            if isinstance(listed, Refused):
                raise listed
            record = listed or await self._read(place, router)
            self._unreadable.pop(place, None)
            lapse = self._observers.setdefault(place, LeaseObserver()).observe(record, self._monotonic())
            if lapse is None:
                return None
            try:
                stands = await clear_if_ready(router, lapse.clear)
            except NoWayBack as blocked:
                await mark(router)
                raise Unreachable(f"{lapse.slot} should be out ({lapse.reason}), but {blocked}; trying on") from blocked
        except (TailrampError, OSError) as error:
            self._complain(place, str(error))
            return None
        except Exception as error:  # what nobody foresaw about one route must not cost all the others their watch
            self._complain(place, f"{type(error).__name__}: {error}", error)
            return None
        if not stands.closed or stands.cleared_by is None:
            return None
        sentence = f"{stands.route}: {lapse.slot} is out ({lapse.reason}), epoch {stands.epoch}"
        telemetry.CLEARS.labels(stands.cleared_by).inc()
        about = About(stands.route, lapse.ramp or "", stands.epoch)
        log.warning("%s", sentence, extra={"about": about, "event": Event.CLEARED})
        return sentence


async def run_sentinel(patterns: Sequence[str], settings: WorkerSettings) -> int:
    """Look every ``settings.sentinel_poll`` seconds until SIGTERM or SIGINT.  Returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sentinel = Sentinel(patterns)
    places = ", ".join(str(place) for place in await sentinel.routes()) or "no route yet"
    log.info("the sentinel watches %s", places, extra={"event": Event.STARTED})
    async with observed("sentinel", settings.sentinel_http, settings, "has not looked yet") as readiness:
        while not stop.is_set():
            await sentinel.look()
            telemetry.LOOKS.inc()
            readiness.confirm(3 * settings.sentinel_poll)
            try:
                await asyncio.wait_for(stop.wait(), settings.sentinel_poll)
            except TimeoutError:
                continue
    await sentinel.close()
    log.info("the sentinel has ended", extra={"event": Event.ENDED})
    return 0
