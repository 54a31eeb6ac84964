"""The assignment in the route record, and nowhere else: our gateways follow the record by a watch.

Record and rules are one object here, so the fence is the API server's own: every write tests the version that was read,
a clear raises the epoch, and a writer who slept through it finds another version.  Nothing else is written, so nothing
can be half done.  A gateway that is cut off from the record sends everyone to the original default once the lease that
it last saw has run out; so does every gateway when nobody can write the record any more.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from activities.kube import Changed, KubeClient, NotFound
from activities.kube.resources import LEASES
from activities.routers.gateway_label.fleet import GatewayFleet, Resolve, addresses_of
from activities.routers.kube.binding import Binding
from activities.routers.kube.leased import Leased
from activities.routers.kube.namespace_freeze import refuse_new_ramp, refuse_unserved_ramp
from activities.routers.kube.record_lease import ATTEMPTS, Stored, restless
from activities.routers.kube.rights import RIGHTS_ON_RECORDS, rights_problems
from activities.routers.protocol import Change, Clear, Renewal, RouteView, Served
from gateway.label_document import LABEL_HEADER, LabelDocument
from tailramp.activity_contract import RestoreReport
from tailramp.assignment import Assignment
from tailramp.errors import Problem, Refused, TailrampError, Unreachable
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.proof import Answer, Evidence
from tailramp.route_record import RouteRecord

if TYPE_CHECKING:
    import aiohttp

_BINDING = Binding(kind="gateway-label", main="")


class GatewayLabel(Leased):
    """See ``Router``.

    ``admin`` is where our gateways tell what they serve; without it, it is what the record says, which is enough for
    ``kill``, the sentinel and ``list``.  ``http`` asks them; without it a session is opened for each question.
    """

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        route: str,
        admin: str = "",
        http: "aiohttp.ClientSession | None" = None,
        *,
        resolve: Resolve = addresses_of,
        owns_client: bool = False,
    ) -> None:
        super().__init__(client, namespace, route, owns_client=owns_client)
        self._admin = admin
        self._http = http
        self._resolve = resolve

    # Reading.

    async def disturbances(self) -> AsyncGenerator[None, None]:
        """Nobody tells, and nothing but the record could be changed."""
        return
        yield

    async def read(self) -> RouteView:
        record = await self.record()
        async with self._gateways(record.data_plane) as gateways:
            findings = await gateways.hold(record.route, LabelDocument.of(record).version)
        return RouteView(record, Evidence(findings=tuple(findings)))

    async def served(self, slot: str) -> Served | None:
        try:
            async with self._gateways() as gateways:
                return await gateways.served(slot)
        except Unreachable:
            return None

    async def ready(self, slot: str) -> bool | None:
        try:
            recorded = self._admin or (await self.record()).data_plane
            async with self._gateways(recorded) as gateways:
                return await gateways.ready(slot)
        except TailrampError:
            return None

    async def snapshot(self) -> str:
        return (await self.record()).assignment.describe()

    async def preflight(self, plan: Plan) -> list[Problem]:
        if problems := await rights_problems(self._client, self._namespace, RIGHTS_ON_RECORDS):
            return problems
        try:
            view = await self.read()
        except Unreachable as error:
            return [Problem("router.admin", str(error), "Start the gateways, or mend the address")]
        mend = f"Look at `tailramp follow` beside that gateway, and at its log, for {self._full_name}"
        problems = [
            Problem("router.admin", f"{finding.question}: {finding.answer} ({finding.seen})", mend)
            for finding in view.loaded.findings
            if finding.answer is not Answer.YES
        ]
        if problems:
            return problems
        for slot in (plan.baseline, *plan.slots):
            ready = await self.ready(slot)
            if ready is None:
                reason, mend = "the gateways know no such slot", "Render their configuration anew: `tailramp gateway`"
            elif ready is False:
                reason = f"a request with {LABEL_HEADER}: {slot} gets no good answer from the gateway behind"
                mend = f"Give the gateway behind a rule for exactly this value, and {slot} a server that is ready"
            else:
                continue
            problems.append(Problem(f"slots.{slot}", reason, mend))
        return problems

    # Writing.

    async def prepare(self, change: Change, slots: Collection[SlotName] = ()) -> RouteRecord:  # noqa: ARG002
        described = {"router": "gateway-label", "objects": (self.place,)}
        before = await self.record()
        await refuse_new_ramp(self._client, self._namespace, before, change(before))
        record = await self._write(lambda record: change(record).model_copy(update=described))
        await refuse_unserved_ramp(self._client, self._namespace, before, record)
        return record

    async def apply(self, change: Change) -> RouteRecord:
        return await self._write(change)

    async def renew(self, change: Change) -> Renewal:
        return Renewal(await self._write(change))

    async def clear(self, change: Clear) -> RouteRecord:
        return await self._write(lambda record: change(record) or record)

    async def restore(self, snapshot: str) -> RestoreReport:
        stands = (await self.record()).assignment.describe()
        if stands == snapshot:
            return RestoreReport(equal=True)
        return RestoreReport(equal=False, foreign=(f"{self.place} says {stands}, and before the ramp {snapshot}",))

    async def release(self, check: Callable[[RouteRecord], None]) -> None:
        """The gateways keep what they have: everyone on the default."""
        check(await self.record())
        try:
            await self._client.delete(LEASES, self._namespace, self._lease.name)
        except NotFound:
            return

    async def _write(self, change: Change) -> RouteRecord:
        for _ in range(ATTEMPTS):
            stored = await self._stored()
            record = change(stored.record)
            if record == stored.record and stored.lease is not None:
                return record
            try:
                return (await self._lease.write(stored, record, _BINDING)).record
            except (Changed, NotFound):
                continue
        raise restless(self._full_name)

    async def _stored(self) -> Stored:
        """What the Lease holds; where there is none, what the gateways serve."""
        stored = await self._lease.read()
        if stored is not None:
            return stored
        if not self._admin:
            raise self._lease.missing()
        async with self._gateways() as gateways:
            return Stored(_first_record(self._full_name, await gateways.known(self._full_name)), _BINDING)

    @asynccontextmanager
    async def _gateways(self, recorded: str = "") -> AsyncIterator[GatewayFleet]:
        """Our gateways; ``recorded`` is where they are if nobody else has said so.  Raises Unreachable."""
        url = self._admin or recorded
        if not url:
            raise Unreachable(f"nothing says where the gateways of {self._full_name} are")
        if self._http is not None:
            yield GatewayFleet(url, self._http, self._resolve)
            return
        import aiohttp

        async with aiohttp.ClientSession() as http:
            yield GatewayFleet(url, http, self._resolve)


def _first_record(route: str, known: list[dict[str, Any]]) -> RouteRecord:
    """The record of a route that has none.  Where one was lost, the gateways still know its epoch: then the record is
    closed, so that the ramp which held it can only go back."""
    defaults = {said.get("default") for said in known}
    default = defaults.pop() if len(defaults) == 1 else None
    if not isinstance(default, str):
        raise Refused(f"the gateways of {route} do not agree on who serves everyone: look at `tailramp follow` there")
    latest = max(known, key=lambda said: int(said.get("epoch", 0)))
    epoch, ramp = int(latest.get("epoch", 0)), latest.get("ramp") or None
    return RouteRecord(
        route=route,
        router="gateway-label",
        ramp=ramp,
        epoch=epoch,
        closed=ramp is not None,
        original_default=latest.get("original_default", default),
        assignment=Assignment(default=default),
    )
