"""Native histograms, read as if they had classic buckets.

A native histogram has boundaries of its own making: powers of a base near 1, or those of the classic histogram that
Prometheus has turned into one.  Only its filled buckets are told.  That is enough for exact counts wherever no filled
bucket reaches across an edge: on a boundary, and between two buckets.  Inside a bucket there is nothing but a guess,
and a guess is refused here as everywhere else.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tailramp.evidence.reading import Labels, Sample

EDGES: Final = tuple(2.0**exponent for exponent in range(-10, 14))
"""Powers of two are boundaries at every resolution that exporters use; what lies between changes with it."""

_SAME: Final = 1e-9
"""Boundaries are computed, and written with as many digits as a float has."""


def buckets_of(labels: Labels, histogram: Mapping[str, Any]) -> Iterator[Sample]:
    """Return a histogram of a query's answer as samples with a label `le`: cumulative counts at both ends of every
    filled bucket, and of all.

    `histogram` is the JSON of Prometheus' API: `count`, and `buckets` of `[rule, left, right, count]`, ascending.
    Raises LookupError, TypeError or ValueError if it is none.
    """
    named = tuple((name, f"{value}_bucket" if name == "__name__" else value) for name, value in labels)
    below = 0.0
    last = -math.inf
    for _, left, right, count in histogram.get("buckets", ()):
        if float(left) > last:
            yield _at(named, float(left), below)
        below += float(count)
        last = float(right)
        yield _at(named, last, below)
    yield _at(named, math.inf, float(histogram["count"]))


def at_edges(cumulative: Mapping[float, float], edges: Sequence[float]) -> dict[float, float]:
    """Return the cumulative counts at those of the edges at which they are exact, and of all.

    `cumulative` are the counts of `buckets_of` by edge, one histogram's. An edge is missing if a filled bucket reaches
    across it.
    """
    known = sorted(cumulative)
    found: dict[float, float] = {}
    for edge in edges:
        right = bisect_left(known, edge - 2 * _SAME * abs(edge))
        # A boundary that was computed may lie on either side of the one that is meant.
        while right < len(known) and known[right] < edge and not math.isclose(known[right], edge, rel_tol=_SAME):
            right += 1
        if right < len(known) and math.isclose(known[right], edge, rel_tol=_SAME):
            found[edge] = cumulative[known[right]]
            continue
        below = cumulative[known[right - 1]] if right else 0.0
        if right == len(known) or known[right] == math.inf or cumulative[known[right]] == below:
            found[edge] = below
    return {**found, math.inf: cumulative[math.inf]}


def straddled(cumulative: Mapping[float, float], edge: float, unit: str) -> str:
    """Say why nothing can be counted at an edge."""
    known = sorted(cumulative)
    right = bisect_left(known, edge)
    reach = f"{known[right - 1] if right else -math.inf:.4g} to {known[right] if right < len(known) else math.inf:.4g}"
    return f"the native histogram has no bucket boundary at {edge:g} {unit}: one bucket reaches from {reach} {unit}"


def _at(labels: Labels, edge: float, count: float) -> Sample:
    le = "+Inf" if edge == math.inf else repr(edge)
    return Sample(tuple(sorted((*labels, ("le", le)))), count)
