"""The activities that have servers ready before users come, and let go what a smaller share leaves without work.

Loading a large model takes tens of minutes.  So these wait long and say at every moment, in their heartbeat, what they
wait for; and what cannot come is refused at a limit, with the reason that the cluster gives.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.clients import Clients
from activities.clock import Wall, server_clock
from activities.heartbeat import Heartbeat, heartbeating
from activities.kube import Denied, NotFound
from activities.leaving import foreign, holder_of, sizes_of
from activities.preflight import baseline_problems, public_name_problems, take_over, unanswered_checks
from activities.routers import Router, make_router
from activities.surroundings import models_of, served_models
from activities.traffic import final_refusals
from activities.workloads import Holder, Progress, Workload, make_workload, references
from tailramp.activity_contract import (
    PrepareReport,
    PrepareRequest,
    RoomReport,
    RoomRequest,
)
from tailramp.activity_names import (
    MAKE_ROOM,
    NO_ROOM,
    PREPARE,
)
from tailramp.errors import Fenced, Problem, Refused, Unreachable
from tailramp.forms import SlotName
from tailramp.placing import Place, places
from tailramp.plan import Plan
from tailramp.planning import make_plan
from tailramp.replicas import after_shift, before_shift, needed
from tailramp.route_record import RouteRecord, forgotten, naming_workloads
from tailramp.spec import PlatformFile, RampSpec, Replicas
from tailramp.units import format_duration

_BETWEEN_LOOKS = 1.0
"""Seconds: pods take minutes, and every look asks the API server."""


class CapacityActivities:
    """They run on the watch queue: waiting for servers must not take a place from a rollback."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @activity.defn(name=PREPARE)
    async def prepare_candidates(self, request: PrepareRequest) -> PrepareReport:
        """Have every candidate's model served by a free slot; or say everything that is in the way.

        What can be found out beforehand is: a ramp that would be refused for another reason costs no loading.
        """
        spec = request.spec
        async with heartbeating({"workloads": {}}) as heartbeat, final_refusals():
            router = make_router(spec.platform, self._clients)
            try:
                record = await router.record()
                served = await served_models(self._clients.http, spec.platform)
                found = places(spec, record.assignment.default, served, record.previous_default)
                if not found:
                    return PrepareReport()  # preflight says what is in the way
                candidates = [place.slot for place in found]
                plan = make_plan(spec, default=record.assignment.default, candidates=candidates)
                take_over(plan, request)(record)
                if problems := await self._examine(router, spec, plan, found, served[plan.baseline]):
                    return PrepareReport(problems=tuple(str(problem) for problem in problems))
                anew = [place.slot for place in found if not place.is_served]
                claimed = references(spec.platform, (plan.baseline, *plan.slots))
                if record.previous_default in anew or claimed:
                    await router.renew(lambda record: naming_workloads(forgotten(record, anew), claimed))
            except Fenced:
                raise
            except (Refused, Unreachable) as error:
                return PrepareReport(problems=(str(error),))
            try:  # who does not answer is asked again from here on: nobody knows what stands there now
                await self._claim(request, router, plan)
                for place in found:
                    await self._put(request, router, plan, place)
                written = await self._changed(request, found)
                waiting = [place for place in found if not place.is_served or place.slot in written]
                refused = await self._served(spec, plan, waiting, heartbeat)
                if not refused:
                    served = await served_models(self._clients.http, spec.platform)
                    refused = public_name_problems(spec.platform, served, plan.baseline, plan.slots)
            except Fenced:
                raise
            except Refused as error:
                return PrepareReport(problems=(str(error),))
            return PrepareReport(problems=tuple(str(problem) for problem in refused), written=written)

    @activity.defn(name=MAKE_ROOM)
    async def make_room(self, request: RoomRequest) -> RoomReport:
        """Have the servers that an assignment needs, and wait until they are ready; or only let some go.

        Fails as ``NoRoom``, with the cluster's reason, when the slot's limit is over.
        """
        platform, plan = request.spec.platform, request.plan
        async with heartbeating({"workloads": {}}) as heartbeat, final_refusals():

            def against(record: RouteRecord) -> str | None:
                holds = record.ramp == request.ramp and not record.closed
                return None if holds else "was cleared or taken over"

            # What is asked for at an epoch comes after what is let go at it: the servers of the next share.
            order = None if request.epoch is None else 2 * request.epoch + request.waits
            holder = holder_of(request, make_router(platform, self._clients), against, order)
            slots = (plan.baseline, *plan.slots) if request.waits else tuple(platform.slots)
            needs: dict[SlotName, int] = {}
            sized = {slot: sizes for slot in slots if (sizes := sizes_of(platform, slot)) is not None}
            workloads = {slot: make_workload(platform, slot, self._clients) for slot in sized}
            for slot, workload in workloads.items():
                if request.waits:
                    now, then = request.serving, request.assignment
                    needs[slot] = before_shift(sized[slot], slot, now=now, then=then, baseline=plan.baseline)
                    await workload.grow(needs[slot], holder)
                    continue
                uses = slot in {plan.baseline, *plan.slots}
                # Of the others nobody has asked beforehand what is there, and what may be done with it.
                with contextlib.suppress(*((NotFound,) if uses else (NotFound, Denied))):
                    await _let_go(workload, sized[slot], slot, request, holder)

            async def look(seconds: float) -> dict[SlotName, Progress]:
                asked = [workloads[slot].ready(servers, seconds) for slot, servers in needs.items()]
                return dict(zip(needs, await asyncio.gather(*asked), strict=True))

            late = await wait_for_servers(platform, look, heartbeat, server_clock())
            if late:
                raise ApplicationError("; ".join(str(problem) for problem in late), type=NO_ROOM, non_retryable=True)
            told = [f"{slot}: {said}" for slot, said in heartbeat.details["workloads"].items()]
            return RoomReport(sentence="; ".join(told))

    async def _examine(
        self, router: Router, spec: RampSpec, plan: Plan, found: list[Place], live: frozenset[str]
    ) -> list[Problem]:
        """Whatever keeps the ramp from working that has nothing to do with the candidates' servers.

        ``live``: the models that the baseline answers to.
        """
        platform = spec.platform
        problems: list[Problem] = []
        for place in found:
            workload = make_workload(platform, place.slot, self._clients)
            problems += await workload.preflight(None if place.is_served else place.model)
        problems += await make_workload(platform, plan.baseline, self._clients).preflight(None)
        problems += baseline_problems(platform, plan.baseline, live)
        coming = {f"slots.{place.slot}" for place in found if not place.is_served}
        problems += [problem for problem in await router.preflight(plan) if problem.field not in coming]
        if not problems:
            problems += await unanswered_checks(self._clients, spec, plan)
        return problems

    async def _claim(self, request: PrepareRequest, router: Router, plan: Plan) -> None:
        """The workloads of this ramp are its own from now on: whatever an earlier one still writes comes too late."""
        holder = holder_of(request, router, lambda record: foreign(record, request.ramp))
        for slot in (plan.baseline, *plan.slots):
            workload = make_workload(request.spec.platform, slot, self._clients)
            await workload.claim(holder, serves=slot == plan.baseline)

    async def _put(self, request: PrepareRequest, router: Router, plan: Plan, place: Place) -> None:
        """Put a model into its slot, with the servers that the first step needs."""
        platform = request.spec.platform
        workload = make_workload(platform, place.slot, self._clients)
        # A worker that died between the two writes below may have let the servers of before load the model.
        if place.is_served and not await workload.changed_by(request.ramp):
            return

        def against(record: RouteRecord) -> str | None:
            rules = {rule.slot for rule in record.assignment.rules}
            if place.slot in {record.assignment.default, *rules}:
                return f"{place.slot} serves users"
            return foreign(record, request.ramp)

        holder = holder_of(request, router, against)
        await workload.prepare(place.model, holder)
        if (sizes := sizes_of(platform, place.slot)) is not None:
            first = needed(sizes, place.slot, plan.step(1).assignment, plan.baseline)
            await workload.grow(first, holder)

    async def _changed(self, request: PrepareRequest, found: list[Place]) -> tuple[SlotName, ...]:
        """The slots that this ramp has changed, as their objects say: a worker that died while a model loaded has
        written already, and its model may be served by now."""
        slots = [place.slot for place in found]
        workloads = [make_workload(request.spec.platform, slot, self._clients) for slot in slots]
        changed = await asyncio.gather(*(workload.changed_by(request.ramp) for workload in workloads))
        return tuple(slot for slot, is_changed in zip(slots, changed, strict=True) if is_changed)

    async def _served(self, spec: RampSpec, plan: Plan, waiting: list[Place], heartbeat: Heartbeat) -> list[Problem]:
        """Wait until every candidate is served by its slot; returns those that are not at their slot's limit."""
        platform = spec.platform
        workloads = {place.slot: make_workload(platform, place.slot, self._clients) for place in waiting}

        async def one(place: Place, seconds: float) -> Progress:
            workload = workloads[place.slot]
            sizes = sizes_of(platform, place.slot)
            first = plan.step(1).assignment
            servers = needed(sizes, place.slot, first, plan.baseline) if sizes else await workload.size() or 0
            progress = await workload.ready(servers, seconds)
            if not progress.is_done:
                return progress
            models = await models_of(self._clients.http, platform.slots[place.slot].url)
            return progress.answering(place.called, models)

        async def look(seconds: float) -> dict[SlotName, Progress]:
            asked = await asyncio.gather(*(one(place, seconds) for place in waiting))
            return {place.slot: progress for place, progress in zip(waiting, asked, strict=True)}

        return await wait_for_servers(platform, look, heartbeat, server_clock())


async def _let_go(workload: Workload, sizes: Replicas, slot: SlotName, request: RoomRequest, holder: Holder) -> None:
    """What is served needs no more of ``slot`` than it keeps now; who all may come back to is not made smaller."""
    has = await workload.size() or 0
    if slot in {request.serving.default, request.plan.baseline}:
        if has < sizes.full:
            await workload.grow(sizes.full, holder)
        return
    found = await workload.found_size() or 0
    keeps = after_shift(sizes, slot, found=found, now=request.serving, baseline=request.plan.baseline)
    if keeps < has:
        await workload.shrink(keeps, holder)


async def wait_for_servers(
    platform: PlatformFile,
    look: Callable[[float], Awaitable[dict[SlotName, Progress]]],
    heartbeat: Heartbeat,
    wall: Wall,
) -> list[Problem]:
    """Look until everything is ready.  Returns what is not at its slot's limit, which runs from when the activity was
    first asked for: a worker that dies does not prolong it."""
    since = activity.info().scheduled_time.timestamp()
    while True:
        try:
            seen = await look(wall())
        except Fenced:
            raise
        except (Refused, Unreachable) as error:  # also one that the API server refuses may be answered at the next look
            seen = {}
            heartbeat.details = {"workloads": {}, "trouble": str(error)}
        else:
            heartbeat.details = {"workloads": {slot: str(progress) for slot, progress in seen.items()}}
            if all(progress.is_done for progress in seen.values()):
                return []
        waited = timedelta(seconds=wall() - since)
        late = [slot for slot in seen if not seen[slot].is_done and waited > _limit(platform, slot)]
        if late:
            return [_late(slot, seen[slot], _limit(platform, slot)) for slot in late]
        longest = max(_limit(platform, slot) for slot in platform.slots)
        if not seen and waited > longest:
            reason = f"how far the servers are could not be seen after {format_duration(longest)}: "
            mend = "See that the API server answers this process, and start again"
            return [Problem("slots", reason + str(heartbeat.details["trouble"]).rstrip("."), mend)]
        await asyncio.sleep(_BETWEEN_LOOKS)


def _limit(platform: PlatformFile, slot: SlotName) -> timedelta:
    workload = platform.slots[slot].workload
    return timedelta() if workload is None else workload.ready


def _late(slot: SlotName, progress: Progress, limit: timedelta) -> Problem:
    mend = progress.mend or f"Look at the workload of {slot}, or raise slots.{slot}.workload.ready"
    return Problem(f"slots.{slot}.workload", f"not ready after {format_duration(limit)}: {progress}", mend)
