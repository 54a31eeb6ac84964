"""The rules of other tools, written from their descriptions, over the same simulated counts.

Each is shown every tick of many runs at once and marks the runs in which it would have rolled back.
"""

from abc import ABC, abstractmethod
from collections import deque
from typing import Protocol

import numpy as np

from bench.evidence.own_rules import Sequential
from bench.evidence.traffic import EDGES, ERRORS, LIMIT_EDGE, TICK, TOXICITY, Array, Mask
from tailramp.evidence.sequential.absolute import LimitProcess
from tailramp.evidence.sequential.dispersion import Noise
from tailramp.evidence.sequential.process import ChangeTime

_LATENCY_LIMIT, _TOXICITY_LIMIT, _ERROR_LIMIT = 0.01, 0.05, 0.05
_THREE = [LIMIT_EDGE, ERRORS, TOXICITY]
_STEPS = 5


class Rule(Protocol):
    """A rule over many runs."""

    alarmed: Mask

    def observe(self, counts: Array, seconds: float, /) -> object: ...

    def restart(self) -> None: ...


def _breaks(counts: Array, metric: int, limit: float, least: float = 1) -> Mask:
    n, x = counts[0, :, metric], counts[1, :, metric]
    broken: Mask = (n >= least) & (x > limit * n)
    return broken


class Literal:
    """p99 > 2 s or toxicity > 5 % in three samples in a row, each of a rolling window, every 15 s."""

    def __init__(self, runs: int, window: float, least: tuple[float, float] = (1, 1)) -> None:
        self._window: deque[Array] = deque(maxlen=round(window / TICK))
        self._least = least
        self._streaks = np.zeros((2, runs), dtype=int)
        self.alarmed = np.zeros(runs, dtype=bool)

    def restart(self) -> None:
        """It knows no steps."""

    def observe(self, counts: Array, _seconds: float) -> None:
        self._window.append(counts)
        total = np.sum(self._window, axis=0)
        bad = [
            _breaks(total, LIMIT_EDGE, _LATENCY_LIMIT, self._least[0]),
            _breaks(total, TOXICITY, _TOXICITY_LIMIT, self._least[1]),
        ]
        self._streaks = np.where(bad, self._streaks + 1, 0)
        self.alarmed |= (self._streaks >= 3).any(axis=0)


class ArgoStyle:
    """Every five minutes the value of five minutes against its limit; more than three failures of a metric end it."""

    def __init__(self, runs: int) -> None:
        self._open: Array | None = None
        self._ticks = 0
        self._failures = np.zeros((2, runs), dtype=int)
        self.alarmed = np.zeros(runs, dtype=bool)

    def restart(self) -> None:
        """The analysis runs in the background of all steps."""

    def observe(self, counts: Array, seconds: float) -> None:
        self._open = counts.copy() if self._open is None else self._open + counts
        self._ticks += 1
        if self._ticks < 300 / seconds:
            return
        self._failures += [
            _breaks(self._open, LIMIT_EDGE, _LATENCY_LIMIT),
            _breaks(self._open, TOXICITY, _TOXICITY_LIMIT),
        ]
        self.alarmed |= (self._failures > 3).any(axis=0)
        self._open, self._ticks = None, 0


class KayentaStyle:
    """Every hour a Mann-Whitney interval of the shift between two series of minutes: p99, errors and toxicity."""

    def __init__(self, runs: int) -> None:
        self._minute: list[Array] = []
        self._series: list[Array] = []
        self.alarmed = np.zeros(runs, dtype=bool)

    def restart(self) -> None:
        self._minute, self._series = [], []

    def observe(self, counts: Array, seconds: float) -> None:
        self._minute.append(counts)
        if len(self._minute) < 60 / seconds:
            return
        total = np.sum(self._minute, axis=0)
        self._minute = []
        arms = []
        for n, x in ((total[0], total[1]), (total[2], total[3])):
            rates = x / np.maximum(n, 1)
            arms.append(np.stack([_p99(rates), rates[:, ERRORS], rates[:, TOXICITY]]))
        self._series.append(np.stack(arms))  # (2 arms, 3 metrics, runs)
        if len(self._series) < 60:
            return
        series = np.stack(self._series)
        self._series = []
        for metric in range(3):
            differences = series[:, None, 0, metric] - series[None, :, 1, metric]
            ordered = np.sort(differences.reshape(-1, differences.shape[-1]), axis=0)
            many = len(series)
            rank = round(many * many / 2 - 2.326 * np.sqrt(many * many * (2 * many + 1) / 12))
            self.alarmed |= ordered[rank] > 0.25 * np.abs(ordered[len(ordered) // 2])


def _p99(rates: Array) -> Array:
    """What histogram_quantile would say, of the edges that are simulated."""
    found = np.empty(len(rates))
    for run, above in enumerate(rates[:, : len(EDGES)]):
        edge = int(np.argmax(above <= 0.01)) if (above <= 0.01).any() else len(EDGES)
        if edge in {0, len(EDGES)}:
            found[run] = EDGES[0] if edge == 0 else EDGES[-1]
        else:
            part = (above[edge - 1] - 0.01) / max(above[edge - 1] - above[edge], 1e-12)
            found[run] = EDGES[edge - 1] + part * (EDGES[edge] - EDGES[edge - 1])
    return found


class _Pooled(ABC):
    """Sums since the start, or since the step's; alpha is shared over the steps then."""

    def __init__(self, runs: int, *, per_step: bool) -> None:
        self._per_step = per_step
        self._total: Array | None = None
        self._alpha = 0.01 / (_STEPS if per_step else 1)
        self.alarmed = np.zeros(runs, dtype=bool)

    def restart(self) -> None:
        if self._per_step:
            self._total = None

    def observe(self, counts: Array, _seconds: float) -> None:
        self._total = counts.copy() if self._total is None else self._total + counts
        self.alarmed |= self._judge(self._total)

    @abstractmethod
    def _judge(self, total: Array) -> Mask:
        """Which runs are taken back at these counts, summed up since the start or since the last step."""


class Bands(_Pooled):
    """Two simultaneous bands around the distributions of latency; they must not part anywhere."""

    def _judge(self, total: Array) -> Mask:
        n_c, n_b = np.maximum(total[0, :, 0], 1), np.maximum(total[2, :, 0], 1)
        apart = (total[1, :, : len(EDGES)] / n_c[:, None] - total[3, :, : len(EDGES)] / n_b[:, None]).max(axis=1)
        found: Mask = apart > self._width(n_c) + self._width(n_b)
        return found

    def _width(self, n: Array) -> Array:
        found: Array = 0.85 * np.sqrt((np.log(np.log(np.e * n)) + 0.8 * np.log(1612 / (self._alpha / 2))) / n)
        return found


class MixtureRatio(_Pooled):
    """mSPRT on the difference of two rates: latency above 2 s, errors and toxicity share alpha."""

    def _judge(self, total: Array) -> Mask:
        n_c, x_c, n_b, x_b = total[:, :, _THREE]
        p = (x_c + x_b) / np.maximum(n_c + n_b, 1)
        variance = np.maximum(p * (1 - p), 1e-9) * (1 / np.maximum(n_c, 1) + 1 / np.maximum(n_b, 1))
        difference = x_c / np.maximum(n_c, 1) - x_b / np.maximum(n_b, 1)
        mixed = np.maximum(p, 1e-6) ** 2
        log = 0.5 * np.log(variance / (variance + mixed))
        log += mixed * difference**2 / (2 * variance * (variance + mixed))
        enough = (n_c >= 100) & (difference > 0)
        found: Mask = (enough & (log >= np.log(3 / self._alpha))).any(axis=1)
        return found


class AsymptoticSequence:
    """An asymptotic confidence sequence of the mean difference of blocks of five minutes, after an hour."""

    def __init__(self, runs: int) -> None:
        self._open: list[Array] = []
        self._sums = np.zeros((3, runs, 3))  # number, sum, sum of squares
        self.alarmed = np.zeros(runs, dtype=bool)

    def restart(self) -> None:
        """Means of differences go on over all steps."""

    def observe(self, counts: Array, seconds: float) -> None:
        self._open.append(counts[:, :, _THREE])
        if len(self._open) < 300 / seconds:
            return
        n_c, x_c, n_b, x_b = np.sum(self._open, axis=0)
        self._open = []
        difference = x_c / np.maximum(n_c, 1) - x_b / np.maximum(n_b, 1)
        self._sums += [np.ones_like(difference), difference, difference**2]
        t, total, squares = self._sums
        if t[0, 0] < 12:
            return
        alpha = 0.01 / 3
        spread = np.sqrt(np.maximum(squares / t - (total / t) ** 2, 1e-18))
        rho2 = (-2 * np.log(alpha) + np.log(-2 * np.log(alpha) + 1)) / 100
        width = spread * np.sqrt(2 * (t * rho2 + 1) / (t**2 * rho2) * np.log(np.sqrt(t * rho2 + 1) / alpha))
        self.alarmed |= (total / t > width).any(axis=1)


class Naive:
    """The conditional e-process without user effect and tempering: every answer is believed to be independent."""

    def __init__(self, runs: int, share: float) -> None:
        self._judge = Sequential(runs, Noise.of(np.zeros(8), 1.0, 0.0), share, change_time=ChangeTime())
        self.alarmed = self._judge.alarmed

    def restart(self) -> None:
        """It counts on."""

    def observe(self, counts: Array, seconds: float) -> None:
        self._judge.observe(counts, seconds)
        self.alarmed = self._judge.alarmed


class AgainstLimits:
    """Evidence that the candidate breaks a limit, whoever's fault that is."""

    def __init__(self, runs: int) -> None:
        self._process = LimitProcess(np.tile([_LATENCY_LIMIT, _TOXICITY_LIMIT, _ERROR_LIMIT], runs), alpha=0.01)
        self.alarmed = np.zeros(runs, dtype=bool)

    def restart(self) -> None:
        """It counts on."""

    def observe(self, counts: Array, seconds: float) -> None:
        n, x = counts[:2][:, :, [LIMIT_EDGE, TOXICITY, ERRORS]].reshape(2, -1)
        evidence = self._process.observe(n, x, seconds, np.ones(len(n)))
        self.alarmed |= evidence.reshape(len(self.alarmed), 3).mean(axis=1) >= 100


def peers_of(runs: int, share: float) -> dict[str, Rule]:
    """One of each."""
    return {
        "literal rule, 1 min": Literal(runs, 60),
        "literal rule, 5 min": Literal(runs, 300),
        "literal rule, 5 min, n >= 500": Literal(runs, 300, (500, 100)),
        "Argo style, 5 min, limit 3": ArgoStyle(runs),
        "Kayenta style, hourly": KayentaStyle(runs),
        "DKW bands, pooled": Bands(runs, per_step=False),
        "DKW bands, per step": Bands(runs, per_step=True),
        "mSPRT, per step": MixtureRatio(runs, per_step=True),
        "asymptotic CS, 5 min blocks": AsymptoticSequence(runs),
        "e-process, naive": Naive(runs, share),
        "limits alone, unattributed": AgainstLimits(runs),
    }
