"""The day before a ramp, on which everyone is on the baseline: what it adds, and what users who change cost."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.evidence.calibrating import DEFAULTS, carried
from bench.evidence.own_rules import EVERY, ONLY, SHIPPED_THRESHOLD, RepairedThreshold, Sequential
from bench.evidence.traffic import DAY, HEALTHY, N2, REGRESSIONS, TICK, Array, Mask, Regression, Traffic, fixed_share
from tailramp.evidence.sequential.dispersion import Noise
from tailramp.evidence.sequential.rule import UNMEASURED_CARRY
from tailramp.judges import KEPT_BACK

CARRY = 0.9
"""How much users are taken to keep from one day to the next, where somebody has written it into the platform file."""

Carries = Mapping[str, Array | float]
"""How much users are taken to keep, of every judged metric, by the name of the judge."""

GIVEN: Carries = {"calibrated": CARRY, "x1.5 defaults": CARRY}

WINDOW = 300.0
_BATCH = 50
_HOURS_LOOKED = 6
FOUND = (("L20", 1.0), ("L10", 5.0), ("X2", 5.0))


@dataclass(frozen=True)
class Users:
    """How much of a bucket's difference from others is left a day later, -1 to 1, in truth; None: nobody asks."""

    name: str
    kept: float | None


NOT_KNOWN = Users("not known", None)
SAME = Users("the same", 1.0)
AS_ASSUMED = Users(f"keep {CARRY:g}", CARRY)
CHANGING = Users("keep 0.5", 0.5)
OTHERS = Users("keep nothing", 0.0)
TURNED = Users("turn round", -1.0)


def day_before(traffic: Traffic, share: float, kept: float) -> Array:
    """Windows of the day before `traffic`, as `Sequential.learn` takes them: the users of `share` % beside the others.

    Both are served by the same servers, so nothing but the users tells them apart.
    """
    earlier = Traffic(traffic.runs, traffic.rate, replace(traffic.regime, pods=0.0), traffic.seed + 77_777, tick=WINDOW)
    # `earlier` has drawn users of its own with the same spread; of a difference `kept` is left a day later.
    earlier.users = kept * traffic.users + math.sqrt(1.0 - kept**2) * earlier.users
    earlier.serve(np.full(traffic.runs, share))
    return np.stack([earlier.step() for _ in range(round(DAY / WINDOW))])


class _Rules:
    """The sequential judge and both judges together, with each of two sizes of noise: `alarmed` by name of the rule."""

    def __init__(
        self, traffic: Traffic, noise: Noise, share: float, weights: Array, users: Users, carries: Carries
    ) -> None:
        runs = traffic.runs
        self._judges = {
            "calibrated": Sequential(runs, noise, share, weights=weights),
            "x1.5 defaults": Sequential(runs, DEFAULTS, share, weights=weights),
        }
        self._threshold = RepairedThreshold(runs, SHIPPED_THRESHOLD)
        self._beside = {name: np.zeros(runs, dtype=bool) for name in self._judges}
        if users.kept is not None:
            windows = day_before(traffic, share, users.kept)
            for name, judge in self._judges.items():
                judge.learn(windows, WINDOW, share, carries[name])

    def move(self, share: float) -> None:
        self._threshold.restart()
        for judge in self._judges.values():
            judge.move(share)

    def observe(self, counts: Array) -> None:
        self._threshold.observe(counts, TICK)
        for name, judge in self._judges.items():
            judge.observe(counts, TICK)
            # Beside the threshold rule the sequential judge has a part of the promise only, of all metrics together.
            self._beside[name] |= judge.combined(EVERY) >= 100 / (1 - KEPT_BACK)

    @property
    def alarmed(self) -> dict[str, Mask]:
        alone = {name: judge.alarmed for name, judge in self._judges.items()}
        both = {f"{name}, as shipped": self._beside[name] | self._threshold.alarmed for name in self._judges}
        return {name: mask for pair in zip(alone.items(), both.items(), strict=True) for name, mask in pair}


def measured(rate: float, noise: Noise, kept: float) -> Carries:
    """What `tailramp calibrate` finds of users who keep `kept`, and what stands in for it before it has been run."""
    return {"calibrated": carried(rate, noise, seed=8800, kept=kept), "x1.5 defaults": UNMEASURED_CARRY}


def detected(
    regression: Regression,
    kind: str,
    share: float,
    rate: float,
    runs: int,
    noise: Noise,
    *,
    users: Users,
    seed: int,
    carries: Carries = GIVEN,
) -> dict[str, Array]:
    """Minutes to each rule's alarm, per run; infinite if not found in six hours."""
    traffic = Traffic(runs, rate, N2, seed, regression)
    rules = _Rules(traffic, noise, share, ONLY[kind], users, carries)
    traffic.serve(np.full(runs, share))
    found = {name: np.full(runs, math.inf) for name in rules.alarmed}
    while traffic.now < _HOURS_LOOKED * 3600 and not all(np.isfinite(times).all() for times in found.values()):
        rules.observe(traffic.step())
        for name, alarmed in rules.alarmed.items():
            found[name] = np.where(alarmed & np.isinf(found[name]), traffic.now / 60, found[name])
    return found


def rolled_back(
    rate: float, runs: int, noise: Noise, *, users: Users, seed: int, carries: Carries = GIVEN
) -> dict[str, int]:
    """How many of `runs` fixed 24 h ramps of a healthy candidate each rule takes back."""
    counted = dict[str, int]()
    for start in range(0, runs, _BATCH):
        some, share = min(_BATCH, runs - start), fixed_share(0)
        traffic = Traffic(some, rate, N2, seed + start, HEALTHY)
        rules = _Rules(traffic, noise, share, EVERY, users, carries)
        traffic.serve(np.full(some, share))
        while traffic.now < DAY:
            if (new := fixed_share(traffic.now)) != share:
                share = new
                traffic.serve(np.full(some, share))
                rules.move(share)
            rules.observe(traffic.step())
        for name, alarmed in rules.alarmed.items():
            counted[name] = counted.get(name, 0) + int(alarmed.sum())
    return counted


def found_rows(
    rate: float, found: int, noise: Noise, every: Sequence[Users], *, calibrates: bool = False
) -> Iterator[list[str]]:
    """Minutes to detection with the day before, of `found` runs each; see `_carries` for `calibrates`."""
    for number, (name, share) in enumerate(FOUND):
        for users in every:
            seed = 5500 + 10 * number
            carries = _carries(rate, noise, users, calibrates=calibrates)
            told = detected(
                REGRESSIONS[name], name[0], share, rate, found, noise, users=users, seed=seed, carries=carries
            )
            if not number and users is every[0]:
                yield ["", "users", *told]
            yield [f"{name} @{share:g} %", users.name, *map(_minutes, told.values())]


def same_rows(
    rate: float, same: int, noise: Noise, every: Sequence[Users], *, seed: int, calibrates: bool = False
) -> Iterator[list[str]]:
    """False rollbacks with the day before, of `same` ramps each; see `_carries` for `calibrates`."""
    for users in every:
        carries = _carries(rate, noise, users, calibrates=calibrates)
        told = rolled_back(rate, same, noise, users=users, seed=seed, carries=carries)
        if users is every[0]:
            yield ["", "users", *told]
        yield [f"N2 {rate:g}/s", users.name, *map(str, told.values())]


def alone(rows: Iterable[list[str]]) -> list[list[str]]:
    """The columns of the sequential judge alone, named as those in which the day before is known."""
    first, *others = rows
    kept = [place for place, name in enumerate(first) if "as shipped" not in name]
    named = [first[place] if place < 2 else f"{first[place]}, day before" for place in kept]
    return [named, *([row[place] for place in kept] for row in others)]


def _carries(rate: float, noise: Noise, users: Users, *, calibrates: bool) -> Carries:
    """As somebody has written it; with `calibrates` as it is `measured` of these users in the week before."""
    return measured(rate, noise, users.kept) if calibrates and users.kept is not None else GIVEN


def _minutes(found: Array) -> str:
    told = [np.percentile(found, q, method="higher") for q in (50, 95)]
    said = "/".join("-" if math.isinf(value) else f"{value:.2g}" if value < 10 else f"{value:.0f}" for value in told)
    return f"{said} ({100 * np.isfinite(found).mean():.0f} %)"
