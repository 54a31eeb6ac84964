"""Counts of a candidate beside its baseline, as CSV, and policies to run over them."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from spec_samples import CANARY, PLATFORM, spec_of

from tailramp.checks import checks_by_slot, slot_match
from tailramp.plan import Plan
from tailramp.planning import make_plan
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


def as_counters(
    spec: RampSpec, plan: Plan, lines: Iterator[str]
) -> dict[str, list[tuple[dict[str, str], list[float]]]]:
    """The same counts as raw counters from ``START`` on, by query; they start at what the whole file counts, so that
    they have a past of the same distribution."""
    series = read_csv(lines, Path("counts.csv")).series
    times = sorted(next(iter(series.values())))
    found: dict[str, list[tuple[dict[str, str], list[float]]]] = {}
    for slot, arm in (("green", "candidate"), ("blue", "baseline")):
        match = slot_match(spec.platform, slot)
        for check in checks_by_slot(spec, plan)["green"]:

            def total(edge: str, name: str = check.name, arm: str = arm) -> list[float]:
                windows = [series[arm, name, edge].get(at, 0.0) for at in times]
                return [float(value) for value in np.cumsum([sum(windows), *windows])]

            for part, query in check.queries(match).items():
                if part != "buckets":
                    found[query] = [({"part": part, "instance": slot}, total("" if part == "total" else "bad"))]
                    continue
                answers = np.array(total(""))
                edges = {str(edge): [float(v) for v in answers - np.array(total(str(edge)))] for edge in EDGES}
                edges["+Inf"] = [float(value) for value in answers]
                found[query] = [({"le": edge, "instance": slot}, values) for edge, values in edges.items()]
    return found


def as_plain(
    counters: dict[str, list[tuple[dict[str, str], list[float]]]],
) -> Iterator[tuple[dict[str, str], list[float]]]:
    """The series that plain selectors select, with the labels that they select by."""
    for query, many in counters.items():
        name, _, rest = query.partition("{")
        plain = dict(pair.split("=", 1) for pair in rest.rstrip("}").replace('"', "").split(",") if "~" not in pair)
        for labels, values in many:
            own = {label: value for label, value in labels.items() if label != "part"}
            yield {"__name__": name, **plain, **own}, values


def as_open_metrics(counters: dict[str, list[tuple[dict[str, str], list[float]]]], start: int, every: int = 15) -> str:
    """A past for a real Prometheus, from unix time ``start`` on."""
    lines = []
    for labels, values in as_plain(counters):
        name = labels["__name__"]
        spelt = ",".join(f'{label}="{value}"' for label, value in labels.items() if label != "__name__")
        lines += [f"# TYPE {name} unknown"] if f"# TYPE {name} unknown" not in lines else []
        lines += [f"{name}{{{spelt}}} {value} {start + every * index}" for index, value in enumerate(values)]
    by_name = sorted(
        lines, key=lambda line: (line.removeprefix("# TYPE ").partition("{")[0].split()[0], line[0] != "#")
    )
    return "\n".join([*by_name, "# EOF", ""])


def as_range_json(counters: dict[str, list[tuple[dict[str, str], list[float]]]], every: int = 15) -> dict[str, Any]:
    """Prometheus' answers by the text of their query."""

    def matrix(many: list[tuple[dict[str, str], list[float]]]) -> dict[str, Any]:
        result = [
            {"metric": labels, "values": [[START + every * index, str(v)] for index, v in enumerate(values)]}
            for labels, values in many
        ]
        return {"status": "success", "data": {"resultType": "matrix", "result": result}}

    return {query: matrix(many) for query, many in counters.items()}
