"""The plots of docs/evidence.md, drawn anew from the code that guards ramps.

Those of evidence over time, of false rollbacks and of heavy users are simulated with fixed seeds; the others are
what the formulas say. The files are small and kept beside the page.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from bench._chart import Axis, Line, svg
from bench.evidence.calibrating import noise_at
from bench.evidence.own_rules import EVERY, Sequential
from bench.evidence.peers import LIMITS
from bench.evidence.traffic import HEALTHY, N2, REGRESSIONS, Regression, Traffic, fixed_share
from tailramp.evidence.sequential.assignment_check import assignment_evidence
from tailramp.evidence.sequential.dispersion import Noise
from tailramp.evidence.sequential.growth import harm
from tailramp.evidence.sequential.process import EvidenceProcess
from tailramp.evidence.sequential.rule import FAILURES, SequentialRule
from tailramp.evidence.sequential.user_sets import UserSets
from tailramp.peer_rules import PlainThreshold
from tailramp.power import sequential_answers

PLOTS = Path(__file__).parents[1] / "docs" / "plots"
_TICK = 15.0
_LEAST, _MOST = 0.1, 1e6
_MOST_USERS = 100_000


def evidence_over_time() -> str:
    """Evidence of healthy candidates wanders below 1; that of a bad one climbs to the threshold."""
    kinds = (("healthy", HEALTHY, 0), ("p99 20 % longer", REGRESSIONS["L20"], 3), ("errors ×5", REGRESSIONS["E5"], 1))
    noise, runs, ticks = noise_at(100), 6, 120
    lines = []
    for name, regression, color in kinds:
        paths = _evidence_of(regression, noise, runs, ticks)
        for run in range(runs):
            points = [((tick + 1) * _TICK / 60, float(paths[tick, run])) for tick in range(ticks)]
            lines.append(Line(name if run == 0 else "", _until_enough(points), color, faint=True))
    lines.append(Line("a rollback needs", [(0, 100), (30, 100)], 5, dashed=True))
    return svg(
        "Evidence after every look: 5 answers/s on the candidate, six ramps of each kind",
        Axis("minutes at a step of 5 %", 0, 30, range(0, 31, 5)),
        Axis("evidence", _LEAST, _MOST, [0.1, 1, 10, 100, 1e3, 1e4, 1e5, 1e6], log=True),
        lines,
    )


def _evidence_of(regression: Regression, noise: Noise, runs: int, ticks: int) -> np.ndarray:
    traffic = Traffic(runs, 100.0, N2, 77, regression)
    traffic.serve(np.full(runs, 5.0))
    judge = Sequential(runs, noise, 5.0, weights=EVERY)
    return np.stack([judge.observe(traffic.step(), _TICK) for _ in range(ticks)])


def _until_enough(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    end = next((number + 2 for number, (_, value) in enumerate(points) if value >= _MOST), len(points))
    return points[:end]


def false_rollbacks() -> str:
    """Of healthy candidates in a day's ramp, with the noise that real traffic has."""
    runs, hours = 60, 24
    traffic = Traffic(runs, 100.0, N2, 88)
    noise = noise_at(100)
    naive = Noise.of(np.zeros(len(noise.tau)), 0.0, 0.0)
    rules: dict[str, Sequential | PlainThreshold] = {
        "tailramp's test": Sequential(runs, noise, 1.0),
        "same, blind to noise": Sequential(runs, naive, 1.0),
        "p99 > 2 s, three times": PlainThreshold(runs, LIMITS, 300.0, _TICK),
    }
    share, points = 0.0, {name: [(0.0, 0.0)] for name in rules}
    for tick in range(round(hours * 3600 / _TICK)):
        if (now := fixed_share(tick * _TICK)) != share:
            share = now
            traffic.serve(np.full(runs, share))
            for rule in rules.values():
                if isinstance(rule, Sequential):
                    rule.move(share)
        counts = traffic.step()
        for name, rule in rules.items():
            rule.observe(counts, _TICK)
            if tick % 60 == 59:
                points[name].append(((tick + 1) * _TICK / 3600, 100 * float(rule.alarmed.mean())))
    return svg(
        f"Healthy candidates that were taken back, {runs} ramps over a day at 100 answers/s",
        Axis("hours since the ramp began", 0, hours, range(0, 25, 4)),
        Axis("% taken back", 0, 100, range(0, 101, 20)),
        [Line(name, told, color) for color, (name, told) in enumerate(points.items())],
    )


_WORSE = [1.3 * 1.05**step for step in range(43)]


def answers_needed() -> str:
    """What little traffic can tell: seconds do not count, answers do."""
    rule = _rule()
    lines = []
    for color, rate in enumerate((0.5, 1.0, 5.0, 25.0)):
        minutes = [(worse, sequential_answers(rule, base=0.01, ratio=worse) / rate / 60) for worse in _WORSE]
        lines.append(Line(f"{rate:g} answers/s", minutes, color))
    return svg(
        "Time until it is found, of what 1 % of the answers suffer on the baseline",
        Axis("times as often on the candidate", 1.3, 10, [1.3, 2, 3, 5, 10], log=True),
        Axis("minutes", 0.1, 10_000, [0.1, 1, 10, 60, 600, 6000], log=True),
        lines,
    )


def users_differ() -> str:
    """How much worse a candidate may look by its users alone."""
    lines = []
    for color, (name, tau) in enumerate(
        (("p50 (tau 0.07)", 0.07), ("errors (0.17)", 0.17), ("above 2 s (0.32)", 0.32))
    ):
        told = [(share, math.exp(1.64 * tau * math.sqrt(UserSets.of_share(share).variance))) for share in _shares()]
        lines.append(Line(name, told, color))
    return svg(
        "With the same model on both sides, 1 of 20 candidates looks so much worse for good",
        Axis("% of the users on the candidate", 1, 50, [1, 2, 5, 10, 25, 50], log=True),
        Axis("times as many bad answers", 1, 1.75, [1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]),
        lines,
    )


def day_before() -> str:
    """How much of what the users may differ by is left to allow for, once the day before is known."""
    lines = []
    for color, share in enumerate((1.0, 5.0, 25.0)):
        spread = 0.24 * math.sqrt(UserSets.of_share(share).variance)
        carried = [step / 50 for step in range(50)]
        told = [(carry, math.exp(1.64 * spread * math.sqrt(1 - carry**2))) for carry in carried]
        lines.append(Line(f"{share:g} % of the users", told, color))
    return svg(
        "1 of 20 healthy candidates looks so much worse than yesterday's users tell (p99, tau 0.24)",
        Axis("carry: how much of yesterday's difference is there today", 0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        Axis("times as many bad answers", 1, 1.5, [1, 1.1, 1.2, 1.3, 1.4, 1.5]),
        lines,
    )


def divided_users() -> str:
    """How many users must be counted until a wrong division holds the ramp."""
    lines = []
    for color, share in enumerate((0.01, 0.05, 0.25, 0.5)):
        missing = [step / 50 for step in range(5, 51)]
        told = [(100 * part, users) for part in missing if (users := _users_until_held(share, part)) < _MOST_USERS]
        lines.append(Line(f"{share * 100:g} % of the buckets", told, color))
    return svg(
        "Users of one window until the ramp is held, when some of the candidate's stay on the baseline",
        Axis("% of the candidate's users who are missing there", 10, 100, range(10, 101, 10)),
        Axis("users counted on both sides", 10, _MOST_USERS, [10, 100, 1000, 10_000, 100_000], log=True),
        lines,
    )


def _users_until_held(share: float, missing: float) -> float:
    """In the first window, whose evidence counts half, with as many of each side as are expected."""
    low, high = 1.0, 2.0 * _MOST_USERS
    for _ in range(40):
        users = math.sqrt(low * high)
        seen = users * share * (1 - missing)
        enough = assignment_evidence(seen, users - seen, share) / 2 >= 100
        low, high = (low, users) if enough else (users, high)
    return high


def _shares() -> Iterator[float]:
    return (50 ** (step / 40) for step in range(41))


def heavy_users() -> str:
    """What becomes of the promise when bad answers come several at a time."""
    runs, sessions = 400, (1, 2, 3, 5, 10, 20)
    lines = []
    for color, (name, told) in enumerate((("phi0 as measured", True), ("phi0 left at 1", False))):
        points = []
        for session in sessions:
            random = np.random.default_rng(99)
            process = EvidenceProcess(Noise.of(np.zeros(runs), session if told else 1.0, 0.02), UserSets.of_share(20))
            ever = np.zeros(runs, dtype=bool)
            for _ in range(720):
                n_c, n_b = random.poisson(150, runs), random.poisson(600, runs)
                bad = [session * random.poisson(np.minimum(n, 1e9) * 0.01 / session) for n in (n_c, n_b)]
                counts = np.stack([n_c, np.minimum(bad[0], n_c), n_b, np.minimum(bad[1], n_b)]).astype(float)
                ever |= process.observe(counts, _TICK) >= 100
            points.append((float(session), 100 * float(ever.mean())))
        lines.append(Line(name, points, color))
    return svg(
        f"Healthy candidates that one check takes back in 3 hours, {runs} ramps",
        Axis("bad answers of one session", 1, 20, sessions, log=True),
        Axis("% taken back", 0, 100, range(0, 101, 20)),
        lines,
    )


def alpha() -> str:
    """The price of fewer false rollbacks is small."""
    lines = []
    for color, worse in enumerate((2.0, 3.0, 5.0)):
        told = [(100 * level, sequential_answers(_rule(alpha=level), base=0.01, ratio=worse)) for level in _levels()]
        lines.append(Line(f"{worse:g} times as often", told, color))
    return svg(
        "Answers of the candidate until it is found, of what 1 % of the answers suffer",
        Axis("alpha, % of healthy ramps taken back at most", 0.01, 20, [0.01, 0.1, 1, 5, 20], log=True),
        Axis("answers", 100, 10_000, [100, 300, 1000, 3000, 10_000], log=True),
        lines,
    )


def _levels() -> Iterator[float]:
    return (1e-4 * 2000 ** (step / 40) for step in range(41))


def tolerance() -> str:
    """What is tolerated is not found; what is much worse is found hardly later."""
    lines = []
    for color, tolerated in enumerate((1.0, 1.1, 1.25, 1.5)):
        told = [
            (worse, answers)
            for worse in _WORSE
            if (answers := sequential_answers(_rule(tolerance=tolerated), base=0.01, ratio=worse)) < 300_000
        ]
        lines.append(Line(f"tolerance {tolerated:g}", told, color))
    return svg(
        "Answers of the candidate until it is found, of what 1 % of the answers suffer",
        Axis("times as often on the candidate", 1.3, 10, [1.3, 2, 3, 5, 10], log=True),
        Axis("answers", 30, 300_000, [100, 1000, 10_000, 100_000], log=True),
        lines,
    )


def harm_budget() -> str:
    """How far a ramp by evidence may go, by what is still possible."""
    lines = []
    for color, budget in enumerate((0.1, 0.3, 1.0)):
        told = [(upper, 100 * min(1.0, budget / harm((upper, 0.01), 1.0, 60))) for upper in _WORSE]
        lines.append(Line(f"harm {budget:g}", told, color))
    return svg(
        "How many users a ramp by evidence may reach, for a check with 1 % bad answers",
        Axis("times as bad as it may still be", 1.3, 10, [1.3, 2, 3, 5, 10], log=True),
        Axis("% of the users", 0, 100, range(0, 101, 20)),
        lines,
    )


def _rule(alpha: float = 0.01, tolerance: float = 1.1) -> SequentialRule:
    """Of a check with a quarter of the evidence, beside another judge, as shipped."""
    return SequentialRule(
        alpha=0.8 * alpha, weight=0.25, tolerance=tolerance, tau=FAILURES.tau, phi0=(1.0,), sigma0=FAILURES.sigma0
    )


DRAWN: dict[str, Callable[[], str]] = {
    drawn.__name__.replace("_", "-"): drawn
    for drawn in (
        evidence_over_time,
        false_rollbacks,
        answers_needed,
        users_differ,
        day_before,
        divided_users,
        heavy_users,
        alpha,
        tolerance,
        harm_budget,
    )
}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench evidence_plots", description=__doc__)
    parser.add_argument("--plot", choices=list(DRAWN), action="append", help="all of them by default")
    chosen = parser.parse_args(arguments)
    PLOTS.mkdir(exist_ok=True)
    for name in chosen.plot or DRAWN:
        file = PLOTS / f"{name}.svg"
        file.write_text(DRAWN[name](), encoding="utf-8")
        print(file)
