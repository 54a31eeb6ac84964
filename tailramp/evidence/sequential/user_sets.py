"""Two sets of users differ although nobody did anything wrong.

Buckets choose users, not requests. If the users of one bucket are asked about other things than those of another,
their rates differ for good, and no number of requests makes that go away: only more users do. So the null hypothesis
of the test is not "the ratio is 1" but "the ratio is what two such sets of users may have", a normal law of the
log-ratio whose spread follows from `tau`, the standard deviation of the log-rate between buckets of 1 % of the users,
and from the sizes of the two sets. When the candidate grows, its old users are still there: what was learnt about
them is kept by the law of the new log-ratio given the old one.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tailramp.evidence.sequential.grids import STEP, USER, Array


@dataclass(frozen=True, slots=True)
class UserSets:
    """Sizes of the two sets of users that are compared, in % of all users (0 to 100)."""

    candidate: float
    baseline: float

    @classmethod
    def of_share(cls, percent: float) -> "UserSets":
        """One candidate with `percent` of the users, and the baseline with all others."""
        return cls(percent, 100.0 - percent)

    @property
    def comparable(self) -> bool:
        """Whether there are users on both sides."""
        return self.candidate > 0 and self.baseline > 0

    @property
    def variance(self) -> float:
        """Variance of the log-ratio in units of tau squared: 1/k + 1/b, with b = 100 - k the 100/(k (100 - k)) of one
        candidate.
        """
        return 1.0 / self.candidate + 1.0 / self.baseline

    @property
    def weight(self) -> float:
        """How much variance of a count these sizes allow, up to a factor: k b / (k + b) squared."""
        return self.candidate * self.baseline / (self.candidate + self.baseline) ** 2

    def passage_to(self, after: "UserSets") -> tuple[float, float]:
        """Return (slope, variance in units of tau squared) of the log-ratio `after` given the one before.

        Sets grow and shrink at their ends only: of a set and its successor the smaller lies in the larger, and what
        the candidate gains or loses comes from or goes to the baseline.
        """
        c1, b1, c2, b2 = self.candidate, self.baseline, after.candidate, after.baseline
        shared = min(c1, c2) / (c1 * c2) + min(b1, b2) / (b1 * b2)
        crossed = max(0.0, c2 - c1) / (c2 * b1) + max(0.0, c1 - c2) / (c1 * b2)
        covariance = shared - crossed
        return covariance / self.variance, max(0.0, after.variance - covariance**2 / self.variance)


def prior(sets: UserSets, tau: float) -> Array:
    """Probabilities of the log-ratios in `grids.USER` before anything was counted, shape (121,), sum 1."""
    return _normal(0.0, tau * math.sqrt(sets.variance))


def kernel(before: UserSets, after: UserSets, tau: float) -> Array:
    """Probabilities of the log-ratios after a move, given each one before it: shape (121 after, 121 before)."""
    slope, variance = before.passage_to(after)
    return _kernel(round(slope, 12), round(tau * math.sqrt(variance), 12))


def faded(sets: UserSets, tau: float, carry: float) -> Array:
    """Probabilities of the log-ratios of two sets a while later, given each one before it: shape (121 after, 121
    before).

    `carry`, 0 to 1, is how much of a difference stays; the rest is new, so that the spread over all pairs of sets is
    what it was.
    """
    return _kernel(round(carry, 12), round(tau * math.sqrt(sets.variance * (1.0 - carry**2)), 12))


@lru_cache(maxsize=512)
def _kernel(slope: float, spread: float) -> Array:
    columns = np.stack([_normal(slope * u, spread) for u in USER], axis=1)
    columns.setflags(write=False)
    return columns


@lru_cache(maxsize=8192)
def _normal(mean: float, spread: float) -> Array:
    """A normal law as probabilities of the cells around the grid's points; the outermost take all that lies beyond."""
    inner = (USER[:-1] + USER[1:]) / 2
    if spread < STEP / 100:
        below = (inner >= mean).astype(float)
    else:
        below = np.array([0.5 * math.erfc((mean - edge) / (spread * math.sqrt(2))) for edge in inner])
    probabilities = np.diff(below, prepend=0.0, append=1.0)
    probabilities.setflags(write=False)
    return probabilities
