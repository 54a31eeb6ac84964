"""How often a healthy candidate is taken back: such small rates need thousands of ramps to be told."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from bench.evidence.calibrating import JUDGED
from bench.evidence.own_rules import SHIPPED_THRESHOLD, RepairedThreshold, Sequential
from bench.evidence.traffic import DAY, ERRORS, LADDER, N2, Traffic, fixed_share
from tailramp.evidence.sequential.dispersion import Noise
from tailramp.judges import KEPT_BACK

ALPHA = 0.01
_BATCH = 50


@dataclass
class Taken:
    """Of the ramps so far: how many, and how many each policy took back; ``by`` the family of metrics that did most."""

    ramps: int = 0
    sequential: int = 0
    shipped: int = 0
    by: Counter[str] = field(default_factory=Counter)


def taken_back(rate: float, ramps: int, noise: Noise, *, seed: int) -> Taken:
    """Fixed 24 h ramps of healthy candidates under N2."""
    taken = Taken()
    for start in range(0, ramps, _BATCH):
        batch(Traffic(min(_BATCH, ramps - start), rate, N2, seed + start), noise, taken)
    return taken


def batch(traffic: Traffic, noise: Noise, taken: Taken) -> None:
    """Carry some of the ramps out, side by side, and count them in `taken`."""
    runs, share = traffic.runs, fixed_share(0)
    judge, threshold = Sequential(runs, noise, share, alpha=ALPHA), RepairedThreshold(runs, SHIPPED_THRESHOLD)
    # Beside the threshold rule the sequential judge has a part of the promise only.
    beside = np.zeros(runs, dtype=bool)
    traffic.serve(np.full(runs, share))
    while traffic.now < DAY:
        if (new := fixed_share(traffic.now)) != share:
            share = new
            traffic.serve(np.full(runs, share))
            threshold.restart()
            judge.move(share)
        counts = traffic.step()
        threshold.observe(counts, traffic.tick)
        before = judge.alarmed.copy()
        beside |= judge.observe(counts, traffic.tick) >= 1 / (ALPHA * (1 - KEPT_BACK))
        for run in np.flatnonzero(judge.alarmed & ~before):
            taken.by[_family(int(np.argmax(judge.parts[run])))] += 1
    taken.ramps += runs
    taken.sequential += int(judge.alarmed.sum())
    taken.shipped += int((beside | threshold.alarmed).sum())


def _family(row: int) -> str:
    if JUDGED[row] in LADDER:
        return "latency"
    return "errors" if JUDGED[row] == ERRORS else "toxicity"


def together(taken: Iterable[Taken]) -> Taken:
    """All of them as one."""
    total = Taken()
    for one in taken:
        total.ramps += one.ramps
        total.sequential += one.sequential
        total.shipped += one.shipped
        total.by += one.by
    return total


def interval(found: int, of: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a rate (Clopper and Pearson, 1934), 0 to 1, after ``found`` of ``of``."""
    tail = (1 - confidence) / 2
    low = 0.0 if found == 0 else _where(lambda rate: 1 - _at_most(found - 1, of, rate) >= tail)
    high = 1.0 if found == of else _where(lambda rate: _at_most(found, of, rate) <= tail)
    return low, high


def _at_most(found: int, of: int, rate: float) -> float:
    """The probability of no more than ``found`` of ``of``."""
    logs = (
        math.lgamma(of + 1)
        - math.lgamma(k + 1)
        - math.lgamma(of - k + 1)
        + k * math.log(rate)
        + (of - k) * math.log1p(-rate)
        for k in range(found + 1)
    )
    return math.fsum(map(math.exp, logs))


def _where(holds: Callable[[float], bool]) -> float:
    """The smallest rate at which this holds, if it holds at all larger ones."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def row(name: str, taken: Taken) -> list[str]:
    """A row of the table."""
    by = ", ".join(f"{family} {count}" for family, count in taken.by.most_common())
    return [name, str(taken.ramps), _told(taken.sequential, taken.ramps), by or "-", _told(taken.shipped, taken.ramps)]


def _told(found: int, of: int) -> str:
    low, high = interval(found, of)
    return f"{found}: {100 * found / of:.2g} % ({100 * low:.2g}-{100 * high:.2g})"
