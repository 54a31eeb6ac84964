"""How far a ramp may go on the evidence that it has.

A clock gives every candidate the same time at every step, the good and the bad, and so the step that can tell least,
1 %, lasts as long as any. Risk is a better measure: if the candidate were as bad as it still may be, how many users
would meet a bad answer before the ramp could react? The next share is the largest for which that stays within a
budget. The smaller the ratio still possible, the more may be risked; with no traffic nothing is ruled out, and the
ramp stays where it is.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tailramp.evidence.sequential.grids import Array

MOST_GROWTH = 5.0
"""A share grows at most to this many times itself at once."""


def harm(upper: ArrayLike, base: ArrayLike, share: ArrayLike, reaction: float) -> Array:
    """Return the extra bad answers, per answer per second of the route, that a share would bring until it is undone.

    `upper`: largest ratio that is still possible. `base`: the baseline's rate of bad answers, 0 to 1. `share`: of the
    users, 0 to 1. `reaction`: seconds until a rollback takes effect.
    """
    worse = np.maximum(0.0, np.asarray(upper, dtype=float) - 1.0)
    extra: Array = worse * np.asarray(base, dtype=float) * np.asarray(share, dtype=float) * reaction
    return extra


def largest_share(
    shares: Sequence[float], now: float, upper: ArrayLike, base: ArrayLike, *, budget: float, reaction: float
) -> float:
    """Return the largest of `shares` (0 to 1) that all metrics allow, or `now` if none larger is allowed.

    `budget`: extra bad answers at most, per answer per second of the route; 0.3 are 30 bad answers at 100 answers/s.
    """
    allowed = [
        share
        for share in shares
        if now < share <= MOST_GROWTH * now + 1e-12 and (harm(upper, base, share, reaction) <= budget).all()
    ]
    return max(allowed, default=now)
