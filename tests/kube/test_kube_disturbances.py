"""What somebody else writes is noticed when it is written, through a watch that outlives the API server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web
from kube_namespace import Namespace
from kube_objects import Kind, Objects
from record_changes import LATER_RAMP, renew, roll_back, serve, take_over

from activities.kube import Denied, KubeClient
from activities.kube.client import Event, EventKind
from activities.kube.hub import WatchHub
from activities.kube.resources import INGRESSES, LEASES
from activities.routers.kube.record_lease import PREFIX
from lab.process import wait_until
from lab.sample_route import on_green
from tailramp.errors import Unreachable


@pytest.fixture(params=["ingress-nginx", "gateway-api"])
async def objects(request: pytest.FixtureRequest, namespace: Namespace) -> AsyncIterator[Objects]:
    kind: Kind = request.param
    async with Objects(namespace, kind) as made:
        await made.begin(on_green("00-49"))
        await second_over()  # the API server notes the time of a write in whole seconds
        yield made


async def second_over() -> None:
    await asyncio.sleep(timedelta(seconds=1.05).total_seconds())


@asynccontextmanager
async def noticing(objects: Objects) -> AsyncIterator[list[int]]:
    """A list that grows with every disturbance; the first is that of the beginning."""
    seen: list[int] = []

    async def listen() -> None:
        async with aclosing(objects.router.disturbances()) as disturbances:
            async for _ in disturbances:
                seen.append(len(seen))

    listening = asyncio.create_task(listen())
    try:
        await wait_until(lambda: grown(seen, 1), 40, "the watch is there")
        yield seen
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def grown(seen: list[int], count: int) -> bool:
    return len(seen) >= count


async def test_a_write_of_somebody_else_is_noticed_at_once_and_told_with_its_writer(objects: Objects) -> None:
    async with noticing(objects) as seen:
        change = {"op": "add", "path": "/spec", "value": {**(await objects.main())["spec"]}}
        change["value"].pop("ingressClassName", None)
        change["value"].pop("parentRefs", None)
        async with KubeClient(objects.within.plane.api.kubeconfig(), manager="argocd-controller") as argo:
            mark = {"op": "add", "path": "/metadata/labels/argocd.argoproj.io~1instance", "value": "llm"}
            await argo.patch(objects.resource, objects.namespace, objects.canary_name, [change, mark])
        await wait_until(lambda: grown(seen, 2), 20, "the write is noticed")
    (line,) = (await objects.router.renew(renew(2))).drift
    assert "argocd-controller at 2" in line
    assert "Argo CD keeps this object as its repository says" in line


async def test_what_tailramp_writes_itself_and_what_is_of_other_routes_disturbs_nobody(objects: Objects) -> None:
    async with noticing(objects) as seen:
        await objects.router.apply(serve(on_green("00-59"), 3))
        other = {**objects.main_route(), "metadata": {"name": "other"}}
        await objects.admin.create(objects.resource, objects.namespace, other)
        await objects.admin.delete(objects.resource, objects.namespace, "other")
        await second_over()
        assert seen == [0]
        await objects.admin.delete(objects.resource, objects.namespace, objects.canary_name)
        await wait_until(lambda: grown(seen, 2), 20, "the deletion is noticed")
    (line,) = (await objects.router.renew(lambda record: record)).drift
    assert "is gone" in line


async def test_a_look_between_two_ticks_writes_nothing(objects: Objects) -> None:
    async def version() -> str:
        lease = await objects.admin.find(LEASES, objects.namespace, f"{PREFIX}chat")
        assert lease is not None
        return str(lease["metadata"]["resourceVersion"])

    before = await version()
    await objects.router.renew(lambda record: record)
    assert await version() == before
    await objects.router.renew(renew(2))
    assert await version() != before


async def test_a_gateway_whose_status_goes_away_changes_nothing_of_a_ramp_that_runs(namespace: Namespace) -> None:
    """Whether it reads patterns was told by that status in preflight: a new one may be long in coming."""
    async with Objects(namespace, "gateway-api") as objects:
        auto = objects.router_with(objects.admin, objects.binding.model_copy(update={"exact": None}))

        async def say(parents: list[dict[str, object]]) -> None:
            change = {"op": "add", "path": "/status", "value": {"parents": parents}}
            await objects.admin.patch(objects.resource, objects.namespace, "chat", [change], subresource="status")

        condition = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": ""}
        condition["lastTransitionTime"] = "2026-01-01T00:00:00Z"
        traefik = {"controllerName": "traefik.io/gateway-controller", "parentRef": {"name": "public"}}
        await say([{**traefik, "conditions": [condition]}])
        await auto.prepare(take_over(), ["green"])
        await auto.apply(serve(on_green("00-09"), 2))
        await say([])
        assert (await auto.renew(renew(2))).drift == ()
        await auto.apply(serve(on_green("00-49"), 3))
        canary = await objects.canary()
        assert canary is not None
        assert "^(?:[0-4][0-9])$" in str(canary["spec"])
        await auto.clear(roll_back(9))
        await auto.prepare(take_over(LATER_RAMP, override="again"), ["green"])
        await auto.apply(serve(on_green("00"), (await auto.record()).epoch + 1, LATER_RAMP))
        canary = await objects.canary()
        assert canary is not None
        assert "'type': 'Exact'" in str(canary["spec"]), "the next ramp finds no gateway that it knows"


@pytest.mark.own_api_server
async def test_an_api_server_that_was_killed_makes_everybody_look_again(objects: Objects) -> None:
    api = objects.within.own_api
    async with noticing(objects) as seen:
        await api.kill()
        await api.start()
        await wait_until(lambda: grown(seen, 2), 90, "everything is listed anew")
        change = {"op": "add", "path": "/metadata/labels", "value": {"team": "llm"}}
        await objects.admin.patch(objects.resource, objects.namespace, "chat", [change])
        await wait_until(lambda: grown(seen, 3), 40, "the watch goes on")


async def test_many_listeners_share_one_watch_and_the_last_one_ends_it(namespace: Namespace) -> None:
    async with KubeClient(namespace.kubeconfig) as client:
        begun = 0
        watch = client.watch

        def counted(*arguments: object, **settings: object) -> object:
            nonlocal begun
            begun += 1
            return watch(*arguments, **settings)  # type: ignore[arg-type]

        client.watch = counted  # type: ignore[method-assign, assignment]
        async with (
            client.hub.events(INGRESSES, namespace.name) as first,
            client.hub.events(INGRESSES, namespace.name) as second,
            asyncio.timeout(40),
        ):
            assert [(await queue.get()).kind for queue in (first, second)] == [EventKind.LISTED] * 2
        assert begun == 1
        async with client.hub.events(INGRESSES, namespace.name) as third, asyncio.timeout(40):
            await third.get()
        assert begun == 2


@pytest.mark.own_api_server
async def test_a_watch_that_is_forbidden_or_not_answered_says_so(namespace: Namespace) -> None:
    await namespace.allow(
        [{"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": ["get", "list", "delete"]}]
    )
    async with KubeClient(namespace.kubeconfig) as client, aclosing(client.watch(INGRESSES, namespace.name)) as events:
        assert (await anext(events)).kind is EventKind.LISTED
        with pytest.raises(Denied, match="refuses to watch"):
            await anext(events)
    async with KubeClient(namespace.kubeconfig, seconds=0.5) as client:
        namespace.own_api.suspend()
        try:
            with pytest.raises(Unreachable):
                await anext(client.watch(INGRESSES, namespace.name))
        finally:
            namespace.own_api.thaw()


class _Scripted(KubeClient):
    """A client whose watches go as they are told: each of ``watches`` is the events of one, and how it ends."""

    def __init__(self, watches: list[tuple[list[EventKind], Exception]]) -> None:
        super().__init__()
        self._watches = iter(watches)

    async def watch(self, *_: object, **__: object) -> AsyncGenerator[Event, None]:
        events, end = next(self._watches)
        for kind in events:
            yield Event(kind, [])
        raise end


async def test_a_watch_that_cannot_be_had_is_asked_for_less_and_less_often_until_it_tells_something() -> None:
    """Who may list and not watch is told ``LISTED`` every time: that is no sign that things are better."""
    listed, denied = [EventKind.LISTED], Denied("the API server refuses to watch")
    watches: list[tuple[list[EventKind], Exception]] = [(listed, denied)] * 7
    watches += [([EventKind.LISTED, EventKind.CHANGED], Unreachable("it broke off")), (listed, KeyError("metadata"))]
    pauses: list[float] = []
    all_gone = asyncio.Event()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == len(watches):
            all_gone.set()
            await asyncio.Event().wait()

    async with WatchHub(_Scripted(watches), pause).events(INGRESSES, "llm"), asyncio.timeout(40):
        await all_gone.wait()
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 1, 2]


@pytest.mark.parametrize("ends", ["at once", "as gone"])
async def test_a_stream_that_ends_at_once_each_time_is_begun_anew_with_pauses(ends: str, tmp_path: Path) -> None:
    watched: list[float] = []

    async def answer(request: web.Request) -> web.Response:
        if "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": "7"}, "items": []})
        watched.append(time.monotonic())
        gone = {"type": "ERROR", "object": {"code": 410, "message": "too old"}}
        return web.Response(text="" if ends == "at once" else json.dumps(gone) + "\n")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    config = {"clusters": [cluster], "users": [{"name": "u", "user": {}}], "contexts": [context]}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps({**config, "current-context": "c"}), encoding="utf-8")
    try:
        async with KubeClient(kubeconfig) as client, client.hub.events(INGRESSES, "llm"):

            async def thrice() -> bool:
                return len(watched) >= 3

            await wait_until(thrice, 40, "three streams")
    finally:
        await runner.cleanup()
    assert watched[2] - watched[0] >= 2
