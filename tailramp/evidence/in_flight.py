"""Requests that never end: counted although nothing ever reports them.

A request that hangs reaches no histogram and no counter of errors, so a candidate that hangs looks idle, and what it
does answer looks fast. What gives it away is the gauge of requests in flight, yet a high or rising gauge alone is no
evidence: it is what more traffic looks like, too.

So a lower bound is counted. Of the `before` requests that were in flight `seconds` ago, no more can have ended since
than all requests together that ended since. What is left over has certainly been waiting longer than `seconds`; and
since it was there all the time, it is no more than the least that the gauge has shown meanwhile::

    hung >= min(least in flight during the last `seconds`, before - ended during the last `seconds`)

Short requests that come and go lower the bound, so it notices a few hung ones among many late: if a share `s` of the
requests hangs, about `seconds / s` after the first. It never counts one that does not hang, as long as every end is
counted. The bound is taken per process, since a restart ends all that a process had in flight. Both ends of the
`seconds` are seen at the scrape before them, so they are meant give or take one scrape interval.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tailramp.evidence.arms import Totals
from tailramp.evidence.columns import Table
from tailramp.evidence.counters import SeriesCounter, sift
from tailramp.evidence.counts import NO_EDGES, ArmCounts
from tailramp.evidence.reading import Labels, Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEWEST = 3
"""Fewer hung requests than this at a time count as none: a client can hold one open for as long as it likes."""


class HangingArm:
    """An arm counted by a gauge of requests in flight and the counters of those that ended.

    Every tick adds to `n` the requests that ended since the last one and those that hang at the moment, and the latter
    to `bad`: a request that goes on hanging is counted at every tick, so that a candidate that answers nothing any
    more is still judged.
    """

    def __init__(self) -> None:
        self._ended = SeriesCounter()
        self._ended_before = 0.0
        self._seen = False
        self.total = ArmCounts()
        self.vanished = False
        self.edges = self.before = NO_EDGES

    def take(self, answers: Mapping[str, Sequence[Sample]], *, starting: bool) -> str:
        """See `Arm.take`; the parts are `least`, `before`, `ended` and `endedBefore`."""
        sifted = {part: sift(samples) for part, samples in answers.items()}
        for sample in sifted["ended"].good:
            self._ended.take(sample.labels, {0.0: sample.value}, starting=starting)
        for labels in sifted["ended"].faulty:
            self._ended.skip(labels, starting=starting)
        fault = next((part.fault for part in sifted.values() if part.fault), "")
        self.vanished = self._seen and not answers["least"]
        self._seen = self._seen or bool(answers["least"])
        if starting or fault:
            return fault
        hung = _hung({part: _by_process(found.good) for part, found in sifted.items()})
        ended = self._ended.growth.get(0.0, 0.0)
        self.total = self.total.plus(ArmCounts(ended - self._ended_before + hung, hung))
        self._ended_before = ended
        return ""

    def can_take_rows(self, tables: Mapping[str, Table]) -> bool:
        """See `Arm.can_take_rows`."""
        once = all(len(set(table.labels)) == len(table.labels) for table in tables.values())
        whole = self.total.n.is_integer() and self.total.bad.is_integer()
        ended, there = tables["ended"].labels, bool(tables["least"].labels) or not self._seen
        return once and whole and there and bool(ended) and self._ended.can_take_rows(ended)

    def take_rows(self, tables: Mapping[str, Table]) -> Totals:
        """See `Arm.take_rows`."""
        sets = [(labels, (0.0,), (place,)) for place, labels in enumerate(tables["ended"].labels)]
        ended = self._ended.take_rows(sets, tables["ended"].values).sum(axis=1)
        hung = _hung_in(tables, len(ended))
        bad = self.total.bad + hung.cumsum()
        n = self.total.n + (ended - self._ended_before) + hung.cumsum()
        self._ended_before = float(ended[-1])
        self.total = ArmCounts(float(n[-1]), float(bad[-1]))
        self.vanished = False
        return Totals(n, bad)


def _hung(parts: Mapping[str, Mapping[Labels, float]]) -> float:
    hung = 0.0
    for process, before in parts["before"].items():
        least = parts["least"].get(process, 0.0)
        ended = parts["ended"].get(process, 0.0) - parts["endedBefore"].get(process, 0.0)
        if ended >= 0:  # else the process was restarted, and nothing that it had in flight is still there
            hung += max(0.0, min(least, before - ended))
    return hung if hung >= FEWEST else 0.0


def _hung_in(tables: Mapping[str, Table], many: int) -> "NDArray[np.float64]":
    """`_hung` of each of `many` times, shape (times,)."""
    import numpy as np  # only who counts many times at once waits for it

    of_part: dict[str, dict[Labels, NDArray[np.float64]]] = {part: {} for part in tables}
    for part, (labels, values) in tables.items():
        for place, one in enumerate(labels):
            found = of_part[part]
            process = _process_of(one)
            found[process] = found.get(process, 0.0) + values[:, place]
    none, hung = np.zeros(many), np.zeros(many)
    for process, before in of_part["before"].items():
        least = of_part["least"].get(process, none)
        ended = of_part["ended"].get(process, none) - of_part["endedBefore"].get(process, none)
        hung += np.where(ended >= 0, np.maximum(0.0, np.minimum(least, before - ended)), 0.0)
    return np.where(hung >= FEWEST, hung, 0.0)


def _process_of(labels: Labels) -> Labels:
    return tuple(label for label in labels if label[0] == "instance")


def _by_process(samples: Iterable[Sample]) -> Mapping[Labels, float]:
    """Add up what one scraped process says, however its series are labelled."""
    found: defaultdict[Labels, float] = defaultdict(float)
    for sample in samples:
        found[_process_of(sample.labels)] += sample.value
    return found
