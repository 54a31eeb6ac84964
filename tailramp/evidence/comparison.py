"""Whether one arm is clearly worse than the other, from the counts of a stretch of time.

Two rates are never quite equal, so the question is not whether the candidate's is the higher one. It is clearly worse
if it has more bad answers than `WORSE_BY` times the baseline's rate explains, by `ERRORS` standard errors: the root of
the likelihood ratio's deviance, which holds for few answers, too. Only the bad answers of both together are divided up,
so a stretch in which everything is slow says nothing by itself.
"""

import math

from tailramp.evidence.counts import ArmCounts

WORSE_BY = 1.5
ERRORS = 4.0


def clearly_worse(candidate: ArmCounts, baseline: ArmCounts) -> bool:
    """Say whether the candidate is; not without bad answers, nor without answers of the baseline."""
    weighted = candidate.n * WORSE_BY
    if weighted <= 0 or baseline.n <= 0:
        return False
    bad, others = max(0.0, candidate.bad), max(0.0, baseline.bad)
    share = weighted / (weighted + baseline.n)
    expected = (bad + others) * share
    if bad <= expected:
        return False
    deviance = bad * math.log(bad / expected)
    if others > 0:
        deviance += others * math.log(others / (bad + others - expected))
    return 2.0 * deviance > ERRORS**2
