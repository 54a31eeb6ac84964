"""From what a validator found wrong to a problem in words: file, line, field, value, reason and mend."""

import difflib
import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from tailramp.errors import InvalidFile, Problem
from tailramp.spec.fields import FileModel
from tailramp.yaml_source import Document, Location, dotted

Model = TypeVar("Model", bound=FileModel)


def validate(model: type[Model], document: Document) -> Model:
    """Plain data → model.  Raises InvalidFile with every problem, in the order of their lines."""
    if not isinstance(document.data, dict):
        mend = f"Start with {' or '.join(_field_names(model)[:2])}:"
        raise InvalidFile([Problem("(file)", "the file is not a mapping", mend, file=document.file, line=1)])
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        problems = [_problem(model, document, details) for details in error.errors()]
        raise InvalidFile(sorted(problems, key=lambda problem: problem.line or 0)) from None


def _problem(model: type[BaseModel], document: Document, details: ErrorDetails) -> Problem:
    location = _location_in_file(document, details["loc"])
    value = document.value_of(location)
    shown = (
        None if isinstance(value, dict | list) or value is None else json.dumps(value, ensure_ascii=False, default=str)
    )
    if shown is not None and len(shown) > 80:
        shown = shown[:77] + "..."
    if location and "secret" in str(location[-1]).lower():
        shown = None
    reason, mend = _words(model, details, location)
    return Problem(dotted(location), reason, mend, shown, document.file, document.line_of(location))


def _location_in_file(document: Document, loc: tuple[int | str, ...]) -> Location:
    """pydantic's location without the parts that it adds for unions and validators."""
    location: Location = ()
    for index, part in enumerate(loc):
        if part == "[key]":
            continue
        value = document.value_of(location)
        last = index == len(loc) - 1
        if isinstance(value, dict) and (part in value or last):
            location = (*location, part)
        elif isinstance(value, list) and isinstance(part, int):
            location = (*location, part)
    return location


def _words(model: type[BaseModel], details: ErrorDetails, location: Location) -> tuple[str, str]:
    kind = details["type"]
    name = str(location[-1]) if location else "(file)"
    context = details.get("ctx", {})
    if kind == "extra_forbidden":
        known = _fields_at(model, location[:-1])
        close = difflib.get_close_matches(name, known, n=1)
        return "unknown field", f"Did you mean {close[0]}?" if close else f"Known here: {', '.join(known)}"
    if kind == "missing":
        return "is missing", f"Add {name}:"
    if kind == "value_error":
        return str(context.get("error", details["msg"])), "Change the value"
    if kind == "literal_error":
        return f"must be {context['expected']}", "Change the value"
    if kind == "string_pattern_mismatch":
        return f"does not have the form {context['pattern']}", "Change the value"
    message = details["msg"][0].lower() + details["msg"][1:]
    return message, "Change the value"


def _fields_at(model: type[BaseModel], location: Location) -> list[str]:
    """The field names that the files may use at ``location``."""
    current: type[BaseModel] | None = model
    for part in location:
        if current is None or isinstance(part, int):
            continue
        annotation = next(
            (info.annotation for field, info in current.model_fields.items() if to_camel(field) == part), None
        )
        current = _model_in(annotation) or current
    return _field_names(current) if current is not None else []


def _field_names(model: type[BaseModel]) -> list[str]:
    return [to_camel(field) for field in model.model_fields]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside ``Model | None``, ``tuple[Model, ...]`` or ``dict[str, Model]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := _model_in(argument)) is not None:
            return found
    return None
