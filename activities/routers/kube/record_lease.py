"""The route record in a Lease: `tailramp-<route>`, with the record and the binding as annotations."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from activities.kube import KubeClient
from activities.kube.client import Object
from activities.kube.json_patch import annotate, is_unchanged
from activities.kube.resources import LEASES
from activities.routers.kube.binding import Binding, Kind
from activities.routers.kube.planner import MANAGED_BY, annotations_of
from tailramp.errors import Refused
from tailramp.route_record import RouteRecord

RECORD = "tailramp/record"
BINDING = "tailramp/binding"
PREFIX = "tailramp-"
SELECTOR = ",".join(f"{key}={value}" for key, value in MANAGED_BY.items())


@dataclass(frozen=True)
class LeaseRoute:
    """Where a route's record is, for whoever has no platform file; ``kind`` is the router's, where it is known."""

    namespace: str
    name: str
    context: str | None = None
    kubeconfig: Path | None = None
    kind: Kind | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


async def lease_routes(client: KubeClient, namespace: str) -> list[LeaseRoute]:
    """Every route of the namespace that has a record."""
    leases = await client.find_all(LEASES, namespace, SELECTOR)
    return [
        LeaseRoute(namespace, lease["metadata"]["name"].removeprefix(PREFIX), kind=_kind_of(lease))
        for lease in leases
        if lease["metadata"]["name"].startswith(PREFIX)
    ]


def _kind_of(lease: Object) -> Kind | None:
    try:
        return parsed(lease).binding.kind
    except Refused:
        return None


@dataclass(frozen=True)
class Stored:
    """What the Lease holds; ``lease`` is None for a record that has never been stored."""

    record: RouteRecord
    binding: Binding
    lease: Object | None = None


class RecordLease:
    """The Lease of one route.  Raises what ``KubeClient`` does; Refused for one that holds no record."""

    def __init__(self, client: KubeClient, namespace: str, route: str) -> None:
        self._client = client
        self._namespace = namespace
        self._route = route

    @property
    def name(self) -> str:
        return PREFIX + self._route

    async def read(self) -> Stored | None:
        lease = await self._client.find(LEASES, self._namespace, self.name)
        return None if lease is None else parsed(lease)

    async def write(self, stored: Stored, record: RouteRecord, binding: Binding) -> Stored:
        """Replace what was read; raises Changed if somebody else has since.  What changes nothing writes nothing."""
        annotations = {RECORD: record.model_dump_json(), BINDING: binding.model_dump_json()}
        if stored.lease is None:
            metadata = {"name": self.name, "labels": MANAGED_BY, "annotations": annotations}
            lease = await self._client.create(LEASES, self._namespace, {"metadata": metadata})
        elif operations := annotate(stored.lease, annotations):
            operations = [*is_unchanged(stored.lease), *operations]
            lease = await self._client.patch(LEASES, self._namespace, self.name, operations)
        else:
            return stored
        return replace(stored, record=record, binding=binding, lease=lease)


def parsed(lease: Object) -> Stored:
    """Raises Refused, naming the Lease, for one that tailramp did not write."""
    annotations = annotations_of(lease)
    place = f"lease {lease['metadata']['namespace']}/{lease['metadata']['name']}"
    try:
        record = RouteRecord.model_validate_json(annotations[RECORD])
        return Stored(record, Binding.model_validate(json.loads(annotations[BINDING])), lease)
    except (KeyError, ValueError, ValidationError) as error:
        detail = str(error).splitlines()[0]
        raise Refused(f"{place} holds no route record that can be read ({detail})") from None
