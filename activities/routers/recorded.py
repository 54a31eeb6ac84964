"""The router of a route of which nothing is known but where its Lease is: what kind it is, the Lease says."""

from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from dataclasses import replace

from activities.kube import KubeClient
from activities.routers import lease_router
from activities.routers.kube.record_lease import LeaseRoute, RecordLease
from activities.routers.protocol import Change, Clear, Renewal, Router, RouteView, Served
from tailramp.activity_contract import RestoreReport
from tailramp.errors import Problem
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.route_record import RouteRecord


class RecordedRouter:
    """See ``Router``.  The Lease is read before the first call, once."""

    def __init__(self, client: KubeClient, route: LeaseRoute, *, owns_client: bool) -> None:
        self._client = client
        self._route = route
        self._owns_client = owns_client
        self._lease = RecordLease(client, route.namespace, route.name)
        self._known: Router | None = None

    async def _router(self) -> Router:
        if self._known is None:
            stored = await self._lease.read()
            if stored is None:
                raise self._lease.missing()
            self._known = lease_router(self._client, replace(self._route, kind=stored.binding.kind))
        return self._known

    async def record(self) -> RouteRecord:
        return await (await self._router()).record()

    async def preflight(self, plan: Plan) -> list[Problem]:
        return await (await self._router()).preflight(plan)

    async def snapshot(self) -> str:
        return await (await self._router()).snapshot()

    async def prepare(self, change: Change, slots: Collection[SlotName] = ()) -> RouteRecord:
        return await (await self._router()).prepare(change, slots)

    async def apply(self, change: Change) -> RouteRecord:
        return await (await self._router()).apply(change)

    async def renew(self, change: Change) -> Renewal:
        return await (await self._router()).renew(change)

    async def disturbances(self) -> AsyncGenerator[None, None]:
        async with aclosing((await self._router()).disturbances()) as found:
            async for _ in found:
                yield

    async def read(self) -> RouteView:
        return await (await self._router()).read()

    async def clear(self, change: Clear) -> RouteRecord:
        return await (await self._router()).clear(change)

    async def restore(self, snapshot: str) -> RestoreReport:
        return await (await self._router()).restore(snapshot)

    async def ready(self, slot: str) -> bool | None:
        return await (await self._router()).ready(slot)

    async def served(self, slot: str) -> Served | None:
        return await (await self._router()).served(slot)

    async def release(self, check: Callable[[RouteRecord], None]) -> None:
        await (await self._router()).release(check)

    @property
    def place(self) -> str:
        return self._route.place

    async def close(self) -> None:
        if self._owns_client:
            await self._client.close()
