"""What a check can tell within a step, at a given rate of requests.

A step that cannot gather what its judges need is no protection: it ends as inconclusive, or, with the protections
switched off, by chance.  So the power of each step is computed before anybody is exposed.
"""

import math
from dataclasses import dataclass

from tailramp.evidence import ThresholdRule
from tailramp.evidence.sequential.rule import SequentialRule


@dataclass(frozen=True)
class Power:
    """``to_pass`` and ``to_fail`` are the seconds until a PASS or a FAIL can come at the earliest, None where no rate
    is known or the rate is 0.  Below ``least_rate`` (answers per second of the whole route, of the kind that the check
    counts) a bad candidate is not told within the hold; None: at no rate, because the hold is too short for it.
    """

    to_pass: float | None
    to_fail: float | None
    least_rate: float | None


def threshold_power(
    rule: ThresholdRule, *, tick: float, share: float, hold: float, rate: float | None, floor: int = 0
) -> Power:
    """The power of the ``threshold`` judge at a step that serves ``share`` (0 to 1) of the users for ``hold`` seconds.

    ``rate`` is the measured answers per second of the whole route, spread over the users as evenly as a hash spreads
    them; ``floor`` the answers that the step itself wants.  A window closes at the first tick at which it is long
    enough and full enough, and ``consecutive`` bad ones make a FAIL.
    """
    floor = max(floor, rule.floor)
    shortest = _to_tick(rule.window, tick) * rule.consecutive
    needed = max(rule.min_sample * rule.consecutive, floor)
    least = needed / hold / share if hold >= shortest and hold > 0 and share > 0 else None
    if not rate or share <= 0:
        return Power(to_pass=None, to_fail=None, least_rate=least)
    candidate = rate * share
    window = _to_tick(max(rule.window, rule.min_sample / candidate), tick)
    return Power(
        to_pass=_to_tick(max(floor / candidate, tick), tick), to_fail=window * rule.consecutive, least_rate=least
    )


USUAL_EFFECTS = (1.17, 1.30, 1.49, 2.01, 3.00, 4.95)
"""Ratios, beyond the tolerance, at which the sequential test looks for a regression."""


def sequential_answers(rule: SequentialRule, *, base: float, ratio: float, phi: float = 1.0) -> float:
    """Answers of the candidate until the sequential test finds that ``ratio`` times as many are bad as ``base``.

    For a small share and without a difference between the users: the evidence that is needed, that of the effect's and
    the change time's part with it, over what an answer brings on average.  Infinite where ``ratio`` is tolerated.
    """
    needed = math.log(rule.needed / rule.weight) + math.log(len(USUAL_EFFECTS) / 0.3)
    brings = max(base * (ratio * math.log(effect) - rule.tolerance * (effect - 1)) for effect in USUAL_EFFECTS)
    return phi * needed / brings if brings > 0 else math.inf


def _to_tick(seconds: float, tick: float) -> float:
    return math.ceil(round(seconds / tick, 9)) * tick
