"""Many ticks that are counted in one go are counted as they would have been one by one."""

from collections.abc import Sequence

import pytest
from column_samples import RUN_UP, Columns, all_checks, labels, one_by_one, ranges
from evidence_samples import ANCHOR, BLUE, GREEN, GRID
from hypothesis import given, settings

from tailramp.evidence import Answer, CheckBook, CheckTick, Reading, Verdict
from tailramp.evidence import page as page_module
from tailramp.evidence.columns import Column, Readings


def told_of(readings: Sequence[Reading]) -> tuple[list[list[Verdict]], list[tuple[str, str, CheckTick]]]:
    shown: list[tuple[str, str, CheckTick]] = []
    book = CheckBook(
        all_checks(), [GREEN], BLUE, GRID, run_up=RUN_UP * GRID.tick, told=lambda *told: shown.append(told)
    )
    return [book.observe(reading) for reading in readings], shown


@pytest.mark.timeout(300)
@pytest.mark.parametrize("worth_it", [1, 4])
@settings(max_examples=50)
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
