"""The sizes of the noise, estimated from simulated days on which both sides run the same version."""

import math

import numpy as np

from bench.evidence.traffic import (
    BUCKETS,
    EDGES,
    ERRORS,
    LADDER,
    METRICS,
    N2,
    TOXICITY,
    Array,
    Regime,
    Traffic,
    slower_than,
)
from tailramp.evidence.sequential.calibration import carry_estimate, noise_estimates, spread_estimate
from tailramp.evidence.sequential.dispersion import Noise
from tailramp.evidence.sequential.rule import UNMEASURED_CARRY

JUDGED = [*LADDER, ERRORS, TOXICITY]
"""The metrics that the sequential test is shown."""
_SEED = 900

DEFAULTS = Noise.of(
    1.5 * np.array([0.07, 0.13, 0.16, 0.19, 0.24, 0.32, 0.17, 0.28]),
    [1.0] * 7 + [3.0],
    1.5 * np.array([0.035, 0.065, 0.08, 0.095, 0.12, 0.16, 0.14, 0.05]),
)


def noise_at(rate: float) -> Noise:
    """What ``tailramp calibrate`` writes on days of its own, of a service with this many requests per second."""
    return calibrated(rate, seed=_SEED + round(rate))


def calibrated(rate: float, *, seed: int, regime: Regime = N2, days: int = 1) -> Noise:
    """The noise of the judged metrics that ``tailramp calibrate`` writes at ``rate`` requests per second: the upper
    ends of what it finds.
    """
    by_bucket = _by_bucket(rate, seed, regime, days).sum(axis=1)
    traffic = Traffic(1, rate, regime, seed + 1)
    traffic.serve(np.array([50.0]))
    windows = np.stack([traffic.step()[:, 0] for _ in range(days * 5760)])
    tau, phi0, sigma0 = [], [], []
    for place, metric in enumerate(JUDGED):
        told = noise_estimates(windows[:, :, metric], 20)
        phi, sigma = (None, None) if told is None else told
        phi0.append(DEFAULTS.phi0[place] if phi is None else phi.high)
        sigma0.append(DEFAULTS.sigma0[place] if sigma is None else sigma.high)
        n, x = by_bucket[:, :, metric]
        found = None if phi is None else spread_estimate(n, x, phi.value)
        tau.append(DEFAULTS.tau[place] if found is None else found.high)
    return Noise.of(tau, phi0, sigma0)


def carried(rate: float, noise: Noise, *, seed: int, kept: float, days: int = 7) -> Array:
    """What ``tailramp calibrate`` writes of the carry of every judged metric, shape (metrics,), from `days` days on
    which users keep `kept` of what tells them from others; `noise` as it was calibrated.
    """
    by_bucket = _by_bucket(rate, seed, N2, days, kept)
    found = []
    for place, metric in enumerate(JUDGED):
        n, x = by_bucket[:, :, :, metric]
        estimate = carry_estimate(n, x, float(noise.phi0[place]))
        found.append(UNMEASURED_CARRY if estimate is None else min(0.99, max(0.0, estimate.low)))
    return np.array(found)


def _by_bucket(rate: float, seed: int, regime: Regime, days: int, kept: float = 1.0) -> Array:
    """Answers and bad answers by day and bucket of 1 %: shape (2, days, BUCKETS, METRICS).

    `kept`: how much of a bucket's difference from others is left a day later.
    """
    traffic = Traffic(1, rate, regime, seed, tick=300.0)
    users, random = traffic.users[0], np.random.default_rng(seed + 2)
    counts = np.zeros((2, days, BUCKETS, METRICS))
    for day in range(days):
        if day and kept != 1.0:
            others = Traffic(1, rate, regime, seed + 1000 * day).users[0]
            users = kept * users + math.sqrt(1.0 - kept**2) * others
        for _ in range(288):
            latency, errors = traffic.shared_noise()
            n = random.poisson(rate * traffic.tick / BUCKETS, BUCKETS)
            above = slower_than(EDGES[None, :], latency + users[:, :1])
            rates = np.array([0.005 * errors, 0.01]) * np.exp(users[:, 1:])
            counts[0, day] += n[:, None]
            counts[1, day, :, : len(EDGES)] += random.binomial(n[:, None], above)
            counts[1, day, :, ERRORS] += random.binomial(n, rates[:, 0])
            counts[1, day, :, TOXICITY] += traffic.toxic(n, rates[:, 1])
            traffic.now += traffic.tick
    return counts
