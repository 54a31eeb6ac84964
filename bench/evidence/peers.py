"""The rules of other tools, and other tests that might have been built, over the same simulated counts.

Each is shown every tick of many runs at once and marks the runs in which it would have rolled back.
"""

from abc import ABC, abstractmethod

import numpy as np

from bench.evidence.own_rules import Sequential
from bench.evidence.traffic import EDGES, ERRORS, LIMIT_EDGE, TICK, TOXICITY, Array, Mask
from tailramp.evidence.sequential.absolute import FACTORS, HIGHEST_RATE
from tailramp.evidence.sequential.dispersion import Noise
from tailramp.evidence.sequential.process import DAY, ChangeTime
from tailramp.peer_rules import ArgoStyle, Edges, KayentaStyle, Limit, PeerRule, PlainThreshold

_LATENCY_LIMIT, _TOXICITY_LIMIT, _ERROR_LIMIT = 0.01, 0.05, 0.05
_THREE = [LIMIT_EDGE, ERRORS, TOXICITY]
_STEPS = 5
_MOST = 10_000.0  # of the evidence against a limit, as `LimitProcess` has it with an alpha of 1 %
LIMITS = (Limit(LIMIT_EDGE, _LATENCY_LIMIT), Limit(TOXICITY, _TOXICITY_LIMIT))
_SAMPLED = (Limit(LIMIT_EDGE, _LATENCY_LIMIT, 500), Limit(TOXICITY, _TOXICITY_LIMIT, 100))
_LATENCY = Edges(tuple(range(len(EDGES))), tuple(EDGES))


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
        limit = np.tile([_LATENCY_LIMIT, _TOXICITY_LIMIT, _ERROR_LIMIT], runs)[:, None]
        rates = np.minimum(limit * FACTORS, (HIGHEST_RATE + limit) / (1.0 + HIGHEST_RATE))
        self._told = np.log(rates / limit), np.log((1.0 - rates) / (1.0 - limit))
        self._since = np.zeros_like(rates)
        self._change_time = ChangeTime()
        self._due, self._unplaced = self._change_time.at_start, 1.0
        self.alarmed = np.zeros(runs, dtype=bool)

    def restart(self) -> None:
        """It counts on."""

    def observe(self, counts: Array, seconds: float) -> None:
        n, x = counts[:2][:, :, [LIMIT_EDGE, TOXICITY, ERRORS]].reshape(2, -1)
        weight = min(self._due + self._change_time.over_day * seconds / DAY, self._unplaced)
        self._due, self._unplaced = 0.0, self._unplaced - weight
        told = x[:, None] * self._told[0] + (n - x)[:, None] * self._told[1]
        since = (self._since + weight / len(FACTORS)) * np.exp(told)
        total = since.sum(axis=1)
        self._since = since * np.minimum(1.0, _MOST / np.maximum(total, 1.0))[:, None]
        evidence = np.minimum(total, _MOST) + self._unplaced
        self.alarmed |= evidence.reshape(len(self.alarmed), 3).mean(axis=1) >= 100


def peers_of(runs: int, share: float) -> dict[str, PeerRule]:
    """One of each."""
    return {
        "literal rule, 1 min": PlainThreshold(runs, LIMITS, 60, TICK),
        "literal rule, 5 min": PlainThreshold(runs, LIMITS, 300, TICK),
        "literal rule, 5 min, n >= 500": PlainThreshold(runs, _SAMPLED, 300, TICK),
        "Argo style, 5 min, limit 3": ArgoStyle(runs, LIMITS),
        "Kayenta style, hourly": KayentaStyle(runs, [_LATENCY], [ERRORS, TOXICITY]),
        "DKW bands, pooled": Bands(runs, per_step=False),
        "DKW bands, per step": Bands(runs, per_step=True),
        "mSPRT, per step": MixtureRatio(runs, per_step=True),
        "asymptotic CS, 5 min blocks": AsymptoticSequence(runs),
        "e-process, naive": Naive(runs, share),
        "limits alone, unattributed": AgainstLimits(runs),
    }
