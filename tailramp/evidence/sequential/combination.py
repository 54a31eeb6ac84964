"""Several metrics, one promise.

The more metrics are looked at, the more often one of them looks bad by chance. A weighted average of e-values is an
e-value again, however the metrics depend on each other, so the average of all metrics of a candidate may be compared
with the one threshold. Within a latency histogram the edges of the ladder share its weight. It is never weaker than
dividing alpha by the weights: a metric that reaches its own part alone has brought the average there, too.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean


def weights_of(parts: Mapping[str, float]) -> dict[str, float]:
    """Return the weight of every metric, from its part; they add up to 1. ValueError without parts above 0."""
    total = sum(parts.values())
    if not parts or total <= 0 or min(parts.values()) <= 0:
        raise ValueError("every metric needs a part above 0 of the evidence")
    return {name: part / total for name, part in parts.items()}


def combined(evidence: Mapping[str, Sequence[float]], weights: Mapping[str, float]) -> float:
    """Return the weighted average; rows of one metric count equally. A metric without evidence counts as 1."""
    return sum(weight * fmean(evidence.get(name, (1.0,))) for name, weight in weights.items())


class JointEvidence:
    """The evidence of several checks, added up tick by tick.

    A check that could not be asked for a while gets its ticks later. What the checks say together is said of every
    tick, in order, once all have got there, so it does not depend on who was late.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._told: dict[str, deque[tuple[int, float]]] = {name: deque() for name in names}

    def tell(self, name: str, tick: int, evidence: float) -> None:
        """Take the weighted evidence of one check after `tick`; ticks of a check come in order."""
        self._told[name].append((tick, evidence))

    def due(self) -> list[dict[str, float]]:
        """Return what all checks have said of the ticks that all have reached, oldest first, each once."""
        found = []
        while self._told and all(self._told.values()):
            tick = max(told[0][0] for told in self._told.values())
            for told in self._told.values():
                while told and told[0][0] < tick:
                    told.popleft()
            if all(told and told[0][0] == tick for told in self._told.values()):
                found.append({name: told.popleft()[1] for name, told in self._told.items()})
        return found
