"""The gateway preset against a living Envoy: what it counts about servers that answer, fail, hang and are gone."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from scraped_service import advance

from activities.metrics import PrometheusMetrics
from lab.envoy_server import EnvoyServer
from lab.process import free_port, wait_until
from lab.prometheus_server import PrometheusServer
from tailramp.evidence import (
    Check,
    CheckBook,
    Grid,
    SlotMatch,
    Source,
    ThresholdRule,
    Verdict,
    VerdictKind,
    gateway_errors,
    hanging,
    latency,
)
from tailramp.presets.gateways import ENVOY

RULE = ThresholdRule(min_sample=10, floor=20, window=1, consecutive=3)
assert ENVOY.in_flight is not None
CHECKS: list[Check] = [
    gateway_errors(rule=RULE),
    latency(2.5, RULE, ENVOY.latency, source=Source.GATEWAY),
    hanging(2.0, RULE, ENVOY.in_flight, Source.GATEWAY),
]
LAG = 1.5
"""Seconds in which a scrape is stored on a busy machine, too."""
GREEN, BLUE = (
    SlotMatch(slot=slot, metrics=f'slot="{slot}"', gateway=f'envoy_cluster_name="{slot}"') for slot in ("green", "blue")
)


class Upstreams:
    """Answers of both slots; `green` is what green's do: `well`, `fail` or `hang`."""

    def __init__(self) -> None:
        self.green = "well"
        self._released = asyncio.Event()
        app = web.Application()
        app.router.add_get("/{slot}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def __aenter__(self) -> Upstreams:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._released.set()
        await self._runner.cleanup()

    @property
    def port(self) -> int:
        return int(self._runner.addresses[0][1])

    async def _answer(self, request: web.Request) -> web.Response:
        if request.match_info["slot"] == "green" and self.green == "hang":
            await self._released.wait()
        failed = request.match_info["slot"] == "green" and self.green == "fail"
        return web.Response(status=500 if failed else 200, text="ok")


def bootstrap(listener: int, upstream: int) -> dict[str, Any]:
    def address(port: int) -> dict[str, Any]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    def cluster(slot: str) -> dict[str, Any]:
        endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]}]
        assignment = {"cluster_name": slot, "endpoints": endpoints}
        return {"name": slot, "connect_timeout": "1s", "load_assignment": assignment}

    types = "type.googleapis.com/envoy.extensions.filters"
    routes = [
        {"match": {"prefix": f"/{slot}"}, "route": {"cluster": slot, "timeout": "0s"}} for slot in ("blue", "green")
    ]
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}}
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    listeners = [{"address": address(listener), "filter_chains": [chain]}]
    # A histogram shows what was measured up to the last flush; by default one comes every 5 s.
    flush = {"stats_flush_interval": "0.2s"}
    return {"static_resources": {"listeners": listeners, "clusters": [cluster("blue"), cluster("green")]}, **flush}


@contextlib.asynccontextmanager
async def measured(folder: Path) -> AsyncIterator[tuple[Upstreams, PrometheusMetrics]]:
    """An Envoy with thirty requests a second to each slot."""
    listener = free_port()
    async with contextlib.AsyncExitStack() as stack:
        upstreams = await stack.enter_async_context(Upstreams())
        envoy = await stack.enter_async_context(EnvoyServer(folder / "envoy", bootstrap(listener, upstreams.port)))
        targets = {"envoy": [(envoy.admin_address, dict[str, str]())]}
        prometheus = await stack.enter_async_context(
            PrometheusServer(folder / "prometheus", targets, 0.2, {"envoy": "/stats/prometheus"})
        )
        users = asyncio.create_task(_keep_asking(f"http://127.0.0.1:{listener}"))
        metrics = PrometheusMetrics(prometheus.url, timeout=20)
        try:

            async def counted() -> bool:
                return not await metrics.preflight(CHECKS, BLUE, int(time.time()))

            await wait_until(counted, 60, "Envoy has counted answers of blue")
            yield upstreams, metrics
        finally:
            metrics.close()
            users.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await users


async def _keep_asking(url: str) -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        asyncio.TaskGroup() as requests,
    ):

        async def ask(slot: str) -> None:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{url}/{slot}") as response:
                    await response.read()

        while True:
            for slot in ("blue", "green"):
                requests.create_task(ask(slot))
            await asyncio.sleep(1 / 30)


async def test_what_an_envoy_counts_tells_a_candidate_that_fails_from_one_that_hangs(tmp_path: Path) -> None:
    async def failed(fault: str) -> list[Verdict]:
        async with measured(tmp_path / fault) as (upstreams, metrics):
            grid = Grid(anchor=int(time.time()), tick=1)
            book = CheckBook(CHECKS, [GREEN], BLUE, grid, run_up=0)
            for index in range(60):
                await wait_until(lambda index=index: grid.last_due(time.time(), LAG) >= index, 30, "a tick is due")  # type: ignore[misc]
                verdicts = await advance(metrics, book, index)
                if found := [verdict for verdict in verdicts if verdict.kind is VerdictKind.FAIL]:
                    assert upstreams.green == fault, "all checks pass while green answers well"
                    return found
                if upstreams.green == "well" and {verdict.kind for verdict in verdicts} == {VerdictKind.PASS}:
                    upstreams.green = fault
            return []

    for (found,), check in zip(
        await asyncio.gather(failed("fail"), failed("hang")), ("errors", "hanging"), strict=True
    ):
        assert found.check == check
        assert "baseline 0.0 %" in found.reason
