"""The day before a ramp, on which everyone is on the baseline: what it adds, and what users who change cost."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from bench.evidence.calibrating import DEFAULTS
from bench.evidence.own_rules import EVERY, ONLY, Sequential
from bench.evidence.traffic import DAY, HEALTHY, N2, REGRESSIONS, TICK, Array, Regression, Traffic, fixed_share
from tailramp.evidence.sequential.dispersion import Noise

CARRY = 0.9
"""What the platform file takes for granted of the users, from one day to the next."""

WINDOW = 300.0
_BATCH = 50
_HOURS_LOOKED = 6
FOUND = (("L20", 1.0), ("L10", 5.0), ("X2", 5.0))


@dataclass(frozen=True)
class Users:
    """How much of a bucket's difference from others is left a day later, 0 to 1, in truth."""

    name: str
    kept: float


SAME = Users("the same", 1.0)
AS_ASSUMED = Users(f"keep {CARRY:g}", CARRY)
CHANGING = Users("keep 0.5", 0.5)


def day_before(traffic: Traffic, share: float, users: Users) -> Array:
    """Windows of the day before `traffic`, as `Sequential.learn` takes them: the users of `share` % beside the others.

    Both are served by the same servers, so nothing but the users tells them apart.
    """
    earlier = Traffic(traffic.runs, traffic.rate, replace(traffic.regime, pods=0.0), traffic.seed + 77_777, tick=WINDOW)
    # `earlier` has drawn users of its own with the same spread; of a difference `kept` is left a day later.
    earlier.users = users.kept * traffic.users + math.sqrt(1.0 - users.kept**2) * earlier.users
    earlier.serve(np.full(traffic.runs, share))
    return np.stack([earlier.step() for _ in range(round(DAY / WINDOW))])


def _rules(runs: int, noise: Noise, windows: Array, share: float, weights: Array) -> dict[str, Sequential]:
    rules = {
        "calibrated, day before": Sequential(runs, noise, share, weights=weights),
        "x1.5 defaults, day before": Sequential(runs, DEFAULTS, share, weights=weights),
    }
    for rule in rules.values():
        rule.learn(windows, WINDOW, share, CARRY)
    return rules


def detected(
    regression: Regression, kind: str, share: float, rate: float, runs: int, noise: Noise, *, users: Users, seed: int
) -> dict[str, Array]:
    """Minutes to each rule's alarm, per run; infinite if not found in six hours."""
    traffic = Traffic(runs, rate, N2, seed, regression)
    rules = _rules(runs, noise, day_before(traffic, share, users), share, ONLY[kind])
    traffic.serve(np.full(runs, share))
    found = {name: np.full(runs, math.inf) for name in rules}
    while traffic.now < _HOURS_LOOKED * 3600:
        counts = traffic.step()
        for name, rule in rules.items():
            if np.isinf(found[name]).any():
                rule.observe(counts, TICK)
                found[name] = np.where(rule.alarmed & np.isinf(found[name]), traffic.now / 60, found[name])
    return found


def rolled_back(rate: float, runs: int, noise: Noise, *, users: Users, seed: int) -> dict[str, int]:
    """How many of `runs` fixed 24 h ramps of a healthy candidate each rule takes back."""
    counted = dict[str, int]()
    for start in range(0, runs, _BATCH):
        some, share = min(_BATCH, runs - start), fixed_share(0)
        traffic = Traffic(some, rate, N2, seed + start, HEALTHY)
        rules = _rules(some, noise, day_before(traffic, share, users), share, EVERY)
        traffic.serve(np.full(some, share))
        while traffic.now < DAY:
            if (new := fixed_share(traffic.now)) != share:
                share = new
                traffic.serve(np.full(some, share))
                for rule in rules.values():
                    rule.move(share)
            counts = traffic.step()
            for rule in rules.values():
                rule.observe(counts, TICK)
        for name, rule in rules.items():
            counted[name] = counted.get(name, 0) + int(rule.alarmed.sum())
    return counted


def found_rows(found: int, noise: Noise) -> Iterator[list[str]]:
    """Minutes to detection with the day before, of `found` runs each."""
    for number, (name, share) in enumerate(FOUND):
        for users in (SAME, AS_ASSUMED):
            told = detected(REGRESSIONS[name], name[0], share, 100, found, noise, users=users, seed=5500 + 10 * number)
            if not number and users is SAME:
                yield ["", "users", *told]
            yield [f"{name} @{share:g} %", users.name, *map(_minutes, told.values())]


def same_rows(same: int, noise: Noise) -> Iterator[list[str]]:
    """False rollbacks with the day before, of `same` ramps each."""
    for users in (AS_ASSUMED, CHANGING):
        told = rolled_back(100, same, noise, users=users, seed=3000)
        if users is AS_ASSUMED:
            yield ["", "users", *told]
        yield ["N2 100/s", users.name, *map(str, told.values())]


def _minutes(found: Array) -> str:
    told = [np.percentile(found, q, method="higher") for q in (50, 95)]
    said = "/".join("-" if math.isinf(value) else f"{value:.2g}" if value < 10 else f"{value:.0f}" for value in told)
    return f"{said} ({100 * np.isfinite(found).mean():.0f} %)"
