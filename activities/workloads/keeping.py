"""Whoever sends everyone to a slot keeps its servers there, without a ramp: the writes that could still take them fail.

A worker that retires a slot asks the route record and then writes the slot's object.  One that was frozen between the
two knows nothing of what the record says since, so the object itself has to change: its write tests the version.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from activities.kube import KubeClient, Resource
from activities.kube.json_patch import annotate
from activities.workloads.autoscalers import autoscaler_of
from activities.workloads.noted_object import NotedObject
from activities.workloads.notes import KEPT
from activities.workloads.putting_back import written_objects
from activities.workloads.shape import wanted
from tailramp.errors import TailrampError
from tailramp.route_record import RouteRecord, WorkloadReference

_SECONDS = 5.0
"""For each object: people wait for the answer."""


@dataclass(frozen=True)
class Kept:
    """``servers`` is how many the object of a slot asks for, at least, from now on; None with the ``trouble``."""

    name: str
    servers: int | None = None
    trouble: str = ""


async def keep_servers(
    record: RouteRecord,
    workloads: Iterable[WorkloadReference],
    resources: dict[str, Resource],
    client_of: Callable[[WorkloadReference], KubeClient | None],
) -> list[Kept]:
    """Keep what the slot has that serves everyone by the record, which was written before and refuses whoever asks now.

    ``workloads`` of other slots, and those whose number no ramp sets, are left out.  ``resources`` and ``client_of`` as
    of ``put_all_back``.
    """
    kept: list[Kept] = []
    for workload in workloads:
        if workload.slot != record.assignment.default or not workload.sized:
            continue
        namespace = record.route.partition("/")[0]
        named = f"{workload.kind} {namespace}/{workload.name}"
        resource, client = resources.get(workload.kind), client_of(workload)
        if resource is None or client is None:
            kept.append(Kept(named, trouble="nothing here says in which cluster it is"))
            continue
        try:
            async with asyncio.timeout(_SECONDS):
                servers = await _keep(NotedObject(client, resource, namespace, workload.name), record.epoch)
        except TimeoutError:
            kept.append(Kept(named, trouble=f"its API server does not answer within {_SECONDS:g} s"))
        except TailrampError as error:
            kept.append(Kept(named, trouble=str(error)))
        else:
            kept.append(Kept(named, servers))
    return kept


async def _keep(noted: NotedObject, epoch: int) -> int:
    for each in await written_objects(noted, sized=True):
        await each.patch(lambda found: annotate(found, {KEPT: f"epoch {epoch}"}), None)
    found, scaler = await noted.client.get(noted.resource, noted.namespace, noted.name), await autoscaler_of(noted)
    return wanted(found) if scaler is None else min(scaler.least, wanted(found))
