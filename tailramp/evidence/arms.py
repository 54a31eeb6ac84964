"""One slot seen through one check: what was answered there, and how many of the answers were bad.

Arms are shown the samples of one grid time after the other; a stretch of times that bring the same series, with whole
numbers, may be shown to them as tables instead, many times in one go. What they count is the same.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tailramp.evidence import native as native_histogram
from tailramp.evidence.columns import Table
from tailramp.evidence.counters import Roll, SeriesCounter, sift
from tailramp.evidence.counts import NO_EDGES, ArmCounts, EdgeCounts, UnknownEdgeError, parse_edge, spell
from tailramp.evidence.reading import Labels, Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ONLY = 0.0  # the number of the only counter of a set


class Totals(NamedTuple):
    """Totals of an arm after each of many grid times: `n` and `bad` of shape (times,), `above` (times, edges)."""

    n: "NDArray[np.float64]"
    bad: "NDArray[np.float64]"
    edges: tuple[float, ...] = ()
    above: "NDArray[np.float64] | None" = None


class Arm(Protocol):
    """One slot seen through one check: totals that only grow."""

    total: ArmCounts
    """Counted since the starting point."""
    vanished: bool
    """Whether series that were there before are all gone: nothing can be said about the arm until some come back."""
    edges: EdgeCounts
    """Counted since the starting point, edge by edge; `NO_EDGES` where the arm has no histogram."""
    before: EdgeCounts
    """What its series counted before the starting point, in all their life: enough to find its quantiles."""

    def take(self, answers: Mapping[str, Sequence[Sample]], *, starting: bool) -> str:
        """Add what one grid time brought; return "" or why this arm cannot be believed at it.

        `answers` are the samples by the query's part (`total` and `bad`, or `buckets`). With `starting` they only set
        where the counting begins.
        """

    def can_take_rows(self, tables: Mapping[str, Table]) -> bool:
        """Whether the tables, by the query's part, go on with the series of the last answer, so that nothing but
        numbers is new in them.
        """

    def take_rows(self, tables: Mapping[str, Table]) -> Totals:
        """Add what many grid times brought, if `can_take_rows`; return the totals after each."""


class RatioArm:
    """An arm counted by two counters: all answers, and the bad ones."""

    def __init__(self, *, bad_absent_is_zero: bool) -> None:
        """`bad_absent_is_zero`: the counter of bad answers is created by the first bad answer, so its absence means
        none.
        """
        self._bad_absent_is_zero = bad_absent_is_zero
        self._counters = {"total": SeriesCounter(), "bad": SeriesCounter()}
        self._rolls = {"total": Roll(), "bad": Roll()}
        self._seen = False
        self.total = ArmCounts()
        self.vanished = False
        self.edges = self.before = NO_EDGES

    def take(self, answers: Mapping[str, Sequence[Sample]], *, starting: bool) -> str:
        """See `Arm.take`."""
        faults: list[str] = []
        for part, counter in self._counters.items():
            samples, roll = answers[part], self._rolls[part]
            if (values := roll.values_of(samples)) is not None:
                for sample, value in zip(samples, values, strict=True):
                    counter.take(sample.labels, {_ONLY: value}, starting=starting)
                continue
            sifted = sift(samples)
            roll.note(sifted)
            for sample in sifted.good:
                counter.take(sample.labels, {_ONLY: sample.value}, starting=starting)
            for labels in sifted.faulty:
                counter.skip(labels, starting=starting)
            faults.append(sifted.fault)
        self.total = ArmCounts(*(self._counters[part].growth.get(_ONLY, 0.0) for part in ("total", "bad")))
        if answers["total"] and not answers["bad"] and not self._bad_absent_is_zero:
            faults.append("its answers are counted, but the series that count the bad ones are missing")
        self.vanished = self._seen and not answers["total"]
        self._seen = self._seen or bool(answers["total"])
        return next((fault for fault in faults if fault), "")

    def can_take_rows(self, tables: Mapping[str, Table]) -> bool:
        """See `Arm.can_take_rows`."""
        known = bool(tables["bad"].labels) or self._bad_absent_is_zero
        return (
            known
            and bool(tables["total"].labels)
            and all(
                self._rolls[part].has(tables[part].labels) and counter.can_take_rows(tables[part].labels)
                for part, counter in self._counters.items()
            )
        )

    def take_rows(self, tables: Mapping[str, Table]) -> Totals:
        """See `Arm.take_rows`."""
        n, bad = (self._grown(part, tables[part]) for part in ("total", "bad"))
        self.total = ArmCounts(float(n[-1]), float(bad[-1]))
        self.vanished = False
        return Totals(n, bad)

    def _grown(self, part: str, table: Table) -> "NDArray[np.float64]":
        sets = [(labels, (_ONLY,), (place,)) for place, labels in enumerate(table.labels)]
        grown: NDArray[np.float64] = self._counters[part].take_rows(sets, table.values).sum(axis=1)
        return grown  # of the only counter, or of none if there never was a series


class HistogramArm:
    """An arm counted by a histogram: an answer is bad if it lies above the edge of the limit."""

    def __init__(
        self, *, edge: float, others: Collection[float] | None = (), unit: str = "s", native: bool = False
    ) -> None:
        """`edge` is the limit, in the histogram's `unit`; it must be one of its bucket edges. `others` are the edges
        that are counted beside it, as far as the histogram has them; None means every edge, of a `native` one every
        power of two.
        """
        self._edge = edge
        self._unit = unit
        self._wanted = None if others is None else {edge, math.inf, *others}
        self._exact = sorted({edge, *(native_histogram.EDGES if others is None else others)}) if native else None
        self._counter = SeriesCounter()  # cumulative, by edge
        self._roll = Roll()
        # Of the roll's histograms, if none is broken: the labels, the edges that are counted and their places in it.
        self._layout: list[tuple[Labels, list[float], list[int]]] | None = None
        self._seen = False
        self.total = ArmCounts()
        self.edges = self.before = NO_EDGES
        self.vanished = False

    def take(self, answers: Mapping[str, Sequence[Sample]], *, starting: bool) -> str:
        """See `Arm.take`."""
        samples = answers["buckets"]
        values = self._roll.values_of(samples) if self._layout is not None else None
        if values is not None and self._layout is not None:
            for key, edges, places in self._layout:
                buckets = dict(zip(edges, [values[place] for place in places], strict=True))
                self._counter.take(key, buckets, starting=starting)
            return self._taken(samples, {}, starting=starting)
        sifted = sift(samples)
        histograms, broken = _by_histogram(sifted.good)
        broken |= {_histogram_of(labels): sifted.fault for labels in sifted.faulty}
        for key, buckets in histograms.items():
            if key in broken:
                continue
            if self._exact is not None and math.inf in buckets:
                told = native_histogram.at_edges(buckets, self._exact)
                if self._edge in told:
                    self._counter.take(key, told, starting=starting)
                else:
                    broken[key] = native_histogram.straddled(buckets, self._edge, self._unit)
            elif self._edge not in buckets:
                broken[key] = str(UnknownEdgeError(self._edge, buckets, self._unit))
            elif math.inf not in buckets:
                broken[key] = f'the histogram {spell(key)} has no bucket le="+Inf", which counts all answers'
            else:
                self._counter.take(key, self._chosen(buckets), starting=starting)
        self._roll.note(sifted)
        self._layout = self._laid_out(sifted.good) if not broken and self._exact is None else None
        return self._taken(samples, broken, starting=starting)

    def can_take_rows(self, tables: Mapping[str, Table]) -> bool:
        """See `Arm.can_take_rows`."""
        layout, labels = self._layout, tables["buckets"].labels
        if not layout or not self._roll.has(labels):
            return False
        return self._counter.can_take_rows([key for key, _, _ in layout])

    def take_rows(self, tables: Mapping[str, Table]) -> Totals:
        """See `Arm.take_rows`."""
        import numpy as np  # only who counts many times at once waits for it

        grown = self._counter.take_rows(self._layout or (), tables["buckets"].values)
        order = list(self._counter.growth)
        edges = tuple(sorted(edge for edge in order if math.isfinite(edge)))
        n = grown[:, order.index(math.inf)]
        above = n[:, None] - grown[:, [order.index(edge) for edge in edges]]
        np.maximum(above[0], [self.edges.above.get(edge, 0.0) for edge in edges], out=above[0])
        np.maximum.accumulate(above, axis=0, out=above)
        self.edges = EdgeCounts(float(n[-1]), dict(zip(edges, above[-1].tolist(), strict=True)))
        self.total = ArmCounts(self.edges.n, self.edges.above[self._edge])
        self.vanished = False
        return Totals(n, above[:, edges.index(self._edge)], edges, above)

    def _laid_out(self, samples: Sequence[Sample]) -> list[tuple[Labels, list[float], list[int]]]:
        found: dict[Labels, tuple[list[float], list[int]]] = {}
        for place, sample in enumerate(samples):
            key, edge = _split(sample.labels)
            edges, places = found.setdefault(key, ([], []))
            if self._wanted is None or edge in self._wanted:
                edges.append(edge)
                places.append(place)
        return [(key, edges, places) for key, (edges, places) in found.items()]

    def _taken(self, samples: Sequence[Sample], broken: Mapping[Labels, str], *, starting: bool) -> str:
        for key in broken:
            self._counter.skip(key, starting=starting)
        self._count()
        if starting:
            self.before = _edge_counts(self._counter.last)
        self.vanished = self._seen and not samples
        self._seen = self._seen or bool(samples)
        return next(iter(broken.values()), "")

    def _chosen(self, buckets: Mapping[float, float]) -> Mapping[float, float]:
        if self._wanted is None:
            return buckets
        return {edge: count for edge, count in buckets.items() if edge in self._wanted}

    def _count(self) -> None:
        grown = _edge_counts(self._counter.growth)
        # A scrape may fall between the increments of one answer; the running maximum keeps the counts of what lies
        # above an edge growing.
        above = {edge: max(self.edges.above.get(edge, 0.0), count) for edge, count in grown.above.items()}
        self.edges = EdgeCounts(grown.n, above)
        self.total = ArmCounts(grown.n, above.get(self._edge, 0.0))


def _edge_counts(cumulative: Mapping[float, float]) -> EdgeCounts:
    """Turn cumulative counts by edge into counts above each finite edge, ascending."""
    n = cumulative.get(math.inf, 0.0)
    return EdgeCounts(n, {edge: n - cumulative[edge] for edge in sorted(cumulative) if math.isfinite(edge)})


def _without_edge(labels: Labels) -> tuple[Labels, float]:
    """The labels of the histogram that a bucket belongs to, and the bucket's edge. ValueError if it names none."""
    edge = ""
    rest = []
    for label in labels:
        if label[0] == "le":
            edge = label[1]
        else:
            rest.append(label)
    return tuple(rest), parse_edge(edge)


_split = lru_cache(maxsize=20_000)(_without_edge)
"""A day of ticks brings the same buckets again and again."""


def _histogram_of(labels: Labels) -> Labels:
    return tuple(label for label in labels if label[0] != "le")


def _by_histogram(samples: Iterable[Sample]) -> tuple[dict[Labels, dict[float, float]], dict[Labels, str]]:
    """Group bucket samples into histograms, edge → cumulative count; the second part says which are broken, and why."""
    histograms: dict[Labels, dict[float, float]] = {}
    broken: dict[Labels, str] = {}
    for sample in samples:
        try:
            key, edge = _split(sample.labels)
        except ValueError:
            why = f"the series {spell(sample.labels)} has no bucket edge in its label le"
            broken[_histogram_of(sample.labels)] = why
            continue
        buckets = histograms.setdefault(key, {})
        if edge in buckets:
            broken[key] = f"the histogram {spell(key)} has the edge {edge:g} twice"
        buckets[edge] = sample.value
    return histograms, broken


def edges_of(samples: Iterable[Sample]) -> dict[Labels, list[float]]:
    """Return the finite bucket edges of every histogram among the samples, ascending."""
    histograms, _ = _by_histogram(samples)
    return {key: sorted(edge for edge in buckets if math.isfinite(edge)) for key, buckets in histograms.items()}
