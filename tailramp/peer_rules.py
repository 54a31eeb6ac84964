"""The rules of other tools, written from their descriptions, over counts: what they would have done.

Each is shown every tick of many runs at once, as counts of shape (4, runs, columns): answers and bad answers of the
candidate, answers and bad answers of the baseline. It marks the runs in which it would have rolled back. A column is a
ratio of bad answers, or the answers above one edge of a histogram.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tailramp.evidence.sequential.grids import Array, Mask

_P99 = 0.01


@dataclass(frozen=True)
class Limit:
    """At most ``share`` (0 to 1) of the answers of ``column`` may be bad; fewer than ``least`` break nothing."""

    column: int
    share: float
    least: float = 1.0

    def broken(self, counts: Array) -> Mask:
        """By which runs' candidates, shape (runs,)."""
        n, x = counts[0, :, self.column], counts[1, :, self.column]
        broken: Mask = (n >= self.least) & (x > self.share * n)
        return broken


@dataclass(frozen=True)
class Edges:
    """The columns of one histogram with their edges, ascending."""

    columns: tuple[int, ...]
    edges: tuple[float, ...]


class PeerRule(Protocol):
    """A rule over many runs."""

    alarmed: Mask

    def observe(self, counts: Array, seconds: float, /) -> object: ...

    def restart(self) -> None: ...


class PlainThreshold:
    """A limit broken in three samples in a row, each of a rolling window, one every tick."""

    def __init__(self, runs: int, limits: Sequence[Limit], window: float, tick: float) -> None:
        """``window`` and ``tick`` in seconds."""
        self._limits = limits
        self._window: deque[Array] = deque(maxlen=max(1, round(window / tick)))
        self._streaks = np.zeros((len(limits), runs), dtype=int)
        self.alarmed = np.zeros(runs, dtype=bool)

    def restart(self) -> None:
        """It knows no steps."""

    def observe(self, counts: Array, _seconds: float) -> None:
        self._window.append(counts)
        total = np.sum(self._window, axis=0)
        bad = [limit.broken(total) for limit in self._limits]
        self._streaks = np.where(bad, self._streaks + 1, 0)
        self.alarmed |= (self._streaks >= 3).any(axis=0)


class ArgoStyle:
    """Every five minutes the value of five minutes against its limit; more than three failures of a metric end it.

    Failures add up over the whole analysis, however many successes lie between them.
    """

    def __init__(self, runs: int, limits: Sequence[Limit], *, interval: float = 300.0, failure_limit: int = 3) -> None:
        self._limits, self._interval, self._failure_limit = limits, interval, failure_limit
        self._sum = _Sum()
        self._failures = np.zeros((len(limits), runs), dtype=int)
        self.alarmed = np.zeros(runs, dtype=bool)

    def restart(self) -> None:
        """The analysis runs in the background of all steps."""

    def observe(self, counts: Array, seconds: float) -> None:
        total = self._sum.after(counts, seconds, self._interval)
        if total is not None:
            self._failures += [limit.broken(total) for limit in self._limits]
            self.alarmed |= (self._failures > self._failure_limit).any(axis=0)


class FlaggerStyle:
    """Every minute the values of a minute against their limits; the fifth failed look rolls back at the next one.

    A look fails with the first metric that breaks its limit or has no value. One counter counts the failed looks, and
    nothing ever resets it.
    """

    def __init__(self, runs: int, limits: Sequence[Limit], *, interval: float = 60.0, threshold: int = 5) -> None:
        self._limits, self._interval, self._threshold = limits, interval, threshold
        self._sum = _Sum()
        self._failures = np.zeros(runs, dtype=int)
        self.alarmed = np.zeros(runs, dtype=bool)

    def restart(self) -> None:
        """Its counter outlives the steps."""

    def observe(self, counts: Array, seconds: float) -> None:
        total = self._sum.after(counts, seconds, self._interval)
        if total is None:
            return
        self.alarmed |= self._failures >= self._threshold
        failed = np.zeros_like(self.alarmed)
        for limit in self._limits:
            failed |= limit.broken(total) | (total[0, :, limit.column] <= 0)
        self._failures += failed


class KayentaStyle:
    """Every hour a Mann-Whitney interval of the shift between two series of minutes, of every metric.

    The metrics are the p99 of each histogram and the rate of each ratio.
    """

    def __init__(self, runs: int, histograms: Sequence[Edges], ratios: Sequence[int], *, minutes: int = 60) -> None:
        self._histograms, self._ratios, self._minutes = histograms, ratios, minutes
        self._sum = _Sum()
        self._series: list[Array] = []
        self.alarmed = np.zeros(runs, dtype=bool)

    def restart(self) -> None:
        self._sum, self._series = _Sum(), []

    def observe(self, counts: Array, seconds: float) -> None:
        total = self._sum.after(counts, seconds, 60.0)
        if total is None:
            return
        arms = []
        for n, x in ((total[0], total[1]), (total[2], total[3])):
            rates = x / np.maximum(n, 1)
            p99 = [_p99(rates[:, one.columns], one.edges) for one in self._histograms]
            arms.append(np.stack([*p99, *(rates[:, column] for column in self._ratios)]))
        self._series.append(np.stack(arms))  # (2 arms, metrics, runs)
        if len(self._series) < self._minutes:
            return
        series = np.stack(self._series)
        self._series = []
        many = len(series)
        rank = round(many * many / 2 - 2.326 * np.sqrt(many * many * (2 * many + 1) / 12))
        for metric in range(series.shape[2]):
            differences = series[:, None, 0, metric] - series[None, :, 1, metric]
            ordered = np.sort(differences.reshape(-1, differences.shape[-1]), axis=0)
            self.alarmed |= ordered[rank] > 0.25 * np.abs(ordered[len(ordered) // 2])


class _Sum:
    """Adds counts up until an interval is full."""

    def __init__(self) -> None:
        self._open: Array | None = None
        self._seconds = 0.0

    def after(self, counts: Array, seconds: float, interval: float) -> Array | None:
        """The sum of an interval that ends with these counts; None if none does."""
        self._open = counts.copy() if self._open is None else self._open + counts
        self._seconds += seconds
        if self._seconds < interval - 1e-6:
            return None
        total, self._open, self._seconds = self._open, None, 0.0
        return total


def _p99(above: Array, edges: Sequence[float]) -> Array:
    """What histogram_quantile would say: ``above`` are the shares of answers above each edge, shape (runs, edges)."""
    found = np.empty(len(above))
    for run, shares in enumerate(above):
        edge = int(np.argmax(shares <= _P99)) if (shares <= _P99).any() else len(edges)
        if edge in {0, len(edges)}:
            found[run] = edges[0] if edge == 0 else edges[-1]
        else:
            part = (shares[edge - 1] - _P99) / max(shares[edge - 1] - shares[edge], 1e-12)
            found[run] = edges[edge - 1] + part * (edges[edge] - edges[edge - 1])
    return found
