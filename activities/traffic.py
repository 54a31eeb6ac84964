"""The activities that move traffic and prove that it moved."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import telemetry
from activities.clients import Clients
from activities.clock import server_clock
from activities.heartbeat import heartbeating
from activities.probe import Prober
from activities.routers import Router, make_router
from activities.routers.way_back import NoWayBack, clear_if_ready, mark
from tailramp.activity_contract import (
    ClearReport,
    ClearRequest,
    ConcludeRequest,
    Request,
    RestoreReport,
    RestoreRequest,
    VerifyRequest,
    WithdrawRequest,
    WriteRequest,
    ZeroRequest,
)
from tailramp.activity_names import (
    APPLY,
    CLEAR,
    CONCLUDE,
    FENCED,
    FROZEN,
    NOT_PROVEN,
    NOT_READY,
    PROVE_ZERO,
    REFUSED,
    RESTORE,
    VERIFY,
    WITHDRAW,
)
from tailramp.assignment import Assignment
from tailramp.errors import Fenced, Frozen, Refused, Unreachable
from tailramp.proof import Answer, Evidence, Finding
from tailramp.route_record import Clearer, RouteRecord, cleared, concluded, served, without
from tailramp.spec import PlatformFile

_BETWEEN_LOOKS = 0.05  # seconds between two looks of a verification that waits for the data plane
_TRIES_IN_DOUBT = 5  # about 15 seconds with the waits between attempts of a forward write


@asynccontextmanager
async def final_refusals() -> AsyncIterator[None]:
    """Turn a refusal into a failure that Temporal does not retry: asking again would get the same answer.

    Where that is not certain it is retried as what cannot be reached is, up to the ``_TRIES_IN_DOUBT``-th attempt.
    """
    try:
        yield
    except Fenced as error:
        raise ApplicationError(str(error), type=FENCED, non_retryable=True) from error
    except Frozen as error:
        raise ApplicationError(str(error), type=FROZEN, non_retryable=True) from error
    except Refused as error:
        if not error.for_good and activity.info().attempt < _TRIES_IN_DOUBT:
            raise Unreachable(str(error)) from error
        raise ApplicationError(str(error), type=REFUSED, non_retryable=True) from error


@asynccontextmanager
async def tried_for_ever() -> AsyncIterator[None]:
    """No refusal ends a rollback: a route file that somebody is writing by hand may be whole at the next try."""
    try:
        yield
    except Refused as error:
        raise Unreachable(str(error)) from error


class TrafficActivities:
    """Forward writes and their proof: they run on the watch queue."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @activity.defn(name=APPLY)
    async def apply_assignment(self, request: WriteRequest) -> None:
        """Store the assignment.  Fails as ``Fenced`` if the route record has moved on."""
        lease = request.spec.platform.ramp.lease.total_seconds()

        def serve(record: RouteRecord) -> RouteRecord:
            return served(
                record, ramp=request.ramp, epoch=request.epoch, assignment=request.assignment, lease_seconds=lease
            )

        async with heartbeating("writing"), final_refusals():
            await self._router(request).apply(serve)

    @activity.defn(name=VERIFY)
    async def verify_assignment(self, request: VerifyRequest) -> Evidence:
        """Look until the data plane has loaded the assignment and every probe is answered as it says.

        Ends only with full evidence or at its time limit, which Temporal holds: what is missing then stands in the
        heartbeat details.
        """
        router, prober = self._router(request), Prober(request.spec.platform, self._clients.http, now=server_clock())
        async with heartbeating("looking") as heartbeat, final_refusals():
            while True:
                evidence = await prove_assignment(router, prober, request.assignment, request.ramp)
                if evidence.answer is Answer.YES:
                    return evidence
                heartbeat.details = evidence.missing()
                await asyncio.sleep(_BETWEEN_LOOKS)

    @activity.defn(name=CONCLUDE)
    async def conclude(self, request: ConcludeRequest) -> None:
        """The promoted slot becomes the next ramp's baseline."""
        async with heartbeating("writing"), final_refusals():
            # Not a mere write: what lay ready for a rollback would go back to a slot that is the baseline no more.
            await self._router(request).prepare(
                lambda record: concluded(record, ramp=request.ramp, epoch=request.epoch)
            )

    def _router(self, request: Request) -> Router:
        return make_router(request.spec.platform, self._clients)


class RollbackActivities:
    """Clearing, its proof, and restoring: they run on a queue and in a process of their own."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @activity.defn(name=CLEAR)
    async def clear_route(self, request: ClearRequest) -> ClearReport:
        """Everyone back on the original default.

        Fails as ``NotReady``, to be retried, while nobody there could answer.
        """
        async with heartbeating("clearing"), tried_for_ever():
            router = make_router(request.spec.platform, self._clients)
            try:
                record = await clear_if_ready(
                    router,
                    lambda record: cleared(
                        record, by=Clearer.ROLLBACK, reason=request.reason, ramp=request.ramp, epoch=request.epoch
                    ),
                )
            except NoWayBack as blocked:
                await mark(router)
                raise ApplicationError(str(blocked), type=NOT_READY) from blocked
            report = clear_report(record, request)
            if report.cleared_by is not None and report.superseded_by is None:
                telemetry.CLEARS.labels(report.cleared_by).inc()
            telemetry.stage_ended(telemetry.RollbackStage.CLEAR, activity.info().scheduled_time)
            return report

    @activity.defn(name=WITHDRAW)
    async def withdraw_candidates(self, request: WithdrawRequest) -> None:
        """Take the rules of some candidates away, and refuse those candidates from now on."""
        lease = request.spec.platform.ramp.lease.total_seconds()

        def lower(record: RouteRecord) -> RouteRecord:
            return without(
                record,
                ramp=request.ramp,
                epoch=request.epoch,
                assignment=request.assignment,
                reasons={slot: str(reason) for slot, reason in request.reasons.items()},
                lease_seconds=lease,
            )

        async with heartbeating("withdrawing"), final_refusals():
            await make_router(request.spec.platform, self._clients).apply(lower)

    @activity.defn(name=PROVE_ZERO)
    async def prove_zero(self, request: ZeroRequest) -> Evidence:
        """Prove by the gateway's own counters and by probes that no new request reaches some candidates.

        Fails as ``NotProven``, to be retried, with what was seen instead.
        """
        platform = request.spec.platform
        router, prober = make_router(platform, self._clients), Prober(platform, self._clients.http, now=server_clock())
        async with heartbeating("proving"), tried_for_ever():
            view = await router.read()
            if view.loaded.answer is not Answer.YES:
                raise ApplicationError(view.loaded.missing(), type=NOT_PROVEN)
            if platform.router.counts_requests:
                counted, proof = await _counts_stand_still(router, request.slots, platform), "counters"
                answered = await _probes(prober, request)
            else:
                counted, proof = [], "probes"
                answered = await _probes_throughout(prober, request, platform)
            evidence = Evidence(findings=(*view.loaded.findings, *counted, *answered.findings), proof=proof)
            if evidence.answer is not Answer.YES:
                raise ApplicationError(evidence.missing(), type=NOT_PROVEN)
            telemetry.stage_ended(telemetry.RollbackStage.PROVE, activity.info().scheduled_time)
            return evidence

    @activity.defn(name=RESTORE)
    async def restore(self, request: RestoreRequest) -> RestoreReport:
        """Compare the route with its snapshot, and name what somebody else changed."""
        async with heartbeating("restoring"), tried_for_ever():
            return await make_router(request.spec.platform, self._clients).restore(request.snapshot)


def clear_report(record: RouteRecord, request: ClearRequest) -> ClearReport:
    """What the record that stands after a clear says to the ramp that asked for it."""
    foreign = record.ramp not in {request.ramp, None}
    return ClearReport(
        held=record.kill is None and not foreign,
        epoch=record.epoch,
        assignment=record.assignment,
        cleared_by=record.cleared_by,
        reason=record.cleared_reason,
        superseded_by=record.ramp if foreign and request.epoch > 0 else None,
    )


async def prove_assignment(router: Router, prober: Prober, assignment: Assignment, ramp: str) -> Evidence:
    """One look: what is stored, what the data plane has loaded, and who answers whom."""
    view = await router.read()
    if view.record.ramp != ramp or view.record.closed or view.record.kill is not None:
        raise Fenced(f"{view.record.route} was cleared or taken over")
    same = Answer.YES if view.record.assignment == assignment else Answer.NO
    stored = Finding(question=f"stored: {assignment.describe()}", answer=same, seen=view.record.assignment.describe())
    probed = await prober.probe(assignment)
    return Evidence(findings=(stored, *view.loaded.findings, *probed.findings))


async def _probes(prober: Prober, request: ZeroRequest) -> Evidence:
    """One round: everybody is served as they should be, those who were taken back among them."""
    probed = await prober.probe(request.assignment)
    returned = await prober.probe_members(request.returned, request.assignment.default)
    return Evidence(findings=(*probed.findings, *returned.findings), proof="probes")


async def _probes_throughout(prober: Prober, request: ZeroRequest, platform: PlatformFile) -> Evidence:
    """Rounds of probes over the time that a change may take to arrive everywhere; the first that finds somebody
    elsewhere ends them, and else the last one stands for all."""
    seconds = platform.router.zero_interval.total_seconds()
    for _ in range(platform.router.zero_observations):
        evidence = await _probes(prober, request)
        if evidence.answer is not Answer.YES:
            break
        await asyncio.sleep(seconds)
    return evidence


async def _counts_stand_still(router: Router, slots: Sequence[str], platform: PlatformFile) -> list[Finding]:
    observations = platform.router.zero_observations
    seconds = platform.router.zero_interval.total_seconds()
    return [await _count_stands_still(router, slot, observations, seconds) for slot in slots]


async def _count_stands_still(router: Router, slot: str, observations: int, seconds: float) -> Finding:
    """Whether the data plane's count of requests to ``slot`` stands still over ``observations`` looks."""
    question = f"no new request reaches {slot} in {observations} looks, {seconds * 1000:g} ms apart"
    first = await router.served(slot)
    if first is None:
        return Finding(question=question, answer=Answer.UNKNOWN, seen="the data plane does not tell")
    uptime = first.uptime
    for _ in range(observations):
        await asyncio.sleep(seconds)
        now = await router.served(slot)
        if now is None:
            return Finding(question=question, answer=Answer.UNKNOWN, seen="the data plane does not tell")
        if now.uptime < uptime:
            return Finding(question=question, answer=Answer.UNKNOWN, seen="the data plane was restarted meanwhile")
        uptime = now.uptime
        if now.count != first.count:
            return Finding(question=question, answer=Answer.NO, seen=f"{now.count - first.count} new")
    return Finding(question=question, answer=Answer.YES, seen=f"{first.count} in all")
