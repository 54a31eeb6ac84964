"""A real Envoy in front of two small servers, and everything that the activities need to move its traffic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
from aiohttp import web
from route_samples import BLUE, RAMP, ROUTE, SLOTS, serve, take_over

from activities.clients import Clients
from activities.probe import Prober
from activities.routers import Router, envoy_admin, make_router
from gateway.envoy import EnvoyGateway
from gateway.route_document import RouteDocument
from lab.envoy_server import EnvoyServer
from lab.lasting import Lasting
from lab.process import free_port, wait_until
from tailramp.assignment import Assignment
from tailramp.plan import Plan
from tailramp.planning import make_plan
from tailramp.proof import Answer
from tailramp.spec import CanaryFile, PlatformFile, RampSpec

SALT = "demo-2026"


class LivingRoute(Lasting):
    """``requests`` counts by slot what its server was sent; ``models`` are the names that it says it answers to."""

    def __init__(self, folder: Path, http: aiohttp.ClientSession) -> None:
        super().__init__()
        self.folder = folder
        self.http = http
        self.clients = Clients(http)
        self.requests = {"blue": 0, "green": 0}
        self.models: dict[str, list[str]] = {"blue": [], "green": []}
        self.url = ""
        self.envoy: EnvoyServer
        self.spec: RampSpec
        self._runners: dict[str, web.AppRunner] = {}

    async def _start(self) -> None:
        ports = {slot: await self._server(slot) for slot in self.requests}
        self.file.parent.mkdir(parents=True)
        self.file.write_text(RouteDocument.initial(ROUTE, slots=SLOTS, default="blue").text(), encoding="utf-8")
        gateway = EnvoyGateway(
            listener_port=free_port(),
            admin_port=free_port(),
            route_config_name=ROUTE,
            route_file=self.file,
            salt=SALT,
            salt_id="demo",
            clusters={slot: f"127.0.0.1:{port}" for slot, port in ports.items()},
        )
        self.url = f"http://127.0.0.1:{gateway.listener_port}"
        self.envoy = EnvoyServer(self.folder / "envoy", looking_often(gateway.bootstrap()))
        slots = {
            slot: {"url": f"http://127.0.0.1:{port}", "metrics": f'slot="{slot}"', "gatewayMetrics": f'slot="{slot}"'}
            for slot, port in ports.items()
        }
        platform = {
            "apiVersion": "tailramp/v1",
            "route": {"namespace": "demo", "name": "chat"},
            "router": {
                "kind": "envoy-file",
                "file": str(self.file),
                "admin": f"http://127.0.0.1:{gateway.admin_port}",
                "gateway": self.url,
                "zeroObservations": 6,
                "zeroInterval": "20ms",
            },
            "slots": slots,
            "identity": {"salt": SALT},
            "prometheus": {"url": "http://127.0.0.1:1"},
        }
        canary = {"canary": {"model": "chat-v2", "buckets": "00-49"}}
        self.spec = RampSpec(canary=CanaryFile.model_validate(canary), platform=PlatformFile.model_validate(platform))
        self._stack.push_async_callback(self.envoy.kill)
        await self.envoy.start()

    @property
    def file(self) -> Path:
        return self.folder / "routes" / "chat.json"

    @property
    def platform(self) -> PlatformFile:
        return self.spec.platform

    @property
    def plan(self) -> Plan:
        return make_plan(self.spec, default="blue", candidates=["green"])

    @property
    def router(self) -> Router:
        return make_router(self.platform, self.clients)

    @property
    def prober(self) -> Prober:
        return Prober(self.platform, self.http, environment={})

    async def _server(self, slot: str) -> int:
        async def models(request: web.Request) -> web.Response:
            if not request.headers.get("User-Agent", "").startswith("Envoy/HC"):
                self.requests[slot] += 1
            listed = [{"id": name} for name in self.models[slot]]
            return web.json_response({"data": listed}, headers={"X-Tailramp-Variant": "a-liar"})

        app = web.Application()
        app.router.add_get("/v1/models", models)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._runners[slot] = runner
        return int(runner.addresses[0][1])

    async def stop_server(self, slot: str) -> None:
        await self._runners[slot].cleanup()

    async def serve(self, assignment: Assignment, epoch: int = 2, ramp: str = RAMP) -> None:
        """Let a ramp that holds the route serve ``assignment``, and wait until Envoy has taken it up."""
        await self.router.prepare(take_over(ramp))
        if assignment != BLUE:
            await self.router.apply(serve(assignment, epoch=epoch, ramp=ramp))
        await self.taken_up()

    async def taken_up(self) -> None:
        async def loaded() -> bool:
            return (await self.router.read()).loaded.answer is Answer.YES

        await wait_until(loaded, 40, "Envoy has taken up the route file")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Envoy answers nothing until the block is left, and who asks its admin interface gives up sooner than else."""
        with patch.object(envoy_admin, "_SECONDS", 0.3):
            self.envoy.suspend()
            yield
        self.envoy.thaw()

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Somebody else edits the route file."""
        document = RouteDocument.parse(self.file.read_text(encoding="utf-8"))
        change(document.data)
        draft = self.file.with_name("draft")
        draft.write_text(RouteDocument(document.data).text(), encoding="utf-8")
        draft.rename(self.file)

    async def ask(self, user: str | None = None) -> int:
        headers = {"X-User-Id": user} if user else {}
        async with self.http.get(f"{self.url}/v1/models", headers=headers) as response:
            await response.read()
            return response.status

    @asynccontextmanager
    async def a_user_who_keeps_asking(self, user: str) -> AsyncIterator[None]:
        async def keep_asking() -> None:
            while True:
                with suppress(aiohttp.ClientError):
                    await self.ask(user)
                await asyncio.sleep(0.005)

        task = asyncio.create_task(keep_asking())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def looking_often(bootstrap: dict[str, Any]) -> dict[str, Any]:
    """Ten health checks a second instead of one: three in vain, and a server counts as gone."""
    for cluster in bootstrap["static_resources"]["clusters"]:
        (check,) = cluster["health_checks"]
        check |= {"interval": "0.1s", "no_traffic_interval": "0.1s"}
    return bootstrap


async def outcome_of(work: Awaitable[object]) -> BaseException | None:
    """The exception with which ``work`` ends, or None."""
    try:
        await work
    except BaseException as error:
        return error
    return None
