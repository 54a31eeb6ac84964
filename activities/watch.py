"""The watch: one long activity per hold that asks all checks at every tick until there is something to decide.

Its history is one row in Temporal's UI however long it takes; its heartbeat details are the live table there.  What it
knows is rebuilt from Prometheus, never from a heartbeat, so that a watch which dies and comes back reaches the verdict
that it would have reached.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from temporalio import activity

from activities.heartbeat import Heartbeat, heartbeating
from activities.metrics import PrometheusMetrics
from tailramp.activity_contract import WATCH, WatchRequest, WatchResult
from tailramp.checks import checks_of, slot_match
from tailramp.evidence import RUN_UP, CheckBook, Grid, Reading, Verdict
from tailramp.ramp import WatchOutcome
from tailramp.units import format_duration
from tailramp.watching import Outcome, Watching


class WatchActivities:
    """``wall`` gives unix seconds."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall

    @activity.defn(name=WATCH)
    async def watch(self, request: WatchRequest) -> WatchResult:
        """Look until the outcome is clear or the segment is over."""
        async with heartbeating("reading what was missed") as heartbeat:
            return await _Watch(request, self._wall, heartbeat, activity.info().scheduled_time).run()


class _Watch:
    def __init__(self, request: WatchRequest, wall: Callable[[], float], heartbeat: Heartbeat, since: datetime) -> None:
        platform, plan = request.spec.platform, request.plan
        self._request = request
        self._wall = wall
        self._heartbeat = heartbeat
        self._watching = Watching(request, since)
        self._metrics = PrometheusMetrics(platform.prometheus.url, platform.prometheus.timeout.total_seconds())
        self._grid = Grid(anchor=request.anchor, tick=int(platform.checks.tick.total_seconds()))
        self._lag = platform.prometheus.scrape_interval.total_seconds()
        self._checks = checks_of(request.spec)
        candidate, baseline = slot_match(platform, plan.candidate), slot_match(platform, plan.baseline)
        self._book = CheckBook(self._checks, [candidate], baseline, self._grid)
        self._ticks = 0

    async def run(self) -> WatchResult:
        try:
            if outcome := await self._catch_up():
                return outcome
            index = self._grid.last_due(self._wall(), self._lag) + 1
            while True:
                await asyncio.sleep(max(0.0, self._grid.askable_at(index, self._lag) - self._wall()))
                if outcome := await self._tick(self._grid.time(index)):
                    return outcome
                if self._watching.segment_over(datetime.fromtimestamp(self._wall(), UTC)):
                    return self._result(WatchOutcome.SEGMENT_OVER, self._grid.time(index), "nothing to decide yet")
                index = max(index + 1, self._grid.last_due(self._wall(), self._lag))
        finally:
            self._metrics.close()

    async def _catch_up(self) -> WatchResult | None:
        """Read every tick from the grid's start, and the run-up to it, that is due already."""
        last = self._grid.last_due(self._wall(), self._lag)
        start = self._grid.time(-self._grid.ticks_in(RUN_UP))
        return await self._observe_range(start, self._grid.time(last)) if last >= 0 else None

    async def _tick(self, at: int) -> WatchResult | None:
        reading = await self._metrics.read(self._checks, self._book.slots, at)
        late, first = self._book.behind(reading)
        if late and (outcome := await self._observe_range(self._grid.time(first), at - self._grid.tick)):
            return outcome
        return self._observe(reading)

    async def _observe_range(self, start: int, end: int) -> WatchResult | None:
        readings = await self._metrics.read_range(self._checks, self._book.slots, start, end, self._grid.tick)
        for reading in readings:
            if outcome := self._observe(reading):
                return outcome
        return None

    def _observe(self, reading: Reading) -> WatchResult | None:
        verdicts = self._book.observe(reading)
        if reading.at < self._request.anchor:
            return None
        self._ticks += 1
        outcome: Outcome | None = self._watching.observe(reading.at, verdicts)
        self._heartbeat.details = self._live_table(reading.at, verdicts)
        return self._result(outcome.kind, reading.at, outcome.sentence) if outcome else None

    def _result(self, kind: WatchOutcome, at: int, sentence: str) -> WatchResult:
        moment = datetime.fromtimestamp(at, UTC)
        return WatchResult(
            outcome=kind, at=moment, sentence=sentence, verdicts=tuple(self._book.verdicts), ticks=self._ticks
        )

    def _live_table(self, at: int, verdicts: list[Verdict]) -> dict[str, Any]:
        left = self._watching.left(at)
        return {
            "tick": datetime.fromtimestamp(at, UTC).isoformat(),
            "mode": self._request.mode,
            "left": format_duration(left) if left is not None else "without end",
            "checks": {f"{v.slot} {v.check}": f"{v.kind}: {v.reason}" for v in verdicts},
        }
