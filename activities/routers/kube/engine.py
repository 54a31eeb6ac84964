"""The router for routes that are objects of the Kubernetes API.

The fence.  A forward write reads the objects first and the record after them, and every patch tests the uid and the
version that was read.  A clear deletes the canaries, so that a late patch of one finds nothing or another object, and
writes the main route *after* the record is closed: whoever read the main route before that finds it changed, and
whoever reads it later reads a closed record.  Only preflight creates objects, and they serve nobody.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import replace

from activities.kube import Changed, KubeClient, NotFound
from activities.kube.client import Event, EventKind, Object
from activities.kube.json_patch import annotate, is_unchanged, remove_annotations
from activities.kube.resources import LEASES, SERVICES
from activities.routers.kube.binding import Binding
from activities.routers.kube.clearing import Clearing, clear_route
from activities.routers.kube.endpoints import ready_endpoints
from activities.routers.kube.leased import Leased
from activities.routers.kube.main_digest import MainDigest
from activities.routers.kube.namespace_freeze import refuse_new_ramp, refuse_unserved_ramp
from activities.routers.kube.planner import (
    DEFAULT,
    EPOCH,
    OWN,
    RAMP,
    ROUTE_LABEL,
    SLOT_LABEL,
    Planner,
    Surroundings,
    annotations_of,
    labels_of,
    names,
)
from activities.routers.kube.planners import planner_of, settled
from activities.routers.kube.record_lease import ATTEMPTS, Stored, restless
from activities.routers.kube.rights import rights_on_routes, rights_problems
from activities.routers.kube.writers import held_by, others, owner_of, written_by_us
from activities.routers.kube.writes import Seen, Write, canary_of, drift_of, marks_of, writes_of
from activities.routers.protocol import Change, Clear, Renewal, RouteView, Served
from tailramp.activity_contract import RestoreReport
from tailramp.assignment import Assignment
from tailramp.errors import Problem, Refused, TailrampError
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.proof import Answer, Evidence, Finding
from tailramp.route_record import RouteRecord, SlotRecord, only_lowers


class KubernetesRouter(Leased):
    """See ``Router``.  ``binding`` None serves who has only the record: it is taken from there."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        route: str,
        binding: Binding | None = None,
        *,
        owns_client: bool = False,
    ) -> None:
        super().__init__(client, namespace, route, owns_client=owns_client)
        self._given = binding

    # Reading.

    async def read(self) -> RouteView:
        stored = await self._stored()
        planner = planner_of(stored.binding)
        seen = await self._look(stored.binding)
        drift = drift_of(planner, stored.binding, seen, stored.record)
        answer = Answer.NO if drift else Answer.YES
        findings = [Finding(question="the objects say what the record says", answer=answer, seen="; ".join(drift))]
        serving = {planner.canary_name(rule.slot) for rule in stored.record.assignment.rules}
        for found in (*([seen.main] if seen.main else []), *seen.canaries):
            if found is seen.main or found["metadata"]["name"] in serving:
                findings += planner.conditions(found)
        return RouteView(stored.record, Evidence(findings=tuple(findings)))

    async def disturbances(self) -> AsyncGenerator[None, None]:
        binding = await self._binding()
        async with self._client.hub.events(planner_of(binding).resource, self._namespace) as events:
            while True:
                event = await events.get()
                if event.kind is EventKind.LISTED or any(
                    self._concerns(event, found, binding) for found in event.objects
                ):
                    yield

    def _concerns(self, event: Event, found: Object, binding: Binding) -> bool:
        """Whether this is an object of the route, and was not written by tailramp last; nobody says who deleted one."""
        of_route = found["metadata"]["name"] == binding.main or labels_of(found).get(ROUTE_LABEL) == self._route
        return of_route and (event.kind is EventKind.GONE or not written_by_us(found))

    async def objects(self) -> tuple[Binding, Seen]:
        """What the route is made of, and the objects as they stand."""
        binding = await self._binding()
        return binding, await self._look(binding)

    async def served(self, slot: str) -> Served | None:  # noqa: ARG002 - no counter of the data plane is known
        return None

    async def ready(self, slot: str) -> bool | None:
        try:
            backend = (await self._binding()).backends[slot]
            if (backend.group, backend.kind) != ("", "Service"):
                return None
        except (TailrampError, KeyError):
            return None
        count = await ready_endpoints(self._client, self._namespace, backend.name)
        return None if count is None else count > 0

    async def snapshot(self) -> str:
        binding = await self._binding()
        main = await self._main(binding)
        if main is None:
            raise Refused(_no_main(binding, self._namespace))
        return str(MainDigest.of(planner_of(binding), main))

    async def preflight(self, plan: Plan) -> list[Problem]:
        binding = await self._binding()
        planner = planner_of(binding)
        field = "router.ingress" if binding.kind == "ingress-nginx" else "router.httpRoute"
        if problems := await rights_problems(self._client, self._namespace, rights_on_routes(planner)):
            return problems
        try:
            main, routes, services = await asyncio.gather(
                self._main(binding),
                self._client.find_all(planner.resource, self._namespace),
                self._client.find_all(SERVICES, self._namespace),
            )
        except NotFound:  # of a name the answer is None: it is the kind that is not there
            kind = f"{planner.resource.plural}.{planner.resource.group}"
            mend = "Install the resources of the Gateway API, 1.2 or newer"
            return [Problem(field, f"the API server knows no {kind} {planner.resource.version}", mend)]
        if main is None:
            return [Problem(field, _no_main(binding, self._namespace), "Create it, or mend the name")]
        around = Surroundings(routes, {service["metadata"]["name"]: service for service in services})
        problems = planner.problems(main, around, plan)
        if owner := owner_of(main):
            reason = f"{names(main)} belongs to {owner}, whose controller would undo every change"
            problems.append(Problem(field, reason, "Route to its Services by an object of your own"))
        if planner.default(main) is None:
            reason = f"{names(main)} points at several slots, or at none of router.backends"
            problems.append(Problem(field, reason, f"Point all of it at the baseline {plan.baseline}"))
        for slot in (plan.baseline, *plan.slots):
            if await self.ready(slot) is False:
                what = "baseline, so there would be nothing to go back to" if slot == plan.baseline else "candidate"
                reason = f"no endpoint of {binding.backends[slot].name} is ready: it is the {what}"
                problems.append(Problem(f"slots.{slot}", reason, "Wait until its servers are ready"))
        return problems

    # Writing.

    async def prepare(self, change: Change, slots: Collection[SlotName] = ()) -> RouteRecord:
        for _ in range(ATTEMPTS):
            binding = await self._binding()
            seen = await self._look(binding)
            stored = await self._stored()
            if seen.main is None:
                raise Refused(_no_main(binding, self._namespace))
            before = stored.record
            after = change(before)
            # How a gateway is spoken to is decided once for a ramp: what it says of itself comes and goes with it.
            fixed = settled(stored.binding if after.ramp == before.ramp else binding, seen.main)
            planner = planner_of(fixed)
            record = _described(after, planner, fixed, self._namespace, slots)
            await refuse_new_ramp(self._client, self._namespace, before, record)
            try:
                stored = await self._lease.write(stored, record, fixed.model_copy(update={"uids": stored.binding.uids}))
                await refuse_unserved_ramp(self._client, self._namespace, before, record)
                uids = await self._make_canaries(planner, seen, record, slots)
                await self._send(planner, [Write(seen.main, annotate(seen.main, marks_of(record)))])
                await self._lease.write(stored, record, stored.binding.model_copy(update={"uids": uids}))
            except Changed:
                continue
            return record
        raise restless(self._full_name)

    async def apply(self, change: Change) -> RouteRecord:
        for _ in range(ATTEMPTS):
            binding = await self._binding()
            seen = await self._look(binding)
            stored = await self._stored()
            planner = planner_of(stored.binding)
            record = change(stored.record)
            stages = writes_of(planner, seen, record)
            try:
                # What only lowers is safe without the record; what serves more must find itself there.
                if only_lowers(stored.record.assignment, record.assignment):
                    await self._send_all(planner, stages)
                    await self._lease.write(stored, record, stored.binding)
                else:
                    await self._lease.write(stored, record, stored.binding)
                    await self._send_all(planner, stages)
            except (Changed, NotFound):
                continue
            return record
        raise restless(self._full_name)

    async def renew(self, change: Change) -> Renewal:
        for _ in range(ATTEMPTS):
            binding = await self._binding()
            seen, stored = await asyncio.gather(self._look(binding), self._stored())
            record = change(stored.record)
            try:
                await self._lease.write(stored, record, stored.binding)
            except Changed:
                continue
            return Renewal(record, drift_of(planner_of(stored.binding), binding, seen, record))
        raise restless(self._full_name)

    async def clear(self, change: Clear) -> RouteRecord:
        return await clear_route(self._clearing, change)

    async def restore(self, snapshot: str) -> RestoreReport:
        binding = await self._binding()
        planner = planner_of(binding)
        seen = await self._look(binding)
        left = []
        for canary in seen.canaries:
            try:
                await self._delete(planner, canary)
            except TailrampError as error:
                left.append(f"{names(canary)} is still there: {error}")
        if seen.main is None:
            return RestoreReport(equal=not left, foreign=(*left, _no_main(binding, self._namespace)))
        stands, before = MainDigest.of(planner, seen.main), MainDigest.parse(snapshot)
        changed = before.changed(planner, seen.main)
        equal = stands.default == before.default and not changed and not left
        if changed:
            fields = ", ".join(changed)
            line = f"{fields} of {names(seen.main)} is not as it was before the ramp; the last other writer"
            left.append(f"{line}: {others(seen.main)}")
        elif stands.whole != before.whole:
            left.append(f"{names(seen.main)} was changed by somebody else during the ramp: {others(seen.main)}")
        return RestoreReport(equal=equal, foreign=tuple(left))

    async def release(self, check: Callable[[RouteRecord], None]) -> None:
        """The record goes last: until then whoever is interrupted can begin again."""
        binding = await self._binding()
        planner = planner_of(binding)
        seen, stored = await self._look(binding), await self._stored()
        check(stored.record)
        for canary in seen.canaries:
            await self._delete(planner, canary)
        if seen.main is not None:
            await self._send(planner, [Write(seen.main, remove_annotations(seen.main, OWN))])
        try:
            await self._client.delete(LEASES, self._namespace, self._lease.name)
        except NotFound:
            return

    @property
    def _clearing(self) -> Clearing:
        return Clearing(
            client=self._client,
            namespace=self._namespace,
            route=self._route,
            lease=self._lease,
            stored=self._stored,
            planner=planner_of,
        )

    async def _make_canaries(
        self, planner: Planner, seen: Seen, record: RouteRecord, slots: Collection[SlotName]
    ) -> dict[str, str]:
        """Delete what other ramps have left and make what is missing, serving nobody; returns their uids by name."""
        assert seen.main is not None  # noqa: S101 - whoever calls has looked
        wanted = {planner.canary_name(slot): slot for slot in slots}
        uids: dict[str, str] = {}
        for canary in seen.canaries:
            name, uid = canary["metadata"]["name"], canary["metadata"]["uid"]
            same = labels_of(canary).get(SLOT_LABEL) == wanted.get(name)
            if name in wanted and same and annotations_of(canary).get(RAMP) == record.ramp:
                uids[name] = uid
            else:
                await self._delete(planner, canary)
        for name, slot in wanted.items():
            if name in uids:
                continue
            body = canary_of(planner, seen.main, slot, self._route, record)
            made = await self._client.create(planner.resource, self._namespace, body)
            uids[name] = made["metadata"]["uid"]
        return uids

    async def _delete(self, planner: Planner, canary: Object) -> None:
        """One that is gone already counts as deleted; raises Refused for one that finalizers keep."""
        name, uid = canary["metadata"]["name"], canary["metadata"]["uid"]
        try:
            keepers = await self._client.delete(planner.resource, self._namespace, name, uid=uid)
        except NotFound:
            return
        if keepers:
            raise Refused(f"{names(canary)}: {held_by(keepers)}")

    async def _send_all(self, planner: Planner, stages: list[list[Write]]) -> None:
        for stage in stages:
            await self._send(planner, stage)

    async def _send(self, planner: Planner, writes: list[Write]) -> None:
        await asyncio.gather(
            *(
                self._client.patch(
                    planner.resource,
                    self._namespace,
                    write.found["metadata"]["name"],
                    [*is_unchanged(write.found), *write.operations],
                )
                for write in writes
                if write.operations
            )
        )

    # Finding.

    async def _binding(self) -> Binding:
        if self._given is not None:
            return self._given
        return (await self._stored()).binding

    async def _stored(self) -> Stored:
        """What the Lease holds, or what a route has that never had one.  Raises Refused where there is neither."""
        stored = await self._lease.read()
        if stored is not None:
            if self._given is None:
                return stored
            kept: dict[str, object] = {"uids": stored.binding.uids}
            if self._given.exact is None:
                kept["exact"] = stored.binding.exact
            return replace(stored, binding=self._given.model_copy(update=kept))
        if self._given is None:
            raise self._lease.missing()
        main = await self._main(self._given)
        if main is None:
            raise Refused(_no_main(self._given, self._namespace))
        return Stored(_first_record(self._full_name, self._given, main), self._given)

    async def _main(self, binding: Binding) -> Object | None:
        return await self._client.find(planner_of(binding).resource, self._namespace, binding.main)

    async def _look(self, binding: Binding) -> Seen:
        main, canaries = await asyncio.gather(
            self._main(binding),
            self._client.find_all(planner_of(binding).resource, self._namespace, f"{ROUTE_LABEL}={self._route}"),
        )
        kind = planner_of(binding).resource.kind  # which items of a list do not carry
        return Seen(main, tuple({"kind": kind, **canary} for canary in canaries))


def _first_record(route: str, binding: Binding, main: Object) -> RouteRecord:
    """The record of a route that has none.  Where one was lost, the main route still knows its epoch: then the record
    is closed, so that the ramp which held it can only go back."""
    default = planner_of(binding).default(main)
    if default is None:
        raise Refused(f"{names(main)} points at several slots, or at none of router.backends: point it at the baseline")
    marks = annotations_of(main)
    return RouteRecord(
        route=route,
        router=binding.kind,
        ramp=marks.get(RAMP) or None,
        epoch=int(marks.get(EPOCH, "0")),
        closed=RAMP in marks,
        slots={slot: SlotRecord() for slot in binding.backends},
        original_default=marks.get(DEFAULT, default),
        assignment=Assignment(default=default),
    )


def _described(
    record: RouteRecord, planner: Planner, binding: Binding, namespace: str, slots: Collection[SlotName]
) -> RouteRecord:
    """The record with the objects that it is about, for people."""
    kind = planner.resource.kind.lower()
    objects = [binding.main, *dict.fromkeys(planner.canary_name(slot) for slot in slots)]
    return record.model_copy(
        update={"router": binding.kind, "objects": tuple(f"{kind} {namespace}/{name}" for name in objects)}
    )


def _no_main(binding: Binding, namespace: str) -> str:
    kind = planner_of(binding).resource.kind.lower()
    return f"there is no {kind} {namespace}/{binding.main}"
