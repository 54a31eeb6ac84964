"""The units of the two files: durations such as ``2000ms`` and shares such as ``5 %``.

Researchers write what they would say; the model holds exact values.  Both types print themselves the way they were
meant, so that every message can quote them.
"""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_DURATION = re.compile(rf"(?:{_PART.pattern}\s*)+")


def parse_duration(value: object) -> timedelta:
    """``2000ms``, ``1.5s``, ``10m``, ``1h30m`` → timedelta.  A bare number has no unit and is refused."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        text = value.strip()
        if _DURATION.fullmatch(text):
            return _of_seconds(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))
        if text.startswith("P"):
            return _parse_iso(text)
    raise ValueError("a duration is a number with its unit, such as 2000ms, 15s, 10m or 1h30m")


_ISO = re.compile(r"P(?:(\d+)Y)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def _parse_iso(text: str) -> timedelta:
    """The form in which pydantic writes a timedelta into JSON, so that a payload reads back.  A year has 365 days."""
    match = _ISO.fullmatch(text)
    if match is None or text in {"P", "PT"}:
        raise ValueError("a duration is a number with its unit, such as 2000ms, 15s, 10m or 1h30m")
    years, days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return _of_seconds((years * 365 + days) * 86400 + hours * 3600 + minutes * 60 + seconds)


def _of_seconds(seconds: float) -> timedelta:
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError("no duration is that long: write for example 10m") from None


def format_duration(value: timedelta) -> str:
    """The shortest exact spelling: ``1h30m``, ``2s``, ``250ms``."""
    milliseconds = round(value.total_seconds() * 1000)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_share(value: object) -> float:
    """``0.05`` or ``"5 %"`` → 0.05."""
    if isinstance(value, bool):
        raise ValueError("a share is a number from 0 to 1, or a percentage such as 5%")
    try:
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, str):
            text = value.strip()
            return float(text[:-1].strip()) / 100 if text.endswith("%") else float(text)
    except (ValueError, OverflowError):
        pass
    raise ValueError("a share is a number from 0 to 1, or a percentage such as 5%")


def format_share(value: float) -> str:
    """0.05 → ``5 %``."""
    return f"{value * 100:.6g} %"


Duration = Annotated[timedelta, BeforeValidator(parse_duration), Field(ge=timedelta(0))]
Share = Annotated[float, BeforeValidator(parse_share), Field(ge=0, le=1, allow_inf_nan=False)]
