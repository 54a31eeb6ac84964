"""JSON patches: the only way in which an object that exists is written, since each of them can test what it meets."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from activities.kube.client import Object, Operation


def pointer(*parts: str | int) -> str:
    """``("metadata", "annotations", "tailramp/epoch")`` → ``/metadata/annotations/tailramp~1epoch``."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def replace(path: str, value: Any) -> Operation:
    return {"op": "replace", "path": path, "value": value}


def is_that(found: Object) -> list[Operation]:
    """The object must still be the one that was read, whatever became of it since."""
    return [{"op": "test", "path": "/metadata/uid", "value": found["metadata"]["uid"]}]


def is_unchanged(found: Object) -> list[Operation]:
    """Nobody may have written the object since it was read."""
    version = {"op": "test", "path": "/metadata/resourceVersion", "value": found["metadata"]["resourceVersion"]}
    return [*is_that(found), version]


def annotate(found: Object, annotations: Mapping[str, str]) -> list[Operation]:
    """Set annotations; none if all of them are so already."""
    present = found["metadata"].get("annotations") or {}
    changed = {key: value for key, value in annotations.items() if present.get(key) != value}
    if not changed:
        return []
    operations: list[Operation] = []
    if not present:
        operations.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    return [
        *operations,
        *({"op": "add", "path": pointer("metadata", "annotations", key), "value": changed[key]} for key in changed),
    ]


def remove_annotations(found: Object, keys: tuple[str, ...]) -> list[Operation]:
    """Take annotations away; none if they are not there."""
    present = found["metadata"].get("annotations") or {}
    return [{"op": "remove", "path": pointer("metadata", "annotations", key)} for key in keys if key in present]


def applied(found: Object, operations: Sequence[Operation]) -> Object:
    """The object after a patch, as far as it can be told without the API server; tests are taken to hold."""
    changed = copy.deepcopy(found)
    for operation in operations:
        if operation["op"] == "test":
            continue
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        place: Any = changed
        for part in way:
            place = place[int(part)] if isinstance(place, list) else place[part]
        key: Any = int(last) if isinstance(place, list) else last
        if operation["op"] == "remove":
            del place[key]
        else:
            place[key] = operation["value"]
    return changed
