"""A freeze of a whole namespace: every route record in it says so, and a mark stands for the routes to come.

The mark is an annotation of the Lease `tailramp` of the namespace.  A ramp that wants to take a route over looks at it;
one that is live is held by its own route's record, which `freeze` marks as well.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import ValidationError

from activities.kube import Changed, Denied, KubeClient
from activities.kube.client import Object
from activities.kube.json_patch import annotate, is_unchanged, remove_annotations
from activities.kube.resources import LEASES
from activities.routers.kube.planner import MANAGED_BY, annotations_of
from activities.routers.kube.record_lease import (
    ATTEMPTS,
    PREFIX,
    SELECTOR,
    LeaseRoute,
    lease_records,
    place_of,
    restless,
)
from tailramp.assignment import Assignment
from tailramp.errors import Frozen, Refused, TailrampError
from tailramp.route_record import Mark, RouteRecord, frozen, thawed

NAME = "tailramp"
FREEZE = "tailramp/freeze"

_TERMINATING = "NamespaceTerminating"


async def namespace_mark(client: KubeClient, namespace: str) -> Mark | None:
    """The freeze of a namespace, if there is one; a mark that cannot be read counts, as nobody's."""
    return _mark_of(await client.find(LEASES, namespace, NAME))


def _mark_of(lease: Object | None) -> Mark | None:
    text = annotations_of(lease).get(FREEZE) if lease is not None else None
    if text is None:
        return None
    try:
        return Mark.model_validate_json(text)
    except ValidationError:
        return Mark.model_validate({"at": "1970-01-01T00:00:00Z", "by": "somebody", "reason": text[:200]})


async def refuse_new_ramp(client: KubeClient, namespace: str, before: RouteRecord, after: RouteRecord) -> None:
    """Raises Frozen if ``after`` gives the route to another ramp while its namespace is frozen."""
    if before.ramp == after.ramp:
        return
    mark = await namespace_mark(client, namespace)
    if mark is not None:
        raise _frozen_by(namespace, mark)


async def refuse_unserved_ramp(client: KubeClient, namespace: str, before: RouteRecord, taken: RouteRecord) -> None:
    """To be asked once more when ``taken`` is stored, and before anything serves: raises Frozen as ``refuse_new_ramp``.

    A freeze that came between that question and the record has not seen the route; one that comes after this look has,
    and marks the record.  Nothing is written here: a lift may come before the write, which would then outlive it.
    Whoever begins a ramp again that has served nobody yet is asked too, for a start that was refused here leaves its
    record as it is.
    """
    unserved = not taken.closed and taken.assignment == Assignment(default=taken.original_default)
    if before.ramp == taken.ramp and not unserved:
        return
    mark = await namespace_mark(client, namespace)
    if mark is not None:
        raise _frozen_by(namespace, mark)


def _frozen_by(namespace: str, mark: Mark) -> Frozen:
    return Frozen(
        f"the namespace {namespace} is frozen by {mark.by}: {mark.reason}. "
        f"`tailramp lift --namespace {namespace}` allows ramps again"
    )


@dataclass
class Marking:
    """What became of a freeze or a lift: of the namespace's ``mark``, and of its ``routes`` that were changed.

    ``failures`` is what could not be done, by the Lease that it was about or by the namespace; everything else is done.
    """

    mark: Mark | None = None
    routes: list[LeaseRoute] = field(default_factory=list)
    failures: dict[str, TailrampError] = field(default_factory=dict)


async def freeze_namespace(client: KubeClient, namespace: str, mark: Mark) -> Marking:
    """The mark first, so that no route slips through.

    A namespace that is being deleted takes no mark and needs none: no ramp can begin there. Its routes are marked.
    """
    done = Marking(mark)
    try:
        await _write_mark(client, namespace, mark)
    except TailrampError as error:
        if not isinstance(error, Denied) or _TERMINATING not in error.causes:
            done.mark = None
            done.failures[namespace] = error
    await _change_routes(client, namespace, lambda record: frozen(record, mark), done)
    return done


async def lift_namespace(client: KubeClient, namespace: str) -> Marking:
    """A route that was frozen or killed by itself stays so; the mark stays while it stands on any route."""
    done = Marking()
    try:
        mark = await namespace_mark(client, namespace)
        if mark is None:
            return done
        await _change_routes(client, namespace, lambda record: thawed(record, mark), done)
        if not done.failures:
            await _remove_mark(client, namespace, mark)
            done.mark = mark
    except TailrampError as error:
        done.failures[namespace] = error
    return done


async def namespaces_with_routes(client: KubeClient) -> list[str]:
    """Every namespace of the cluster in which there is a route record, or a freeze.  Needs the right to list Leases in
    all of them."""
    leases = await client.find_all(LEASES, None, SELECTOR)
    names = [lease["metadata"] for lease in leases]
    known = [meta["namespace"] for meta in names if meta["name"] == NAME or meta["name"].startswith(PREFIX)]
    return sorted(set(known))


async def _change_routes(
    client: KubeClient, namespace: str, change: Callable[[RouteRecord], RouteRecord], done: Marking
) -> None:
    """Change every record that ``change`` changes; one that cannot be read or written keeps no other from it."""
    from activities.routers import lease_router  # which imports the routers, which refuse by this module

    try:
        records = await lease_records(client, namespace)
    except TailrampError as error:
        done.failures[namespace] = error
        return
    for route, record in records:
        router = lease_router(client, route)
        try:
            if isinstance(record, Refused):
                raise record
            if change(record) != record:
                await router.renew(change)
                done.routes.append(route)
        except TailrampError as error:
            done.failures[route.place] = error


async def _write_mark(client: KubeClient, namespace: str, mark: Mark) -> None:
    annotations = {FREEZE: mark.model_dump_json()}
    for _ in range(ATTEMPTS):
        lease = await client.find(LEASES, namespace, NAME)
        try:
            if lease is None:
                metadata = {"name": NAME, "labels": MANAGED_BY, "annotations": annotations}
                await client.create(LEASES, namespace, {"metadata": metadata})
            elif operations := annotate(lease, annotations):
                await client.patch(LEASES, namespace, NAME, [*is_unchanged(lease), *operations])
        except Changed:
            continue
        return
    raise restless(place_of(namespace, NAME))


async def _remove_mark(client: KubeClient, namespace: str, mark: Mark) -> None:
    """Raises Frozen if another mark stands there by now."""
    for _ in range(ATTEMPTS):
        lease = await client.find(LEASES, namespace, NAME)
        stands = _mark_of(lease)
        if lease is None or stands is None:
            return
        if stands != mark:
            raise Frozen(f"{stands.by} has frozen it again meanwhile ({stands.reason}): lift that as well")
        try:
            operations = remove_annotations(lease, (FREEZE,))
            await client.patch(LEASES, namespace, NAME, [*is_unchanged(lease), *operations])
        except Changed:
            continue
        return
    raise restless(place_of(namespace, NAME))
