"""A watch of a living route, run as Temporal would run it, with troubles of the test's choosing around it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from living_route import LivingRoute
from route_samples import RAMP, serve, take_over
from temporalio.testing import ActivityEnvironment

from activities import watch as watch_module
from activities.routers import Router
from activities.watch import WatchActivities
from lab.sample_route import on_green
from tailramp.activity_contract import WatchRequest, WatchResult
from tailramp.ramp import WatchMode
from tailramp.spec import PlatformFile, RampSpec

ASSIGNMENT = on_green("00-09")


class RunningWatch:
    """`beats` are the details of its heartbeats, and `tables` those that tell of checks."""

    def __init__(self, route: LivingRoute, request: WatchRequest, **info: Any) -> None:
        """`info` changes what the activity is told about its attempt."""
        now = datetime.now(UTC)
        self.request = request
        self.beats: list[Any] = []
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(
            environment.info, **{"started_time": now, "scheduled_time": now, "heartbeat_details": []} | info
        )
        environment.on_heartbeat = lambda *details: self.beats.extend(details)
        self.task: asyncio.Task[WatchResult] = asyncio.create_task(
            environment.run(WatchActivities(route.clients).watch, request)
        )

    @property
    def tables(self) -> list[dict[str, Any]]:
        return [beat for beat in self.beats if isinstance(beat, dict) and "checks" in beat]

    def ticked_after(self, index: int) -> bool:
        """Whether a tick later than `index` is over; fails if the watch is."""
        assert not self.task.done()
        passed = self.request.anchor + self.request.spec.platform.checks.tick.total_seconds() * index
        return any(datetime.fromisoformat(table["tick"]).timestamp() > passed for table in self.tables)


async def request_for(route: LivingRoute, ago: int = 2, tick: int = 2, **changes: Any) -> WatchRequest:
    """For a hold that began `ago` seconds ago, on a grid of `tick` seconds; `changes` of the platform file's `ramp`.

    With 2 the anchor itself is due and the next tick is not.
    """
    record = await route.router.prepare(take_over())
    await route.router.apply(serve(ASSIGNMENT, record.epoch))
    written = route.spec.platform.model_dump(mode="json", by_alias=True, exclude_none=True)
    written["checks"] |= {"tick": f"{tick}s", "window": f"{tick}s"}
    written["prometheus"]["scrapeInterval"] = "1s"
    written["ramp"] |= changes
    spec: RampSpec = route.spec.model_copy(update={"platform": PlatformFile.model_validate(written)})
    return WatchRequest(
        spec=spec,
        ramp=RAMP,
        plan=route.plan,
        epoch=record.epoch,
        mode=WatchMode.HOLD,
        assignment=ASSIGNMENT,
        anchor=int(datetime.now(UTC).timestamp()) - ago,
        segment=timedelta(hours=1),
    )


@asynccontextmanager
async def watching(route: LivingRoute, request: WatchRequest, **info: Any) -> AsyncIterator[RunningWatch]:
    """Cancelled in the end, if it is still running; its heartbeats come often."""
    with patch.object(watch_module, "_BEAT_SECONDS", 0.1):
        watch = RunningWatch(route, request, **info)
        try:
            yield watch
        finally:
            watch.task.cancel()
            await asyncio.gather(watch.task, return_exceptions=True)


def put_around(monkeypatch: pytest.MonkeyPatch, router: Router, **troubles: Any) -> None:
    """Let the watch meet `router`, and instead of the named methods the troubles."""

    class Around:
        def __getattr__(self, name: str) -> Any:
            return troubles.get(name) or getattr(router, name)

    monkeypatch.setattr(watch_module, "make_router", lambda *_: Around())
