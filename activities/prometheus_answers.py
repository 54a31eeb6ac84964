"""What Prometheus answered, taken out of its JSON; or why it is no answer that raw counters can give.

Anything may be in an answer: a proxy's page, numbers where series should be, a histogram of the other kind.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from activities.query_threads import Unanswered
from tailramp.evidence import Labels
from tailramp.evidence.native import buckets_of

EXCERPT = 200
"""How many characters of somebody else's text are passed on."""


def at_times(times: range, points: Sequence[Sequence[Any]]) -> list[float | None]:
    """The value of a series at each of the times, from points that may lie at some of them only."""
    if [at for at, _ in points] == list(times):
        return [float(value) for _, value in points]
    known = {round(float(at)): float(value) for at, value in points}
    return [known.get(at) for at in times]


def counts_by_bucket(result: Sequence[Mapping[str, Any]]) -> dict[Labels, list[tuple[float, float]]]:
    """Return the times and cumulative counts of every bucket that native histograms ever filled."""
    found: dict[Labels, list[tuple[float, float]]] = {}
    for series in result:
        labels = labels_of(series)
        for at, histogram in map(pair, series["histograms"]):
            for sample in buckets_of(labels, histogram):
                found.setdefault(sample.labels, []).append((float(at), sample.value))
    return found


def series_of(result: Any, query: str, field: str, *, native: bool = False) -> list[dict[str, Any]]:
    """Return the series of a result, or say why it is none that raw counters can give."""
    if not isinstance(result, list):
        raise Unanswered(f"the query {query} does not return series")
    for series in result:
        if not isinstance(series, dict):
            raise Unanswered(f"the query {query} returns a number, not series of a counter")
        if field not in series:
            told = "no values"
            if native:
                told = "no native histograms, which checks.nativeHistograms promises"
            elif "histogram" in series or "histograms" in series:
                told = "native histograms: set checks.nativeHistograms, or have classic buckets with a label le stored"
            raise Unanswered(f"the query {query} returns {told}")
    return result


def pair(point: Any) -> tuple[Any, Any]:
    at, value = point
    return at, value


def labels_of(series: Mapping[str, Any]) -> Labels:
    return tuple(sorted((str(name), str(value)) for name, value in series["metric"].items()))


def root_of(error: BaseException) -> BaseException:
    """Return the innermost reason of a chain of wrapped exceptions."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def refusal(text: str) -> str:
    """Return Prometheus' own words out of `HTTP Status Code 400 (b'{"status":"error","error":…}')`."""
    status, _, body = text.partition(" (")
    begin, end = body.find("{"), body.rfind("}")
    try:
        told = json.loads(body[begin : end + 1].replace("\\'", "'").replace("\\\\", "\\"))["error"]
    except (ValueError, KeyError, TypeError):
        told = body[:EXCERPT]
    return f"{status.replace('HTTP Status Code', 'HTTP')}, {told}"
