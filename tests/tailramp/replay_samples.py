"""Counts of a candidate beside its baseline, as CSV, and policies to run over them."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from spec_samples import CANARY, PLATFORM, spec_of

from tailramp.checks import checks_by_slot
from tailramp.plan import Plan, make_plan
from tailramp.replay.course import Course, play
from tailramp.replay.policy import at_the_pace_of
from tailramp.replay.windows import Windows, read_csv
from tailramp.spec import RampSpec

START = 1_767_600_000
EDGES = (0.5, 1.0, 1.6, 2.0, 3.2, 5.0)
HEADER = "time,arm,metric,edge,count"
EVERYONE = CANARY.replace('"00-04"', '"00-99"')


def counted(
    minutes: float, *, slow: float = 1.0, onset: float = 0.0, both: bool = False, every: int = 15
) -> Iterator[str]:
    """Lines of 5 % of 100 answers/s beside the others; ``slow`` times as many are late from ``onset`` minutes on."""
    random = np.random.default_rng(3)
    yield HEADER
    for index in range(1, round(minutes * 60 / every) + 1):
        at = START + every * index
        for arm, rate in (("candidate", 5), ("baseline", 95)):
            n = int(random.poisson(rate * every))
            factor = slow if (arm == "candidate" or both) and every * index > onset * 60 else 1.0
            yield f"{at},{arm},errors,,{n}"
            yield f"{at},{arm},errors,bad,{random.binomial(n, 0.005)}"
            yield f"{at},{arm},toxicity,,{n // 5}"
            yield f"{at},{arm},toxicity,bad,{random.binomial(n // 5, 0.02)}"
            yield f"{at},{arm},latency,,{n}"
            left, before = n, 1.0
            for edge in EDGES:
                share = min(before, math.exp(-2.6 * edge) * (factor if edge >= 1.6 else 1.0))
                left, before = int(random.binomial(left, share / before)), share
                yield f"{at},{arm},latency,{edge},{left}"


def policy(folder: Path, canary: str = EVERYONE, platform: str = PLATFORM) -> tuple[RampSpec, Plan]:
    spec = spec_of(folder, canary, platform)
    return spec, make_plan(spec, default="blue", candidates=["green"])


def bound(spec: RampSpec, plan: Plan, lines: Iterator[str], share: float | None = 0.05) -> Windows:
    return read_csv(lines, Path("counts.csv")).bound(plan, checks_by_slot(spec, plan), share)


def played(folder: Path, lines: Iterator[str], canary: str = EVERYONE, platform: str = PLATFORM) -> Course:
    spec, plan = policy(folder, canary, platform)
    source = bound(spec, plan, lines)
    return play(at_the_pace_of(spec, source), plan, source)
