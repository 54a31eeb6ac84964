"""From raw counters to what has grown since a starting point, without losing or inventing an answer.

PromQL's `rate` and `increase` extrapolate, overlap and forget what happened between two missed polls. Raw counters
forget nothing, so the subtraction is done here, per series: a series that was there at the starting point counts from
its value there, one that appears later counts from zero, one that goes down has restarted, and one that vanishes
keeps its last value for the case that it comes back.

Behind one address there may be two servers of Prometheus, each with scrapes of its own, and whoever asks gets now the
one's, now the other's. Then a counter goes down a little because an older scrape answered. Taken for a restart it
would count its whole life anew, so what has lost less than half is taken for old, and says nothing.

A value that cannot be a counter is never guessed at: it is left out, the arm is reported as faulty for that tick, and
the next good value of the series brings the whole difference.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tailramp.evidence.counts import LARGEST_EXACT, spell
from tailramp.evidence.reading import Labels, Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Sets = Sequence[tuple[Labels, Sequence[float], Sequence[int]]]
"""Of sets of counters that restart together: the key, the counters, and their places in a table."""


class SeriesCounter:
    """Growth of a set of counters that restart together, each set known by a key, each of its counters by a number."""

    def __init__(self) -> None:
        self.growth: dict[float, float] = {}
        """Since the starting point, over all sets, of the counters that every set has."""
        self._last: dict[Labels, Mapping[float, float]] = {}
        self._start_unknown: set[Labels] = set()
        self._common: frozenset[float] | None = None

    def take(self, key: Labels, values: Mapping[float, float], *, starting: bool) -> None:
        self._keep_common(values)
        last = self._last.get(key)
        if last is not None and _went_down(last, values):
            if _is_older(last, values):
                return
            last = None
        self._last[key] = values
        if starting or key in self._start_unknown:
            self._start_unknown.discard(key)
            return
        growth = self.growth
        if last is None:
            for counter in growth:
                growth[counter] += values[counter]
        else:
            for counter in growth:
                growth[counter] += values[counter] - last[counter]

    def can_take_rows(self, sets: Sequence[Labels]) -> bool:
        """Whether all these sets are known, and everything about them is whole: then it adds up in any order."""
        known = [values for key in sets if (values := self._last.get(key)) and key not in self._start_unknown]
        whole = all(float(one).is_integer() for values in (self.growth, *known) for one in values.values())
        return whole and len(known) == len(sets)

    def take_rows(self, sets: Sets, values: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """Take the same sets many times in a row; return the growth after each.

        `values` has shape (times, counters of all sets), all whole numbers; the result has shape (times, counters of
        `growth`, in its order). The sets have been taken before, with the same counters.
        """
        import numpy as np  # only who counts many times at once waits for it

        order = list(self.growth)
        grown = np.zeros((len(values), len(order)))
        for key, counters, places in sets:
            more, last = _grown_from(np.array([self._last[key][counter] for counter in counters]), values[:, places])
            grown += more[:, [counters.index(counter) for counter in order]]
            self._last[key] = dict(zip(counters, last.tolist(), strict=True))
        total: NDArray[np.float64] = np.array(list(self.growth.values())) + grown.cumsum(axis=0)
        self.growth = dict(zip(order, total[-1].tolist(), strict=True))
        return total

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


_OLD = 0.5
"""Of its last value. A process that restarts has lost more, unless it had lived for hardly longer than a scrape: then
what it had counted in that time is lost."""


def _went_down(last: Mapping[float, float], values: Mapping[float, float]) -> bool:
    """A counter that went down was restarted, and with it all that the same process counts."""
    before = last.get
    for counter, value in values.items():  # noqa: SIM110 - a generator takes twice as long, at every tick of every pod
        if value < before(counter, 0.0):
            return True
    return False


def _is_older(last: Mapping[float, float], values: Mapping[float, float]) -> bool:
    """Of counters of which some went down: whether this is no restart, but a scrape from before the last one."""
    if any(value > last.get(counter, 0.0) for counter, value in values.items()):
        return False
    return max(values.values()) >= _OLD * max(last.values())


def _grown_from(
    last: "NDArray[np.float64]", values: "NDArray[np.float64]"
) -> tuple["NDArray[np.float64]", "NDArray[np.float64]"]:
    """By how much one set's counters grew from `last` on at each time, `values` of shape (times, counters), and where
    they stand in the end. The same as taking them one after the other.
    """
    import numpy as np  # only who counts many times at once waits for it

    more: NDArray[np.float64] = np.diff(values, axis=0, prepend=[last])
    if not (more < 0.0).any():
        return more, values[-1]
    for place, row in enumerate(values):
        if not (row < last).any():
            more[place] = row - last
        elif (row <= last).all() and row.max() >= _OLD * last.max():
            more[place] = 0.0
            continue
        else:
            more[place] = row
        last = row
    return more, last


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

    def has(self, labels: Sequence[Labels]) -> bool:
        """Whether the last answer was of the very same series."""
        return list(labels) == self._labels

    def note(self, sifted: Sifted) -> None:
        """Remember the good series of an answer: each of them comes once in it."""
        self._labels = [sample.labels for sample in sifted.good]
