"""Deployments of a cluster whose machines are never busy: as many servers as are wanted are ready at once."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence

from activities.kube import Changed, NotFound, Resource
from activities.kube.client import Object, Operation
from activities.kube.json_patch import applied
from activities.kube.resources import DEPLOYMENTS


class ClusterInMemory:
    """What workloads call of a ``KubeClient``.  ``written`` is called with every object before and after its patch.

    ``sleeper``: who patches when ``awake`` patches more were made falls asleep before that, until the event is set;
    ``asleep`` is set when it does.
    """

    def __init__(self, written: Callable[[Object, Object], None]) -> None:
        self.objects: dict[str, Object] = {}
        self.sleeper: asyncio.Event | None = None
        self.awake = 0
        self.asleep = asyncio.Event()
        self._written = written

    def make(self, name: str, image: str, replicas: int) -> None:
        template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "server", "image": image}]}}
        metadata = {"name": name, "uid": name, "resourceVersion": "1", "generation": 1}
        spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
        self.objects[name] = _with_status({"metadata": metadata, "spec": spec})

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        if resource is not DEPLOYMENTS or name not in self.objects:
            raise NotFound(f"{resource.plural} {namespace}/{name} not found")
        return copy.deepcopy(self.objects[name])

    async def find(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        return await self.get(resource, namespace, name) if name in self.objects else None

    async def find_all(self, *_: object, **__: object) -> list[Object]:
        return []

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, operations: Sequence[Operation]
    ) -> Object:
        self.awake -= 1
        if self.awake < 0 and (sleeper := self.sleeper) is not None:
            self.sleeper = None
            self.asleep.set()
            await sleeper.wait()
        before = await self.get(resource, namespace, name)
        for test in (operation for operation in operations if operation["op"] == "test"):
            if before["metadata"][test["path"].rpartition("/")[2]] != test["value"]:
                raise Changed(f"{name} was changed")
        after = applied(before, operations)
        if after != before:
            metadata = after["metadata"]
            metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
            metadata["generation"] += after["spec"] != before["spec"]
            self.objects[name] = _with_status(after)
            self._written(before, after)
        return copy.deepcopy(self.objects[name])


def _with_status(found: Object) -> Object:
    counts = dict.fromkeys(
        ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), found["spec"]["replicas"]
    )
    return {**found, "status": {"observedGeneration": found["metadata"]["generation"], **counts}}
