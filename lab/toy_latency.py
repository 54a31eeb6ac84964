"""How long a healthy toy model takes: the mixture for which the shipped policy's error rates were simulated.

A healthy server has its p99 at 1.6 s and sends 0.21 % of its answers later than the 2 s that the ramp promises, close
enough for a careless rule to raise false alarms.
"""

import math

import numpy as np
from numpy.typing import NDArray

# fmt: off
LATENCY_EDGES = (
    0.1, 0.125, 0.16, 0.2, 0.25, 0.32, 0.4, 0.5, 0.64, 0.8, 1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.4, 8.0, 10.0,
)
# fmt: on
"""Seconds. A constant ratio of about 1.25, and the promised 2 s is an edge, so that no share is ever interpolated."""

FIRST_TOKEN_EDGES = (
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.125,
    0.16,
    0.2,
    0.25,
    0.32,
    0.4,
    0.5,
    0.64,
    0.8,
    1.0,
    2.0,
    5.0,
    10.0,
)
"""Seconds."""

_SIGMA = 0.35
_LONG_SHARE = 0.15
_LONG_SHAPE = 6
_LONG_SCALE = 1.8 / _LONG_SHAPE
_P99 = 1.6


def latency_tail(seconds: float) -> float:
    """The fraction of a healthy server's answers that take longer than `seconds`, at speed 1."""
    return _tail(seconds / _MEDIAN)


def _tail(medians: float) -> float:
    lognormal = 0.5 * math.erfc(math.log(medians) / (_SIGMA * math.sqrt(2)))
    y = medians / _LONG_SCALE
    gamma = math.exp(-y) * sum(y**k / math.factorial(k) for k in range(_LONG_SHAPE))
    return (1 - _LONG_SHARE) * lognormal + _LONG_SHARE * gamma


def _median_for(p99: float) -> float:
    low, high = 1.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _tail(middle) > 0.01 else (low, middle)
    return p99 / high


_MEDIAN = _median_for(_P99)


def sample_latencies(random_source: np.random.Generator, count: int) -> NDArray[np.float64]:
    """`count` latencies of a healthy server in seconds, at speed 1."""
    short = random_source.lognormal(0.0, _SIGMA, count)
    long = random_source.gamma(_LONG_SHAPE, _LONG_SCALE, count)
    mixture = np.where(random_source.random(count) < _LONG_SHARE, long, short) * _MEDIAN
    return np.asarray(mixture, dtype=np.float64)
