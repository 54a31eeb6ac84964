"""Series as columns: counters that grow, restart, are away or broken, and the readings that are cut from them."""

import math
from collections.abc import Sequence

import numpy as np
from evidence_samples import BLUE, GREEN, GRID, RULE
from hypothesis import strategies as st

from tailramp.evidence import (
    Answer,
    Check,
    HangingCheck,
    Labels,
    Reading,
    Sample,
    SlotMatch,
    Source,
    gateway_errors,
    hanging,
    latency,
)
from tailramp.evidence.columns import Column
from tailramp.presets.gateways import ENVOY

RUN_UP = 2
Values = list[float | None]
Columns = dict[str, list[Column]]
"""What each query returned."""


def hanging_check() -> HangingCheck:
    return hanging(5.0, RULE, ENVOY.in_flight, Source.GATEWAY)


def all_checks() -> list[Check]:
    return [gateway_errors(rule=RULE), latency(rule=RULE).model_copy(update={"ladder": (1.0,)}), hanging_check()]


def labels(**given: str) -> Labels:
    return tuple(sorted(given.items()))


@st.composite
def series(draw: st.DrawFn, many: int) -> Values:
    """A counter that mostly grows by whole numbers, restarts now and then, is away or broken for a while, or is told by
    an older scrape.
    """
    step = draw(st.sampled_from([1.0, 1.0, 1.0, 0.1]))
    values: Values = [step * float(one) for one in np.cumsum([draw(st.integers(0, 9)) for _ in range(many)])]
    for _ in range(draw(st.integers(0, 2))):
        begin = draw(st.integers(0, many - 1))
        match draw(st.sampled_from(["restart", "older", "away", "broken"])):
            case "restart":
                values[begin:] = [
                    None if one is None else max(0.0, one - (values[begin] or 0.0)) for one in values[begin:]
                ]
            case "older":
                values[begin] = values[max(0, begin - draw(st.integers(1, 3)))]
            case "away":
                end = draw(st.integers(begin, many))
                values[begin:end] = [None] * (end - begin)
            case _:
                values[begin] = draw(st.sampled_from([math.nan, -1.0, 1e300, 0.5]))
    return values


@st.composite
def ranges(draw: st.DrawFn, slots: Sequence[SlotMatch] = (GREEN, BLUE), longest: int = 24) -> tuple[range, Columns]:
    """Times from `RUN_UP` ticks before the anchor on, and what every query of the checks returned at them."""
    many = draw(st.integers(RUN_UP + 2, longest))
    times = range(GRID.time(-RUN_UP), GRID.time(many - RUN_UP), GRID.tick)
    columns: Columns = {}
    for slot in slots:
        for check in all_checks():
            for part, query in check.queries(slot).items():
                edges = [{"le": edge} for edge in ("1", "2", "+Inf")] if part == "buckets" else [{}]
                pods = draw(st.lists(st.sampled_from("ab"), max_size=2, unique=part != "bad"))
                columns[query] = [
                    Column(labels(instance=pod, **edge), draw(series(many))) for pod in pods for edge in edges
                ]
    return times, columns


def one_by_one(times: range, columns: Columns) -> list[Reading]:
    """The readings as instant queries would have brought them."""

    def answer(of_query: Sequence[Column], place: int) -> Answer:
        found = ((column.labels, column.values[place]) for column in of_query)
        return Answer(tuple(Sample(labels, value) for labels, value in found if value is not None))

    return [
        Reading(at, {query: answer(of_query, place) for query, of_query in columns.items()})
        for place, at in enumerate(times)
    ]
