"""Evidence that a rate is above its limit, whoever's fault that is.

One arm alone is compared with a number. A shared incident breaks the limit in both arms, so this evidence never takes
a candidate back by itself: it holds the ramp and calls somebody. Like the relative evidence it mixes over how far the
limit is broken and over when that began; it does not grow beyond what a decision needs, so that it is soon gone when
the incident is over.
"""

import numpy as np
from numpy.typing import ArrayLike

from tailramp.evidence.sequential.grids import Array
from tailramp.evidence.sequential.process import DAY, ChangeTime

_FACTORS = np.array([1.2, 1.5, 2.0, 3.0, 5.0])
_HIGHEST_RATE = 0.995


class LimitProcess:
    """E-values of several rows against their limits."""

    def __init__(self, limits: ArrayLike, *, alpha: float, change_time: ChangeTime | None = None) -> None:
        """`limits`: the largest allowed rates, shape (rows,), above 0 and below 1. `alpha`: evidence ends at 100 times
        its reciprocal.
        """
        limit = np.asarray(limits, dtype=float)[:, None]
        rates = np.minimum(limit * _FACTORS, (_HIGHEST_RATE + limit) / (1.0 + _HIGHEST_RATE))
        self._bad = np.log(rates / limit)
        self._good = np.log((1.0 - rates) / (1.0 - limit))
        self._change_time = change_time or ChangeTime()
        self._most = 100.0 / alpha
        self._since = np.zeros_like(rates)
        self._unplaced = np.ones(len(limit))
        self._due = np.full(len(limit), self._change_time.at_start)
        self.evidence = np.ones(len(limit))

    def renew(self) -> None:
        """Begin a new day with evidence 1."""
        self._since[:] = 0.0
        self._unplaced[:] = 1.0
        self._due[:] = self._change_time.at_start
        self.evidence = np.ones(len(self._unplaced))

    def observe(self, n: ArrayLike, x: ArrayLike, seconds: float, eta: Array) -> Array:
        """Take `n` answers of which `x` were bad, shape (rows,) each, and return the e-values; `eta` tempers them."""
        n, x = np.asarray(n, dtype=float), np.asarray(x, dtype=float)
        if not ((x >= 0.0).all() and (n >= x).all() and (n < np.inf).all()):
            usable = np.isfinite(n) & np.isfinite(x) & (n >= 0) & (x >= 0)
            x = np.where(usable, x, 0.0)
            n = np.where(usable, np.maximum(n, x), 0.0)
        weight = np.minimum(self._due + self._change_time.over_day * seconds / DAY, self._unplaced)
        self._due[:] = 0.0
        self._unplaced -= weight
        told = (eta * x)[:, None] * self._bad + (eta * (n - x))[:, None] * self._good
        grown = self._since + (weight / len(_FACTORS))[:, None]
        with np.errstate(divide="ignore"):
            np.log(grown, out=grown)
        grown += told
        np.minimum(grown, 700.0, out=grown)
        np.exp(grown, out=grown)
        total = grown.sum(axis=1)
        if (total > self._most).any():
            grown *= np.minimum(1.0, self._most / np.maximum(total, 1e-300))[:, None]
            total = grown.sum(axis=1)
        self._since = grown
        self.evidence = total + self._unplaced
        return self.evidence
