"""The units of the two files: durations such as ``2000ms`` and shares such as ``5 %``.

Researchers write what they would say; the model holds exact values.  Both types print themselves the way they were
meant, so that every message can quote them.  What cannot be read is answered with a guess where there is one: ``2 sec``
with 2s, ``５％`` with 5%.
"""

import re
import unicodedata
from datetime import timedelta
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from tailramp.errors import WrongValue

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)")
_DURATION: Final = re.compile(rf"(?:{_PART.pattern}\s*)+")
_SAID: Final = {
    "ms": ("msec", "msecs", "millis", "millisecond", "milliseconds", "毫秒"),
    "s": ("sec", "secs", "second", "seconds", "秒", "秒钟"),
    "m": ("min", "mins", "minute", "minutes", "分", "分钟"),
    "h": ("hr", "hrs", "hour", "hours", "时", "小时"),
    "d": ("day", "days", "天", "日"),
}
_UNIT_SAID: Final = {word: unit for unit, words in _SAID.items() for word in words}
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_SHARE: Final = re.compile(r"[+-]?[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?\s*%?")


def parse_duration(value: object) -> timedelta:
    """``2000ms``, ``1.5s``, ``10m``, ``1h30m`` → timedelta.  A bare number has no unit and is refused."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        text = value.strip()
        if _DURATION.fullmatch(text):
            return _of_seconds(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))
        if (iso := _ISO.fullmatch(text)) is not None and any(iso.groups()):
            return _of_iso(iso)
    raise WrongValue("a duration is a number with its unit", _meant_duration(value))


_ISO = re.compile(r"P(?:([0-9]+)Y)?(?:([0-9]+)D)?(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+(?:\.[0-9]+)?)S)?)?")


def _of_iso(match: re.Match[str]) -> timedelta:
    """The form in which pydantic writes a timedelta into JSON, so that a payload reads back.  A year has 365 days."""
    years, days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return _of_seconds((years * 365 + days) * 86400 + hours * 3600 + minutes * 60 + seconds)


def _of_seconds(seconds: float) -> timedelta:
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise WrongValue("no duration is that long", "Write for example 10m") from None


def _meant_duration(value: object) -> str:
    """What to write instead of ``value``, which is no duration."""
    text = "" if isinstance(value, bool) else unicodedata.normalize("NFKC", str(value)).strip().lower()
    if _NUMBER.fullmatch(text) and len(text) < 12:
        return f"Write {text}ms, {text}s or {text}m"
    words = re.sub(r"[^\W\d_]+", lambda word: _UNIT_SAID.get(word[0], word[0]), text.lstrip("-"))
    guess = re.sub(r"[\s,]+", "", words)
    return f"Did you mean {guess}?" if _DURATION.fullmatch(guess) else "Write for example 2000ms, 15s, 10m or 1h30m"


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
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, str) and _SHARE.fullmatch(text := value.strip()):
            return float(text[:-1].strip()) / 100 if text.endswith("%") else float(text)
    except OverflowError:
        pass
    raise WrongValue("a share is a number from 0 to 1, or a percentage", _meant_share(value))


def _meant_share(value: object) -> str:
    text = unicodedata.normalize("NFKC", value).strip().lower() if isinstance(value, str) else ""
    guess = re.sub(r"\s*(?:percent|per cent|pct|%)", "%", text).replace(",", ".")
    return f"Did you mean {guess}?" if _SHARE.fullmatch(guess) else "Write for example 0.05 or 5%"


def format_share(value: float) -> str:
    """0.05 → ``5 %``."""
    return f"{value * 100:.6g} %"


Duration = Annotated[timedelta, BeforeValidator(parse_duration), Field(ge=timedelta(0))]
Share = Annotated[float, BeforeValidator(parse_share), Field(ge=0, le=1, allow_inf_nan=False)]
