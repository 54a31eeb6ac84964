"""The route of a ramp that is watched: its leases, and what on it keeps the ramp from going on.

A lease says that somebody looks.  It runs anew with every completed look, and is shortened before anybody is told of a
reason to roll back: whoever should act on it may be gone.
"""

import asyncio
import logging
from collections.abc import Collection
from datetime import datetime

from activities import telemetry
from activities.clock import Wall
from activities.routers import Router
from activities.routers.protocol import Change, Renewal
from activities.users import UsersWatch
from activities.workloads import Workload
from tailramp.activity_contract import WatchRequest
from tailramp.errors import TailrampError, Unreachable
from tailramp.forms import SlotName
from tailramp.ramp import Block, Cause, Reason, frozen
from tailramp.route_record import RouteRecord, looked, renewed, shortened

log = logging.getLogger("tailramp.watch")

_RECORD_SECONDS = 2.0
"""The longest that a watch waits for what an earlier one has noted: a check that fails must not wait for it."""


Hindrances = tuple[frozenset[Block], tuple[Cause, ...]]
"""What blocks a ramp on its route, and why; a block of which nothing new could be learnt has no cause."""


class WatchedRoute:
    """``renewed_at``: unix time at which the leases were renewed last; None if they have not been."""

    def __init__(
        self, request: WatchRequest, router: Router, baseline: Workload, users: UsersWatch, wall: Wall
    ) -> None:
        self._request = request
        self._router = router
        self._baseline = baseline
        self._users = users
        self._wall = wall
        self.renewed_at: float | None = None

    async def noted(self) -> RouteRecord | None:
        """The record as an earlier watch or attempt left it; None if it cannot be had soon."""
        try:
            async with asyncio.timeout(_RECORD_SECONDS):
                return await self._router.record()
        except (TimeoutError, TailrampError) as error:
            log.warning("%s: what an earlier watch noted is not known: %s", self._request.plan.route, error)
            return None

    async def renew(self) -> Renewal | None:
        """Let every lease run anew; None if the route cannot be reached, which is then left to its leases.

        Raises Fenced once somebody has cleared or taken over the route.
        """
        request = self._request
        return await self._renew(lambda record: renewed(record, ramp=request.ramp, epoch=request.epoch))

    async def _renew(self, change: Change) -> Renewal | None:
        request = self._request
        try:
            with telemetry.lease_write(renewals=1):
                renewal = await self._router.renew(change)
        except Unreachable as error:
            log.warning("%s: the lease could not be renewed: %s", request.plan.route, error)
            return None
        self.renewed_at = self._wall()
        return renewal

    async def look(self, at: int, blind_since: datetime | None) -> Hindrances:
        """Renew the leases, and see what on the route itself keeps the ramp from going on.

        ``blind_since`` is noted for the watch that comes after this one: when the checks were answered last, None if
        they are answered now.

        A baseline without a ready server holds the ramp: there would be nobody to go back to.  So do users who are not
        divided as their buckets are: nothing could be compared.
        """
        request = self._request
        renewal = await self._renew(
            lambda record: looked(record, ramp=request.ramp, epoch=request.epoch, blind_since=blind_since)
        )
        if renewal is None:
            return frozenset(request.blocks) & {Block.DRIFT, Block.FREEZE}, ()
        causes = []
        if renewal.drift:
            causes.append(_drift(renewal.drift))
        if (freeze := renewal.record.freeze) is not None:
            causes.append(frozen(f"frozen by {freeze.by}: {freeze.reason}"))
        if incident := await self._incident(at):
            causes.append(Cause.of(Block.SHARED_INCIDENT, incident, key=incident.partition(":")[0]))
        for cause in causes:
            log.warning("%s: %s", request.plan.route, cause.sentence)
        return frozenset(cause.block for cause in causes if cause.block is not None), tuple(causes)

    async def drift(self) -> Hindrances | None:
        """What stands on the route now, without renewing anything; None if it is not known, or nothing new."""
        try:
            seen = await self._router.renew(lambda record: record)
        except Unreachable:
            return None
        if not seen.drift:
            return None  # a drift that is over ends with the next tick, which looks at everything
        return frozenset(self._request.blocks) | {Block.DRIFT}, (_drift(seen.drift),)

    async def shorten(self, slots: Collection[SlotName], reason: Reason) -> None:
        """Leave a note that acts by itself: whoever should roll back may be gone."""
        request = self._request

        def shorten(record: RouteRecord) -> RouteRecord:
            for slot in slots:
                record = shortened(record, ramp=request.ramp, epoch=request.epoch, slot=slot, reason=reason)
            return record

        try:
            with telemetry.lease_write():
                await self._router.renew(shorten)
        except Unreachable as error:
            log.warning("%s: the lease could not be shortened: %s", request.plan.route, error)

    async def _incident(self, at: int) -> str:
        """What is wrong beside the candidates, the gravest first; "" if nothing is.

        Each of the three may wait for somebody who hangs, and the tick waits for all of them: so they are asked
        together.
        """
        baseline = self._request.plan.baseline
        ready, short, amiss = await asyncio.gather(
            self._router.ready(baseline), self._baseline_short(), self._users.amiss(at)
        )
        return f"the baseline {baseline} has no ready server" if ready is False else short or amiss

    async def _baseline_short(self) -> str:
        """Why the baseline could not take everyone back, in words; "" if it could, or if that cannot be told."""
        slot = self._request.plan.baseline
        settings = self._request.spec.platform.workload_of(slot)
        if settings is None or settings.replicas is None:
            return ""
        full = settings.replicas.full
        try:
            progress = await self._baseline.ready(full, self._wall())
        except TailrampError as error:
            log.warning("%s: the servers of %s are not known: %s", self._request.plan.route, slot, error)
            return ""
        return "" if progress.ready >= full else f"the baseline {slot} could not take everyone back: {progress}"


def _drift(lines: Collection[str]) -> Cause:
    return Cause.of(Block.DRIFT, f"changed by somebody else: {'; '.join(lines)}")
