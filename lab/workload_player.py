"""The controllers and machines of a cluster that has none: what would become of a workload object, as far as it shows.

The lab's API server runs neither controllers nor kubelets, so nobody makes pods of a Deployment. This plays both: it
takes changed objects up, lets one server after the other become ready, and writes the status that the controllers of
Kubernetes would write. Where a slot of a world belongs to the object, the toy model in it is replaced as well.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from activities.kube import Changed, KubeClient, NotFound, Resource
from activities.kube.resources import DEPLOYMENTS, LEADER_WORKER_SETS

Object = dict[str, Any]
Deployed = Callable[[str, Object], Awaitable[None]]
"""Called with the name of the object, and the object, before the first server of a changed template is ready."""


@dataclass
class _Rollout:
    template: str = ""
    ready: int = 0


@dataclass
class WorkloadPlayer:
    """An async context manager. `at_most` servers of an object become ready; the rest stay as they are."""

    client: KubeClient
    namespace: str
    resource: Resource = DEPLOYMENTS
    deployed: Deployed | None = None
    beat: float = 0.1
    at_most: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, list[int]] = field(default_factory=dict)
    """Every number of servers that an object was seen to want, in order."""
    _rollouts: dict[str, _Rollout] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._play())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _play(self) -> None:
        while True:
            for found in await self.client.find_all(self.resource, self.namespace):
                try:
                    await self._advance(found)
                except (Changed, NotFound):  # somebody has written meanwhile: at the next beat
                    continue
            await asyncio.sleep(self.beat)

    async def _advance(self, found: Object) -> None:
        name, wanted = found["metadata"]["name"], int(found["spec"].get("replicas", 1))
        sizes = self.sizes.setdefault(name, [])
        if sizes[-1:] != [wanted]:
            sizes.append(wanted)
        rollout = self._rollouts.setdefault(name, _Rollout())
        inside = found["spec"].get("template") or found["spec"]["leaderWorkerTemplate"]
        template = json.dumps(inside, sort_keys=True)
        if template != rollout.template:
            rollout.template, rollout.ready = template, 0
            if self.deployed is not None:
                await self.deployed(name, found)
        reachable = min(wanted, self.at_most.get(name, wanted))
        rollout.ready = min(rollout.ready + 1, reachable)
        status = {"replicas": wanted, "updatedReplicas": wanted, "readyReplicas": rollout.ready}
        if self.resource != LEADER_WORKER_SETS:  # which knows neither, up to 0.7
            status |= {"observedGeneration": found["metadata"]["generation"], "availableReplicas": rollout.ready}
        if found.get("status") == status:
            return
        version = found["metadata"]["resourceVersion"]
        operations = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/status", "value": status},
        ]
        await self.client.patch(self.resource, self.namespace, name, operations, subresource="status")
