"""The live table of a watch: what its heartbeats show while it waits for a tick."""

from __future__ import annotations

from living_route import LivingRoute
from running_watch import request_for, watching

from lab.process import wait_until


async def test_a_watch_that_catches_up_tells_of_no_check_before_it_has_judged_it(route: LivingRoute) -> None:
    async with watching(route, await request_for(route)) as watch:
        await wait_until(lambda: watch.task.done() or watch.tables, 20, "a live table")
        assert not watch.task.done()
        table = watch.tables[0]
    assert table["checks"]
    assert not [said for said in table["checks"].values() if "it has not been asked yet" in said]
