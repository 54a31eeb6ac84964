"""A freeze of a whole namespace: every route record in it says so, and a mark stands for the routes to come.

The mark is an annotation of the Lease `tailramp` of the namespace.  A ramp that wants to take a route over looks at it;
one that is live is held by its own route's record, which `freeze` marks as well.
"""

from collections.abc import Callable

from pydantic import ValidationError

from activities.kube import Changed, Denied, KubeClient
from activities.kube.json_patch import annotate, is_unchanged, remove_annotations
from activities.kube.resources import LEASES
from activities.routers.kube.planner import MANAGED_BY, annotations_of
from activities.routers.kube.record_lease import PREFIX, SELECTOR, LeaseRoute, lease_routes
from tailramp.errors import Frozen, Unreachable
from tailramp.route_record import Mark, RouteRecord, frozen, thawed

NAME = "tailramp"
FREEZE = "tailramp/freeze"

_ATTEMPTS = 10


async def namespace_mark(client: KubeClient, namespace: str) -> Mark | None:
    """The freeze of a namespace, if there is one; a mark that cannot be read counts, as nobody's."""
    lease = await client.find(LEASES, namespace, NAME)
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
        raise Frozen(
            f"the namespace {namespace} is frozen by {mark.by}: {mark.reason}. "
            f"`tailramp lift --namespace {namespace}` allows ramps again"
        )


async def freeze_namespace(client: KubeClient, namespace: str, mark: Mark) -> list[LeaseRoute]:
    """The mark first, so that no route slips through; returns the routes that were marked.

    A namespace that is being deleted takes no mark and needs none: no ramp can begin there. Its routes are marked.
    """
    try:
        await _write_mark(client, namespace, mark)
    except Denied as error:
        if "is being terminated" not in str(error):
            raise
    return await _change_routes(client, namespace, lambda record: frozen(record, mark))


async def lift_namespace(client: KubeClient, namespace: str) -> tuple[Mark | None, list[LeaseRoute]]:
    """The mark that is lifted, and the routes that are free again; a route that was frozen or killed by itself stays
    so."""
    mark = await namespace_mark(client, namespace)
    if mark is None:
        return None, []
    routes = await _change_routes(client, namespace, lambda record: thawed(record, mark))
    await _write_mark(client, namespace, None)
    return mark, routes


async def namespaces_with_routes(client: KubeClient) -> list[str]:
    """Every namespace of the cluster in which there is a route record, or a freeze.  Needs the right to list Leases in
    all of them."""
    leases = await client.find_all(LEASES, None, SELECTOR)
    names = [lease["metadata"] for lease in leases]
    known = [meta["namespace"] for meta in names if meta["name"] == NAME or meta["name"].startswith(PREFIX)]
    return sorted(set(known))


async def _change_routes(
    client: KubeClient, namespace: str, change: Callable[[RouteRecord], RouteRecord]
) -> list[LeaseRoute]:
    from activities.routers import lease_router  # which imports the routers, which refuse by this module

    changed = []
    for found in await lease_routes(client, namespace):
        router = lease_router(client, found)
        before = await router.record()
        if change(before) != before:
            await router.renew(change)
            changed.append(found)
    return changed


async def _write_mark(client: KubeClient, namespace: str, mark: Mark | None) -> None:
    for _ in range(_ATTEMPTS):
        lease = await client.find(LEASES, namespace, NAME)
        try:
            if lease is None:
                if mark is not None:
                    annotations = {FREEZE: mark.model_dump_json()}
                    metadata = {"name": NAME, "labels": MANAGED_BY, "annotations": annotations}
                    await client.create(LEASES, namespace, {"metadata": metadata})
                return
            operations = (
                remove_annotations(lease, (FREEZE,))
                if mark is None
                else annotate(lease, {FREEZE: mark.model_dump_json()})
            )
            if operations:
                await client.patch(LEASES, namespace, NAME, [*is_unchanged(lease), *operations])
        except Changed:
            continue
        return
    raise Unreachable(f"lease {namespace}/{NAME} was written by somebody else {_ATTEMPTS} times meanwhile")
