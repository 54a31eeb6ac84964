"""What to write instead: the reason and the mend for every kind of error that pydantic finds in a file.

pydantic says what a value should have been; whoever reads the message wants to know what to type.  That depends on the
kind of error, on the field with its examples and its default, and on the text as it stands in the file.
"""

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tailramp.errors import WrongValue
from tailramp.units import format_duration


@dataclass(frozen=True)
class Fault:
    """One error of pydantic: its ``kind`` and ``context``, the field's ``name`` and description, and what stands there.

    ``written`` is the text of a scalar in the file, None for everything else.  ``known`` are the fields that may stand
    in the place of ``name``, ``inside`` those that may stand below it.
    """

    kind: str
    context: Mapping[str, Any]
    message: str
    name: str
    field: FieldInfo | None
    value: Any
    written: str | None
    known: list[str]
    inside: list[str]

    @property
    def example(self) -> str | None:
        """What could stand there, as YAML; None where the field has neither an example nor a default."""
        if self.field is None:
            return None
        if self.field.examples:
            return _as_yaml(self.field.examples[0])
        for part in self.field.metadata:
            if hasattr(part, "example"):
                return str(part.example)
        if get_origin(self.field.annotation) is Literal:
            return _as_yaml(get_args(self.field.annotation)[0])
        default = self.field.default
        return None if default in (None, PydanticUndefined, ()) else _as_yaml(default)


def words(fault: Fault) -> tuple[str, str]:
    """The reason and the mend."""
    error = fault.context.get("error")
    if isinstance(error, WrongValue):
        return error.reason, error.mend
    return _WORDS.get(fault.kind, _otherwise)(fault)


def _otherwise(fault: Fault) -> tuple[str, str]:
    message = str(fault.context.get("error", fault.message))
    return message[:1].lower() + message[1:], _for_example(fault)


def _for_example(fault: Fault) -> str:
    return f"Write for example {fault.example}" if fault.example else "`tailramp schema` tells what may stand here"


def _unknown(fault: Fault) -> tuple[str, str]:
    close = difflib.get_close_matches(fault.name.replace("_", ""), fault.known, n=1)
    return "unknown field", f"Did you mean {close[0]}?" if close else f"Known here: {', '.join(fault.known)}"


def _missing(fault: Fault) -> tuple[str, str]:
    if fault.inside:
        return "is missing", f"Add {fault.name}: with its fields below it: {', '.join(fault.inside)}"
    return "is missing", f"Add {fault.name}: {fault.example}" if fault.example else f"Add {fault.name}:"


def _no_text(fault: Fault) -> tuple[str, str]:
    if fault.value is None:
        return "has no value", _for_example(fault)
    if fault.written is not None:
        return f"YAML reads this as {_kind_of(fault.value)}", f'Put it in quotes: "{fault.written}"'
    return f"is {_kind_of(fault.value)}, and a text is needed", _for_example(fault)


def _no_flag(_: Fault) -> tuple[str, str]:
    return "must be true or false", "Write true or false, without quotes"


def _no_whole_number(fault: Fault) -> tuple[str, str]:
    return "is not a whole number", f"Write a number without quotes, such as {fault.example or 1}"


def _out_of_range(fault: Fault) -> tuple[str, str]:
    """pydantic names the bound ge, gt, le or lt."""
    ((sign, bound),) = fault.context.items()
    shown = f"{bound:g}" if isinstance(bound, int | float) else _longest(fault, sign)
    value = fault.value
    if sign in {"le", "lt"} and bound == 1 and isinstance(value, int | float) and 1 < value < 100:
        return "a share is a number from 0 to 1, or a percentage", f"Did you mean {value:g}%?"
    reason = {"ge": "must be {} or more", "gt": "must be more than {}", "le": "must be {} or less"}
    return reason.get(sign, "must be less than {}").format(shown), _for_example(fault)


def _longest(fault: Fault, sign: str) -> str:
    """The field's own bound beside that of every duration: pydantic spells it out as "1 second"."""
    bounds = [] if fault.field is None else [getattr(part, sign, None) for part in fault.field.metadata]
    return format_duration(max((bound for bound in bounds if isinstance(bound, timedelta)), default=timedelta(0)))


def _not_known(fault: Fault) -> tuple[str, str]:
    known = str(fault.context.get("expected", fault.context.get("expected_tags"))).replace("'", "")
    names = known.replace(" or ", ", ").split(", ")
    close = difflib.get_close_matches(str(fault.value), names, n=1) if len(names) > 1 else []
    is_word = str(fault.value)[:1].isalpha()
    return f"must be {known}", f"Did you mean {close[0]}?" if close and is_word else f"Write {known}"


def _no_group(fault: Fault) -> tuple[str, str]:
    if not fault.inside:
        return "is no group of fields", "Write names and values below it, indented, one in a line"
    return "is no group of fields", f"Write its fields below it, indented: {', '.join(fault.inside)}"


def _no_list(fault: Fault) -> tuple[str, str]:
    return "is not a list", f"Write a list, such as {fault.example or '[a, b]'}"


def _too_few(fault: Fault) -> tuple[str, str]:
    least, actual = fault.context["min_length"], fault.context["actual_length"]
    return f"has {actual} of at least {least} entries", f"Add to {fault.name} until it has {least}"


def _empty(fault: Fault) -> tuple[str, str]:
    return "is empty", _for_example(fault)


def _too_long(fault: Fault) -> tuple[str, str]:
    longest = fault.context["max_length"]
    return f"is longer than {longest} characters", f"Shorten it to {longest} or less"


def _no_path(fault: Fault) -> tuple[str, str]:
    return "is not the path of a file", f'Write a path in quotes, such as "{fault.example or "folder/file"}"'


_WORDS: Final[dict[str, Callable[[Fault], tuple[str, str]]]] = {
    "extra_forbidden": _unknown,
    "missing": _missing,
    "string_type": _no_text,
    "string_too_short": _empty,
    "string_too_long": _too_long,
    "bool_type": _no_flag,
    "int_type": _no_whole_number,
    "greater_than": _out_of_range,
    "greater_than_equal": _out_of_range,
    "less_than": _out_of_range,
    "less_than_equal": _out_of_range,
    "literal_error": _not_known,
    "enum": _not_known,
    "union_tag_invalid": _not_known,
    "union_tag_not_found": _missing,
    "model_attributes_type": _no_group,
    "model_type": _no_group,
    "dict_type": _no_group,
    "tuple_type": _no_list,
    "too_short": _too_few,
    "path_type": _no_path,
}


def _kind_of(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return "a number"
    return "a list" if isinstance(value, list) else "a group of fields"


def _as_yaml(value: object) -> str:
    """One line of YAML that reads back as ``value``."""
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, str):
        plain = yaml.safe_dump(value).splitlines()[0]
        is_clear = plain == value and re.fullmatch(r"[0-9,-]*", value) is None
        return plain if is_clear else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False, default=str)
