"""From what a validator found wrong to a problem in words: file, line, field, value, reason and mend."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tailramp.errors import InvalidFile, Problem, WrongValue
from tailramp.spec.fields import FileModel
from tailramp.spec.mends import Fault, words
from tailramp.yaml_source import Document, Location, dotted, quotable

Model = TypeVar("Model", bound=FileModel)


def validate(model: type[Model], document: Document) -> Model:
    """Plain data → model.  Raises InvalidFile with every problem, in the order of their lines."""
    if not isinstance(document.data, dict):
        mend = f"Start with {' or '.join(_field_names(model)[:2])}:"
        raise InvalidFile([Problem("(file)", "the file is not a mapping", mend, file=document.file, line=1)])
    try:
        return model.model_validate(document.data, by_alias=True, by_name=False)
    except ValidationError as error:
        found = error.errors()
        wrong = {details["loc"][:-1] for details in found}
        # An entry that is wrong does not count, and a list that has no other is not too short for that.
        told = [details for details in found if details["type"] != "too_short" or details["loc"] not in wrong]
        problems = [_problem(model, document, details) for details in told]
        raise InvalidFile(sorted(problems, key=lambda problem: problem.line or 0)) from None


def _problem(model: type[BaseModel], document: Document, details: ErrorDetails) -> Problem:
    location = _location_in_file(document, details["loc"])
    if details["type"].startswith("union_tag"):
        location = (*location, "kind")
    error = details.get("ctx", {}).get("error")
    if isinstance(error, WrongValue):
        location = (*location, *error.at)
    written = document.written.get(location)
    fault = Fault(
        kind=details["type"],
        context=details.get("ctx", {}),
        message=details["msg"],
        name=str(location[-1]) if location else "(file)",
        field=_field_at(model, document, details["loc"]) or _field_at(model, document, location),
        value=document.value_of(location),
        written=written,
        known=_names_at(model, document, location[:-1]),
        inside=_names_at(model, document, location),
    )
    reason, mend = words(fault)
    value = quotable(location, written)
    return Problem(dotted(location), reason, mend, value, document.file, document.line_of(location))


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


def _names_at(model: type[BaseModel], document: Document, location: Location) -> list[str]:
    """The field names that the files may use at ``location``; none if no group of fields may stand there."""
    if not location:
        return _field_names(model)
    if (field := _field_at(model, document, location)) is not None:
        inside = _model_in(field.annotation, _kind_at(document, location))
        # Below the name of a table, such as slots, stand names of the user's own and not the fields of an entry.
        is_table = getattr(field.annotation, "__origin__", None) is dict
        return _field_names(inside) if inside is not None and not is_table else []
    entry = _field_at(model, document, location[:-1])
    inside = None if entry is None else _model_in(entry.annotation)
    return [] if inside is None else _field_names(inside)


def _field_at(model: type[BaseModel], document: Document, location: Location) -> FieldInfo | None:
    """The field that ``location`` ends with, not counting the places in a list; None for an entry of a table."""
    current: type[BaseModel] | None = model
    field: FieldInfo | None = None
    for depth, part in enumerate(location, start=1):
        if isinstance(part, int):
            continue
        if current is None:
            return None
        fields = {to_camel(name): info for name, info in current.model_fields.items()}
        is_table = field is not None and getattr(field.annotation, "__origin__", None) is dict
        field = None if is_table else fields.get(part)
        if is_table:
            continue
        current = None if field is None else _model_in(field.annotation, _kind_at(document, location[:depth]))
    return field


def _kind_at(document: Document, location: Location) -> object:
    """What a group of fields says it is, where there are several kinds."""
    value = document.value_of(location)
    return value.get("kind") if isinstance(value, dict) else None


def _field_names(model: type[BaseModel]) -> list[str]:
    return [to_camel(field) for field in model.model_fields]


def _model_in(annotation: Any, kind: object = None) -> type[BaseModel] | None:
    """The model inside ``Model | None``, ``tuple[Model, ...]`` or ``dict[str, Model]``, or of that kind in a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = [model for part in getattr(annotation, "__args__", ()) if (model := _model_in(part, kind)) is not None]
    return next((model for model in found if _is_of_kind(model, kind)), found[0] if found else None)


def _is_of_kind(model: type[BaseModel], kind: object) -> bool:
    field = model.model_fields.get("kind")
    return field is not None and kind in getattr(field.annotation, "__args__", ())
