"""The sizes of the noise, estimated from a service's own counts while nothing is wrong.

Two groups that run the same version differ by chance alone, and how much is what the test has to allow for. `tau`
comes from totals by bucket over a long time, where bursts and slow servers have evened out; `phi0` and `sigma0` from
two groups side by side, window by window: bursts scatter short and long windows alike, the noise of servers grows
with what a window counts.
"""

import numpy as np
from numpy.typing import ArrayLike

from tailramp.evidence.sequential.grids import Array

LEAST_BUCKETS = 10
_LEAST_EVENTS = 5.0
_LEAST_SIGMA = 0.01


def user_spread(n: ArrayLike, x: ArrayLike, phi0: float = 1.0, size: float = 1.0) -> float | None:
    """Return tau: the standard deviation of the log-rate between buckets of 1 % of the users.

    `n` and `x` are answers and bad answers by bucket, shape (buckets,); `size` is the size of these buckets in % of
    the users. The scatter that counting itself brings, `phi0` times that of independent answers, is taken off. None
    where it cannot be told: fewer than 10 buckets, or fewer than 5 bad answers in a bucket on average.
    """
    n, x = np.asarray(n, dtype=float), np.asarray(x, dtype=float)
    n, x = n[n > 0], x[n > 0]
    if len(n) < LEAST_BUCKETS or x.mean() < _LEAST_EVENTS:
        return None
    expected = n * x.sum() / n.sum()
    # Moments: the squared deviations of x from its expectation have the mean phi0 * expected + tau2 * expected ** 2.
    excess = (((x - expected) ** 2).sum() - phi0 * expected.sum()) / (expected**2).sum()
    return float(np.sqrt(np.log1p(max(0.0, excess)) * size))


def count_noise(windows: Array, per_block: int) -> tuple[float, float]:
    """Return (phi0, sigma0) of one metric from two groups of the same version.

    `windows`: shape (windows, 4), answers and bad answers of the one group and of the other, in short windows of equal
    length; `per_block` of them make five minutes. phi0 is at least 1 and sigma0 at least 0.01.
    """
    blocks = windows[: len(windows) // per_block * per_block].reshape(-1, per_block, 4).sum(axis=1)
    short, long = _scatter(windows, blocks), _scatter(blocks, blocks)
    if short is None or long is None:
        return 1.0, _LEAST_SIGMA
    sigma2 = max(0.0, (long[0] - short[0]) / max(long[1] - short[1], 1e-9))
    phi0 = max(1.0, short[0] - sigma2 * short[1])
    return phi0, max(_LEAST_SIGMA, float(np.sqrt(max(0.0, long[0] - phi0) / long[1])))


def _scatter(windows: Array, blocks: Array) -> tuple[float, float] | None:
    """The mean squared deviation over the variance of independent answers, and the mean of that variance."""
    n_c, x_c, n_b, x_b = windows.T
    whole = blocks.sum(axis=0)
    if min(whole) <= 0:
        return None
    odds = (whole[1] / whole[3]) * np.divide(n_c * whole[2], n_b * whole[0], out=np.zeros_like(n_c), where=n_b > 0)
    share = odds / (1.0 + odds)
    m = np.where((n_c > 0) & (n_b > 0), x_c + x_b, 0.0)
    variance = m * share * (1.0 - share)
    if variance.sum() <= 0:
        return None
    squares = np.where(m > 0, (x_c - m * share) ** 2, 0.0)
    return float(squares.sum() / variance.sum()), float((variance**2).sum() / variance.sum())
