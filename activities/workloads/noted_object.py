"""An object of the Kubernetes API that carries tailramp's notes: how it is written, and how it is put back.

Every write is one JSON patch that tests the uid and the version which were read, carries the notes of what stood there
before, and is made only after the route record was asked whether this ramp may still write.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from activities.kube import Changed, KubeClient, Resource
from activities.kube.client import Object, Operation
from activities.kube.json_patch import is_unchanged
from activities.routers.kube.writers import others
from activities.workloads.model_fields import FieldValue, value_at
from activities.workloads.notes import REPLICAS, Notes, said_by_controller, unmark, written
from activities.workloads.protocol import Holder, Restored
from tailramp.errors import Fenced, Unreachable

_ATTEMPTS = 20
"""How often a write that met somebody else's is begun again: a controller writes the status of what it is rolling."""


@dataclass(frozen=True)
class NotedObject:
    """``name`` of ``namespace``.  What its methods raise is what ``KubeClient`` does, and Fenced of the holder."""

    client: KubeClient
    resource: Resource
    namespace: str
    name: str

    def __str__(self) -> str:
        """``deployment llm/chat-green``."""
        return f"{self.resource.kind.lower()} {self.namespace}/{self.name}"

    async def has_notes(self) -> bool:
        """False also if there is no such object."""
        found = await self.client.find(self.resource, self.namespace, self.name)
        return found is not None and bool(unmark(found))

    async def hold(
        self,
        blank: Notes,
        change: Callable[[Object], tuple[FieldValue, ...]],
        holder: Holder,
        *,
        anew: bool = False,
        replaces: bool = False,
    ) -> None:
        """Write the fields of ``change``, with notes.

        ``blank`` are the notes where there are none yet.  ``anew``: what another ramp has noted is forgotten, so that
        what stands now is what was found.  ``replaces``: other servers take the place of those that are there.  Raises
        Fenced where this ramp has asked for something else since.
        """

        def operations(found: Object) -> list[Operation]:
            fields = change(found)
            writes = written(found, fields)
            notes = Notes.on(found)
            if notes is None or (anew and notes.ramp != holder.ramp):
                notes = blank
            by: dict[str, Any] = {"ramp": holder.ramp, "order": self._order(notes, holder)}
            by |= {"changed_by": holder.ramp} if writes else {}
            if writes and replaces:
                by["said"] = said_by_controller(found) if found.get("status", {}).get("replicas") else None
            return [*writes, *notes.model_copy(update=by).with_fields(found, fields).mark(found)]

        await self.patch(operations, holder)

    def _order(self, notes: Notes, holder: Holder) -> int:
        """The order that stands once ``holder`` has written.  It stands also where a write changes nothing else, so
        that one which was decided before that finds the object changed."""
        before = notes.order if notes.ramp == holder.ramp else 0
        if holder.order is None:
            return before
        if holder.order < before:
            raise Fenced(f"{self}: ramp {holder.ramp} has asked for other servers since")
        return holder.order

    async def restore(self, holder: Holder | None, *, serves: bool, runs_model: bool) -> Restored:
        """See ``Workload.restore``.  ``runs_model``: fields of this object say which model is served."""
        touched, left = False, list[str]()

        def operations(found: Object) -> list[Operation]:
            nonlocal touched
            left.clear()
            notes = Notes.on(found)
            if notes is None or (holder is not None and notes.ramp != holder.ramp):
                return unmark(found) if holder is None else []
            touched = True
            if holder is None and serves:  # the ramp that wrote is over, and its servers are those that users have
                return unmark(found)
            back: list[FieldValue] = []
            for at, noted in notes.fields.items():
                here = value_at(found, at)
                keeps = serves and runs_model and at != REPLICAS
                if here == noted.before or keeps:
                    continue
                if here == noted.after:
                    back.append(FieldValue(at, noted.before))
                else:
                    left.append(f"{self}: {at} was changed by {others(found)} and is left")
            return [*written(found, tuple(back)), *unmark(found)]

        await self.patch(operations, holder)
        return Restored(touched, tuple(left))

    async def patch(self, change: Callable[[Object], list[Operation]], holder: Holder | None) -> None:
        """Read, ask whether the ramp may, write; again if somebody else wrote meanwhile."""
        for _ in range(_ATTEMPTS):
            found = await self.client.get(self.resource, self.namespace, self.name)
            if holder is not None:
                await holder.check()
            operations = change(found)
            if not operations:
                return
            try:
                await self.client.patch(self.resource, self.namespace, self.name, [*is_unchanged(found), *operations])
            except Changed:
                continue
            return
        raise Unreachable(f"{self} was written by somebody else {_ATTEMPTS} times meanwhile")
