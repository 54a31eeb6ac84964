"""What keeps one of our gateways as the route record says, when another gateway stands behind it.

It runs beside each Envoy or nginx, watches the record's Lease, and writes two files: the routes, at every change that
serves somebody else, and until when they may be trusted.  The second is what makes this safe: it is written a few times
a second and never further ahead than the candidates' leases last, so that a follower which is dead, frozen or cut off
is a gateway that sends everyone back by itself.  Like the sentinel it knows neither Temporal nor Prometheus.
"""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from activities.kube import KubeClient
from activities.kube.client import EventKind, Object
from activities.kube.resources import LEASES
from activities.routers.envoy_admin import EnvoyAdmin
from activities.routers.kube.record_lease import PREFIX, parsed
from gateway.label_document import LabelDocument
from tailramp.errors import TailrampError, Unreachable
from tailramp.lease import LeaseObserver
from tailramp.route_record import RouteRecord
from worker.health import Readiness
from worker.logging_setup import Event
from worker.settings import WorkerSettings
from worker.status_server import observed

log = logging.getLogger("tailramp.follower")

_TICK_SECONDS = 0.25
_AGAIN_SECONDS = 1.0
_STRANDED_SECONDS = 2.0
_IDLE_SECONDS = 2.0
"""How far ahead the word reaches that nobody is on a candidate, so that a first step finds the gateway trusting."""


@dataclass(frozen=True)
class Followed:
    """``default`` is whom everyone is served by before there is a record; ``admin`` is where this gateway tells what it
    serves."""

    namespace: str
    route: str
    file: Path
    lease_file: Path
    default: str
    admin: str


class Follower:
    """``monotonic`` gives seconds, by which leases lapse; ``wall`` is this machine's clock, as the gateway reads it."""

    def __init__(
        self,
        followed: Followed,
        kube: KubeClient,
        readiness: Readiness | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._followed = followed
        self._kube = kube
        self._readiness = readiness
        self._monotonic = monotonic
        self._wall = wall
        self._observer = LeaseObserver()
        self._record: RouteRecord | None = None
        self._expected: LabelDocument | None = None
        self._loaded = ""
        self._stranded = False

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._confirm())

    async def _follow(self) -> None:
        name, told = PREFIX + self._followed.route, ""
        while True:
            try:
                async with contextlib.aclosing(self._kube.watch(LEASES, self._followed.namespace, name=name)) as events:
                    async for event in events:
                        found = event.objects[-1] if event.objects and event.kind is not EventKind.GONE else None
                        await self.take(found)
                        if event.kind is not EventKind.LISTED:  # which also those may see who may not watch
                            told = ""
            except (TailrampError, OSError) as error:
                if str(error) != told:
                    log.error("%s/%s cannot be followed: %s", self._followed.namespace, self._followed.route, error)
                told = str(error)
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _confirm(self) -> None:
        told: str | None = ""
        while True:
            try:
                await self.confirm()
                told = ""
            except OSError as error:
                if error.strerror != told:
                    log.error("%s cannot be written: %s", self._followed.lease_file, error.strerror)
                told = error.strerror
            await asyncio.sleep(_TICK_SECONDS)

    async def take(self, lease: Object | None) -> None:
        """The record as it stands now; None: there is none.  Raises Refused for one that cannot be read, OSError."""
        if lease is None:
            self._take_none()
        else:
            record = parsed(lease).record
            self._record = record
            self._observer.observe(record, self._monotonic())
            document = LabelDocument.of(record)
            self._expect(document)
            await self.confirm()
            self._write_routes(document)
        if self._readiness is not None and self._followed.file.exists():
            self._readiness.confirm(float("inf"))

    def _take_none(self) -> None:
        """A record that was taken away leaves everyone where they are: `uninstall` moves nobody."""
        if self._record is None and not self._followed.file.exists():
            route = f"{self._followed.namespace}/{self._followed.route}"
            document = LabelDocument.initial(route, self._followed.default)
            self._expect(document)
            self._write_routes(document)

    def _expect(self, document: LabelDocument) -> None:
        """From here on no other routes are trusted, although the gateway may still have the ones before."""
        if self._expected is None or document.version != self._expected.version:
            self._expected, self._loaded = document, ""

    async def confirm(self) -> None:
        """Write until when the assignment may be trusted.  Raises OSError."""
        record, left = self._record, None
        # The wall clock first: frozen after either, this says no more than was true when it was read.
        wall, now = self._wall(), self._monotonic()
        if record is not None:
            self._observer.observe(record, now)
            left = self._observer.remaining(now)
        if left is None:
            left = _IDLE_SECONDS if await self._has_loaded() else 0.0
        elif left <= 0 and record is not None and await self._is_stranded(record):
            left = _STRANDED_SECONDS
        if left > 0:
            _replace(self._followed.lease_file, str(round((wall + left) * 1000)))

    async def _has_loaded(self) -> bool:
        """Whether the gateway knows that nobody is on a candidate: until then old rules must not be trusted anew."""
        if self._expected is None:
            return False
        if self._loaded != self._expected.version:
            async with self._admin() as admin:
                try:
                    self._loaded = await admin.loaded_version(self._expected.name) or ""
                except Unreachable:
                    return False
        return self._loaded == self._expected.version

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[EnvoyAdmin]:
        import aiohttp

        async with aiohttp.ClientSession() as http:
            yield EnvoyAdmin(self._followed.admin, http)

    async def _is_stranded(self, record: RouteRecord) -> bool:
        """Whether everyone would be sent back to a slot of which this gateway sees no ready server."""
        stranded = False
        if record.assignment.default != record.original_default:
            async with self._admin() as admin:
                try:
                    stranded = await admin.ready(record.original_default) is False
                except Unreachable:
                    stranded = False
        if stranded and not self._stranded:
            log.error("%s: %s has no ready server to go back to", record.route, record.original_default)
        self._stranded = stranded
        return stranded

    def _write_routes(self, document: LabelDocument) -> None:
        text = document.text()
        with contextlib.suppress(FileNotFoundError):
            if self._followed.file.read_text(encoding="utf-8") == text:
                return
        _replace(self._followed.file, text)
        log.info("the gateway is given version %s", document.version, extra={"event": Event.WRITTEN})


def _replace(file: Path, text: str) -> None:
    """By renaming: Envoy sees nothing else.  Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.rename(file)


async def run_follower(followed: Followed, kube: KubeClient, settings: WorkerSettings) -> int:
    """Follow until SIGTERM or SIGINT.  Returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log.info("%s/%s is followed", followed.namespace, followed.route, extra={"event": Event.STARTED})
    async with observed("follower", settings.follower_http, settings, "has not seen the record yet") as readiness:
        following = asyncio.create_task(Follower(followed, kube, readiness).run())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        failed = following.done()
        if failed:
            log.error("the follower has failed", exc_info=following.exception())
        following.cancel()
        await asyncio.gather(following, stopping, return_exceptions=True)
    await kube.close()
    log.info("the follower has ended", extra={"event": Event.ENDED})
    return 1 if failed else 0
