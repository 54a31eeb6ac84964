"""Several metrics, one promise.

The more metrics are looked at, the more often one of them looks bad by chance. A weighted average of e-values is an
e-value again, however the metrics depend on each other, so the average of all metrics of a candidate may be compared
with the one threshold. Within a latency histogram the edges of the ladder share its weight. It is never weaker than
dividing alpha by the weights: a metric that reaches its own part alone has brought the average there, too.
"""

from collections.abc import Mapping

import numpy as np

from tailramp.evidence.sequential.grids import Array


def weights_of(parts: Mapping[str, float]) -> dict[str, float]:
    """Return the weight of every metric, from its part; they add up to 1. ValueError without parts above 0."""
    total = sum(parts.values())
    if not parts or total <= 0 or min(parts.values()) <= 0:
        raise ValueError("every metric needs a part above 0 of the evidence")
    return {name: part / total for name, part in parts.items()}


def combined(evidence: Mapping[str, Array | float], weights: Mapping[str, float]) -> float:
    """Return the weighted average; rows of one metric count equally. A metric without evidence counts as 1."""
    told = {name: float(np.mean(evidence[name])) if name in evidence else 1.0 for name in weights}
    return sum(weights[name] * value for name, value in told.items())
