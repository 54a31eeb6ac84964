"""A gateway of the test's own choosing, in front of two living slots."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from running_envoy import (
    ROUTE,
    SALT,
    RunningEnvoy,
    StartGateway,
    Upstream,
    end,
    replace,
    route_document,
    spawn,
    until,
)
from running_nginx import RunningNginx, StartNginx, made

from gateway.envoy import EnvoyGateway
from gateway.label_document import LabelDocument
from lab.process import free_port


@pytest.fixture
async def upstreams() -> AsyncIterator[dict[str, Upstream]]:
    async with AsyncExitStack() as stack:
        slots = {slot: Upstream(slot) for slot in ("blue", "green")}
        for upstream in slots.values():
            await upstream.start()
            stack.push_async_callback(upstream.stop)
        yield slots


@pytest.fixture
async def start_gateway(tmp_path: Path, upstreams: dict[str, Upstream]) -> AsyncIterator[StartGateway]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)))

        async def start(
            routes: dict[str, Any] | None = None,
            edit: Callable[[dict[str, Any]], None] | None = None,
            **settings: Any,
        ) -> RunningEnvoy:
            route_file = tmp_path / "routes" / "route.json"
            route_file.parent.mkdir(exist_ok=True)
            replace(route_file, routes or route_document({}, "blue", "1"))
            gateway = EnvoyGateway.model_validate(
                {
                    "listener_port": free_port(),
                    "admin_port": free_port(),
                    "route_config_name": ROUTE,
                    "route_file": route_file,
                    "salt": SALT,
                    "salt_id": "demo",
                    "resolution": 10000,
                    "clusters": {slot: f"127.0.0.1:{upstream.port}" for slot, upstream in upstreams.items()},
                }
                | settings
            )
            bootstrap: dict[str, Any] = gateway.bootstrap()
            if edit is not None:
                edit(bootstrap)
            process, log = await spawn(bootstrap, tmp_path)
            stack.push_async_callback(end, process)
            running = RunningEnvoy(gateway, session, process, log)

            async def ready() -> bool:
                assert process.returncode is None, log.read_text()
                try:
                    return (await running.admin("/ready"))[0] == 200
                except aiohttp.ClientConnectionError:
                    return False

            await until(ready, "Envoy is ready")
            return running

        yield start


@pytest.fixture
async def start_nginx(tmp_path: Path, upstreams: dict[str, Upstream]) -> AsyncIterator[StartNginx]:
    """Blue's upstream plays the gateway behind, which is told the slots by label."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)))

        async def start(routes: LabelDocument, **changes: Any) -> RunningNginx:
            running = made(tmp_path, session, f"127.0.0.1:{upstreams['blue'].port}", **changes)
            running.gateway.route_file.parent.mkdir(exist_ok=True)
            replace(running.gateway.route_file, routes.data)
            running.trust(600)
            await running.server.start()
            stack.push_async_callback(running.server.kill)
            return running

        yield start
