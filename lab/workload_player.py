"""The controllers and machines of a cluster that has none: what would become of a workload object, as far as it shows.

The lab's API server runs neither controllers nor kubelets, so nobody makes pods of a Deployment. This plays both: it
takes changed objects up, lets one server after the other become ready, each in the place of one of before, and writes
the status that the controllers of Kubernetes would write, or that of LeaderWorkerSets up to 0.7, which tells no
generation. Where a slot of a world belongs to the object, the toy model in it is replaced as well.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from activities.kube import Changed, KubeClient, NotFound, Resource
from activities.kube.resources import DEPLOYMENTS, LEADER_WORKER_SETS, STATEFUL_SETS

Object = dict[str, Any]
Deployed = Callable[[str, Object], Awaitable[None]]
"""Called with the name of the object, and the object, before the first server of a changed template is ready."""


@dataclass
class _Rollout:
    """``ready`` servers hold the present template; ``old`` ones, that answer too, still hold an earlier one."""

    template: str = ""
    earlier: str = ""
    ready: int = 0
    old: int = 0
    rolled: str = ""
    """When an earlier template began to be replaced, or was replaced altogether, as the API server writes times."""

    def becomes(self, template: str) -> None:
        """Every server is one of before from now on."""
        self.earlier, self.template = self.template, template
        self.ready, self.old, self.rolled = 0, self.ready + self.old, _now()

    def goes_on(self, wanted: int, reachable: int) -> None:
        """One more is ready, and for it one of before goes; who is not wanted goes at once, those of before first."""
        self.old = min(self.old, wanted)
        self.ready = min(self.ready, wanted - self.old)
        if self.ready < reachable:
            self.ready += 1
            if self.old and self.ready + self.old > wanted:
                self.old -= 1
                self.rolled = self.rolled if self.old else _now()


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
            rollout.becomes(template)
            if self.deployed is not None:
                await self.deployed(name, found)
        rollout.goes_on(wanted, min(wanted, self.at_most.get(name, wanted)))
        status = self._status(found, wanted, rollout)
        if found.get("status") == status:
            return
        version = found["metadata"]["resourceVersion"]
        operations = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/status", "value": status},
        ]
        await self.client.patch(self.resource, self.namespace, name, operations, subresource="status")

    def _status(self, found: Object, wanted: int, rollout: _Rollout) -> Object:
        """What the kind's controller would say."""
        ready = rollout.ready + rollout.old
        status: Object = {"replicas": wanted, "updatedReplicas": wanted - rollout.old, "readyReplicas": ready}
        if self.resource == LEADER_WORKER_SETS:
            updating = {"type": "UpdateInProgress", "status": str(rollout.old > 0), "reason": "GroupsUpdating"}
            told = {**updating, "lastTransitionTime": rollout.rolled, "message": "of an update"}
            return status | {"conditions": [told]}
        status |= {"observedGeneration": found["metadata"]["generation"], "availableReplicas": ready}
        if self.resource == STATEFUL_SETS:
            current = rollout.earlier if rollout.old else rollout.template
            status |= {"currentRevision": _revision(current), "updateRevision": _revision(rollout.template)}
        return status


def _revision(template: str) -> str:
    return hashlib.sha256(template.encode()).hexdigest()[:10]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
