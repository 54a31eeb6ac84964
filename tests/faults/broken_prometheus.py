"""Ways in which a Prometheus that runs has nothing to say: it is empty, or says what nobody can use.

Each breaks a world's real Prometheus, and mends it again.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import aiohttp
from aiohttp import web

from lab.prometheus_server import PrometheusServer, Target
from lab.world import World

SLOW_SECONDS = 60.0

Break = Callable[[World], AbstractAsyncContextManager[None]]
"""Broken inside the block; as before after it."""


@asynccontextmanager
async def _scraping(prometheus: PrometheusServer, targets: dict[str, list[Target]]) -> AsyncIterator[None]:
    before = prometheus.targets
    prometheus.scrape(targets)
    try:
        yield
    finally:
        prometheus.scrape(before)


@asynccontextmanager
async def empty(world: World) -> AsyncIterator[None]:
    """It has lost what it stored, and finds nothing to scrape."""
    prometheus, before = world.prometheus, world.prometheus.targets
    await prometheus.kill()
    prometheus.forget()
    prometheus.scrape({})
    await prometheus.start()
    try:
        yield
    finally:
        prometheus.scrape(before)


@asynccontextmanager
async def stale(world: World) -> AsyncIterator[None]:
    """Its targets are gone: what it stored stays, and every series is marked as ended."""
    async with _scraping(world.prometheus, {}):
        yield


@asynccontextmanager
async def wrong_labels(world: World) -> AsyncIterator[None]:
    """Somebody has relabelled everything: no series carries what the platform file asks for."""
    wrong = {"slot": "elsewhere", "envoy_cluster_name": "elsewhere"}
    targets = world.prometheus.targets
    async with _scraping(
        world.prometheus, {job: [(address, wrong) for address, _ in of_job] for job, of_job in targets.items()}
    ):
        yield


@asynccontextmanager
async def nan(world: World) -> AsyncIterator[None]:
    """Every counter of every target has become NaN."""
    targets = world.prometheus.targets
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        spoiled = {
            job: [(await _spoiling(stack, http, address), labels) for address, labels in of_job]
            for job, of_job in targets.items()
        }
        await stack.enter_async_context(_scraping(world.prometheus, spoiled))
        yield


_VALUE = re.compile(r"^([^#\s][^\n]*?) [^ \n]+$", re.MULTILINE)


async def _spoiling(stack: AsyncExitStack, http: aiohttp.ClientSession, address: str) -> str:
    """Serve what ``address`` exposes, every value NaN; returns where."""

    async def answer(request: web.Request) -> web.Response:
        async with http.get(f"http://{address}{request.path_qs}") as response:
            return web.Response(text=_VALUE.sub(r"\1 NaN", await response.text()))

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, handle_signals=False)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    return f"{host}:{port}"


@asynccontextmanager
async def slow(world: World) -> AsyncIterator[None]:
    """Every answer takes a minute: frozen for so long, and let go for what was asked meanwhile."""

    async def hang() -> None:
        while True:
            world.prometheus.suspend()
            await asyncio.sleep(SLOW_SECONDS)
            world.prometheus.thaw()
            await asyncio.sleep(0.05)

    hanging = asyncio.create_task(hang())
    try:
        yield
    finally:
        hanging.cancel()
        world.prometheus.thaw()
