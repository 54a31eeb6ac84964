"""Servers that stand where Prometheus should, and say whatever a test wants."""

import json
from collections.abc import Awaitable, Callable

from aiohttp import web

AT = 1_760_000_000
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]


def says(status: int, body: str) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type="application/json")

    return answer


def success(result: object) -> Handler:
    return says(200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}))
