"""How much worse the candidate is at most: an interval of the ratio of the two rates that holds at all times at once.

It uses the same likelihood as the evidence. A ratio stays in the interval as long as its weight after the counts is
more than `alpha` times its weight before them, all ratios being equally likely before (Waudby-Smith and Ramdas,
"Confidence sequences for sampling without replacement", 2020). Without traffic the interval is everything that is
considered: nothing known is not the same as nothing wrong.
"""

from dataclasses import dataclass

import numpy as np

from tailramp.evidence.sequential.grids import Array

_ONE_SIDED = 1.64
"""Of the spread between two sets of users: 95 % of such pairs differ by less."""


@dataclass(frozen=True)
class Ratios:
    """Of every row, shape (rows,): the most likely ratio, the interval's ends, and the upper end with the difference
    between two sets of users taken into account. Ratios are above 0.
    """

    estimate: Array
    low: Array
    high: Array
    upper: Array


def ratios(
    log_ratios: Array, log_likelihood: Array, spread: Array, centre: Array | float = 0.0, *, alpha: float = 0.01
) -> Ratios:
    """Return the interval of every row.

    `log_ratios`: shape (points,). `log_likelihood`: shape (rows, points). `spread`: standard deviation of the
    log-ratio of two sets of users, shape (rows,), and `centre` where it is expected, if that is known. `alpha`: 0 to 1.

    Users known to be the better ones hide a regression as large as that, so the upper end is raised by it. Users known
    to be worse lower nothing: they would not explain all of a harm that is done to them.
    """
    weight = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    inside = weight > alpha / weight.shape[1]
    first = inside.argmax(axis=1)
    last = weight.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)
    top = log_ratios[-1]
    users = _ONE_SIDED * spread - np.minimum(centre, 0.0)
    # An end on the edge of what is considered is no end.
    upper = np.where(last == weight.shape[1] - 1, top, np.minimum(top, log_ratios[last] + users))
    mean = weight @ log_ratios
    return Ratios(np.exp(mean), np.exp(log_ratios[first]), np.exp(log_ratios[last]), np.exp(upper))
