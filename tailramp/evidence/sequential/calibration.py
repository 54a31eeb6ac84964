"""The sizes of the noise, estimated from a service's own counts while nothing is wrong.

Two groups that run the same version differ by chance alone, and how much is what the test has to allow for. `tau`
comes from totals by bucket over a long time, where bursts and slow servers have evened out, and `carry` from those of
one day beside those of the next; `phi0` and `sigma0` from two groups side by side, window by window: bursts scatter
short and long windows alike, the noise of servers grows with what a window counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailramp.evidence.sequential.grids import Array

LEAST_BUCKETS = 10
LEAST_EVENTS = 5.0
"""Bad answers of a bucket on average, below which counting itself hides how much buckets differ."""
LEAST_DAYS = 3
"""Whole days, below which a day that is like the next may be chance."""
LEAST_BLOCKS = 24
"""Blocks of five minutes, below which noise that lasts for minutes has hardly shown itself."""
LEAST_BAD = 100.0
"""Bad answers of two groups together, below which their scatter tells nothing."""
LEAST_OF_EACH = 10.0
"""Of these, of either group: one that hardly has any is nothing to compare the other with."""

_LEAST_SIGMA = 0.01
_RESAMPLED = 300
_ONE_SIDED = 1.645
"""In standard errors; a bootstrap is a little too sure of itself, and what is meant for a twentieth becomes a tenth."""

_SEED = 20260
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A size of the noise with the ends of its interval; it lies beyond each of them about once in ten times.

    The upper end is what the test should allow for, of what it may rely on the lower one: with few data they are far
    from the value, and the test is careful.
    """

    value: float
    low: float
    high: float


def user_spread(n: ArrayLike, x: ArrayLike, phi0: float = 1.0, size: float = 1.0) -> float | None:
    """Return tau: the standard deviation of the log-rate between buckets of 1 % of the users.

    `n` and `x` are answers and bad answers by bucket, shape (buckets,), or by day and bucket, shape (days, buckets):
    then it is the spread within a day, of all days together. `size` is the size of these buckets in % of the users.
    The scatter that counting itself brings, `phi0` times that of independent answers, is taken off. None where it
    cannot be told: fewer than 10 buckets, or fewer than 5 bad answers in a bucket on average.
    """
    found = _deviations(n, x)
    if found is None:
        return None
    expected, off = found
    # Moments: the squared deviations of x from its expectation have the mean phi0 * expected + tau2 * expected ** 2.
    excess = ((off**2).sum() - phi0 * expected.sum()) / (expected**2).sum()
    return float(np.sqrt(np.log1p(max(0.0, excess)) * size))


def user_carry(n: ArrayLike, x: ArrayLike, phi0: float = 1.0) -> float | None:
    """Return carry: how much of the log-rate's difference between buckets is left a day later, -1 to 1.

    `n` and `x`: answers and bad answers by day and bucket, shape (days, buckets), of days in a row; `phi0` as in
    `user_spread`. None where it cannot be told: as there, for fewer than 3 days, without two days in a row with bad
    answers, or where more of the scatter between buckets is that of counting than of users.
    """
    found = _deviations(n, x)
    if found is None or len(found[0]) < LEAST_DAYS:
        return None
    expected, off = found
    users = (off**2).sum() - phi0 * expected.sum()
    if users <= phi0 * expected.sum():
        return None
    both = (expected[1:] * expected[:-1]).sum()
    if both <= 0:
        return None  # every other day was silent
    # Of log-normal rates the deviations of two days have the mean product (exp(carry * tau2) - 1) * expected ** 2;
    # counting adds nothing to it, since no answer is counted on two days.
    shared = (off[1:] * off[:-1]).sum() / both
    carry = np.log1p(max(shared, -0.999)) / np.log1p(users / (expected**2).sum())
    return float(np.clip(carry, -1.0, 1.0))


def _deviations(n: ArrayLike, x: ArrayLike) -> tuple[Array, Array] | None:
    """The bad answers that each bucket should have by the rate of all, and how many more it has: (days, buckets) each.

    Buckets without any answer are left out, and those with a number that is no count. None with too few buckets or bad
    answers.
    """
    n, x = np.atleast_2d(np.asarray(n, dtype=float)), np.atleast_2d(np.asarray(x, dtype=float))
    answered = (n.sum(axis=0) > 0) & np.isfinite(x.sum(axis=0))
    n, x = n[:, answered], x[:, answered]
    if n.shape[1] < LEAST_BUCKETS or x.sum(axis=0).mean() < LEAST_EVENTS:
        return None
    expected = n * (x.sum(axis=1) / np.maximum(n.sum(axis=1), 1.0))[:, None]
    return expected, x - expected


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


def spread_estimate(n: ArrayLike, x: ArrayLike, phi0: float = 1.0, size: float = 1.0) -> Estimate | None:
    """Return tau as `user_spread` does, with an interval from resampled buckets."""
    n, x = np.asarray(n, dtype=float), np.asarray(x, dtype=float)
    value = user_spread(n, x, phi0, size)
    if value is None:
        return None

    def again(chosen: NDArray[np.int64]) -> tuple[float, ...]:
        # Too few bad answers among the chosen: they tell no spread.
        return (user_spread(n[..., chosen], x[..., chosen], phi0, size) or 0.0,)

    return _with_interval((value,), n.shape[-1], again)[0]


def carry_estimate(n: ArrayLike, x: ArrayLike, phi0: float = 1.0) -> Estimate | None:
    """Return carry as `user_carry` does, with an interval from resampled buckets."""
    n, x = np.asarray(n, dtype=float), np.asarray(x, dtype=float)
    value = user_carry(n, x, phi0)
    if value is None:
        return None

    def again(chosen: NDArray[np.int64]) -> tuple[float, ...]:
        return (user_carry(n[:, chosen], x[:, chosen], phi0) or 0.0,)

    return _with_interval((value,), n.shape[1], again)[0]


def comparable(windows: Array, per_block: int) -> Array:
    """The blocks of five minutes in which both groups have answers, shape (blocks, `per_block`, 4)."""
    by_block = windows[: len(windows) // per_block * per_block].reshape(-1, per_block, 4)
    found: Array = by_block[(by_block[:, :, 0::2].sum(axis=1) > 0).all(axis=1)]
    return found


def noise_estimates(windows: Array, per_block: int) -> tuple[Estimate, Estimate] | None:
    """Return phi0 and sigma0 as `count_noise` does, with intervals from resampled blocks of five minutes.

    None for fewer than `LEAST_BLOCKS` blocks in which both groups have answers, or fewer bad answers than `LEAST_BAD`
    and `LEAST_OF_EACH`.
    """
    by_block = comparable(windows, per_block)
    kept = by_block.reshape(-1, 4)
    bad = kept[:, 1::2].sum(axis=0)
    if len(by_block) < LEAST_BLOCKS or bad.sum() < LEAST_BAD or bad.min() < LEAST_OF_EACH:
        return None

    def again(chosen: NDArray[np.int64]) -> tuple[float, ...]:
        return count_noise(by_block[chosen].reshape(-1, 4), per_block)

    phi0, sigma0 = _with_interval(count_noise(kept, per_block), len(by_block), again)
    return phi0, sigma0


def _with_interval(
    values: tuple[float, ...], units: int, again: Callable[[NDArray[np.int64]], tuple[float, ...]]
) -> list[Estimate]:
    """The interval of each value from the same calculation on units that are drawn again, with the same seed always.

    A spread of few units is more often found too small than too large: Efron's bias correction moves both ends by as
    much as the drawn values show.
    """
    random = np.random.default_rng(_SEED)
    drawn = np.array([again(random.integers(0, units, units)) for _ in range(_RESAMPLED)]).T
    found = []
    for value, of_it in zip(values, drawn, strict=True):
        below = float(np.mean(of_it < value) + np.mean(of_it == value) / 2)
        bias = 2 * _NORMAL.inv_cdf(min(max(below, 0.01), 0.99))
        low, high = np.quantile(of_it, [_NORMAL.cdf(bias - _ONE_SIDED), _NORMAL.cdf(bias + _ONE_SIDED)])
        found.append(Estimate(value, min(value, float(low)), max(value, float(high))))
    return found
