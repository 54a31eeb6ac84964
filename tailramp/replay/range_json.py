"""Prometheus' own answers to ``query_range``, saved as they came.

One answer, a list of answers, or answers by the text of their query: ``{"<PromQL>": {"status": "success", …}}``. An
answer without its query is found by the labels of its series, so it must come from a plain selector, which keeps
``__name__``.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from tailramp.errors import InvalidFile, Problem
from tailramp.evidence.checks import Check, SlotMatch
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.replay.counters import Counters, of_series
from tailramp.replay.recording import Series, Span
from tailramp.replay.source import LATEST, Wrong

_AS_IT_CAME: Final = 'Save it as Prometheus returns it: {"status": "success", "data": {"resultType": "matrix", …}}'


@dataclass(frozen=True)
class RangeAnswers:
    """``named`` by query; ``series`` of answers without one.  Every ``step`` seconds from ``first`` to ``last``."""

    file: Path
    named: Mapping[str, Sequence[Series]]
    series: Sequence[Series]
    first: int
    last: int
    step: int

    def bound(
        self,
        plan: Plan,
        checks: Mapping[SlotName, tuple[Check, ...]],
        matches: Mapping[SlotName, SlotMatch],
        share: float | None,
    ) -> Counters:
        """As the checks of a policy read it.  Raises InvalidFile for a check that it cannot answer."""
        span = Span(start=self.first, end=self.last, anchor=self.first)
        return of_series(self.file, self.named, self.series, span, self.step, plan, checks, matches, share)


_Points = dict[int, float]


def read_range_json(lines: Iterable[str], file: Path) -> RangeAnswers:
    """Raises InvalidFile, with the line for what is no JSON and else with the field."""

    def refuse(field: str, reason: str, mend: str = _AS_IT_CAME, line: int | None = None) -> InvalidFile:
        return InvalidFile([Problem(field, reason, mend, file=file, line=line)])

    try:
        data = json.loads("\n".join(lines))
    except json.JSONDecodeError as error:
        raise refuse("(line)", "this line is no JSON", line=error.lineno) from None
    except (ValueError, RecursionError):
        raise refuse("(file)", "this is no JSON that can be read") from None
    try:
        named = {query: list(_series(answer, query)) for query, answer in _by_query(data).items()}
        rest = [one for place, answer in _without_query(data) for one in _series(answer, place)]
    except Wrong as wrong:
        raise refuse(wrong.field, wrong.reason, wrong.mend) from None
    times = sorted({at for _, points in (*rest, *(one for many in named.values() for one in many)) for at in points})
    if len(times) < 2:
        raise refuse("data.result", "there are fewer than two points in time", "Ask for a longer range")
    step = min(later - earlier for earlier, later in pairwise(times))
    first, last = times[0], times[-1]
    if (last - first) // step > 2_000_000:
        raise refuse(
            "data.result", f"the points lie {step} s apart over {(last - first) // 86_400} days", "Split it by time"
        )

    def laid_out(labels: dict[str, str], points: _Points) -> Series:
        values: list[float | None] = [None] * ((last - first) // step + 1)
        for at, value in points.items():
            values[(at - first) // step] = value
        return Series(tuple(sorted(labels.items())), first, values)

    return RangeAnswers(
        file,
        {query: [laid_out(*one) for one in many] for query, many in named.items()},
        [laid_out(*one) for one in rest],
        first,
        first + (last - first) // step * step,
        step,
    )


def _is_answer(data: Any) -> bool:
    return isinstance(data, dict) and ("status" in data or "resultType" in data or "data" in data)


def _by_query(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) and not _is_answer(data) else {}


def _without_query(data: Any) -> list[tuple[str, Any]]:
    if isinstance(data, list):
        return [(f"[{index}]", answer) for index, answer in enumerate(data)]
    if isinstance(data, dict):
        return [("", data)] if _is_answer(data) else []
    raise Wrong("(file)", "this is no answer of Prometheus", _AS_IT_CAME)


def _series(answer: Any, place: str) -> Iterator[tuple[dict[str, str], _Points]]:
    """Labels and points of every series.  Raises Wrong with the field."""
    at = f"{place}." if place else ""
    if not isinstance(answer, dict):
        raise Wrong(place or "(file)", "this is no answer of Prometheus", _AS_IT_CAME)
    if answer.get("status", "success") != "success":
        raise Wrong(f"{at}status", f"Prometheus refused the query: {str(answer.get('error'))[:200]}", "Mend the query")
    data = answer.get("data", answer)
    kind = data.get("resultType") if isinstance(data, dict) else None
    if kind != "matrix":
        raise Wrong(f"{at}data.resultType", f"this is {kind!r} and no matrix", "Ask /api/v1/query_range")
    result = data.get("result")
    if not isinstance(result, list):
        raise Wrong(f"{at}data.result", "this is no list of series", _AS_IT_CAME)
    for index, one in enumerate(result):
        where = f"{at}data.result[{index}]"
        labels, values = (one.get("metric"), one.get("values")) if isinstance(one, dict) else (None, None)
        if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
            raise Wrong(f"{where}.metric", "these are no labels", _AS_IT_CAME)
        if not isinstance(values, list):
            native = isinstance(one, dict) and "histograms" in one
            told = "these are native histograms; classic buckets with a label le are needed"
            raise Wrong(f"{where}.values", told if native else "this is no list of values", _AS_IT_CAME)
        points: _Points = {}
        for position, point in enumerate(values):
            try:
                when, value = point
                seconds, points_to = float(when), float(value)
                ok = math.isfinite(seconds) and 0 < seconds < LATEST
            except (TypeError, ValueError, OverflowError):
                ok = False
            if not ok:
                raise Wrong(
                    f"{where}.values[{position}]", "this is no pair of a time in seconds and a value", _AS_IT_CAME
                )
            points[math.floor(seconds)] = points_to  # half a second is rounded to the even one: every other way
        yield labels, points
