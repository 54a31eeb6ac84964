"""The live table of a watch: what its heartbeats show while it waits for a tick."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

from living_route import LivingRoute
from route_samples import RAMP, on_green, serve, take_over
from temporalio.testing import ActivityEnvironment

from activities.watch import WatchActivities
from lab.process import wait_until
from tailramp.activity_contract import WatchRequest
from tailramp.ramp import WatchMode
from tailramp.spec import PlatformFile


async def test_a_watch_that_catches_up_tells_of_no_check_before_it_has_judged_it(route: LivingRoute) -> None:
    now = datetime.now(UTC)
    assignment = on_green("00-09")
    record = await route.router.prepare(take_over())
    await route.router.apply(serve(assignment, record.epoch))
    written = route.spec.platform.model_dump(mode="json", by_alias=True, exclude_none=True)
    written["checks"] |= {"tick": "5s", "window": "5s"}
    written["prometheus"]["scrapeInterval"] = "1s"
    spec = route.spec.model_copy(update={"platform": PlatformFile.model_validate(written)})
    request = WatchRequest(
        spec=spec,
        ramp=RAMP,
        plan=route.plan,
        epoch=record.epoch,
        mode=WatchMode.HOLD,
        assignment=assignment,
        anchor=int(now.timestamp()) - 2,  # the anchor itself is due, the next tick is not
        segment=timedelta(hours=1),
    )
    environment, beats = ActivityEnvironment(), list[Any]()
    environment.info = dataclasses.replace(environment.info, started_time=now, scheduled_time=now)
    environment.on_heartbeat = lambda *details: beats.extend(details)

    watching = asyncio.create_task(environment.run(WatchActivities(route.clients).watch, request))
    try:
        await wait_until(lambda: watching.done() or any(isinstance(beat, dict) for beat in beats), 20, "a live table")
        assert not watching.done()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    (table,) = [beat for beat in beats if isinstance(beat, dict)]
    assert table["checks"]
    assert not [said for said in table["checks"].values() if "it has not been asked yet" in said]
