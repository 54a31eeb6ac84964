"""How much less a count says than it would if every answer were independent of every other.

Bad answers come in bursts (`phi0`: one user's session brings several) and whole servers are a little slower for a
while (`sigma0`: a noise of the ratio, which matters the more, the more is counted). Both are met by tempering: the
log-likelihood of a window is multiplied by `eta`, at most 1. So that the test stays honest `eta` may depend on the
past only; it is set for five minutes at a time from the blocks before, which show how far the counts really scatter.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tailramp.evidence.sequential.grids import Array, Mask

BLOCK_SECONDS = 300.0
_DISCOUNT = 0.94  # of the ratio's estimate, per block: a half-life of about an hour
_PSEUDO_EVENTS = 4.0
_PRIOR_INFORMATION = 12.0
_LEAST_VARIANCE = 0.3
_CLIP = (-5.0, 25.0)
_SAFETY = 1.5
_SMALLEST_PART = 0.25
_LEAST_SIGMA = 1e-3


@dataclass(frozen=True)
class Noise:
    """The three sizes of noise of each metric, shape (rows,) each.

    `tau`: standard deviation of the log-rate between buckets of 1 % of the users. `phi0`: bad answers of one session,
    sum of squares over sum. `sigma0`: standard deviation of the log-ratio of two groups of the same servers over five
    minutes.
    """

    tau: Array
    phi0: Array
    sigma0: Array

    @classmethod
    def of(cls, tau: ArrayLike, phi0: ArrayLike, sigma0: ArrayLike) -> "Noise":
        """The noise of rows given as numbers or as arrays of one length."""
        arrays = np.broadcast_arrays(np.atleast_1d(tau), np.atleast_1d(phi0), np.atleast_1d(sigma0))
        return cls(*(np.array(array, dtype=float) for array in arrays))


class Dispersion:
    """The tempering of every row, block by block."""

    def __init__(self, noise: Noise) -> None:
        rows = len(noise.tau)
        self._phi0 = np.maximum(noise.phi0, 0.0)
        self._sigma0 = np.maximum(noise.sigma0, _LEAST_SIGMA)
        # Of the block that is open: seconds, and n and x of both arms.
        self._elapsed = np.zeros(rows)
        self._open = np.zeros((4, rows))
        # Discounted: the candidate's bad answers, and how many the baseline's rate would have brought.
        self._seen = np.zeros((2, rows))
        self._information = np.zeros((2, rows))
        self._variance = np.zeros(rows)  # predicted for the open block
        self.eta = 1.0 / np.maximum(1.0, self._phi0)

    def add(self, counts: Array, seconds: float) -> None:
        """Count one window, `counts` of shape (4, rows): n and x of the candidate, n and x of the baseline."""
        self._open += counts
        self._elapsed += seconds
        if self._elapsed.max() >= BLOCK_SECONDS - 1e-6:
            self._close(self._elapsed >= BLOCK_SECONDS - 1e-6)

    def until_over(self, seconds: Sequence[float]) -> int:
        """Return how many windows, `seconds` long each, may be added until `eta` changes; the last may change it."""
        elapsed = self._elapsed.max()
        for many, length in enumerate(seconds, 1):
            elapsed += length
            if elapsed >= BLOCK_SECONDS - 1e-6:
                return many
        return len(seconds)

    def scale(self, rows: Mask, factor: Array | float) -> None:
        """The users of `rows` (a mask) have moved: the next blocks have `factor` times the variance of the last."""
        self._open[:, rows] = 0.0
        self._elapsed[rows] = 0.0
        self._variance[rows] *= factor
        self._set_eta()

    def _close(self, over: Mask) -> None:
        n_c, x_c, n_b, x_b = self._open
        m = x_c + x_b
        ratio = (self._seen[0] + _PSEUDO_EVENTS) / (self._seen[1] + _PSEUDO_EVENTS)
        weighted = n_c * ratio
        expected = np.divide(weighted, weighted + n_b, out=np.zeros_like(m), where=(n_c > 0) & (n_b > 0))
        variance = m * expected * (1.0 - expected)
        told = over & (variance > _LEAST_VARIANCE)
        v = np.where(told, variance, 1.0)
        pod = self._sigma0**2 * v
        excess = np.clip(((x_c - m * expected) ** 2 / v - self._phi0) / pod, *_CLIP)
        information = np.where(told, (pod / (self._phi0 + pod)) ** 2, 0.0)
        self._information += [information * excess, information]
        likely = np.divide(x_b * n_c, n_b, out=np.zeros_like(m), where=n_b > 0)
        self._seen = np.where(over, _DISCOUNT * self._seen + [np.where(n_b > 0, x_c, 0.0), likely], self._seen)
        self._variance = np.where(over, variance * BLOCK_SECONDS / np.maximum(self._elapsed, 1e-9), self._variance)
        self._open[:, over] = 0.0
        self._elapsed[over] = 0.0
        self._set_eta()

    def _set_eta(self) -> None:
        found = (_PRIOR_INFORMATION + self._information[0]) / (_PRIOR_INFORMATION + self._information[1])
        sigma2 = self._sigma0**2 * np.maximum(_SMALLEST_PART, found)
        self.eta = 1.0 / np.maximum(1.0, self._phi0 + _SAFETY * sigma2 * self._variance)
