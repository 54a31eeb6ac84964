"""The router for an Envoy that watches its route configuration as a file."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Collection
from pathlib import Path
from typing import TypeVar

from activities.routers.envoy_admin import EnvoyAdmin
from activities.routers.protocol import Change, Clear, Renewal, RouteView, Served
from activities.routers.route_file import RouteFile
from tailramp.activity_contract import RestoreReport
from tailramp.errors import Problem, Refused, Unreachable
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.proof import Answer, Evidence, Finding
from tailramp.route_record import RouteRecord, prepared

T = TypeVar("T")


class EnvoyFile:
    """See ``Router``.  The file work runs in threads; a cancelled caller waits until its thread is done, so that no
    write is in flight once a forward activity has ended."""

    def __init__(self, file: Path, admin: EnvoyAdmin | None = None) -> None:
        """``admin`` None serves who only reads and clears the record: ``kill``, the sentinel, ``list``."""
        self._file = RouteFile(file)
        self._admin = admin

    async def record(self) -> RouteRecord:
        return (await asyncio.to_thread(self._file.read)).record

    async def preflight(self, plan: Plan) -> list[Problem]:
        try:
            document = await asyncio.to_thread(self._file.read)
        except (Refused, Unreachable) as error:
            mend = "Name the file that Envoy watches, rendered with a tailramp record"
            return [Problem("router.file", str(error), mend, value=str(self._file.path))]
        problems = []
        record = document.record
        if record.route != plan.route:
            mend = "Every route has a file of its own: check route and router.file"
            problems.append(Problem("router.file", f"holds the route {record.route}", mend, value=str(self._file.path)))
        missing = {plan.baseline, *plan.slots} - record.slots.keys()
        problems += [
            Problem(f"slots.{slot}", "the route file knows no such slot", "Add it there") for slot in sorted(missing)
        ]
        problems += [
            Problem("router.file", f"was changed by hand: {line}", "Undo it, or put the route's record in order")
            for line in document.drift
        ]
        if not document.main_entries:
            problems.append(
                Problem("router.file", "no entry points at one of the slots", "Point the route at the baseline")
            )
        for entry in document.main_entries:
            headers = [header["header"]["key"].lower() for header in entry.get("response_headers_to_add", [])]
            if "x-tailramp-variant" not in headers:
                reason = (
                    f"entry {entry.get('name', '?')} does not set X-Tailramp-Variant, so nothing can prove who answered"
                )
                problems.append(Problem("router.file", reason, "Set it in response_headers_to_add, to the slot's name"))
        try:
            problems += await self._preflight_envoy(document.name, document.version)
        except Unreachable as error:
            problems.append(Problem("router.admin", str(error), "Start Envoy, or mend the address"))
        if await self.ready(plan.baseline) is False:
            reason = f"Envoy sees no ready server of the baseline {plan.baseline}: there would be nothing to go back to"
            problems.append(Problem(f"slots.{plan.baseline}", reason, "Mend the baseline first"))
        return problems

    async def _preflight_envoy(self, name: str, version: str) -> list[Problem]:
        loaded = await self._envoy.loaded_version(name)
        if loaded == version:
            return []
        reason = f"Envoy serves version {loaded} of route configuration {name}, the file holds {version}"
        return [Problem("router.file", reason, "Make Envoy watch this file, and look for update_rejected in its log")]

    async def snapshot(self) -> str:
        return (await asyncio.to_thread(self._file.read)).digest

    async def prepare(self, change: Change, slots: Collection[SlotName] = ()) -> RouteRecord:  # noqa: ARG002
        document = await _in_thread(lambda: self._file.change(change))
        await _in_thread(lambda: self._file.make_ready(prepared))
        return document.record

    async def apply(self, change: Change) -> RouteRecord:
        return (await _in_thread(lambda: self._file.change(change))).record

    async def renew(self, change: Change) -> Renewal:
        document = await _in_thread(lambda: self._file.change(change, entries=False))
        return Renewal(document.record, document.drift)

    async def disturbances(self) -> AsyncGenerator[None, None]:
        """Nobody tells of a file: whoever looks at every tick sees it."""
        return
        yield

    async def read(self) -> RouteView:
        document = await asyncio.to_thread(self._file.read)
        question = f"Envoy serves version {document.version} of {document.name}"
        try:
            loaded = await self._envoy.loaded_version(document.name)
        except Unreachable as error:
            return RouteView(
                document.record,
                Evidence(findings=(Finding(question=question, answer=Answer.UNKNOWN, seen=str(error)),)),
            )
        answer = Answer.YES if loaded == document.version else Answer.NO
        seen = f"it serves {loaded}"
        if answer is Answer.NO and await self._envoy.counters_ending("update_rejected"):
            seen += ", and it has rejected an update"
        return RouteView(document.record, Evidence(findings=(Finding(question=question, answer=answer, seen=seen),)))

    async def clear(self, change: Clear) -> RouteRecord:
        return (await _in_thread(lambda: self._file.clear(change))).record

    async def restore(self, snapshot: str) -> RestoreReport:
        document = await asyncio.to_thread(self._file.read)
        if document.digest == snapshot:
            return RestoreReport(equal=True)
        return RestoreReport(equal=False, foreign=(f"{self._file.path} was changed by somebody else during the ramp",))

    async def served(self, slot: str) -> Served | None:
        try:
            # Requests that were sent, and those that a dead server refused: what was completed says nothing about
            # when it was sent.
            sent = await self._envoy.counter(f"cluster.{slot}.upstream_rq_total")
            refused = await self._envoy.counter(f"cluster.{slot}.upstream_rq_pending_failure_eject")
            uptime = await self._envoy.uptime()
        except Unreachable:
            return None
        return None if sent is None or refused is None else Served(count=sent + refused, uptime=uptime)

    async def ready(self, slot: str) -> bool | None:
        try:
            if self._admin is not None:
                return await self._admin.ready(slot)
            recorded = (await self.record()).data_plane
            if not recorded:
                return None
            import aiohttp

            async with aiohttp.ClientSession() as http:
                return await EnvoyAdmin(recorded, http).ready(slot)
        except Unreachable:
            return None

    async def release(self, check: Callable[[RouteRecord], None]) -> None:
        await _in_thread(lambda: self._file.release(check))

    @property
    def place(self) -> str:
        return str(self._file.path)

    async def close(self) -> None:
        """Nothing is open between two calls."""

    @property
    def _envoy(self) -> EnvoyAdmin:
        if self._admin is None:
            raise Unreachable("this router was made without a connection to Envoy's admin interface")
        return self._admin


async def _in_thread(work: Callable[[], T]) -> T:
    """Run ``work`` in a thread and, if cancelled, wait for it: a thread that is abandoned would write on."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        raise
