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
from tailramp.errors import Refused, Unreachable
from tailramp.route_record import RouteRecord

RECORD = "tailramp/record"
BINDING = "tailramp/binding"
PREFIX = "tailramp-"
SELECTOR = ",".join(f"{key}={value}" for key, value in MANAGED_BY.items())


IN_CLUSTER = "kubernetes:"
"""Before a namespace, where files could be named as well: every route that has its record there."""
ATTEMPTS = 10
"""How often a write that met somebody else's is begun again."""


def place_patterns(text: str) -> list[str]:
    """``kubernetes:llm, kubernetes:search, routes/*.json`` → each of them."""
    return [part for part in map(str.strip, text.split(",")) if part]


def place_of(namespace: str, lease: str) -> str:
    """A Lease, for people."""
    return f"lease {namespace}/{lease}"


def restless(what: str) -> Unreachable:
    """After ``ATTEMPTS``."""
    return Unreachable(f"{what} was written by somebody else {ATTEMPTS} times meanwhile")


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

    @property
    def place(self) -> str:
        return place_of(self.namespace, PREFIX + self.name)


async def lease_records(client: KubeClient, namespace: str) -> list[tuple[LeaseRoute, RouteRecord | Refused]]:
    """Every route of the namespace that has a record, and the record, or why it cannot be read."""
    found: list[tuple[LeaseRoute, RouteRecord | Refused]] = []
    for lease in await client.find_all(LEASES, namespace, SELECTOR):
        name = lease["metadata"]["name"]
        if not name.startswith(PREFIX):
            continue
        route = LeaseRoute(namespace, name.removeprefix(PREFIX))
        try:
            stored = parsed(lease)
        except Refused as error:
            found.append((route, error))
        else:
            found.append((replace(route, kind=stored.binding.kind), stored.record))
    return found


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

    @property
    def place(self) -> str:
        return place_of(self._namespace, self.name)

    def missing(self) -> Refused:
        """What to say where there is none, and nobody knows anything of the route but its name."""
        return Refused(f"there is no {self.place}: {self._namespace}/{self._route} has no route record there")

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
    place = place_of(lease["metadata"]["namespace"], lease["metadata"]["name"])
    try:
        record = RouteRecord.model_validate_json(annotations[RECORD])
        return Stored(record, Binding.model_validate(json.loads(annotations[BINDING])), lease)
    except (KeyError, ValueError, ValidationError) as error:
        detail = str(error).splitlines()[0]
        raise Refused(f"{place} holds no route record that can be read ({detail})") from None
