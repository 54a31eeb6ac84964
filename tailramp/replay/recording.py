"""A recording: raw counters as Prometheus gave them, so that any policy can be run over them again.

Lines of JSON, packed by gzip. The first is the header; every further one has a stretch of one query's answer; the last
says how many lines there are, so that a recording that was cut off is told from one that is whole. docs/replay.md has
the fields. What is kept are values at the ticks of time grids: one grid from beginning to end, or, for a ramp that was
recorded, the grids on which the ramp itself looked, so that a replay sees what it saw.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from tailramp.assignment import Assignment
from tailramp.errors import InvalidFile, Problem
from tailramp.evidence.kept import TimeBefore
from tailramp.evidence.reading import Labels
from tailramp.forms import SlotName

VERSION: Final = 1
_AGAIN = "Record it again"


class Span(BaseModel):
    """One time grid: ticks from ``start`` to ``end``, both included, unix seconds.

    For a ramp: its stretch began at ``anchor`` and ``served`` this assignment; ``settling`` while traffic was on its
    way.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: int = Field(gt=0)
    end: int = Field(gt=0)
    anchor: int = Field(gt=0)
    served: Assignment | None = None
    settling: bool = False


class Header(BaseModel):
    """The first line.  ``baseline`` and ``candidates`` (slot → model) are a ramp's, else what a plan begins with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tailramp: Literal["recording"] = "recording"
    version: Literal[1] = 1
    route: str
    spec: str = Field(description="digest of the two files that it was recorded with")
    baseline: SlotName
    candidates: dict[SlotName, str]
    step: int = Field(ge=1, le=86_400, description="seconds between two ticks")
    spans: tuple[Span, ...] = Field(min_length=1)
    queries: tuple[str, ...] = Field(min_length=1)
    native: tuple[str, ...] = Field(default=(), description="of the queries, those that return native histograms")
    earlier: TimeBefore | None = Field(default=None, description="what was known of the first users before the spans")
    users: Assignment | None = Field(default=None, description="these are, where nothing is served by a ramp")

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Older tailramps read a header without these fields."""
        found: dict[str, Any] = handler(self)
        return {name: value for name, value in found.items() if name not in {"earlier", "users"} or value is not None}

    def earlier_of(self, served: Assignment) -> TimeBefore | None:
        """What was known of the users whom ``served`` names; None if it is not known to be of these."""
        return self.earlier if served in {self.spans[0].served, self.users} else None

    @property
    def points(self) -> int:
        """Ticks of all grids."""
        return sum((span.end - span.start) // self.step + 1 for span in self.spans)


@dataclass(frozen=True)
class Series:
    """One series from unix time ``start`` on, a value every step; None where it was not there."""

    labels: Labels
    start: int
    values: Sequence[float | None]

    @cached_property
    def by_name(self) -> dict[str, str]:
        return dict(self.labels)


@dataclass(frozen=True)
class Recorded:
    """A whole recording: for every query and span the series that it returned."""

    file: Path
    header: Header
    answers: Mapping[tuple[str, int], Sequence[Series]]


def encode(
    query: str, span: int, start: int, count: int, columns: Iterable[tuple[Labels, Sequence[float | None]]]
) -> str:
    """One line: the values of a query's series at ``count`` ticks from unix time ``start`` on."""
    series = [{"labels": dict(labels), "values": [_plain(value) for value in values]} for labels, values in columns]
    line = {"query": query, "span": span, "start": start, "count": count, "series": series}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def encode_end(lines: int) -> str:
    """The last line; ``lines`` are those before it."""
    return json.dumps({"end": lines}, separators=(",", ":"))


def _plain(value: float | None) -> float | int | str | None:
    if value is None or (math.isfinite(value) and not value.is_integer()):
        return value
    return int(value) if math.isfinite(value) else repr(value)


def read_header(line: str, file: Path) -> Header:
    """Raises InvalidFile."""
    data = _json(line, file, 1)
    if isinstance(data, dict) and data.get("version") not in {VERSION, None}:
        reason = f"this is a recording of version {data['version']!r}, and this tailramp knows version {VERSION}"
        raise InvalidFile([Problem("version", reason, "Replay it with a newer tailramp", file=file, line=1)])
    try:
        return Header.model_validate(data)
    except ValidationError as error:
        found = error.errors()[0]
        field = ".".join(map(str, found["loc"])) or "(line)"
        raise InvalidFile([Problem(field, "the header is damaged", _AGAIN, file=file, line=1)]) from None


def read_recording(lines: Iterator[str], file: Path, *, whole: bool = True) -> Recorded:
    """Raises InvalidFile, with line and field; for a recording without its last line, unless ``whole`` is false."""
    header = read_header(next(lines, ""), file)
    answers: dict[tuple[str, int], dict[Labels, list[float | None]]] = {}
    known, number, ended = set(header.queries), 1, False
    for number, line in enumerate(lines, start=2):
        if ended:
            raise InvalidFile([Problem("(line)", "there is something after the end", _AGAIN, file=file, line=number)])
        data = _json(line, file, number)
        if isinstance(data, dict) and "end" in data:
            if data["end"] != number - 1:
                reason = f"the recording had {data['end']} lines before its end, and here are {number - 1}"
                raise InvalidFile([Problem("end", reason, "Copy or record it again", file=file, line=number)])
            ended = True
            continue
        if (field := _damage(data, header, known)) is not None:
            raise InvalidFile([Problem(field, "this line is damaged", _AGAIN, file=file, line=number)])
        grid = header.spans[data["span"]]
        first, many = (data["start"] - grid.start) // header.step, (grid.end - grid.start) // header.step + 1
        columns = answers.setdefault((data["query"], data["span"]), {})
        for one in data["series"]:
            column = columns.setdefault(tuple(sorted(one["labels"].items())), [None] * many)
            column[first : first + len(one["values"])] = _floats(one["values"])
    if whole and not ended:
        mend = "Run the same `tailramp record` again: it goes on where it stopped"
        raise InvalidFile([Problem("(file)", "the recording is not finished", mend, file=file, line=number)])
    found = {
        (query, span): [Series(labels, header.spans[span].start, column) for labels, column in columns.items()]
        for (query, span), columns in answers.items()
    }
    return Recorded(file, header, found)


def _json(line: str, file: Path, number: int) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise InvalidFile([Problem("(line)", "this line is no JSON", _AGAIN, file=file, line=number)]) from None


def _damage(data: Any, header: Header, known: set[str]) -> str | None:
    """The field that is not as ``encode`` writes it; None if all are."""
    if not isinstance(data, dict):
        return "(line)"
    if data.get("query") not in known:
        return "query"
    span, start = data.get("span"), data.get("start")
    if not isinstance(span, int) or not 0 <= span < len(header.spans):
        return "span"
    grid = header.spans[span]
    if not isinstance(start, int) or not grid.start <= start <= grid.end or (start - grid.start) % header.step:
        return "start"
    most = data.get("count")
    if not isinstance(most, int) or not 0 < most <= (grid.end - start) // header.step + 1:
        return "count"
    if not isinstance(series := data.get("series"), list):
        return "series"
    for index, one in enumerate(series):
        labels, values = (one.get("labels"), one.get("values")) if isinstance(one, dict) else (None, None)
        if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
            return f"series.{index}.labels"
        if not isinstance(values, list) or len(values) > most:
            return f"series.{index}.values"
        for position, value in enumerate(values):
            if not (value is None or type(value) in {int, float} or value in _NOT_FINITE):
                return f"series.{index}.values.{position}"
    return None


_NOT_FINITE: Final = {"nan", "inf", "-inf"}


def _floats(values: list[Any]) -> list[float | None]:
    return [None if value is None else float(value) for value in values]
