"""What tailramp notes on an object that it writes: who wrote, what stood there before, and what stands there since.

The note is part of the same write, so that it is there if and only if the write is.
"""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from activities.kube.client import Object, Operation
from activities.kube.json_patch import annotate, pointer, remove_annotations, replace
from activities.workloads.model_fields import FieldValue, value_at
from tailramp.spec.digest import digest_of

NOTES = "tailramp/found"
KEPT = "tailramp/kept"
"""Beside the notes: since which epoch of the record nobody takes the servers of this object away."""


class Written(BaseModel):
    """One field: what stood there, and what tailramp has written; None where there was, or is, nothing."""

    model_config = ConfigDict(frozen=True)

    before: Any = None
    after: Any = None


class Notes(BaseModel):
    """``fields`` by JSON pointer.  ``ramp`` is the latest that wrote, ``changed_by`` the latest that made a field hold
    something else.  ``order`` is the highest of that ramp's writes.
    ``said`` is the digest of what the controller had said when the servers' template was changed last; None if there
    were no servers of which it could say anything else after that."""

    model_config = ConfigDict(frozen=True)

    route: str
    slot: str
    ramp: str
    changed_by: str | None = None
    order: int = 0
    said: str | None = None
    fields: dict[str, Written] = Field(default_factory=dict)

    @classmethod
    def on(cls, found: Object) -> Self | None:
        """The notes on an object; None if there are none that can be read."""
        text = (found["metadata"].get("annotations") or {}).get(NOTES)
        try:
            return None if text is None else cls.model_validate_json(text)
        except ValidationError:
            return None

    def with_fields(self, found: Object, fields: tuple[FieldValue, ...]) -> Self:
        """These notes with what stands in ``fields`` now, unless they know what stood there earlier."""
        noted = dict(self.fields)
        for field in fields:
            here = value_at(found, field.pointer)
            known = noted.get(field.pointer)
            if known is None and here == field.value:
                continue
            # What somebody else has written since is not tailramp's to forget.
            before = known.before if known is not None and known.after == here else here
            noted[field.pointer] = Written(before=before, after=field.value)
        return self.model_copy(update={"fields": noted})

    def mark(self, found: Object) -> list[Operation]:
        return annotate(found, {NOTES: self.model_dump_json()})


def said_by_controller(found: Object) -> str:
    """A digest of the object's status."""
    return digest_of(found.get("status"))


def unmark(found: Object) -> list[Operation]:
    return remove_annotations(found, (NOTES, KEPT))


def written(found: Object, fields: tuple[FieldValue, ...]) -> list[Operation]:
    """The operations that make the object hold ``fields``; none where it does already."""
    operations: list[Operation] = []
    made: set[str] = set()
    for field in fields:
        here = value_at(found, field.pointer)
        if here == field.value:
            continue
        if field.value is None:
            operations.append({"op": "remove", "path": field.pointer})
            continue
        for parent in _parents(field.pointer):
            if value_at(found, parent) is None and parent not in made:
                made.add(parent)
                operations.append({"op": "add", "path": parent, "value": {}})
        operations.append(
            replace(field.pointer, field.value)
            if here is not None
            else {"op": "add", "path": field.pointer, "value": field.value}
        )
    return operations


def _parents(at: str) -> list[str]:
    """The pointers to everything around what ``at`` points to, the outermost first."""
    parts = at.split("/")
    return ["/".join(parts[:length]) for length in range(2, len(parts))]


REPLICAS = pointer("spec", "replicas")
