"""Counts of one arm: its answers and the bad ones among them, or how its histogram sorts them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tailramp.evidence.reading import Labels

LARGEST_EXACT = float(2**53)
"""Above this a float no longer tells one answer from the next, so nothing that counts answers can be there."""


class ArmCounts(NamedTuple):
    """Answers of one arm, and how many of them were bad.

    In a single tick `bad` may exceed `n`: a service that counts the bad answer before the answer can be scraped in
    between.
    """

    n: float = 0.0
    bad: float = 0.0

    def plus(self, other: "ArmCounts") -> "ArmCounts":
        """Return the sum of both."""
        return ArmCounts(self.n + other.n, self.bad + other.bad)

    def minus(self, other: "ArmCounts") -> "ArmCounts":
        """Return what came after `other`, an earlier state of the same totals."""
        return ArmCounts(self.n - other.n, self.bad - other.bad)


@dataclass(frozen=True, slots=True)
class EdgeCounts:
    """Answers of one arm as its histogram sorts them: how many there were, and how many lay above each edge.

    Edges are in the unit of the histogram, finite, ascending. Only edges that every series of the arm has are here, so
    an edge may be missing from one arm and present in the other, and one that a new pod does not have is missing from
    then on. `above` falls with the edge, except that within a single tick a scrape between two increments of one
    answer may disturb it, and may make it exceed `n`.
    """

    n: float = 0.0
    above: Mapping[float, float] = field(default_factory=dict)

    def minus(self, other: "EdgeCounts") -> "EdgeCounts":
        """Return what came after `other`, an earlier state of the same totals."""
        return EdgeCounts(
            self.n - other.n, {edge: count - other.above.get(edge, 0.0) for edge, count in self.above.items()}
        )


class UnknownEdgeError(ValueError):
    """A limit that is not an edge of the histogram: how many answers lie above it cannot be counted, only guessed."""

    def __init__(self, limit: float, edges: Iterable[float], unit: str = "s") -> None:
        """Name the nearest edges on both sides of `limit`; both are in `unit`, that of the histogram."""
        known = sorted(set(edges))
        below = [edge for edge in known if edge < limit and math.isfinite(edge)][-1:]
        above = [edge for edge in known if edge > limit and math.isfinite(edge)][:1]
        neighbours = " and ".join(f"{edge:g} {unit}" for edge in below + above)
        told = f"the nearest edges are {neighbours}" if neighbours else "it has no finite edge near it"
        super().__init__(f"the histogram has no bucket edge at {limit:g} {unit}: {told}")


NOTHING = ArmCounts()
NO_EDGES = EdgeCounts()


def parse_edge(text: str) -> float:
    """Return the bucket edge that a label `le` names; `2`, `2.0` and `2e0` are the same edge. ValueError if it is no
    number.
    """
    edge = float(text)
    if math.isnan(edge):
        raise ValueError(f"le={text!r} is not a bucket edge")
    return edge


def spell(labels: Labels) -> str:
    """Return the labels as Prometheus would write them."""
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels) + "}"
