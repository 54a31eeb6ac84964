"""What a process must be allowed to do with the servers of a slot: the Role of `deploy/kubernetes/workload-access`.

Only what this slot will in fact use is asked for, since whoever writes a Role may leave out the rest.
"""

from activities.kube.resources import EVENTS, POD_AUTOSCALERS, PODS, SCALED_OBJECTS
from activities.kube.rights import Right
from activities.workloads.noted_object import NotedObject


def to_write(target: NotedObject) -> tuple[Right, ...]:
    return tuple(Right(verb, target.resource, target.name) for verb in ("get", "patch"))


async def to_run(target: NotedObject, *, sized: bool) -> tuple[Right, ...]:
    """What a workload needs, but for writing what scales it; only of one that is ``sized`` somebody asks what does."""
    listed = [PODS, EVENTS]
    if sized:
        listed.append(POD_AUTOSCALERS)
        if await target.client.knows(SCALED_OBJECTS):
            listed.append(SCALED_OBJECTS)
    return (*to_write(target), *(Right("list", resource) for resource in listed))
