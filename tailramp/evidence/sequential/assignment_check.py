"""Whether the users who are seen are divided as they should be.

A candidate that crashes before it reports, a rule that reaches only some of the gateway's replicas, a client that
retries on the other version: all leave fewer users on one side than the buckets promise. Users are counted, not
requests, since a few heavy users would drown the rest. The statistic is a Beta mixture of the binomial likelihood
(Lindon and Malek, "Anytime-valid inference for multinomial count data", 2022), so it may be looked at at any time.
"""

import math

CONCENTRATION = 100.0
"""How close to the promised share the alternative is sought, in users; larger finds smaller differences later."""


def assignment_evidence(candidate: float, baseline: float, share: float) -> float:
    """Return the e-value against `share` (0 to 1, both excluded) being the candidate's part of the users seen.

    `candidate` and `baseline` are numbers of users. Numbers that are no counts tell nothing: 1.
    """
    if not (0.0 < share < 1.0) or not (math.isfinite(candidate) and math.isfinite(baseline)):
        return 1.0
    if candidate < 0 or baseline < 0:
        return 1.0
    a, b = CONCENTRATION * share, CONCENTRATION * (1.0 - share)
    mixture = _log_beta(a + candidate, b + baseline) - _log_beta(a, b)
    promised = candidate * math.log(share) + baseline * math.log1p(-share)
    return math.exp(min(mixture - promised, 460.0))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
