"""The watch: one long activity per hold that asks all checks at every tick until there is something to decide.

Its history is one row in Temporal's UI however long it takes; its heartbeat details are the live table there.  What it
knows is rebuilt from Prometheus, never from a heartbeat, so that a watch which dies and comes back reaches the verdict
that it would have reached.
"""

import asyncio
import contextlib
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity

from activities import telemetry
from activities.clients import Clients
from activities.clock import Wall, server_clock
from activities.heartbeat import heartbeating
from activities.metrics import PrometheusMetrics
from activities.pauses import Pauses, unlooked_since
from activities.routers import Router, make_router
from activities.time_before import read_time_before
from activities.traffic import final_refusals
from activities.users import UsersWatch
from activities.watched_route import WatchedRoute
from activities.workloads import Workload, make_workload
from tailramp.activity_contract import WatchRequest, WatchResult
from tailramp.activity_names import WATCH
from tailramp.assignment import Assignment
from tailramp.checks import checks_by_slot, shelf_of
from tailramp.division import divisions_of
from tailramp.dossiers import begin_stretch, dossiers_of, filing_shelf_of, shares_in
from tailramp.errors import TailrampError
from tailramp.evidence import RUN_UP, Grid
from tailramp.evidence.kept import TimeBefore
from tailramp.evidence.ledger import Ledger
from tailramp.evidence.sequential.dossier import teach
from tailramp.ramp import Block, Cause, Reason, WatchMode, WatchOutcome
from tailramp.units import format_duration
from tailramp.watching import Outcome, Watching

log = logging.getLogger("tailramp.watch")

_ON_COUNTS = frozenset(WatchOutcome) - {WatchOutcome.BLOCKS_CHANGED, WatchOutcome.SEGMENT_OVER}
"""Outcomes after which somebody may want to recompute the verdicts."""

_BAD = frozenset({WatchOutcome.FAILED, WatchOutcome.BLIND})
_HALF_WAY_SECONDS = 0.5

_ROLLBACK_WAITS_SECONDS, _OTHERS_WAIT_SECONDS = 0.5, 10.0
"""Until the counts of an outcome are written.  A rollback needs none."""

_BEAT_SECONDS = 2.0
"""Nobody waits for a watch to hear that it is cancelled, and there is one for every open ramp: two hundred of them that
beat twice a second were more than a small Temporal could write."""


class WatchActivities:
    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @activity.defn(name=WATCH)
    async def watch(self, request: WatchRequest) -> WatchResult:
        """Look until the outcome is clear or the segment is over.

        Every completed look renews the candidate's lease, unless it found a reason to roll back: then the lease is
        shortened first, so that the sentinel acts should nobody else be able to.  Fails as ``Fenced`` once somebody has
        cleared or taken over the route.
        """
        router = make_router(request.spec.platform, self._clients)
        async with heartbeating("reading what was missed", every=_BEAT_SECONDS) as heartbeat, final_refusals():
            with telemetry.RAMPS_WATCHED.track_inprogress():
                metrics = self._clients.prometheus(request.spec.platform.prometheus)
                since = activity.info().scheduled_time
                baseline = make_workload(request.spec.platform, request.plan.baseline, self._clients)
                watch = _Watch(request, router, baseline, metrics, server_clock(), since)
                heartbeat.details = watch.live_table
                return await watch.run()


class _Watch:
    def __init__(
        self,
        request: WatchRequest,
        router: Router,
        baseline: Workload,
        metrics: PrometheusMetrics,
        wall: Wall,
        since: datetime,
    ) -> None:
        platform, plan = request.spec.platform, request.plan
        self._request = request
        self._router = router
        self._metrics = metrics
        self._wall = wall
        self._watching = Watching(request, since)
        self._grid = Grid(anchor=request.anchor, tick=int(platform.checks.tick.total_seconds()))
        self._lag = platform.prometheus.lag
        self._dossiers = dossiers_of(request.spec, plan, request.since or request.anchor)
        self._settling = request.mode is WatchMode.SETTLE
        self._ledger = Ledger(checks_by_slot(request.spec, plan), request.since or request.anchor, self._dossiers)
        self._shelf = shelf_of(
            request.spec, plan, self._grid, self._dossiers, settling=self._settling, told=self._ledger.take
        )
        # While a step settles its users are still on their way.
        served = [] if self._settling else divisions_of(request.spec, plan, request.assignment, request.anchor)
        window = platform.checks.users.window if platform.checks.users is not None else timedelta()
        users = UsersWatch(metrics, served, int(window.total_seconds()))
        self._route = WatchedRoute(request, router, baseline, users, wall)
        self._pauses = Pauses(self._route.renew, wall, unlooked_since())
        self._ticks = 0
        self._at = request.anchor
        self._disturbed = asyncio.Event()

    async def run(self) -> WatchResult:
        noticing = asyncio.create_task(self._notice())
        try:
            return await self._run()
        finally:
            noticing.cancel()
            await asyncio.gather(noticing, return_exceptions=True)

    async def _run(self) -> WatchResult:
        if (record := await self._route.noted()) is not None:
            self._watching.goes_on(record.blind_since, datetime.fromtimestamp(self._wall(), UTC))
        await self._read_earlier()
        outcome = await self._catch_up()
        index = max(0, self._grid.last_due(self._wall(), self._lag) + 1)
        while outcome is None:
            if outcome := await self._between_ticks(self._grid.askable_at(index, self._lag)):
                break
            with telemetry.tick(lambda: self._shelf.verdicts):
                outcome = await self._tick(self._grid.time(index))
            if outcome is None and self._watching.segment_over(datetime.fromtimestamp(self._wall(), UTC)):
                outcome = Outcome(WatchOutcome.SEGMENT_OVER, "nothing to decide yet")
            index = max(index + 1, self._grid.last_due(self._wall(), self._lag))
        return await self._result(outcome)

    async def _notice(self) -> None:
        """Set the flag whenever somebody else may have written the route.  Where that fails, every tick still looks."""
        try:
            async with contextlib.aclosing(self._router.disturbances()) as disturbances:
                async for _ in disturbances:
                    self._disturbed.set()
        except TailrampError as error:
            log.warning("%s: nobody tells of changes: %s", self._request.plan.route, error)
        except Exception:
            log.exception("%s: nobody tells of changes", self._request.plan.route)

    async def _between_ticks(self, due: float) -> Outcome | None:
        """Wait for the tick that is due at unix time ``due``; a write of somebody else's is looked at when it comes."""
        while (left := due - self._wall()) > 0:
            try:
                await asyncio.wait_for(self._disturbed.wait(), left)
            except TimeoutError:
                return None
            self._disturbed.clear()
            # One of our own may be half way through its objects.
            await asyncio.sleep(min(left, _HALF_WAY_SECONDS))
            found = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - self._wall())):  # the tick itself must not wait for it
                    found = await self._route.drift()
            if found is not None and (outcome := self._watching.between_ticks(self._shelf.verdicts, *found)):
                return outcome
        return None

    async def _read_earlier(self) -> None:
        """Fill the dossiers with what was counted in earlier steps: their evidence still counts."""
        request = self._request
        before = await self._users_before()
        teach(self._dossiers, before)
        self._ledger.remember(before)
        await self._pauses.due()
        for stretch in request.earlier:
            grid = self._grid.model_copy(update={"anchor": stretch.anchor})
            last = grid.last_due(stretch.until, 0)
            shelf = filing_shelf_of(
                *(request.spec, request.plan, grid, self._dossiers), settling=stretch.settling, told=self._ledger.take
            )
            self._begin(stretch.assignment, grid, settling=stretch.settling)
            if shelf is None or last < 1:
                continue
            # What was scraped just before a shift is not stored yet; nor is anything that could be asked meanwhile.
            await asyncio.sleep(max(0.0, grid.askable_at(last, self._lag) - self._wall()))
            start = grid.time(-grid.ticks_in(RUN_UP))
            readings = await self._metrics.read_range(shelf.checks, shelf.slots, start, grid.time(last), grid.tick)
            for reading in readings:
                await self._pauses.due()
                shelf.take(reading)
        self._begin(request.assignment, self._grid, settling=self._settling)

    async def _users_before(self) -> TimeBefore | None:
        """What the ramp knows of its users; a ramp of an older worker has not asked."""
        request = self._request
        if request.users is not None:
            return TimeBefore.read(request.users) if request.users else None
        return await read_time_before(self._metrics, request.spec, request.plan, request.began)

    def _begin(self, assignment: Assignment, grid: Grid, *, settling: bool) -> None:
        """A stretch of time begins, in which ``assignment`` is served."""
        plan = self._request.plan
        begin_stretch(self._dossiers, assignment, plan.baseline, grid.anchor)
        shares = {slot: shares_in(assignment, slot, plan.baseline) for slot in plan.slots}
        self._ledger.begin(grid, shares, settling=settling)

    async def _catch_up(self) -> Outcome | None:
        """Read every tick from the grid's start, and the run-up to it, that is due already."""
        last = self._grid.last_due(self._wall(), self._lag)
        start = self._grid.time(-self._grid.ticks_in(RUN_UP))
        return await self._observe_range(start, self._grid.time(last)) if last >= 0 else None

    async def _tick(self, at: int) -> Outcome | None:
        reading = await self._metrics.read(self._shelf.checks, self._shelf.slots, at)
        first = self._shelf.behind(reading)
        if first is not None and (outcome := await self._observe_range(self._grid.time(first), at - self._grid.tick)):
            return outcome
        self._shelf.take(reading)
        if self._watching.fails(self._shelf.verdicts) is not None:
            return self._observe(at)
        looked = await self._route.look(at, self._watching.blind_since(self._shelf.verdicts))
        self._pauses.looked()
        return self._observe(at, *looked)

    async def _observe_range(self, start: int, end: int) -> Outcome | None:
        """Take the ticks of the past into account; they can fail or pass, as they would have then."""
        readings = await self._metrics.read_range(self._shelf.checks, self._shelf.slots, start, end, self._grid.tick)
        try:
            for reading in readings:
                await self._pauses.due()
                self._shelf.speak_briefly(not self._watching.weighs_risks(reading.at))
                self._shelf.take(reading)
                if reading.at >= self._request.anchor and (outcome := self._observe(reading.at)):
                    return outcome
            return None
        finally:
            self._shelf.restate()
            self._shelf.speak_briefly(False)

    def _observe(
        self, at: int, route: frozenset[Block] | None = None, causes: tuple[Cause, ...] = ()
    ) -> Outcome | None:
        self._ticks += 1
        self._at = at
        return self._watching.observe(at, self._shelf.sayings, route, causes)

    async def _result(self, outcome: Outcome) -> WatchResult:
        spec, plan = self._request.spec, self._request.plan
        waits = _ROLLBACK_WAITS_SECONDS if outcome.kind in _BAD else _OTHERS_WAIT_SECONDS
        # Beside the write of the lease, not before or after it.
        writing = asyncio.create_task(self._counts(waits)) if outcome.kind in _ON_COUNTS else None
        automatic = {v.slot for v in plan.candidates if spec.candidate_of(v.model).auto_rollback}
        if bad := automatic & set(outcome.failed):
            await self._route.shorten(bad, Reason.UNHEALTHY)
        if outcome.kind is WatchOutcome.BLIND and spec.platform.ramp.on_blind == "rollback":
            await self._route.shorten(plan.slots, Reason.BLIND)
        return WatchResult(
            outcome=outcome.kind,
            at=datetime.fromtimestamp(self._at, UTC),
            sentence=outcome.sentence,
            verdicts=tuple(self._shelf.verdicts),
            blocks=tuple(sorted(outcome.blocks)),
            causes=outcome.causes,
            failed=outcome.failed,
            next_step=outcome.next_step,
            ticks=self._ticks,
            counts=await writing if writing is not None else "",
        )

    async def _counts(self, seconds: float) -> str:
        """What the verdicts rest on, written; "" if that takes longer or fails: a decision stands without it."""
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.to_thread(self._ledger.written)
        except Exception:
            log.exception("%s: the decision is kept without its counts", self._request.plan.route)
            return ""

    def live_table(self) -> dict[str, Any]:
        """What the heartbeats show.  Before the first tick is judged there is nothing to tell of any check."""
        renewed = self._route.renewed_at
        told = {
            "renewed": None if renewed is None else datetime.fromtimestamp(renewed, UTC).isoformat(),
            **self._pauses.told(),
        }
        if not self._ticks:
            return {"doing": "reading what was missed", **told}
        at, left = self._at, self._watching.left(self._at)
        return {
            "tick": datetime.fromtimestamp(at, UTC).isoformat(),
            "mode": self._request.mode,
            "left": format_duration(left) if left is not None else "without end",
            "checks": {f"{v.slot} {v.check}": f"{v.kind}: {v.reason}" for v in self._shelf.verdicts},
            # The same in numbers, for who draws them.
            "verdicts": [verdict.model_dump(mode="json") for verdict in self._shelf.verdicts],
            **told,
        }
