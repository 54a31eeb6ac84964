"""Many ticks that are counted in one go are counted as they would have been one by one."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from evidence_samples import ANCHOR, BLUE, GREEN, GRID, RULE
from hypothesis import given
from hypothesis import strategies as st

from tailramp.evidence import (
    Answer,
    Check,
    CheckBook,
    CheckTick,
    HangingCheck,
    Labels,
    Reading,
    Sample,
    Source,
    Verdict,
    gateway_errors,
    hanging,
    latency,
)
from tailramp.evidence import page as page_module
from tailramp.evidence.columns import Column, Readings
from tailramp.presets.gateways import ENVOY

RUN_UP = 2
Values = list[float | None]
Columns = dict[str, list[Column]]


def hanging_check() -> HangingCheck:
    return hanging(5.0, RULE, ENVOY.in_flight, Source.GATEWAY)


def all_checks() -> list[Check]:
    return [gateway_errors(rule=RULE), latency(rule=RULE).model_copy(update={"ladder": (1.0,)}), hanging_check()]


def labels(**given: str) -> Labels:
    return tuple(sorted(given.items()))


@st.composite
def series(draw: st.DrawFn, many: int) -> Values:
    """A counter that mostly grows by whole numbers, restarts now and then, and is away or broken for a while."""
    step = draw(st.sampled_from([1.0, 1.0, 1.0, 0.1]))
    values: Values = [step * float(one) for one in np.cumsum([draw(st.integers(0, 9)) for _ in range(many)])]
    for _ in range(draw(st.integers(0, 2))):
        begin = draw(st.integers(0, many - 1))
        match draw(st.sampled_from(["restart", "away", "broken"])):
            case "restart":
                values[begin:] = [
                    None if one is None else max(0.0, one - (values[begin] or 0.0)) for one in values[begin:]
                ]
            case "away":
                end = draw(st.integers(begin, many))
                values[begin:end] = [None] * (end - begin)
            case _:
                values[begin] = draw(st.sampled_from([math.nan, -1.0, 1e300, 0.5]))
    return values


@st.composite
def ranges(draw: st.DrawFn) -> tuple[range, Columns]:
    many = draw(st.integers(RUN_UP + 2, 24))
    times = range(GRID.time(-RUN_UP), GRID.time(many - RUN_UP), GRID.tick)
    columns: Columns = {}
    for slot in (GREEN, BLUE):
        for check in all_checks():
            for part, query in check.queries(slot).items():
                edges = [{"le": edge} for edge in ("1", "2", "+Inf")] if part == "buckets" else [{}]
                pods = draw(st.lists(st.sampled_from("ab"), max_size=2, unique=part != "bad"))
                columns[query] = [
                    Column(labels(instance=pod, **edge), draw(series(many))) for pod in pods for edge in edges
                ]
    return times, columns


def one_by_one(times: range, columns: Columns) -> list[Reading]:
    def answer(of_query: Sequence[Column], place: int) -> Answer:
        found = ((column.labels, column.values[place]) for column in of_query)
        return Answer(tuple(Sample(labels, value) for labels, value in found if value is not None))

    return [
        Reading(at, {query: answer(of_query, place) for query, of_query in columns.items()})
        for place, at in enumerate(times)
    ]


def told_of(readings: Sequence[Reading]) -> tuple[list[list[Verdict]], list[tuple[str, str, CheckTick]]]:
    shown: list[tuple[str, str, CheckTick]] = []
    book = CheckBook(
        all_checks(), [GREEN], BLUE, GRID, run_up=RUN_UP * GRID.tick, told=lambda *told: shown.append(told)
    )
    return [book.observe(reading) for reading in readings], shown


@pytest.mark.parametrize("worth_it", [1, 4])
@given(ranges())
def test_many_ticks_at_once_are_what_they_are_one_by_one(worth_it: int, drawn: tuple[range, Columns]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_module, "_WORTH_IT", worth_it)
        assert told_of(Readings(*drawn)) == told_of(one_by_one(*drawn))


def grown(many: int) -> tuple[range, Columns]:
    """Servers that answer evenly, from before the anchor on; nothing hangs."""
    times = range(GRID.time(-RUN_UP), GRID.time(many - RUN_UP), GRID.tick)
    columns: Columns = {}
    for slot, rate in ((GREEN, 20), (BLUE, 80)):
        for check in all_checks():
            for part, query in check.queries(slot).items():
                parts = {"total": rate, "bad": 1, "ended": rate, "endedBefore": rate, "least": 0, "before": 0}
                edges = {"1": rate - 2, "2": rate - 1, "+Inf": rate} if part == "buckets" else {"": parts[part]}
                columns[query] = [
                    Column(
                        labels(instance=slot.slot, **({"le": edge} if edge else {})),
                        [float(n * k) for k in range(many)],
                    )
                    for edge, n in edges.items()
                ]
    return times, columns


def test_what_is_plain_is_read_in_one_go() -> None:
    """Else all of this is for nothing: no answer is made but those of the run-up and of the first ticks."""
    made = list(Readings(*grown(200)))
    book = CheckBook(all_checks(), [GREEN], BLUE, GRID, run_up=RUN_UP * GRID.tick)
    for reading in made:
        book.take(reading)
    asked = [bool(reading.answers._known) for reading in made]  # type: ignore[attr-defined]
    assert asked[: RUN_UP + 1] == [True] * (RUN_UP + 1)
    assert sum(asked) <= RUN_UP + 2
    assert {verdict.kind for verdict in book.verdicts} == {"PASS", "INCONCLUSIVE"}  # both are slow


def test_a_reading_of_many_is_the_answers_of_its_time() -> None:
    times, columns = grown(5)
    readings = Readings(times, columns | {"down": "it does not answer"})
    assert [reading.at for reading in readings] == list(times)
    assert readings[2].answers["down"] == Answer(fault="it does not answer")
    assert "nobody asked" not in readings[2].answers
    assert dict(readings[2].answers) == dict(one_by_one(times, columns)[2].answers) | {
        "down": Answer(fault="it does not answer")
    }
    assert readings[1:3] == [readings[1], readings[2]]
    assert readings[-1] == readings[4]


def test_where_one_query_failed_nothing_is_counted_ahead() -> None:
    times, columns = grown(30)
    query = all_checks()[0].queries(GREEN)["bad"]
    book = CheckBook(all_checks(), [GREEN], BLUE, GRID, run_up=RUN_UP * GRID.tick)
    for reading in Readings(times, {**columns, query: "it does not answer"}):
        book.take(reading)
    errors, *others = book.verdicts
    assert (errors.kind, errors.reason) == ("BLIND", "errors could not be judged: it does not answer")
    assert "BLIND" not in {verdict.kind for verdict in others}
    assert all(verdict.at == ANCHOR + GRID.tick * (29 - RUN_UP) for verdict in others)
