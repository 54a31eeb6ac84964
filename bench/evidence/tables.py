"""The tables: false rollbacks, time to detection, late and severe regressions, whole ramps, robustness."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.evidence.calibrating import DEFAULTS, noise_at
from bench.evidence.days_before import (
    AS_ASSUMED,
    CARRY,
    CHANGING,
    NOT_KNOWN,
    OTHERS,
    SAME,
    TURNED,
    alone,
    found_rows,
    measured,
    same_rows,
)
from bench.evidence.goals import goals
from bench.evidence.healthy import ALPHA, taken_back, together
from bench.evidence.healthy import row as healthy_row
from bench.evidence.own_rules import EVERY, ONLY, SHIPPED_THRESHOLD, RepairedThreshold, Sequential
from bench.evidence.peers import peers_of
from bench.evidence.ramps import Outcome, run_ramps
from bench.evidence.traffic import (
    DAY,
    HEALTHY,
    N0,
    N1,
    N2,
    REGRESSIONS,
    Array,
    Regime,
    Regression,
    Traffic,
    fixed_share,
)
from tailramp.evidence.sequential.dispersion import Noise
from tailramp.judges import KEPT_BACK
from tailramp.peer_rules import PeerRule

_BATCH = 50
_HOURS_LOOKED = 6


@dataclass(frozen=True)
class Size:
    """How many runs each table takes."""

    same: int
    found: int
    ramps: int
    robust: int
    healthy: int
    goals: int


SHORT = Size(same=60, found=30, ramps=30, robust=30, healthy=100, goals=60)
FULL = Size(same=300, found=100, ramps=60, robust=300, healthy=1300, goals=600)

_HEALTHY = {100: 100_000, 20: 200_000}
"""Requests per second of the many healthy ramps, and the seeds of theirs: apart from those of the other tables."""
_DETECTED = (
    *((name, 5.0) for name in ("L10", "L20", "L30", "L50", "TAIL", "E2", "E5", "E20", "X2", "X6")),
    *((name, 25.0) for name in ("L10", "L20", "TAIL", "E2", "X2")),
    *((name, 1.0) for name in ("L20", "L50", "E5", "X6")),
)


def _own(
    threshold: RepairedThreshold, calibrated: Sequential, by_default: Sequential
) -> "dict[str, Sequential | RepairedThreshold]":
    return {
        "tailramp threshold": threshold,
        "tailramp sequential": calibrated,
        "tailramp sequential, x1.5 defaults": by_default,
    }


def same_version(size: Size, regime: Regime, rate: float, *, seed: int) -> dict[str, int]:
    """How many of `size.same` fixed 24 h ramps of a healthy candidate each rule rolls back."""
    noise, counted = noise_at(rate), dict[str, int]()
    for start in range(0, size.same, _BATCH):
        runs = min(_BATCH, size.same - start)
        traffic = Traffic(runs, rate, regime, seed + start)
        share = fixed_share(0)
        judge, threshold = Sequential(runs, noise, share), RepairedThreshold(runs, SHIPPED_THRESHOLD)
        rules: dict[str, PeerRule | Sequential | RepairedThreshold] = {
            **peers_of(runs, share),
            **_own(threshold, judge, Sequential(runs, DEFAULTS, share)),
        }
        # Beside the threshold rule the sequential judge has a part of the promise only.
        beside = np.zeros(runs, dtype=bool)
        traffic.serve(np.full(runs, share))
        while traffic.now < DAY:
            if (new := fixed_share(traffic.now)) != share:
                share = new
                traffic.serve(np.full(runs, share))
                for rule in rules.values():
                    if isinstance(rule, Sequential):
                        rule.move(share)
                    else:
                        rule.restart()
            counts = traffic.step()
            for rule in rules.values():
                rule.observe(counts, traffic.tick)
            beside |= judge.combined(EVERY) >= 1 / (ALPHA * (1 - KEPT_BACK))
        alarmed = {name: rule.alarmed for name, rule in rules.items()}
        alarmed["tailramp as shipped"] = beside | threshold.alarmed
        for name, mask in alarmed.items():
            counted[name] = counted.get(name, 0) + int(mask.sum())
    return counted


def detection(
    regression: Regression, kind: str, share: float, rate: float, runs: int, *, seed: int, tick: float, with_peers: bool
) -> dict[str, Array]:
    """Minutes from the regression's onset to each rule's alarm, per run; infinite if not found in six hours, minus one
    for an alarm before it.
    """
    traffic = Traffic(runs, rate, N2, seed, regression, tick=tick)
    traffic.serve(np.full(runs, share))
    rules: dict[str, PeerRule | Sequential | RepairedThreshold] = {
        **(peers_of(runs, share) if with_peers else {}),
        **_own(
            RepairedThreshold(runs, SHIPPED_THRESHOLD),
            Sequential(runs, noise_at(rate), share, weights=ONLY[kind]),
            Sequential(runs, DEFAULTS, share, weights=ONLY[kind]),
        ),
    }
    found = {name: np.full(runs, math.inf) for name in rules}
    end = regression.onset + _HOURS_LOOKED * 3600
    own = [name for name in rules if "sequential" in name]
    while traffic.now < end:
        counts = traffic.step()
        for name, rule in rules.items():
            rule.observe(counts, tick)
            late = (traffic.now - regression.onset) / 60
            found[name] = np.where(rule.alarmed & np.isinf(found[name]), late if late > 0 else -1.0, found[name])
        if not with_peers and all(np.isfinite(found[name]).all() for name in own):
            break
    return found


def _minutes(found: Array) -> str:
    told = [np.percentile(found, q, method="higher") for q in (50, 95)]
    return "/".join("-" if math.isinf(value) else f"{value:.2g}" if value < 10 else f"{value:.0f}" for value in told)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def false_rollbacks(size: Size) -> Iterator[str]:
    """Table 4.2."""
    yield f"4.2  False rollbacks of a healthy candidate in a fixed 24 h ramp (of {size.same} ramps each)"
    columns = {
        "N0 100/s": same_version(size, N0, 100, seed=1000),
        "N1 100/s": same_version(size, N1, 100, seed=2000),
        "N2 100/s": same_version(size, N2, 100, seed=3000),
        "N2 20/s": same_version(size, N2, 20, seed=4000),
    }
    names = list(next(iter(columns.values())))
    yield from _table([["rule", *columns], *([name, *(str(c[name]) for c in columns.values())] for name in names)])


def many_healthy(size: Size) -> Iterator[str]:
    """Table 4.2 again for tailramp's own judges, with other ramps and more of them."""
    yield "healthy  Healthy candidates taken back in a fixed 24 h ramp, N2: how many, and the 95 % interval of the rate"
    rates = {rate: taken_back(rate, size.healthy, noise_at(rate), seed=seed) for rate, seed in _HEALTHY.items()}
    rows = [healthy_row(f"{rate}/s", taken) for rate, taken in rates.items()]
    both = healthy_row("both", together(rates.values()))
    yield from _table([["", "ramps", "sequential alone", "mostly by", "as shipped"], *rows, both])


def detections(size: Size) -> Iterator[str]:
    """Table 4.3."""
    yield f"4.3  Minutes to detection, median/p95, N2, 100/s ({size.found} runs each; - not found within 6 h)"
    rows: list[list[str]] = []
    for number, (name, share) in enumerate(_DETECTED):
        found = detection(
            REGRESSIONS[name], name[0], share, 100, size.found, seed=5000 + number, tick=15.0, with_peers=True
        )
        if not rows:
            rows.append(["", *found])
        rows.append([f"{name} @{share:g} %", *(_minutes(one) for one in found.values())])
    yield from _table(list(zip(*rows, strict=True)))


def late_and_severe(size: Size) -> Iterator[str]:
    """Table 4.4."""
    yield f"4.4  After two healthy hours at 5 %, minutes median/p95, and alarms before ({size.found} runs each)"
    rows = [["", "sequential", "early", "x1.5 defaults", "early"]]
    for number, name in enumerate(("L30", "L50", "E5", "X6")):
        regression = replace(REGRESSIONS[name], onset=7200.0)
        found = detection(regression, name[0], 5.0, 100, size.found, seed=6000 + number, tick=15.0, with_peers=False)
        row = [name]
        for rule in ("tailramp sequential", "tailramp sequential, x1.5 defaults"):
            one = found[rule]
            row += [_minutes(one[one > 0]) if (one > 0).any() else "-", str(int((one < 0).sum()))]
        rows.append(row)
    yield from _table(rows)
    yield ""
    yield "     Errors from 0.5 %, scraped every 5 s: seconds to the alarm, median/p95"
    rows = [["errors", "1/s on the candidate", "5/s", "25/s"]]
    for number, (told, error_rate) in enumerate((("50 %", 0.5), ("20 %", 0.2), ("5 %", 0.05))):
        row = [told]
        for share in (1.0, 5.0, 25.0):
            found = detection(
                Regression(error_rate=error_rate), "E", share, 100, size.found, seed=7000 + number, tick=5.0,
                with_peers=False,
            )  # fmt: skip
            seconds = 60 * found["tailramp sequential"]
            row.append(f"{np.median(seconds):.0f}/{np.percentile(seconds, 95, method='higher'):.0f}")
        rows.append(row)
    yield from _table(rows)


def _ramp_row(name: str, outcome: Outcome) -> list[str]:
    hours = np.where(outcome.promoted | outcome.rolled_back, outcome.hours, math.inf)
    ended = [np.percentile(hours, q, method="higher") for q in (50, 95)]
    told = "/".join("-" if math.isinf(value) else f"{value:.2f}" for value in ended)
    harmed = f"{np.median(outcome.harmed):.0f}"
    return [name, str(int(outcome.promoted.sum())), str(int(outcome.rolled_back.sum())), told, harmed]


def ramps(size: Size) -> Iterator[str]:
    """Table 4.5."""
    yield f"4.5  Whole ramps, sequential and threshold together, N2 ({size.ramps} runs each)"
    for rate in (100.0, 20.0):
        noise = noise_at(rate)
        rows = [[f"{rate:g}/s, by evidence", "promoted", "rolled back", "hours median/p95", "extra bad answers"]]
        for number, (name, regression) in enumerate([("healthy", HEALTHY), *REGRESSIONS.items()]):
            outcome = run_ramps(size.ramps, rate, N2, noise, seed=8000 + 100 * number, regression=regression)
            rows.append(_ramp_row(name, outcome))
        yield from _table(rows)
        yield ""
    rows = [["100/s, fixed 24 h", "promoted", "rolled back", "hours median/p95", "extra bad answers"]]
    for number, (name, regression) in enumerate(REGRESSIONS.items()):
        outcome = run_ramps(
            size.ramps, 100, N2, noise_at(100), seed=8000 + 100 * (number + 1), regression=regression, by_evidence=False
        )
        rows.append(_ramp_row(name, outcome))
    yield from _table(rows)


def robustness(size: Size) -> Iterator[str]:
    """Table 4.6."""
    yield f"4.6  A healthy candidate, ramp by evidence, another service than calibrated ({size.robust} runs each)"
    cases: dict[str, Regime] = {
        "as calibrated": N2,
        "user effects x1.5": replace(N2, users=1.5),
        "user effects x2": replace(N2, users=2.0),
        "pod noise x2": replace(N2, pods=2.0),
        "users Student-t, 3 df": replace(N2, heavy_tails=True),
    }
    for title, noise_of in _NOISES.items():
        rows = [[title, "promoted", "rolled back", "hours median/p95", "extra bad answers"]]
        for rate in (100.0, 20.0):
            noise = noise_of(rate)
            for number, (name, regime) in enumerate(cases.items()):
                outcome = run_ramps(size.robust, rate, regime, noise, seed=9000 + 500 * number)
                rows.append(_ramp_row(f"{rate:g}/s {name}", outcome))
        yield from _table(rows)
        yield ""


def with_day_before(size: Size) -> Iterator[str]:
    """What the day before adds to tables 4.3 and 4.2; the same rules without it are there."""
    noise = noise_at(100)
    yield f"pre  The day before is known, and users are taken to keep {CARRY:g} of what tells them from others"
    yield f"     Minutes to detection, median/p95, N2, 100/s ({size.found} runs each; - not found within 6 h)"
    yield from _table(alone(found_rows(100, size.found, noise, (SAME, AS_ASSUMED))))
    yield ""
    yield f"     False rollbacks of a healthy candidate in a fixed 24 h ramp (of {size.same} ramps each)"
    yield from _table(alone(same_rows(100, size.same, noise, (AS_ASSUMED, CHANGING), seed=3000)))


def users_who_change(size: Size) -> Iterator[str]:
    """The same where users keep less than they are taken to, with both judges together, and at fewer answers."""
    yield f"changing  The day before is known, and users are taken to keep {CARRY:g} of what tells them from others"
    yield f"     Minutes to detection, median/p95, N2, 20/s ({size.found} runs each; - not found within 6 h)"
    every = (NOT_KNOWN, SAME, AS_ASSUMED, TURNED)
    yield from _table(list(found_rows(20, size.found, noise_at(20), every)))
    yield ""
    yield f"     False rollbacks of a healthy candidate in a fixed 24 h ramp (of {size.same} ramps each)"
    for rate, seed in ((100.0, 3000), (20.0, 4000)):
        every = (AS_ASSUMED, CHANGING, OTHERS, TURNED)
        yield from _table(list(same_rows(rate, size.same, noise_at(rate), every, seed=seed)))


def users_measured(size: Size) -> Iterator[str]:
    """The same where what users keep is what a week of calibrate finds, and 0.5 before anything is calibrated."""
    noise = noise_at(100)
    yield "measured  The day before is known, and what users keep is measured on the week before, 0.5 by default"
    rows = [["users", "p50", "p75", "p90", "p95", "p99", "limit", "errors", "toxicity"]]
    for users in (SAME, AS_ASSUMED, CHANGING, OTHERS, TURNED):
        carries = measured(100, noise, users.kept or 0.0)["calibrated"]
        rows.append([users.name, *(f"{carry:.2f}" for carry in np.asarray(carries))])
    yield "     What calibrate writes of users who keep so much, 100/s"
    yield from _table(rows)
    yield ""
    yield f"     Minutes to detection, median/p95, N2, 100/s ({size.found} runs each; - not found within 6 h)"
    asked = (NOT_KNOWN, SAME, AS_ASSUMED, CHANGING, TURNED)
    yield from _table(list(found_rows(100, size.found, noise, asked, calibrates=True)))
    yield ""
    yield f"     False rollbacks of a healthy candidate in a fixed 24 h ramp (of {size.same} ramps each)"
    healthy = (AS_ASSUMED, CHANGING, OTHERS, TURNED)
    yield from _table(list(same_rows(100, size.same, noise, healthy, seed=3000, calibrates=True)))


_NOISES: dict[str, Callable[[float], Noise]] = {"calibrated": noise_at, "x1.5 defaults": lambda _: DEFAULTS}


def every_goal(size: Size) -> Iterator[str]:
    """What was aimed at, and what is reached."""
    yield f"goals  What tailramp aims at under N2, noise as calibrate finds it ({size.goals} runs each)"
    yield from _table(goals(size.goals))


TABLES = {
    "goals": every_goal,
    "4.2": false_rollbacks,
    "healthy": many_healthy,
    "4.3": detections,
    "4.4": late_and_severe,
    "4.5": ramps,
    "4.6": robustness,
    "pre": with_day_before,
    "changing": users_who_change,
    "measured": users_measured,
}
