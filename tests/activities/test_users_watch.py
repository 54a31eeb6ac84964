"""The division of users, asked of a real Prometheus: before the step and after it began, and with a counter gone."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from aiohttp import web

from activities.metrics import PrometheusMetrics
from activities.query_threads import Unanswered
from activities.users import UsersWatch
from lab.process import wait_until
from lab.prometheus_server import PrometheusServer
from tailramp.division import Division, UserQueries

QUERIES = UserQueries('user_windows_total{slot="green"}', 'user_windows_total{slot="blue"}')


def no_answer(*_: object) -> NoReturn:
    raise Unanswered("the query would load too many samples")


class Users:
    """A gateway that sees 200 users more at every scrape, `candidate` of them on the candidate's side."""

    def __init__(self, candidate: int) -> None:
        self.candidate = candidate
        self.counts = {"green": 0, "blue": 0}

    async def expose(self, _: web.Request) -> web.Response:
        self.counts["green"] += self.candidate
        self.counts["blue"] += 200 - self.candidate
        lines = [f'user_windows_total{{slot="{slot}"}} {count}' for slot, count in self.counts.items()]
        return web.Response(text="\n".join(["# TYPE user_windows_total counter", *lines, ""]))


@asynccontextmanager
async def scraped(folder: Path, users: Users) -> AsyncIterator[tuple[PrometheusServer, PrometheusMetrics]]:
    app = web.Application()
    app.router.add_get("/metrics", users.expose)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = "{}:{}".format(*runner.addresses[0][:2])
    async with PrometheusServer(folder, {"gateway": [(address, {})]}, 0.2) as prometheus:
        metrics = PrometheusMetrics(prometheus.url, timeout=20)
        try:
            yield prometheus, metrics
        finally:
            metrics.close()
    await runner.cleanup()


async def test_a_share_of_the_users_that_the_buckets_do_not_explain_is_named(tmp_path: Path) -> None:
    async def watched(candidate: int, *, amiss: bool) -> None:
        async with scraped(tmp_path / str(candidate), Users(candidate)) as (prometheus, metrics):
            anchor = int(time.time()) + 1
            one = Division("green", QUERIES, share=0.05, window=3, anchor=anchor, needed=100.0)
            watch = UsersWatch(metrics, [one], 3)
            assert await watch.amiss(anchor - 1) == ""
            await wait_until(lambda: time.time() >= one.start + 7.5, 60, "two windows and a half")
            told = await watch.amiss(int(time.time()))
            assert sum(one.users) > 50
            assert ("users are not divided as their buckets are" in told) is amiss
            assert (one.evidence >= 100) is amiss
            await prometheus.kill()
            assert ("users are not divided" in await watch.amiss(int(time.time()))) is amiss

    await asyncio.gather(watched(10, amiss=False), watched(2, amiss=True))


async def test_what_came_before_is_read_again_until_it_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scraped(tmp_path, Users(2)) as (_, metrics):
        one = Division("green", QUERIES, share=0.05, window=2, anchor=int(time.time()) + 1, needed=100.0)
        watch = UsersWatch(metrics, [one], 2)
        await wait_until(lambda: time.time() >= one.start + 4.5, 60, "two windows")
        with monkeypatch.context() as refused:
            refused.setattr(metrics, "_range", no_answer)
            assert await watch.amiss(int(time.time())) == ""
        assert one.evidence == 1.0
        assert "users are not divided as their buckets are" in await watch.amiss(int(time.time()))
