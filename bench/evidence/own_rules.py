"""tailramp's own judges over simulated counts: the shipped sequential test, and the repaired threshold rule."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.evidence.calibrating import JUDGED
from bench.evidence.traffic import ERRORS, LADDER, LIMIT_EDGE, TOXICITY, Array, Mask
from tailramp.evidence import ThresholdRule
from tailramp.evidence.comparison import ERRORS as STANDARD_ERRORS
from tailramp.evidence.comparison import WORSE_BY
from tailramp.evidence.sequential.dispersion import Noise
from tailramp.evidence.sequential.process import ChangeTime, EvidenceProcess
from tailramp.evidence.sequential.ratios import ratios
from tailramp.evidence.sequential.time_before import learnt_law
from tailramp.evidence.sequential.user_sets import UserSets

METRIC_WEIGHTS = np.array([0.5 / len(LADDER)] * len(LADDER) + [0.25, 0.25])
HARMFUL = [4, 5, 6, 7]
"""Of the judged metrics those that a ramp by evidence weighs: the p99's edge, the limit's, errors, toxicity."""
EVERY = METRIC_WEIGHTS
ONLY: Mapping[str, Array] = {
    "L": np.array([1 / len(LADDER)] * len(LADDER) + [0, 0]),
    "T": np.array([1 / len(LADDER)] * len(LADDER) + [0, 0]),
    "E": np.array([0.0] * len(LADDER) + [1, 0]),
    "X": np.array([0.0] * len(LADDER) + [0, 1]),
}
"""The weights of one family of metrics alone, by the first letter of the regression."""


class Sequential:
    """The sequential test of many runs, all metrics of each; ``alarmed`` says whose evidence has reached 1/alpha."""

    def __init__(
        self,
        runs: int,
        noise: Noise,
        share: float,
        *,
        weights: Array = EVERY,
        alpha: float = 0.01,
        change_time: ChangeTime | None = None,
    ) -> None:
        everyone = self._noise = Noise(*(np.tile(part, runs) for part in (noise.tau, noise.phi0, noise.sigma0)))
        self._runs, self._weights, self._needed = runs, weights, 1 / alpha
        self._change_time = change_time
        self._process = EvidenceProcess(everyone, UserSets.of_share(share), change_time=change_time)
        self.alarmed = np.zeros(runs, dtype=bool)

    def only(self, runs: Mask) -> "Sequential":
        """The same test of the runs of this mask, which goes on as if it had never seen the others."""
        one = Noise(*(part[: len(JUDGED)] for part in (self._noise.tau, self._noise.phi0, self._noise.sigma0)))
        left = Sequential(
            int(runs.sum()), one, 50.0, weights=self._weights, alpha=1 / self._needed, change_time=self._change_time
        )
        left._process.restore(_of_rows(self._process.checkpoint(), np.repeat(runs, len(JUDGED))))
        left.alarmed = self.alarmed[runs]
        return left

    def learn(self, windows: Array, seconds: float, share: float, carry: Array | float) -> None:
        """Take the day before: `windows` of shape (windows, 4, runs, METRICS), the users of `share` % beside others.

        `carry`: how much of it is taken to be left, of every judged metric or shape (metrics,).
        """
        rows = windows[:, :, :, JUDGED].reshape(len(windows), 4, -1)
        sets = UserSets.of_share(share)
        carries = np.tile(np.broadcast_to(carry, len(JUDGED)), self._runs)
        self._process.expect(*learnt_law(self._noise, sets, rows, seconds), sets, carries)

    def move(self, share: float, runs: Mask | None = None) -> None:
        rows = None if runs is None else np.repeat(runs, len(JUDGED))
        self._process.move(UserSets.of_share(share), rows)

    def observe(self, counts: Array, seconds: float) -> Array:
        """``counts``: shape (4, runs, METRICS).  Returns the combined evidence of every run."""
        rows = counts[:, :, JUDGED].reshape(4, -1)
        evidence = self._process.observe(rows, seconds).reshape(self._runs, -1) @ self._weights
        self.alarmed |= evidence >= self._needed
        return evidence

    def combined(self, weights: Array) -> Array:
        """The evidence of every run with other weights of the metrics, shape (runs,)."""
        combined: Array = self._process.evidence.reshape(self._runs, -1) @ weights
        return combined

    @property
    def parts(self) -> Array:
        """What each metric adds to the combined evidence, shape (runs, metrics)."""
        return self._process.evidence.reshape(self._runs, -1) * self._weights

    @property
    def upper(self) -> Array:
        """The largest ratio of every harmful metric that is still possible, shape (runs, 4)."""
        process = self._process
        rows = np.arange(self._runs * len(JUDGED)).reshape(self._runs, -1)[:, HARMFUL].ravel()
        log_ratios, told = process.ratio_support
        return ratios(log_ratios, told[rows], process.spread[rows], process.centre[rows]).upper.reshape(self._runs, -1)


def _of_rows(checkpoint: dict[str, Any], rows: Mask) -> dict[str, Any]:
    """A checkpoint of some rows only; they are the first axis of an array, or the last one behind the arms."""

    def some(values: Any) -> Any:
        if isinstance(values, dict):
            return {name: some(part) for name, part in values.items()}
        array = np.array(values)
        return (array[rows] if len(array) == len(rows) else array[..., rows]).tolist()

    return {name: some(values) for name, values in checkpoint.items()}


def _clearly_worse(counts: Array) -> Mask:
    """``tailramp.evidence.comparison`` of many runs at once."""
    n_c, x_c, n_b, x_b = counts
    weighted = n_c * WORSE_BY
    expected = (x_c + x_b) * weighted / np.maximum(weighted + n_b, 1e-300)
    tiny = 1e-300
    deviance = x_c * np.log(np.maximum(x_c, tiny) / np.maximum(expected, tiny))
    deviance += x_b * np.log(np.maximum(x_b, tiny) / np.maximum(x_c + x_b - expected, tiny))
    worse: Mask = (n_b > 0) & (x_c > expected) & (2 * deviance > STANDARD_ERRORS**2)
    return worse


class RepairedThreshold:
    """``tailramp.evidence.ThresholdJudge`` on p99 > 2 s, errors > 5 % and toxicity > 5 %, of many runs at once."""

    limits = np.array([0.01, 0.05, 0.05])
    metrics = (LIMIT_EDGE, ERRORS, TOXICITY)

    def __init__(self, runs: int, rule: ThresholdRule) -> None:
        self._rule = rule
        shape = (runs, len(self.metrics))
        self._open = np.zeros((4, *shape))
        self._in_streak = np.zeros((4, *shape))
        self._length = np.zeros(shape)
        self._streak = np.zeros(shape, dtype=int)
        self.alarmed = np.zeros(runs, dtype=bool)

    def restart(self, runs: Mask | None = None) -> None:
        """A step begins: its windows do."""
        rows = np.ones(len(self.alarmed), dtype=bool) if runs is None else runs
        self._open[:, rows] = self._in_streak[:, rows] = 0.0
        self._length[rows] = self._streak[rows] = 0

    def observe(self, counts: Array, seconds: float) -> None:
        self._open += counts[:, :, list(self.metrics)]
        self._length += seconds
        n_c, x_c, n_b, x_b = self._open
        ripe = (self._length >= self._rule.window) & (n_c >= self._rule.min_sample)
        breaks = x_c > self.limits * n_c
        compared = 2 * n_b >= self._rule.min_sample
        bad = ripe & breaks & ~(compared & (x_b > self.limits * n_b))
        good = ripe & ~breaks
        self._streak = np.where(good, 0, self._streak + bad)
        self._in_streak = np.where(good, 0, self._in_streak + np.where(bad, self._open, 0))
        compared = 2 * self._in_streak[2] >= self._rule.min_sample * self._streak
        worse = ~compared | _clearly_worse(self._in_streak)
        self._open[:, ripe] = 0
        self._length[ripe] = 0
        self.alarmed |= ((self._streak >= self._rule.consecutive) & worse).any(axis=1)


SHIPPED_THRESHOLD = ThresholdRule(min_sample=500, floor=500, consecutive=3, window=60)
