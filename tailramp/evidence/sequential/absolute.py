"""Evidence that a rate is above its limit, whoever's fault that is.

One arm alone is compared with a number. A shared incident breaks the limit in both arms, so this evidence never takes
a candidate back by itself: it holds the ramp and calls somebody. Like the relative evidence it mixes over how far the
limit is broken and over when that began; it does not grow beyond what a decision needs, so that it is soon gone when
the incident is over.
"""

import math

from tailramp.evidence.sequential.process import DAY, ChangeTime

FACTORS = (1.2, 1.5, 2.0, 3.0, 5.0)
"""How far a limit may be broken: the rates that are considered, as multiples of it."""

HIGHEST_RATE = 0.995
_MOST_TOLD = 600.0
"""Of one tick, in nats: more is more than any evidence needs, and than a float has room for."""


class LimitProcess:
    """The e-value of one rate against its limit. A few plain numbers: arrays would take ten times as long."""

    def __init__(self, limit: float, *, alpha: float, change_time: ChangeTime | None = None) -> None:
        """`limit`: the largest allowed rate, above 0 and below 1. `alpha`: evidence ends at 100 times its
        reciprocal.
        """
        rates = [min(limit * factor, (HIGHEST_RATE + limit) / (1.0 + HIGHEST_RATE)) for factor in FACTORS]
        self._told = [(math.log(rate / limit), math.log((1.0 - rate) / (1.0 - limit))) for rate in rates]
        self._change_time = change_time or ChangeTime()
        self._waiting = 0.0
        self._most = 100.0 / alpha
        self.renew()

    def renew(self) -> None:
        """Begin a new day with evidence 1."""
        self._since = [0.0] * len(FACTORS)
        self._unplaced = 1.0
        self._due = self._change_time.at_start
        self.evidence = 1.0

    def observe(self, n: float, x: float, seconds: float, eta: float) -> float:
        """Take `n` answers of which `x` were bad, and return the e-value; `eta`, 0 to 1, tempers them.

        Numbers that are no counts say nothing. A bad answer that is seen a tick before the answer that it belongs to is
        counted waits for it, one tick.
        """
        if not (0.0 <= n < math.inf and 0.0 <= x < math.inf):
            n = x = 0.0
        seen = x + self._waiting
        self._waiting = min(x, max(0.0, seen - n))
        x = min(seen, n)
        weight = min(self._due + self._change_time.over_day * seconds / DAY, self._unplaced)
        self._due = 0.0
        self._unplaced -= weight
        begun, bad, good = weight / len(FACTORS), eta * x, eta * (n - x)
        since = [
            (known + begun) * math.exp(min(bad * of_bad + good * of_good, _MOST_TOLD))
            for known, (of_bad, of_good) in zip(self._since, self._told, strict=True)
        ]
        total = sum(since)
        if total > self._most:
            since = [one * (self._most / total) for one in since]
            total = sum(since)
        self._since = since
        self.evidence = total + self._unplaced
        return self.evidence
