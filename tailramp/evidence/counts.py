"""From raw counters to counts per arm, without losing or inventing an answer.

PromQL's `rate` and `increase` extrapolate, overlap and forget what happened between two missed polls. Raw counters
forget nothing, so the subtraction is done here, per series: a series that was there at the starting point counts from
its value there, one that appears later counts from zero, one that goes down has restarted, and one that vanishes
keeps its last value for the case that it comes back.

A value that cannot be a counter is never guessed at: it is left out, the arm is reported as faulty for that tick, and
the next good value of the series brings the whole difference.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol

from tailramp.evidence import native as native_histogram
from tailramp.evidence.reading import Labels, Sample

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
_ONLY = 0.0  # the number of the only counter of a set


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


class SeriesCounter:
    """Growth of a set of counters that restart together, each set known by a key, each of its counters by a number."""

    def __init__(self) -> None:
        self.growth: dict[float, float] = {}
        """Since the starting point, over all sets, of the counters that every set has."""
        self._last: dict[Labels, Mapping[float, float]] = {}
        self._start_unknown: set[Labels] = set()
        self._common: frozenset[float] | None = None

    def take(self, key: Labels, values: Mapping[float, float], *, starting: bool) -> None:
        last = self._last.get(key)
        self._last[key] = values
        self._keep_common(values)
        if starting or key in self._start_unknown:
            self._start_unknown.discard(key)
            return
        growth = self.growth
        if last is None or _went_down(last, values):
            for counter in growth:
                growth[counter] += values[counter]
        else:
            for counter in growth:
                growth[counter] += values[counter] - last[counter]

    @property
    def last(self) -> dict[float, float]:
        """What the counters that every set has stood at when each set was last seen."""
        return {counter: sum(values[counter] for values in self._last.values()) for counter in self.growth}

    def skip(self, key: Labels, *, starting: bool) -> None:
        if starting and key not in self._last:
            # Its value at the starting point is not known: counting it from zero later would count its whole life.
            self._start_unknown.add(key)

    def _keep_common(self, values: Mapping[float, float]) -> None:
        if self._common is None:
            self._common = frozenset(values)
            self.growth = dict.fromkeys(values, 0.0)
        elif self._common != values.keys():
            self._common &= values.keys()
            self.growth = {counter: grown for counter, grown in self.growth.items() if counter in self._common}


def _went_down(last: Mapping[float, float], values: Mapping[float, float]) -> bool:
    """A counter that went down was restarted, and with it all that the same process counts."""
    before = last.get
    for counter, value in values.items():  # noqa: SIM110 - a generator takes twice as long, at every tick of every pod
        if value < before(counter, 0.0):
            return True
    return False


class Sifted(NamedTuple):
    """Samples that can be counters, the labels of those that cannot, and what is wrong with the first of these."""

    good: list[Sample]
    faulty: list[Labels]
    fault: str


def sift(samples: Sequence[Sample]) -> Sifted:
    """Separate what can be a counter from what cannot."""
    if len({sample.labels for sample in samples}) == len(samples) and all(
        0.0 <= sample.value <= LARGEST_EXACT for sample in samples
    ):
        return Sifted(list(samples), [], "")
    seen = Counter(sample.labels for sample in samples)
    good: list[Sample] = []
    faulty: list[Labels] = []
    fault = ""
    for sample in samples:
        if seen[sample.labels] > 1:
            wrong = "comes more than once in one answer"
        elif not 0.0 <= sample.value <= LARGEST_EXACT:  # also true of NaN
            wrong = f"has the value {sample.value:g}, which no counter of answers can have"
        else:
            good.append(sample)
            continue
        faulty.append(sample.labels)
        fault = fault or f"the series {spell(sample.labels)} {wrong}"
    return Sifted(good, faulty, fault)


class Roll:
    """The series of the last answer.  Most answers are of the same, and what is known of them is not found anew."""

    def __init__(self) -> None:
        self._labels: list[Labels] = []

    def values_of(self, samples: Sequence[Sample]) -> list[float] | None:
        """Return the values of `samples` if they are of the very same series and can all be counters."""
        # Lists compare by identity first, and the ticks of one answer share their labels.
        if [sample.labels for sample in samples] != self._labels:
            return None
        values = [sample.value for sample in samples]
        for value in values:
            if not 0.0 <= value <= LARGEST_EXACT:
                return None
        return values

    def note(self, sifted: Sifted) -> None:
        """Remember the good series of an answer: each of them comes once in it."""
        self._labels = [sample.labels for sample in sifted.good]


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
