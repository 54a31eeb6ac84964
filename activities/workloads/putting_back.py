"""What ramps have written into workloads is put back: by a ramp, or by whoever has nothing but the route record."""

from collections.abc import Callable, Iterable, Sequence

from activities.kube import KubeClient, Resource
from activities.workloads.autoscalers import autoscaler_of
from activities.workloads.noted_object import NotedObject
from activities.workloads.protocol import Holder, Restored
from tailramp.forms import SlotName
from tailramp.route_record import RouteRecord, WorkloadReference
from tailramp.spec import PlatformFile


def references(platform: PlatformFile, slots: Iterable[SlotName]) -> list[WorkloadReference]:
    """To the workloads of ``slots`` that tailramp may write."""
    named = ((slot, platform.workload_of(slot)) for slot in slots)
    return [
        WorkloadReference(slot=slot, kind=w.kind, name=w.name, context=w.context, sized=w.replicas is not None)
        for slot, w in named
        if w is not None
    ]


async def written_objects(workload: NotedObject, *, sized: bool) -> list[NotedObject]:
    """The workload, and what scales it; of one that is not ``sized`` nobody asks what does."""
    scaler = await autoscaler_of(workload) if sized else None
    return [workload] if scaler is None else [workload, scaler.noted]


async def put_back(objects: Sequence[NotedObject], holder: Holder | None, *, serves: bool) -> Restored:
    """See ``Workload.restore``.  The first of ``objects`` is the workload, the others are what scales it."""
    touched, left = False, list[str]()
    for noted in objects:
        if not await noted.has_notes():
            continue
        one = await noted.restore(holder, serves=serves, runs_model=noted is objects[0])
        touched, left = touched or one.touched, [*left, *one.left]
    return Restored(touched, tuple(left))


async def put_all_back(
    record: RouteRecord,
    workloads: Iterable[WorkloadReference],
    resources: dict[str, Resource],
    client_of: Callable[[WorkloadReference], KubeClient | None],
) -> list[str]:
    """Everything as it was found, but for what serves everyone now.  Returns what is left, in words.

    ``resources`` are the kinds that are known here; ``client_of`` is the way to where a workload is, None if nobody
    knows one.  Raises what ``KubeClient`` does.
    """
    namespace = record.route.partition("/")[0]
    left: list[str] = []
    for workload in workloads:
        named = f"{workload.kind} {namespace}/{workload.name}"
        resource, client = resources.get(workload.kind), client_of(workload)
        if resource is None:
            left.append(f"{named} is left as it is: this version knows no such kind")
        elif client is None:
            left.append(f"{named} is left as it is: nothing here says in which cluster it is")
        else:
            noted = NotedObject(client, resource, namespace, workload.name)
            objects = await written_objects(noted, sized=workload.sized)
            left += (await put_back(objects, None, serves=workload.slot == record.assignment.default)).left
    return left
