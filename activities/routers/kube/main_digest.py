"""What a main route was before a ramp, as digests: enough to prove that every field is back, and whose change is left.

A ramp carries this text through its whole life, so it holds no object.  Fields are found again by what tailramp never
writes, since others may put rules and paths in meanwhile.
"""

import hashlib
import json
from dataclasses import dataclass

from activities.kube.client import Object
from activities.routers.kube.planner import Planner, Written


@dataclass(frozen=True)
class MainDigest:
    """Of the slot that the main route points at, of all of its spec, and of each field that tailramp writes: the place
    of the field and the place with its value.  As text ``default:whole:place=field,...``.
    """

    default: str
    whole: str
    fields: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, planner: Planner, main: Object) -> "MainDigest":
        fields = frozenset(_field(written) for written in planner.written(main))
        return cls(_digest(planner.default(main)), _digest(main.get("spec")), fields)

    @classmethod
    def parse(cls, text: str) -> "MainDigest":
        """A text without fields is of a ramp that began before they were kept: then none is compared."""
        default, whole, fields = (*text.split(":"), "", "", "")[:3]
        pairs = (field.partition("=") for field in fields.split(",") if field)
        return cls(default, whole, frozenset((place, value) for place, _, value in pairs))

    def __str__(self) -> str:
        fields = ",".join(f"{place}={value}" for place, value in sorted(self.fields))
        return f"{self.default}:{self.whole}:{fields}"

    def changed(self, planner: Planner, main: Object) -> list[str]:
        """The paths of the fields that are not as they were.  A place that is new is somebody else's, and so is one
        that is gone: tailramp makes and removes none.
        """
        places = {place for place, _ in self.fields}
        found = [(_field(written), written.path) for written in planner.written(main)]
        return [path for field, path in found if field[0] in places and field not in self.fields]


def _field(written: Written) -> tuple[str, str]:
    return _digest(written.place), _digest([written.place, written.value])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
