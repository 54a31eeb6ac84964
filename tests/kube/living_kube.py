"""A route on a real API server: Traefik as its data plane, Envoy in front that computes the buckets, two small servers.

Users ask Envoy; Envoy sets the bucket header and asks Traefik; Traefik reads the objects and asks a server, which tells
its slot.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal, cast

import aiohttp
import pytest
import yaml
from aiohttp import web

from activities.clients import Clients
from activities.kube import KubeClient, Resource
from activities.kube.resources import GATEWAYS, HTTP_ROUTES, INGRESSES, LEASES, SERVICES
from activities.probe import Prober
from activities.routers import make_router
from activities.routers.kube import Binding, KubernetesRouter, LeaseRoute
from activities.routers.kube.binding import Reference
from gateway.envoy import EnvoyGateway
from gateway.pass_on_document import BEHIND, pass_on_document
from lab.control_plane import GATEWAY_CLASS, INGRESS_CLASS, NAMESPACES, ControlPlane
from lab.envoy_server import EnvoyServer
from lab.process import free_port, wait_until
from lab.traefik_server import TraefikServer
from lab.user_population import users_in
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketFunction, BucketSet
from tailramp.plan import Plan, make_plan
from tailramp.proof import Answer
from tailramp.route_record import (
    Clearer,
    Mark,
    RouteRecord,
    SlotRecord,
    cleared,
    concluded,
    killed,
    renewed,
    served,
    taken_over,
)
from tailramp.spec import CanaryFile, PlatformFile, RampSpec

Kind = Literal["ingress-nginx", "gateway-api"]

SALT = "demo-2026"
USER = "tailramp"
RAMP = "0f0e0d0c-0000-4000-8000-000000000001"
LATER_RAMP = "0f0e0d0c-0000-4000-8000-000000000002"
BLUE, GREEN = Assignment(default="blue"), Assignment(default="green")
ROLE_FILE = Path(__file__).parents[2] / "deploy" / "kubernetes" / "route-access" / "role.yaml"
WORKLOAD_RULES: list[dict[str, Any]] = yaml.safe_load(
    (ROLE_FILE.parents[1] / "workload-access" / "role.yaml").read_text(encoding="utf-8")
)["rules"]
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")

_NUMBERS = itertools.count(1)

on_shared_loop = pytest.mark.asyncio(loop_scope="module")
"""For tests that share a data plane with the others of their file."""


def on_green(buckets: str, default: str = "blue") -> Assignment:
    return Assignment(default=default, rules=(Rule(slot="green", buckets=BucketSet.parse(buckets)),))


def take_over(
    ramp: str = RAMP, baseline: str = "blue", candidate: str = "green", override: str | None = None
) -> Callable[[RouteRecord], RouteRecord]:
    candidates = {candidate: SlotRecord(model="chat-v2", digest="d2")}
    return lambda record: taken_over(record, ramp=ramp, baseline=baseline, candidates=candidates, override=override)


def serve(
    assignment: Assignment, epoch: int, ramp: str = RAMP, lease_seconds: float = 90.0
) -> Callable[[RouteRecord], RouteRecord]:
    return lambda record: served(record, ramp=ramp, epoch=epoch, assignment=assignment, lease_seconds=lease_seconds)


def renew(epoch: int, ramp: str = RAMP) -> Callable[[RouteRecord], RouteRecord]:
    return lambda record: renewed(record, ramp=ramp, epoch=epoch)


def conclude(epoch: int, ramp: str = RAMP) -> Callable[[RouteRecord], RouteRecord]:
    return lambda record: concluded(record, ramp=ramp, epoch=epoch)


def roll_back(epoch: int = 0, ramp: str = RAMP) -> Callable[[RouteRecord], RouteRecord | None]:
    return lambda record: cleared(record, by=Clearer.ROLLBACK, reason="a test", ramp=ramp, epoch=epoch)


def kill(record: RouteRecord) -> RouteRecord:
    return killed(record, Mark.model_validate({"at": "2026-03-01T00:00:00Z", "by": "ada", "reason": "a test"}))


class Namespace:
    """A namespace of the control plane with a user who may do what `deploy/kubernetes` gives, and nothing else."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.name = f"t{next(_NUMBERS)}"
        self.admin = plane.api.client()
        self.kubeconfig = plane.api.kubeconfig(USER)
        self._rules: list[dict[str, Any]] = []

    async def __aenter__(self) -> Namespace:
        await self.admin.create(NAMESPACES, None, {"metadata": {"name": self.name}})
        await self.allow_what_is_deployed()
        return self

    async def allow_what_is_deployed(self) -> None:
        rules = yaml.safe_load(ROLE_FILE.read_text(encoding="utf-8"))["rules"]
        if rules != self._rules:
            await self.allow(rules)

    async def __aexit__(self, *_: object) -> None:
        await self.admin.close()

    async def allow(self, rules: list[dict[str, Any]]) -> None:
        """Let the user do just this from now on."""
        self._rules = copy.deepcopy(rules)
        role = await self.admin.find(ROLES, self.name, USER)
        if role is None:
            await self.admin.create(ROLES, self.name, {"metadata": {"name": USER}, "rules": rules})
            reference = {"apiGroup": ROLES.group, "kind": "Role", "name": USER}
            subject = {"apiGroup": ROLES.group, "kind": "User", "name": USER}
            body = {"metadata": {"name": USER}, "roleRef": reference, "subjects": [subject]}
            await self.admin.create(ROLE_BINDINGS, self.name, body)
        else:
            await self.admin.patch(ROLES, self.name, USER, [{"op": "replace", "path": "/rules", "value": rules}])
        async with self.plane.api.client(USER) as client:
            wanted = {
                (group, kind, verb)
                for rule in rules
                for group in rule["apiGroups"]
                for kind in rule["resources"]
                for verb in rule["verbs"]
            }
            known = [(INGRESSES, "delete"), (HTTP_ROUTES, "delete"), (LEASES, "delete"), (SERVICES, "list")]

            async def taken_up() -> bool:
                answers = [await client.review(kind, self.name, verb) for kind, verb in known]
                return answers == [(kind.group, kind.plural, verb) in wanted for kind, verb in known]

            await wait_until(taken_up, 10, "the role is taken up")


class Objects:
    """The objects of a route without any data plane: what the API server holds is all that is looked at."""

    def __init__(self, namespace: Namespace, kind: Kind) -> None:
        self.kind = kind
        self.namespace = namespace.name
        self.admin = namespace.admin
        self.within = namespace
        self.kubeconfig = namespace.kubeconfig
        self._client = KubeClient(namespace.kubeconfig)

    async def __aenter__(self) -> Objects:
        if self.kind == "ingress-nginx":
            for slot in ("blue", "green", "red"):
                ports = [{"name": "http", "port": 8000}]
                spec = {"type": "ExternalName", "externalName": "localhost", "ports": ports}
                await self.admin.create(SERVICES, self.namespace, {"metadata": {"name": f"chat-{slot}"}, "spec": spec})
        await self.admin.create(self.resource, self.namespace, self.main_route())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    @property
    def resource(self) -> Resource:
        return INGRESSES if self.kind == "ingress-nginx" else HTTP_ROUTES

    @property
    def canary_name(self) -> str:
        return "chat-canary" if self.kind == "ingress-nginx" else "chat-green-canary"

    def main_route(self) -> dict[str, Any]:
        if self.kind == "ingress-nginx":
            service = {"service": {"name": "chat-blue", "port": {"name": "http"}}}
            paths = [{"path": path, "pathType": "Prefix", "backend": service} for path in ("/", "/v1")]
            spec: dict[str, Any] = {"ingressClassName": INGRESS_CLASS, "rules": [{"http": {"paths": paths}}]}
        else:
            spec = {"parentRefs": [{"name": "public"}], "rules": [{"backendRefs": [self.backend("blue")]}]}
        return {"metadata": {"name": "chat"}, "spec": spec}

    def backend(self, slot: str) -> dict[str, Any]:
        if self.kind == "ingress-nginx":
            return {"name": f"chat-{slot}", "port": "http"}
        return {"group": "traefik.io", "kind": "TraefikService", "name": f"{slot}@file"}

    @property
    def binding(self) -> Binding:
        backends = {slot: Reference.model_validate(self.backend(slot)) for slot in ("blue", "green", "red")}
        return Binding(kind=self.kind, main="chat", backends=backends, exact=False)

    @property
    def router(self) -> KubernetesRouter:
        return self.router_with(self._client)

    def router_with(self, client: KubeClient, binding: Binding | None = None) -> KubernetesRouter:
        return KubernetesRouter(client, self.namespace, "chat", binding or self.binding)

    async def reset(self) -> None:
        """As if nothing had ever been here."""
        for found in await self.admin.find_all(self.resource, self.namespace):
            await self.admin.delete(self.resource, self.namespace, found["metadata"]["name"])
        if await self.admin.find(LEASES, self.namespace, "tailramp-chat"):
            await self.admin.delete(LEASES, self.namespace, "tailramp-chat")
        await self.admin.create(self.resource, self.namespace, self.main_route())

    async def begin(self, served: Assignment | None) -> None:
        """A ramp that serves ``served``; None: no ramp yet."""
        await self.reset()
        if served is None:
            return
        await self.router.prepare(take_over(), ["green"])
        if served != BLUE:
            await self.router.apply(serve(served, 2))

    async def main(self) -> dict[str, Any]:
        return await self.admin.get(self.resource, self.namespace, "chat")

    async def canary(self) -> dict[str, Any] | None:
        return await self.admin.find(self.resource, self.namespace, self.canary_name)


class LivingKube:
    """See the module.  ``requests`` holds what each slot's server was sent: the bucket header of every request."""

    def __init__(self, folder: Path, namespace: Namespace, kind: Kind, throttle: float = 0.1) -> None:
        self.kind = kind
        self.namespace = namespace.name
        self.admin = namespace.admin
        self.within = namespace
        self.requests: dict[str, list[str | None]] = {"blue": [], "green": [], "red": []}
        self.ports: dict[str, int] = {}
        self._folder = folder
        self._throttle = throttle
        self._stack = AsyncExitStack()
        self._runners: dict[str, web.AppRunner] = {}
        self.http: aiohttp.ClientSession
        self.clients: Clients
        self.traefik: TraefikServer
        self.envoy: EnvoyServer
        self.url = ""
        self.spec: RampSpec

    async def __aenter__(self) -> LivingKube:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

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
        await wait_until(self._answers, 15, "the route answers")

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

    def _front(self) -> EnvoyServer:
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
        """Wait until probes find everybody served as ``assignment`` says."""
        missing = ""

        async def proven() -> bool:
            nonlocal missing
            evidence = await self.prober.probe(assignment)
            missing = evidence.missing()
            return evidence.answer is Answer.YES

        try:
            await wait_until(proven, 10, assignment.describe())
        except TimeoutError as error:
            raise AssertionError(f"{error}: {missing}") from None

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


def user_in(bucket: str) -> str:
    """A user id whose bucket this is."""
    (user,) = users_in(bucket, BucketFunction(SALT), 1)
    return user


async def outcome_of(work: Awaitable[object]) -> BaseException | None:
    """The exception with which ``work`` ends, or None."""
    try:
        await work
    except BaseException as error:
        return error
    return None
