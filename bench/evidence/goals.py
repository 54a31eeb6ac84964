"""What tailramp aims at, row by row, beside what the simulation shows of it."""

import math
from collections.abc import Sequence

import numpy as np

from bench.evidence.calibrating import noise_at
from bench.evidence.healthy import interval, taken_back
from bench.evidence.own_rules import ONLY, Sequential
from bench.evidence.ramps import run_ramps
from bench.evidence.traffic import N2, REGRESSIONS, Array, Regression, Traffic
from tailramp.evidence.sequential.dispersion import Noise

_RATE, _FEW = 100.0, 5.0
"""Answers per second of the route, and of the candidate while it is looked for."""
_SEED = 40_000
_BATCH = 50
_LOOKED = 3600.0
"""Seconds.  What is not found by then is far beyond every goal."""
_FOUND = (
    ("p99 +20 %", "L20", 240, 600),
    ("p99 +50 %", "L50", 60, 120),
    ("errors x5", "E5", 120, 300),
    ("errors x20", "E20", 30, 60),
    ("toxicity 1 -> 6 %", "X6", 120, 360),
)
"""Each with the median and the 95th percentile, in seconds, by which it is wanted at 5 answers/s on the candidate."""
_FOUND_TIMES = 4
"""So many times the runs: a 95th percentile of few tells little, and these end soon."""


def goals(runs: int) -> list[Sequence[str]]:
    """The rows of the table: the goal, what is wanted, what was measured, and whether that is enough."""
    rows: list[Sequence[str]] = [("at 100 answers/s", "wanted", "measured", "reached")]
    noise = noise_at(_RATE)
    taken = taken_back(_RATE, runs, noise, seed=_SEED)
    for name, found, allowed, of in (
        ("sequential judge alone", taken.sequential, 1, 600),
        ("both judges, as shipped", taken.shipped, 2, 630),
    ):
        low, high = interval(found, runs)
        measured = f"{found} of {runs} ({100 * low:.2g} to {100 * high:.2g} %)"
        enough = found <= max(1, allowed * runs // of)
        rows.append((f"healthy for 24 h, taken back: {name}", f"<= {allowed} of {of}", measured, _yes(enough)))
    for number, (name, kind, median, late) in enumerate(_FOUND):
        seconds = seconds_until_found(
            REGRESSIONS[kind], noise, kind[0], _FOUND_TIMES * runs, seed=_SEED + 1000 * (number + 1)
        )
        rows.append(_found_row(f"{name}, at 5 answers/s", seconds, median, late))
    for tick in (5.0, 15.0):
        severe = seconds_until_found(
            Regression(error_rate=0.5), noise, "E", _FOUND_TIMES * runs, seed=_SEED + 9000, tick=tick
        )
        rows.append(_found_row(f"errors 0.5 -> 50 %, after the first scrape, every {tick:g} s", severe - tick, 10, 10))
    healthy = run_ramps(runs, _RATE, N2, noise, seed=_SEED + 10_000)
    hours = np.median(np.where(healthy.promoted, healthy.hours, math.inf))
    rows.append(("healthy, by evidence: hours to everyone", "<= 2 median", f"{hours:.2f}", _yes(hours <= 2)))
    each, promoted = max(1, runs // 10), 0
    for number, regression in enumerate(REGRESSIONS.values()):
        outcome = run_ramps(each, _RATE, N2, noise, seed=_SEED + 20_000 + 1000 * number, regression=regression)
        promoted += int(outcome.promoted.sum())
    of = each * len(REGRESSIONS)
    rows.append((f"promotions of {len(REGRESSIONS)} regressions", f"0 of {of}", str(promoted), _yes(promoted == 0)))
    return rows


def seconds_until_found(
    regression: Regression, noise: Noise, family: str, runs: int, *, seed: int, tick: float = 15.0
) -> Array:
    """Seconds from the onset to the alarm by one family of metrics alone, per run; infinite if not within an hour."""
    share = 100 * _FEW / _RATE
    found = []
    for start in range(0, runs, _BATCH):
        some = min(_BATCH, runs - start)
        traffic = Traffic(some, _RATE, N2, seed + start, regression, tick=tick)
        traffic.serve(np.full(some, share))
        judge = Sequential(some, noise, share, weights=ONLY[family])
        seconds = np.full(some, math.inf)
        while traffic.now < _LOOKED and np.isinf(seconds).any():
            judge.observe(traffic.step(), tick)
            seconds[judge.alarmed & np.isinf(seconds)] = traffic.now
        found.append(seconds)
    return np.concatenate(found)


def _found_row(name: str, seconds: Array, median: float, late: float) -> tuple[str, str, str, str]:
    middle, last = (float(np.percentile(seconds, q, method="higher")) for q in (50, 95))
    wanted = f"<= {_told(median)}/{_told(late)}" if median != late else f"<= {_told(late)}"
    measured = f"{_told(middle)}/{_told(last)} of {len(seconds)}"
    return name, wanted, measured, _yes(middle <= median and last <= late)


def _told(seconds: float) -> str:
    if math.isinf(seconds):
        return "-"
    return f"{seconds:.0f} s" if seconds <= 60 else f"{seconds / 60:.1f} min"


def _yes(reached: bool) -> str:
    return "yes" if reached else "no"
