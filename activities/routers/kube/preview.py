"""Every write of a ramp before there is one: what would be made, changed and deleted, as the router computes it."""

import copy
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from activities.kube import KubeClient
from activities.kube.client import Object, Operation
from activities.kube.json_patch import annotate, applied
from activities.routers.kube.binding import Binding
from activities.routers.kube.planners import planner_of
from activities.routers.kube.writes import Seen, Write, canary_of, marks_of, writes_of
from tailramp.errors import Refused, TailrampError
from tailramp.forms import SlotName
from tailramp.route_record import RouteRecord

_SERVERS_OWN = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")


Verb = Literal["create", "patch", "delete"]


@dataclass(frozen=True)
class PlannedWrite:
    """``label`` says when it comes.  ``before`` is None for an object that is made, ``after`` for one that is deleted;
    neither has what the API server adds of its own.  ``operations`` are those of the JSON patch, behind its tests."""

    label: str
    verb: Verb
    name: str
    before: Object | None
    after: Object | None
    operations: tuple[Operation, ...] = ()


def planned_writes(
    binding: Binding, route: str, main: Object, slots: Collection[SlotName], records: Iterable[tuple[str, RouteRecord]]
) -> list[PlannedWrite]:
    """The writes by which ``records``, a ramp's from its take-over to its end, come to be said by the objects."""
    planner = planner_of(binding)
    kind = planner.resource.kind
    canaries: dict[str, Object] = {}
    writes: list[PlannedWrite] = []

    def write(
        label: str, name: str, before: Object | None, after: Object | None, operations: Iterable[Operation] = ()
    ) -> None:
        verb: Verb = "create" if before is None else "delete" if after is None else "patch"
        writes.append(PlannedWrite(label, verb, name, _bare(before), _bare(after), tuple(operations)))

    def patch(label: str, change: Write) -> Object:
        after = applied(change.found, change.operations)
        if change.operations:
            write(label, after["metadata"]["name"], change.found, after, change.operations)
        return after

    taken = False
    for label, record in records:
        if not taken:
            taken = True
            for slot in slots:
                body = {"kind": kind, **canary_of(planner, main, slot, route, record)}
                canaries[body["metadata"]["name"]] = body
                write(label, body["metadata"]["name"], None, body)
            main = patch(label, Write(main, annotate(main, marks_of(record))))
        elif record.closed:
            for name, canary in canaries.items():
                write(label, name, canary, None)
            main = patch(label, Write(main, annotate(main, marks_of(record))))
        else:
            for stage in writes_of(planner, Seen(main, tuple(canaries.values())), record):
                for change in stage:
                    after = patch(label, change)
                    if change.found is main:
                        main = after
                    else:
                        canaries[after["metadata"]["name"]] = after
    return writes


async def refusals_of(
    client: KubeClient, namespace: str, binding: Binding, writes: Iterable[PlannedWrite]
) -> list[str]:
    """What the API server would refuse, by its own answer to dry runs of all objects that would stand.

    A canary does not exist yet, so each of its states is tried as a new object.
    """
    resource = planner_of(binding).resource
    refused: list[str] = []
    for write in writes:
        if write.after is None:
            continue
        try:
            if write.name == binding.main:
                spec = {"op": "replace", "path": "/spec", "value": write.after["spec"]}
                await client.patch(resource, namespace, write.name, [spec], dry_run=True)
            else:
                await client.create(resource, namespace, write.after, dry_run=True)
        except Refused as error:
            refused.append(f"{write.label}: {error}")
        except TailrampError as error:
            return [*refused, str(error)]
    return list(dict.fromkeys(refused))


def _bare(found: Object | None) -> Object | None:
    if found is None:
        return None
    bare = {key: copy.deepcopy(value) for key, value in found.items() if key != "status"}
    bare["metadata"] = {key: value for key, value in bare["metadata"].items() if key not in _SERVERS_OWN}
    return bare
