"""What the tests of activities share."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from false_prometheus import Handler, Serve


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a server that answers every request with a handler; its URL."""
    runners = []

    async def start(handler: Handler) -> str:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return "http://{}:{}".format(*runner.addresses[0][:2])

    yield start
    for runner in runners:
        await runner.cleanup()
