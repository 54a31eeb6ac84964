"""A route on a real API server: Traefik as its data plane, Envoy in front that computes the buckets, two small servers.

Users ask Envoy; Envoy sets the bucket header and asks Traefik; Traefik reads the objects and asks a server, which tells
its slot.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from kube_namespace import Namespace
from kube_objects import Kind
from record_changes import BLUE, RAMP, serve, take_over

from activities.clients import Clients
from activities.kube import Resource
from activities.kube.resources import GATEWAYS, HTTP_ROUTES, INGRESSES, LEASES, SERVICES
from activities.probe import Prober
from activities.routers import make_router
from activities.routers.kube import KubernetesRouter, LeaseRoute
from gateway.envoy import EnvoyGateway
from gateway.pass_on_document import BEHIND, pass_on_document
from lab.control_plane import GATEWAY_CLASS, INGRESS_CLASS
from lab.envoy_server import EnvoyServer
from lab.lasting import Lasting
from lab.nginx_server import NginxServer
from lab.process import free_port, wait_until
from lab.traefik_server import TraefikServer
from tailramp.assignment import Assignment
from tailramp.buckets import BucketFunction
from tailramp.plan import Plan
from tailramp.planning import make_plan
from tailramp.proof import Answer
from tailramp.spec import CanaryFile, PlatformFile, RampSpec

SALT = "demo-2026"
TAKEN_UP_SECONDS = 62.0
"""Traefik loses no change: its signal may be dropped only where another is waiting, after which it reads the objects as
they then are.  But a watch that could not be opened again, as where the API server can hardly keep up, is tried after
0.8 to 1.6 s, twice as long each time up to 30 to 60 s, which is forgotten after two minutes without a failure
(client-go's NewReflectorWithOptions in tools/cache/reflector.go); until then nothing is known of any change.  Measured:
4.8 s after an API server that was away for 3.7 s, and 40 s after the fourth one, less than two minutes apart."""
on_shared_loop = pytest.mark.asyncio(loop_scope="module")
"""For tests that share a data plane with the others of their file."""


class LivingKube(Lasting):
    """See the module.  ``requests`` holds what each slot's server was sent: the bucket header of every request."""

    def __init__(self, folder: Path, namespace: Namespace, kind: Kind, throttle: float = 0.1) -> None:
        super().__init__()
        self.kind = kind
        self.namespace = namespace.name
        self.admin = namespace.admin
        self.within = namespace
        self.requests: dict[str, list[str | None]] = {"blue": [], "green": [], "red": []}
        self.ports: dict[str, int] = {}
        self._folder = folder
        self._throttle = throttle
        self._runners: dict[str, web.AppRunner] = {}
        self.http: aiohttp.ClientSession
        self.clients: Clients
        self.traefik: TraefikServer
        self.envoy: EnvoyServer | NginxServer
        self.url = ""
        self.spec: RampSpec

    async def _start(self) -> None:
        self.http = await self._stack.enter_async_context(aiohttp.ClientSession())
        self.clients = Clients(self.http, self.within.kubeconfig)
        self._stack.push_async_callback(self.clients.close)
        for slot in self.requests:
            self.ports[slot] = await self._server(slot)
        backends = {slot: f"127.0.0.1:{port}" for slot, port in self.ports.items()}
        api = self.within.plane.api
        self.traefik = TraefikServer(
            self._folder / "traefik", api, "admin", self.namespace, backends, throttle=self._throttle
        )
        await self._make_objects()
        self._stack.push_async_callback(self.traefik.kill)
        self.envoy = self._front()
        self._stack.push_async_callback(self.envoy.kill)
        self.spec = self._spec()
        await self._before_the_front()
        await asyncio.gather(self.traefik.start(), self.envoy.start())
        await wait_until(self._answers, 60, "the route answers")

    async def begin_anew(self) -> None:
        """As if nothing had ever been here.  The main route is put back and not made anew: without it Traefik would
        answer 404 for a moment."""
        for found in await self.admin.find_all(self.resource, self.namespace):
            if found["metadata"]["name"] != "chat":
                await self.admin.delete(self.resource, self.namespace, found["metadata"]["name"])
        for lease in await self.admin.find_all(LEASES, self.namespace):
            await self.admin.delete(LEASES, self.namespace, lease["metadata"]["name"])
        await self.within.allow_what_is_deployed()
        marks = [{"op": "add", "path": f"/metadata/{kind}", "value": {}} for kind in ("annotations", "labels")]
        spec = {"op": "replace", "path": "/spec", "value": self.main_route()["spec"]}
        await self.admin.patch(self.resource, self.namespace, "chat", [*marks, spec])
        self.spec = self._spec()
        for _ in range(2):  # what one Traefik still has to take up, the second look sees
            await self.served(BLUE)
            await asyncio.sleep(3 * self._throttle)
        for requests in self.requests.values():
            requests.clear()

    async def _before_the_front(self) -> None:
        """What the front needs before it starts."""

    async def _answers(self) -> bool:
        return (await self.ask())[0] == 200

    async def _make_objects(self) -> None:
        if self.kind == "gateway-api":
            listener = {"name": "web", "protocol": "HTTP", "port": self.traefik.port}
            spec = {"gatewayClassName": GATEWAY_CLASS, "listeners": [listener]}
            await self.admin.create(GATEWAYS, self.namespace, {"metadata": {"name": "public"}, "spec": spec})
        else:
            for slot, port in self.ports.items():
                ports = [{"name": "http", "port": port}]
                spec = {"type": "ExternalName", "externalName": "localhost", "ports": ports}
                await self.admin.create(SERVICES, self.namespace, {"metadata": {"name": f"chat-{slot}"}, "spec": spec})
        await self.admin.create(self.resource, self.namespace, self.main_route())

    @property
    def resource(self) -> Resource:
        return INGRESSES if self.kind == "ingress-nginx" else HTTP_ROUTES

    @property
    def canary_name(self) -> str:
        return "chat-canary" if self.kind == "ingress-nginx" else "chat-green-canary"

    def main_route(self, name: str = "chat") -> dict[str, Any]:
        if self.kind == "ingress-nginx":
            service = {"service": {"name": "chat-blue", "port": {"name": "http"}}}
            paths = [{"path": "/", "pathType": "Prefix", "backend": service}]
            spec: dict[str, Any] = {"ingressClassName": INGRESS_CLASS, "rules": [{"http": {"paths": paths}}]}
        else:
            rule = {"backendRefs": [self.backend("blue")]}
            spec = {"parentRefs": [{"name": "public"}], "rules": [rule]}
        return {"metadata": {"name": name}, "spec": spec}

    def backend(self, slot: str) -> dict[str, Any]:
        """As the platform file writes it."""
        if self.kind == "ingress-nginx":
            return {"name": f"chat-{slot}", "port": "http"}
        return {"group": "traefik.io", "kind": "TraefikService", "name": f"{slot}@file"}

    def _front(self) -> EnvoyServer | NginxServer:
        """Envoy computes the bucket and sends everyone on to Traefik, whatever it is."""
        routes = self._folder / "front" / "routes.json"
        routes.parent.mkdir(parents=True)
        routes.write_text(pass_on_document(f"{self.namespace}/chat"), encoding="utf-8")
        gateway = EnvoyGateway(
            listener_port=free_port(),
            admin_port=free_port(),
            route_config_name=f"{self.namespace}/chat",
            route_file=routes,
            salt=SALT,
            salt_id="demo",
            clusters={BEHIND: self.traefik.address},
        )
        self.url = f"http://127.0.0.1:{gateway.listener_port}"
        return EnvoyServer(self._folder / "envoy", gateway.bootstrap())

    def _spec(self) -> RampSpec:
        main = {"ingress": "chat", "controller": "traefik"} if self.kind == "ingress-nginx" else {"httpRoute": "chat"}
        platform = {
            "apiVersion": "tailramp/v1",
            "route": {"namespace": self.namespace, "name": "chat"},
            "router": {
                "kind": self.kind,
                **main,
                "gateway": self.url,
                "backends": {slot: self.backend(slot) for slot in self.ports},
                "zeroObservations": 4,
                "zeroInterval": "100ms",
            },
            "slots": {
                slot: {
                    "url": f"http://127.0.0.1:{port}",
                    "metrics": f'slot="{slot}"',
                    "gatewayMetrics": f'slot="{slot}"',
                }
                for slot, port in self.ports.items()
            },
            "identity": {"salt": SALT},
            "prometheus": {"url": "http://127.0.0.1:1"},
        }
        canary = {"canary": {"model": "chat-v2", "buckets": "00-49"}}
        return RampSpec(canary=CanaryFile.model_validate(canary), platform=PlatformFile.model_validate(platform))

    async def _server(self, slot: str) -> int:
        async def models(request: web.Request) -> web.Response:
            self.requests[slot].append(request.headers.get("X-User-Bucket"))
            return web.json_response({"data": []}, headers={"X-Tailramp-Variant": slot})

        app = web.Application()
        app.router.add_get("/{path:.*}", models)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._runners[slot] = runner
        return int(runner.addresses[0][1])

    @property
    def platform(self) -> PlatformFile:
        return self.spec.platform

    def with_router(self, **fields: object) -> PlatformFile:
        """The platform file with other fields of `router`."""
        data = self.platform.model_dump(by_alias=True, mode="json")
        data["router"] |= fields
        return PlatformFile.model_validate(data)

    @property
    def plan(self) -> Plan:
        return make_plan(self.spec, default="blue", candidates=["green"])

    @property
    def router(self) -> KubernetesRouter:
        return self.router_of(self.platform)

    def router_of(self, platform: PlatformFile) -> KubernetesRouter:
        return cast("KubernetesRouter", make_router(platform, self.clients))

    @property
    def lease_route(self) -> LeaseRoute:
        return LeaseRoute(self.namespace, "chat", kubeconfig=self.within.kubeconfig)

    @property
    def prober(self) -> Prober:
        return Prober(self.platform, self.http, environment={})

    async def serve(self, assignment: Assignment, epoch: int = 2, ramp: str = RAMP) -> None:
        """Let a ramp that holds the route serve ``assignment``, and wait until Traefik does."""
        await self.router.prepare(take_over(ramp), ["green"])
        if assignment != BLUE:
            await self.router.apply(serve(assignment, epoch, ramp))
        await self.served(assignment)

    async def served(self, assignment: Assignment) -> None:
        """Wait until probes find everybody served as ``assignment`` says; a failure tells what Traefik did."""
        missing, since = "", time.time()

        async def proven() -> bool:
            nonlocal missing
            evidence = await self.prober.probe(assignment)
            missing = evidence.missing()
            return evidence.answer is Answer.YES

        try:
            await wait_until(proven, TAKEN_UP_SECONDS, assignment.describe())
        except TimeoutError as error:
            loaded = await self._loaded_at()
            when = "never" if loaded is None else f"{loaded - since:+.1f} s"
            raise AssertionError(
                f"{error}: {missing}; Traefik took up a configuration last {when} after that"
            ) from None

    async def _loaded_at(self) -> float | None:
        """The unix time at which Traefik took a configuration up last, by its own word."""
        async with self.http.get(f"{self.traefik.admin_url}/metrics") as response:
            lines = (await response.text()).splitlines()
        told = (line.split()[1] for line in lines if line.startswith("traefik_config_last_reload_success "))
        return next(map(float, told), None)

    async def ask(self, user: str | None = None, headers: Mapping[str, str] | None = None) -> tuple[int, str | None]:
        """Status and variant of a request through the gateway."""
        sent = {**(headers or {}), **({"X-User-Id": user} if user else {})}
        try:
            async with self.http.get(f"{self.url}/v1/models", headers=sent) as response:
                await response.read()
                return response.status, response.headers.get("X-Tailramp-Variant")
        except aiohttp.ClientError:
            return 0, None

    async def main(self) -> dict[str, Any]:
        return await self.admin.get(self.resource, self.namespace, "chat")

    async def canary(self) -> dict[str, Any] | None:
        return await self.admin.find(self.resource, self.namespace, self.canary_name)

    async def edit(self, name: str, operations: list[dict[str, Any]]) -> None:
        """Somebody else edits an object."""
        await self.admin.patch(self.resource, self.namespace, name, operations)

    @asynccontextmanager
    async def users(self, count: int = 200) -> AsyncIterator[Answers]:
        """Users who keep asking, each with an id of its own, and some without."""
        answers = Answers()
        compute = BucketFunction(SALT)
        crowd = [(f"user-{number}", compute(f"user-{number}")) for number in range(count)] + [(None, None)] * 5

        async def keep_asking(offset: int) -> None:
            for user, bucket in itertools.islice(itertools.cycle(crowd), offset, None):
                before = answers.allowed
                status, variant = await self.ask(user)
                answers.log.append(((*before, *answers.allowed), bucket, status, variant))
                await asyncio.sleep(0.005)

        tasks = [asyncio.create_task(keep_asking(offset)) for offset in range(0, count, count // 4)]
        try:
            yield answers
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class Answers:
    """What users got.  ``allowed`` are the assignments that may be served now: two while one gives way to another."""

    def __init__(self) -> None:
        self.allowed: tuple[Assignment, ...] = (BLUE,)
        self.log: list[tuple[tuple[Assignment, ...], str | None, int, str | None]] = []

    @property
    def failed(self) -> list[tuple[str | None, int, str | None]]:
        """Bucket, status and variant of answers that are none."""
        return [line[1:] for line in self.log if line[2] != 200]

    @property
    def wrong(self) -> list[tuple[str | None, int, str | None]]:
        """The same of answers by a variant that no assignment allows which stood while they were asked for."""
        return [line[1:] for line in self.log if line[3] not in {allowed.slot_for(line[1]) for allowed in line[0]}]


async def outcome_of(work: Awaitable[object]) -> BaseException | None:
    """The exception with which ``work`` ends, or None."""
    try:
        await work
    except BaseException as error:
        return error
    return None
