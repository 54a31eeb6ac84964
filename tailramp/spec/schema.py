"""JSON Schema of the two files, for editors: what may stand where, with its description, default and an example.

pydantic describes its own reading of a value, which for durations and shares is not how people write them; here the
schema is brought to the form of the files.  It is looser than ``tailramp validate`` where only two fields together, or
both files, show a mistake.
"""

from collections.abc import Callable
from typing import Any, Final

from tailramp.spec.canary_file import CanaryFile
from tailramp.spec.fields import FileModel
from tailramp.spec.platform_file import PlatformFile
from tailramp.units import format_duration, parse_duration

FILES: Final[dict[str, type[FileModel]]] = {"canary": CanaryFile, "platform": PlatformFile}
"""The two files by the names under which their schemas are asked for."""

_DURATION: Final = r"^\s*([0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)\s*)+$"
_PERCENTAGE: Final = r"^\s*[0-9]*\.?[0-9]+\s*%?\s*$"
_BOUNDS: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def json_schema(file: str) -> dict[str, Any]:
    """The schema (draft 2020-12) of one of ``FILES``."""
    schema = FILES[file].model_json_schema(by_alias=True)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **_as_written(schema)}
    schema["title"] = f"tailramp {file} file"
    return schema


def _as_written(node: Any) -> Any:
    """``node`` and all below it in the form of the files."""
    if isinstance(node, list):
        return [_as_written(item) for item in node]
    if not isinstance(node, dict):
        return node
    # Names that pydantic makes of field names say nothing, and defaults of whole sections stand at their fields.
    without = {"title"} if isinstance(node.get("title"), str) else set()
    without |= {"default"} if "$ref" in node or node.get("default") is None else set()
    changed = {key: _as_written(value) for key, value in node.items() if key not in without}
    if "patternProperties" in changed:  # a table, whose names have a form
        changed.pop("propertyNames", None)
        changed["additionalProperties"] = False
    return _LEAVES.get(_kind(changed), dict)(changed)


def _kind(node: dict[str, Any]) -> str:
    if _is_duration(node):
        return "duration"
    return "share" if node.get("type") == "number" and "ge" in node else ""


def _is_duration(node: dict[str, Any]) -> bool:
    return node.get("format") == "duration"


def _duration(node: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in node.items() if key not in {"format", *_BOUNDS}}
    if "default" in kept:
        kept["default"] = format_duration(parse_duration(kept["default"]))
    return {**kept, "pattern": _DURATION}


def _share(node: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in node.items() if key not in {"type", *_BOUNDS}}
    bounds = {_BOUNDS[key]: value for key, value in node.items() if key in _BOUNDS}
    return {**kept, "anyOf": [{"type": "number", **bounds}, {"type": "string", "pattern": _PERCENTAGE}]}


_LEAVES: Final[dict[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {"duration": _duration, "share": _share}
