"""A stretch of wire to the API server that breaks as it is told: refusals, faults, answers that never come."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from lab.kube_access import KubeAccess

HANG = 0
"""Instead of a status: no answer at all."""

Verdict = Callable[[str, str], int | None]
"""From method and path to the status that is answered in the server's place; None lets the request pass."""


class BrokenApi:
    """A reverse proxy before the API server.  ``times``: how many requests are spoilt; after them all is well."""

    def __init__(self, api: KubeAccess, user: str, folder: Path) -> None:
        self._api = api
        self._user = user
        self._stack = AsyncExitStack()
        self._http: aiohttp.ClientSession
        self._verdict: Verdict = lambda *_: None
        self._times = 0
        self.spoilt = 0
        self.retry_after = "0"
        self.kubeconfig = folder / "broken.kubeconfig"

    async def __aenter__(self) -> BrokenApi:
        context = ssl.create_default_context(cafile=str(self._api.ca_file))
        self._http = await self._stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))
        )
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        config = yaml.safe_load(self._api.kubeconfig(self._user).read_text(encoding="utf-8"))
        config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}
        self.kubeconfig.write_text(yaml.safe_dump(config), encoding="utf-8")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def spoil(self, verdict: Verdict, times: int) -> None:
        """Answer the next ``times`` requests for which ``verdict`` has a status with that."""
        self._verdict, self._times, self.spoilt = verdict, times, 0

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        status = self._verdict(request.method, request.path) if self._times else None
        if status is not None:
            self._times -= 1
            self.spoilt += 1
            if status == HANG:
                await asyncio.Event().wait()
            body = {"kind": "Status", "status": "Failure", "code": status, "message": f"spoilt with {status}"}
            headers = {"Retry-After": self.retry_after} if status == 429 else {}
            return web.Response(status=status, text=json.dumps(body), content_type="application/json", headers=headers)
        headers = {
            key: value for key, value in request.headers.items() if key.lower() not in {"host", "content-length"}
        }
        url = f"{self._api.url}{request.path_qs}"
        async with self._http.request(request.method, url, headers=headers, data=await request.read()) as response:
            return web.Response(status=response.status, body=await response.read(), content_type=response.content_type)
