"""Simulated traffic of a baseline and a candidate: counts per tick, many ramps at once.

What makes real traffic hard to judge is in it: a day's rhythm and bursts, incidents that hit both versions, servers
that are a little slower for a while, users who differ from bucket to bucket, and sessions that bring several toxic
answers together. Regimes add these one after the other: N0 has independent answers, N1 the noise that both versions
share, N2 all of it.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

TICK = 15.0
DAY = 86_400.0
EDGES = np.array([0.5, 0.64, 0.8, 1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0])
"""Bucket edges of the latency histogram that the simulation counts, seconds."""
LADDER = [0, 2, 3, 4, 5, 6]
"""Of these the edges nearest to the baseline's p50, p75, p90, p95 and p99, and the limit of 2 s."""
P99_EDGE, LIMIT_EDGE = 5, 6
ERRORS, TOXICITY = len(EDGES), len(EDGES) + 1
METRICS = len(EDGES) + 2
BUCKETS = 100

_P99 = 1.60
_GRID = np.linspace(-4.5, 3.5, 3201)  # of log(latency in units of the log-normal's median)


def _survival(log_units: Array) -> Array:
    """Share of answers slower than this, of .85 LogNormal(sigma .35) + .15 Gamma(shape 6, mean 1.8)."""
    normal = np.array([0.5 * math.erfc(value / (0.35 * math.sqrt(2))) for value in log_units])
    x = np.exp(log_units) * 6 / 1.8
    gamma = np.exp(-x) * sum(x**k / math.factorial(k) for k in range(6))
    return 0.85 * normal + 0.15 * gamma


_LOG_SURVIVAL = np.log(np.maximum(_survival(_GRID), 1e-30))
_LOG_MEDIAN = math.log(_P99) - float(np.interp(-math.log(0.01), -_LOG_SURVIVAL, _GRID))


def slower_than(edges: Array, log_scale: Array) -> Array:
    """Share of answers above `edges` where every latency is exp(log_scale) times what it usually is."""
    found: Array = np.exp(np.interp(np.log(edges) - log_scale - _LOG_MEDIAN, _GRID, _LOG_SURVIVAL))
    return found


@dataclass(frozen=True)
class Regime:
    """Which noise there is."""

    shared: bool = True
    own: bool = True
    users: float = 1.0
    """Multiplies the spread between buckets; 0 for none."""
    pods: float = 1.0
    heavy_tails: bool = False
    """Buckets differ by Student's t with 3 degrees of freedom, scaled to the same spread."""


N0 = Regime(shared=False, own=False)
N1 = Regime(own=False)
N2 = Regime()


@dataclass(frozen=True)
class Regression:
    """What is wrong with the candidate, from `onset` seconds on."""

    latency: float = 1.0
    tail: float = 0.0
    errors: float = 1.0
    toxicity: float = 1.0
    error_rate: float | None = None
    onset: float = 0.0


HEALTHY = Regression()
REGRESSIONS = {
    "L10": Regression(latency=1.1),
    "L20": Regression(latency=1.2),
    "L30": Regression(latency=1.3),
    "L50": Regression(latency=1.5),
    "TAIL": Regression(tail=0.01),
    "E2": Regression(errors=2.0),
    "E5": Regression(errors=5.0),
    "E20": Regression(errors=20.0),
    "X2": Regression(toxicity=2.0),
    "X6": Regression(toxicity=6.0),
    "X15": Regression(toxicity=15.0),
}
_ERROR_RATE, _TOXIC_RATE = 0.005, 0.01
_TAIL_LOW, _TAIL_HIGH = 3.0, 10.0
_SCALES = np.arange(-0.9, 1.6, 0.025)


@dataclass
class Traffic:
    """`runs` ramps side by side; `step` brings the counts of the next tick.

    The candidate's users are the first buckets, which are as random as any: `share` says how many percent.
    """

    runs: int
    rate: float
    regime: Regime
    seed: int
    regression: Regression = HEALTHY
    tick: float = TICK
    now: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        random = self._random = np.random.default_rng(self.seed)
        runs, regime = self.runs, self.regime
        spread = np.array([0.04, 0.2, 0.3]) * (regime.users if regime.own else 0.0)
        shape = (runs, BUCKETS, 3)
        drawn = random.standard_t(3, shape) / math.sqrt(3) if regime.heavy_tails else random.standard_normal(shape)
        self.users = drawn * spread
        self._phase = random.uniform(0, 2 * math.pi, runs)
        self._shared = random.standard_normal((runs, 2))
        self._pods = random.standard_normal((runs, 2, 2))
        self._incident = np.full(runs, -math.inf)  # ends then
        self._share = np.zeros(runs)
        # Of both arms: log of the share above every edge, by log of the latencies' scale; means of the other rates.
        self._above = np.zeros((runs, 2, len(_SCALES), len(EDGES)))
        self._others = np.ones((runs, 2, 2))

    def serve(self, share: Array) -> None:
        """Give the candidate `share` percent of the users, shape (runs,)."""
        for run in np.flatnonzero(share != self._share):
            count = round(float(share[run]))
            for arm, users in enumerate((self.users[run, :count], self.users[run, count:])):
                if not len(users):
                    continue
                scales = _SCALES[:, None, None] + users[None, :, 0, None]
                mean = slower_than(EDGES[None, None, :], scales).mean(axis=1)
                self._above[run, arm] = np.log(mean)
                self._others[run, arm] = np.exp(users[:, 1:]).mean(axis=0)
        self._share = share.astype(float).copy()

    def step(self) -> Array:
        """Counts of one tick: shape (4, runs, METRICS), answers and bad answers of candidate and baseline."""
        random, runs, regime = self._random, self.runs, self.regime
        self._advance_noise()
        burst = random.gamma(25, 1 / 25, runs) if regime.shared else 1.0
        daily = 1 + 0.4 * np.sin(2 * math.pi * self.now / DAY + self._phase)
        expected = self.rate * self.tick * daily * burst
        shares = np.stack([self._share, 100 - self._share], axis=1) / 100
        n = random.poisson(expected[:, None] * shares)
        slower, failing = self._shared_now()
        latency = np.repeat(slower[:, None], 2, axis=1)
        others = self._others * [_ERROR_RATE, _TOXIC_RATE]
        others[:, :, 0] *= failing[:, None]
        if regime.own:
            latency += 0.02 * regime.pods * self._pods[:, :, 0]
            others[:, :, 0] *= np.exp(0.1 * regime.pods * self._pods[:, :, 1])
        bad_now = self.regression if self.now >= self.regression.onset else HEALTHY
        latency[:, 0] += math.log(bad_now.latency)
        others[:, 0] *= [bad_now.errors, bad_now.toxicity]
        if bad_now.error_rate is not None:
            others[:, 0, 0] = bad_now.error_rate
        above = self._shares_above(latency)
        if bad_now.tail:
            slow = np.clip((_TAIL_HIGH - EDGES) / (_TAIL_HIGH - _TAIL_LOW), 0, 1)
            above[:, 0] = (1 - bad_now.tail) * above[:, 0] + bad_now.tail * slow
        counts = np.empty((4, runs, METRICS))
        for arm in range(2):
            counts[2 * arm] = n[:, arm, None]
            counts[2 * arm + 1, :, : len(EDGES)] = self._slow(n[:, arm], above[:, arm])
            counts[2 * arm + 1, :, ERRORS] = random.binomial(n[:, arm], np.minimum(others[:, arm, 0], 1))
            counts[2 * arm + 1, :, TOXICITY] = self.toxic(n[:, arm], np.minimum(others[:, arm, 1], 1))
        self.now += self.tick
        return counts

    def shared_noise(self) -> tuple[float, float]:
        """What both versions share in the next tick of the first run: log of the latencies' scale, factor of errors."""
        self._advance_noise()
        slower, failing = self._shared_now()
        return float(slower[0]), float(failing[0])

    def _shared_now(self) -> tuple[Array, Array]:
        if not self.regime.shared:
            return np.zeros(self.runs), np.ones(self.runs)
        incident = np.where(self._incident > self.now, math.log(1.42), 0.0)
        return 0.08 * self._shared[:, 0] + incident, np.exp(0.3 * self._shared[:, 1])

    def _advance_noise(self) -> None:
        random = self._random
        for state, seconds in ((self._shared, 600.0), (self._pods, 120.0)):
            kept = math.exp(-self.tick / seconds)
            state *= kept
            state += math.sqrt(1 - kept**2) * random.standard_normal(state.shape)
        begins = random.random(self.runs) < 2 * self.tick / DAY
        self._incident = np.where(begins, self.now + 600.0, self._incident)

    def _shares_above(self, latency: Array) -> Array:
        place = np.clip((latency - _SCALES[0]) / (_SCALES[1] - _SCALES[0]), 0, len(_SCALES) - 1.001)
        left = place.astype(int)
        part = (place - left)[..., None]
        run, arm = np.ogrid[: self.runs, :2]
        found: Array = np.exp((1 - part) * self._above[run, arm, left] + part * self._above[run, arm, left + 1])
        return found

    def _slow(self, n: NDArray[Any], above: Array) -> Array:
        """A draw of how many answers lie above every edge: of those above one, some are above the next."""
        found = np.empty((self.runs, len(EDGES)))
        left, before = n, np.ones(self.runs)
        for edge in range(len(EDGES)):
            left = self._random.binomial(left, np.minimum(1.0, above[:, edge] / before))
            before = np.maximum(above[:, edge], 1e-30)
            found[:, edge] = left
        return found

    def toxic(self, n: NDArray[Any], rate: Array) -> NDArray[Any]:
        """A draw of the toxic ones among `n` answers."""
        if not self.regime.own:
            return self._random.binomial(n, rate)
        # Sessions of one toxic answer or more, two on average: the sum of their squares is three times their sum.
        sessions = self._random.poisson(n * rate / 2)
        more = self._random.negative_binomial(np.maximum(sessions, 1), 0.5)
        found: NDArray[Any] = np.minimum(n, np.where(sessions > 0, sessions + more, 0))
        return found


FIXED_RAMP = ((1.0, 3600.0), (5.0, 3 * 3600.0), (10.0, 4 * 3600.0), (25.0, 6 * 3600.0), (50.0, 10 * 3600.0))
"""Percent of the users, and for how many seconds."""


def fixed_share(now: float) -> float:
    """Percent that the fixed ramp serves `now` seconds after its start."""
    end = 0.0
    for share, seconds in FIXED_RAMP:
        end += seconds
        if now < end:
            return share
    return FIXED_RAMP[-1][0]
