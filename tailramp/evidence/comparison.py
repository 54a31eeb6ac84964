"""Whether one arm is clearly worse than the other, from the counts of a stretch of time.

Two rates are never quite equal, so the question is not whether the candidate's is the higher one. It is clearly worse
if it has more bad answers than `WORSE_BY` times the baseline's rate explains, by `ERRORS` standard errors. Only the
bad answers of both together are divided up, so a stretch in which everything is slow says nothing by itself.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Counts = TypeVar("Counts", float, NDArray[np.float64])

WORSE_BY = 1.5
ERRORS = 4.0


def excess(n_c: Counts, x_c: Counts, n_b: Counts, x_b: Counts, worse_by: float = WORSE_BY) -> Counts:
    """Return how many bad answers the candidate has beyond what is not clearly worse; above 0 it is.

    Answers and bad answers of the candidate, then of the baseline, as numbers or as arrays of one shape. `worse_by`:
    ratio of the rates that is still put up with. Without a baseline, or without bad answers, it is at most 0.
    """
    weighted = n_c * worse_by
    share = weighted / np.maximum(weighted + n_b, 1e-300)
    bad = x_c + x_b
    expected = bad * share
    beyond: Counts = x_c - expected - ERRORS * np.sqrt(np.maximum(0.0, expected * (1.0 - share)))
    return beyond
