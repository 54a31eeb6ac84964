"""Whole ramps, simulated: by the clock or by the evidence, each guarded by tailramp's judges."""

from dataclasses import dataclass

import numpy as np

from bench.evidence.calibrating import JUDGED
from bench.evidence.own_rules import HARMFUL, SHIPPED_THRESHOLD, RepairedThreshold, Sequential
from bench.evidence.traffic import DAY, FIXED_RAMP, HEALTHY, Array, Mask, Regime, Regression, Traffic, fixed_share
from tailramp.evidence.sequential.dispersion import Noise
from tailramp.evidence.sequential.growth import largest_share
from tailramp.judges import KEPT_BACK

SHARES = (0.01, 0.02, 0.05, 0.10, 0.25, 0.50)
DWELL, DECISION, REACTION = 300.0, 60.0, 60.0
BUDGET = 0.3
PROMOTED_BELOW = 1.5
_BATCH = 60
"""Runs that are stepped together: so many fit a processor's cache."""


@dataclass
class Outcome:
    """Of every run: hours until it ended, whether by a promotion or a rollback, and the extra bad answers."""

    hours: Array
    promoted: Mask
    rolled_back: Mask
    harmed: Array


def run_ramps(
    runs: int,
    rate: float,
    regime: Regime,
    noise: Noise,
    *,
    seed: int,
    regression: Regression = HEALTHY,
    by_evidence: bool = True,
    with_threshold: bool = True,
) -> Outcome:
    """Simulate up to a day of each ramp.  What has not ended then is neither promoted nor rolled back."""
    parts = []
    for start in range(0, runs, _BATCH):
        some = min(_BATCH, runs - start)
        traffic = Traffic(some, rate, regime, seed + start, regression)
        parts.append(_one_batch(traffic, noise, by_evidence=by_evidence, with_threshold=with_threshold))
    return Outcome(
        np.concatenate([part.hours for part in parts]),
        np.concatenate([part.promoted for part in parts]),
        np.concatenate([part.rolled_back for part in parts]),
        np.concatenate([part.harmed for part in parts]),
    )


def _one_batch(traffic: Traffic, noise: Noise, *, by_evidence: bool, with_threshold: bool) -> Outcome:
    runs = traffic.runs
    share = np.full(runs, FIXED_RAMP[0][0])
    since = np.zeros(runs)
    ends = np.zeros((2, runs), dtype=bool)
    outcome = Outcome(np.full(runs, np.inf), ends[0], ends[1], np.zeros(runs))
    traffic.serve(share)
    alpha = 0.01 * (1 - KEPT_BACK * with_threshold)
    judge, threshold = Sequential(runs, noise, share[0], alpha=alpha), RepairedThreshold(runs, SHIPPED_THRESHOLD)
    judged = np.ones(runs, dtype=bool)  # the runs that the judge still sees; what has ended costs nothing then
    taken, upper = np.zeros(runs, dtype=bool), np.full((runs, len(HARMFUL)), np.inf)
    seen = np.zeros((2, runs, len(HARMFUL)))  # of the baseline: answers and bad answers
    while traffic.now < DAY and not np.isfinite(outcome.hours).all():
        counts = traffic.step()
        live = ~np.isfinite(outcome.hours)
        if 2 * live.sum() <= judged.sum():
            judge, judged = judge.only(live[judged]), live.copy()
        judge.observe(counts[:, judged], traffic.tick)
        taken[judged] = judge.alarmed
        harmful = counts[:, :, JUDGED][:, :, HARMFUL]
        seen += harmful[2:]
        outcome.harmed[live] += _extra(harmful)[live]
        threshold.observe(counts, traffic.tick)
        alarmed = taken | (threshold.alarmed & with_threshold)
        back = live & alarmed
        outcome.rolled_back |= back
        outcome.hours[back] = traffic.now / 3600
        live &= ~back
        after = share.copy()
        if not by_evidence:
            after[:] = fixed_share(traffic.now)
        elif traffic.now % DECISION == 0 and (ripe := live & (traffic.now - since >= DWELL)).any():
            upper[judged] = judge.upper
            for run in np.flatnonzero(ripe):
                base = seen[1, run] / np.maximum(seen[0, run], 1)
                if share[run] == 100 * SHARES[-1]:
                    if (upper[run] <= PROMOTED_BELOW).all():
                        outcome.promoted[run], outcome.hours[run] = True, traffic.now / 3600
                    continue
                now = share[run] / 100
                after[run] = 100 * largest_share(
                    SHARES, now, zip(upper[run], base, strict=True), budget=BUDGET, reaction=REACTION
                )
        moved = after != share
        if moved.any():
            for new in np.unique(after[moved]):
                judge.move(float(new), (moved & (after == new))[judged])
            threshold.restart(moved)
            since[moved], share = traffic.now, after
            traffic.serve(share)
    if not by_evidence:
        outcome.promoted |= ~outcome.rolled_back
        outcome.hours = np.minimum(outcome.hours, DAY / 3600)
    return outcome


def _extra(counts: Array) -> Array:
    """Answers of the candidate above the p99's edge, failed or toxic, beyond the baseline's rate at the same time."""
    n_c, x_c, n_b, x_b = counts[:, :, [0, 2, 3]]
    extra: Array = (x_c - x_b * n_c / np.maximum(n_b, 1)).sum(axis=1)
    return extra
