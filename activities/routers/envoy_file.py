"""The router for an Envoy that watches its route configuration as a file."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import aiohttp

from activities.routers.envoy_admin import EnvoyAdmin
from activities.routers.protocol import Clearing, RouteView, Served
from activities.routers.route_file import RouteFile
from tailramp.activity_contract import ClearReport, RestoreReport
from tailramp.assignment import Assignment
from tailramp.errors import Fenced, Problem, Refused, Unreachable
from tailramp.plan import Plan
from tailramp.proof import Answer, Evidence, Finding
from tailramp.route_record import RouteRecord, SlotRecord, fence
from tailramp.spec import EnvoyFileRouter

T = TypeVar("T")


class EnvoyFile:
    """See ``Router``.  The file work runs in threads; a cancelled caller waits until its thread is done, so that no
    write is in flight once a forward activity has ended."""

    def __init__(self, settings: EnvoyFileRouter, http: aiohttp.ClientSession | None) -> None:
        self._settings = settings
        self._file = RouteFile(settings.file)
        self._admin = EnvoyAdmin(settings.admin, http) if http is not None else None

    async def record(self) -> RouteRecord:
        return (await _in_thread(self._file.read)).record

    async def preflight(self, plan: Plan) -> list[Problem]:
        try:
            document = await _in_thread(self._file.read)
        except (Refused, Unreachable) as error:
            mend = "Name the file that Envoy watches, rendered with a tailramp record"
            return [Problem("router.file", str(error), mend, value=str(self._settings.file))]
        problems = []
        record = document.record
        if record.route != plan.route:
            mend = "Every route has a file of its own: check route and router.file"
            problems.append(
                Problem("router.file", f"holds the route {record.route}", mend, value=str(self._settings.file))
            )
        missing = {plan.baseline, plan.candidate} - record.slots.keys()
        problems += [
            Problem(f"slots.{slot}", "the route file knows no such slot", "Add it there") for slot in sorted(missing)
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
            problems.append(
                Problem("router.admin", str(error), "Start Envoy, or mend the address", self._settings.admin)
            )
        return problems

    async def _preflight_envoy(self, name: str, version: str) -> list[Problem]:
        loaded = await self._envoy.loaded_version(name)
        if loaded == version:
            return []
        reason = f"Envoy serves version {loaded} of route configuration {name}, the file holds {version}"
        return [Problem("router.file", reason, "Make Envoy watch this file, and look for update_rejected in its log")]

    async def snapshot(self) -> str:
        return (await _in_thread(self._file.read)).digest

    async def prepare(self, plan: Plan, ramp: str, digest: str) -> RouteRecord:
        def take_over(record: RouteRecord) -> RouteRecord:
            if record.kill is not None:
                by = f"{record.kill.by}: {record.kill.reason}"
                raise Refused(f"{record.route} was shut off by {by}. `tailramp lift` allows ramps again")
            if record.ramp == ramp:
                if record.closed:
                    raise Fenced(f"this ramp was cleared by {record.cleared_by}", holder=ramp, epoch=record.epoch)
                return record
            if record.served_candidates and not record.closed:
                raise Refused(
                    f"{record.route} still serves {', '.join(record.served_candidates)} for ramp {record.ramp}. "
                    "`tailramp kill` puts everyone back"
                )
            slots = {**record.slots, plan.candidate: SlotRecord(model=plan.model, digest=digest)}
            return record.model_copy(
                update={
                    "ramp": ramp,
                    "epoch": record.epoch + 1,
                    "closed": False,
                    "cleared_by": None,
                    "original_default": plan.baseline,
                    "assignment": plan.baseline_only,
                    "slots": slots,
                    "leases": {},
                }
            )

        return (await _in_thread(lambda: self._file.change(take_over))).record

    async def apply(self, ramp: str, epoch: int, assignment: Assignment) -> None:
        def forward(record: RouteRecord) -> RouteRecord:
            fence(record, ramp=ramp, epoch=epoch)
            previous = record.assignment.default
            moved = {"previous_default": previous} if previous != assignment.default else {}
            return record.model_copy(update={"epoch": epoch, "assignment": assignment, **moved})

        await _in_thread(lambda: self._file.change(forward))

    async def read(self) -> RouteView:
        document = await _in_thread(self._file.read)
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

    async def conclude(self, ramp: str, epoch: int) -> None:
        def conclude(record: RouteRecord) -> RouteRecord:
            if record.closed and record.ramp == ramp and record.original_default == record.assignment.default:
                return record
            fence(record, ramp=ramp, epoch=epoch)
            update = {"epoch": epoch, "closed": True, "original_default": record.assignment.default, "leases": {}}
            return record.model_copy(update=update)

        await _in_thread(lambda: self._file.change(conclude))

    async def clear(self, clearing: Clearing) -> ClearReport:
        def close(record: RouteRecord) -> RouteRecord | None:
            if clearing.ramp is not None and (record.kill is not None or record.ramp not in {clearing.ramp, None}):
                return None
            return record.model_copy(
                update={
                    "epoch": max(record.epoch + 1, clearing.epoch),
                    "closed": True,
                    "cleared_by": clearing.by,
                    "assignment": Assignment(default=record.original_default),
                    "leases": {},
                    "kill": clearing.kill or record.kill,
                }
            )

        record = (await _in_thread(lambda: self._file.clear(close))).record
        foreign = clearing.ramp is not None and record.ramp not in {clearing.ramp, None}
        return ClearReport(
            written=clearing.ramp is None or (record.kill is None and not foreign),
            epoch=record.epoch,
            assignment=record.assignment,
            killed=record.kill is not None,
            superseded_by=record.ramp if foreign and clearing.epoch > 0 else None,
        )

    async def lift(self) -> RouteRecord:
        return (
            await _in_thread(lambda: self._file.change(lambda record: record.model_copy(update={"kill": None})))
        ).record

    async def restore(self, snapshot: str) -> RestoreReport:
        document = await _in_thread(self._file.read)
        if document.digest == snapshot:
            return RestoreReport(equal=True)
        return RestoreReport(
            equal=False, foreign=(f"{self._settings.file} was changed by somebody else during the ramp",)
        )

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
        await asyncio.wait({task})
        raise
