"""What the time before a ramp tells of the users who will be asked first.

Before a ramp everyone is on the baseline, so whatever differs then between the first step's users and all others is
the users' own: no version explains it.  Learnt from a day of counts, that difference is no longer a guess as wide as
the spread between any two sets of users, and a regression as large as it can be told from it.

Only the law of the user effect is learnt.  That no candidate was there means that there is no evidence in these counts,
and that they tell nothing of how two versions' servers differ: both sets were served by the same ones.  So they are
tempered by a dispersion of their own, which is forgotten with them.

Users are not the same every day.  What was learnt fades by `carry` a day: the effect of the next day is `carry` times
the one before, and the rest is as unknown as it always was.  How much stays `calibration.user_carry` measures.
"""

import numpy as np

from tailramp.evidence.counts import LARGEST_EXACT
from tailramp.evidence.sequential.dispersion import Dispersion, Noise
from tailramp.evidence.sequential.grids import USER, Array, Mask
from tailramp.evidence.sequential.user_sets import UserSets, prior

LEAST_SECONDS = 7200.0
"""Of windows in which both sets were answered: less is no picture of a day."""

LEAST_BAD = 20
"""Bad answers of both sets together: with fewer nothing is known that was not known before."""


def learnt_law(noise: Noise, sets: UserSets, windows: Array, seconds: float) -> tuple[Array, Mask]:
    """Return the law of every row's user effect after the windows, shape (rows, 121), and in which rows it was learnt.

    `windows`: shape (windows, 4, rows), oldest first, each `seconds` long: answers and bad answers of the candidate's
    users to be, and of the others, all on the baseline. `sets`: the sizes of the two. A row with too little to learn
    from keeps the law that is known before any count.
    """
    rows = len(noise.tau)
    law = np.stack([prior(sets, tau) for tau in noise.tau])
    dispersion = Dispersion(noise)
    both, bad = np.zeros(rows), np.zeros(rows)
    with np.errstate(divide="ignore"):
        logs = np.log(law)
    for counts in windows:
        n_c, x_c, n_b, x_b = _comparable(counts)
        m = x_c + x_b
        share = n_c / np.maximum(n_c + n_b, 1.0)
        told = x_c[:, None] * USER - m[:, None] * np.log(share[:, None] * np.exp(USER) + (1.0 - share)[:, None])
        logs += dispersion.eta[:, None] * told
        dispersion.add(np.stack([n_c, x_c, n_b, x_b]), seconds)
        both += seconds * (n_c > 0)
        bad += m
    learnt: Mask = (both >= LEAST_SECONDS) & (bad >= LEAST_BAD) & (noise.tau > 0)
    found = np.exp(logs - logs.max(axis=1, keepdims=True))
    law[learnt] = (found / found.sum(axis=1, keepdims=True))[learnt]
    return law, learnt


def _comparable(counts: Array) -> Array:
    """The counts, with nothing in the rows in which a set has no answers, or a number that is no count."""
    counts = np.asarray(counts, dtype=float)
    n, x = counts[0::2], counts[1::2]
    good = (counts <= LARGEST_EXACT).all(axis=0) & (n > 0).all(axis=0) & (x >= 0).all(axis=0)
    found = np.where(good, counts, 0.0)
    found[1::2] = np.minimum(found[1::2], found[0::2])
    return found
