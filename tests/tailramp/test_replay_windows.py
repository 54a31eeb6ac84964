"""Counts as CSV: what is read, and what is refused with its line."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from replay_samples import HEADER, START, bound, counted, policy

from tailramp.errors import InvalidFile
from tailramp.evidence import Grid
from tailramp.replay.windows import read_csv

FILE = Path("counts.csv")
LINE = f"{START},candidate,errors,,10"


@pytest.mark.parametrize(
    ("text", "line", "field", "words"),
    [
        ("", None, "(file)", "the file is empty"),
        ("\n", 1, "(file)", "the file is empty"),
        (HEADER, 1, "(file)", "no counts below the columns"),
        ("a,b", 1, "(columns)", "not the columns of counts"),
        ("时间,组,指标,边界,数量", 1, "(columns)", "not the columns of counts"),
        (f"{HEADER}\n1,2,3", 2, "(columns)", "this line has 3 columns"),
        (f"{HEADER}\n{LINE},1", 2, "(columns)", "this line has 6 columns"),
        (f"{HEADER}\n{LINE}\n{LINE}", 3, "time", "has this window twice"),
        (f"{HEADER}\n{START},blue,errors,,3\n2026-01-05T16:00:00+08:00, blue,errors,,4", 3, "time", "twice"),
        (f"{HEADER}\n{START},blue,latency,2,3\n{START}.0,blue,latency,2.0,3", 3, "time", "twice"),
        (f"{HEADER}\nsoon,candidate,errors,,10", 2, "time", "this is no time"),
        (f"{HEADER}\n2026-01-05T12:00:00,candidate,errors,,10", 2, "time", "has no zone"),
        (f"{HEADER}\n{START}000,candidate,errors,,10", 2, "time", "no window ends at this time"),
        (f"{HEADER}\nnan,candidate,errors,,10", 2, "time", "no window ends at this time"),
        (f"{HEADER}\n-1,candidate,errors,,10", 2, "time", "no window ends at this time"),
        (f"{HEADER}\n{START},,errors,,10", 2, "arm", "is empty"),
        (f"{HEADER}\n{START},candidate,,,10", 2, "metric", "is empty"),
        (f"{HEADER}\n{START},candidate,errors,坏,10", 2, "edge", "this is no edge"),
        (f"{HEADER}\n{START},candidate,errors,nan,10", 2, "edge", "this is no edge"),
        (f"{HEADER}\n{START},candidate,errors,-1,10", 2, "edge", "this is no edge"),
        (f"{HEADER}\n{LINE}\n{START + 15},candidate,errors,,nan", 3, "count", "this is no count"),
        (f"{HEADER}\n{START},candidate,errors,,-3", 2, "count", "this is no count"),
        (f"{HEADER}\n{START},candidate,errors,,1e300", 2, "count", "this is no count"),
        (f"{HEADER}\n{START},candidate,errors,,十", 2, "count", "this is no count"),
        (f'{HEADER}\n"{"x" * 200_000}', 2, "(file)", "this line cannot be read"),
    ],
)
def test_what_are_no_counts_is_refused_with_line_and_column(
    text: str, line: int | None, field: str, words: str
) -> None:
    with pytest.raises(InvalidFile) as refused:
        read_csv(text.splitlines(), FILE)
    (problem,) = refused.value.problems
    assert (problem.line, problem.field) == (line, field)
    assert words in problem.reason


@pytest.mark.parametrize(
    ("left_out", "field", "words"),
    [
        ("baseline", "arm", "there is no line of blue; the arms are candidate"),
        ("candidate", "arm", "there is no line of green; the arms are baseline"),
        (",toxicity,", "metric", "there is no line of toxicity; the metrics are errors, latency"),
        ("candidate,errors,bad", "edge", "candidate errors has no line of the bad answers"),
        ("baseline,latency,,", "edge", "baseline latency has no line of all answers"),
        ("latency,2.0,", "edge", "has no bucket edge at 2 s: the nearest edges are 1.6 s and 3.2 s"),
    ],
)
def test_what_a_policy_asks_for_and_the_file_lacks_is_named(
    tmp_path: Path, left_out: str, field: str, words: str
) -> None:
    spec, plan = policy(tmp_path)
    with pytest.raises(InvalidFile) as refused:
        bound(spec, plan, (line for line in counted(2) if left_out not in line))
    (problem,) = refused.value.problems
    assert problem.field == field
    assert words in problem.reason


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"errors,bad": 5000}, "candidate errors has more bad answers than answers in the window that ends at"),
        ({"latency,0.5": 5000}, "candidate latency has more answers above edge 0.5 than answers in the window"),
        (
            {"latency,2.0": 40},
            "candidate latency has more answers above edge 2 than answers above edge 1.6 in the",
        ),
    ],
)
def test_a_part_that_is_more_than_the_whole_is_no_count_and_no_reason_to_take_anybody_back(
    tmp_path: Path, counts: dict[str, int], said: str
) -> None:
    def changed() -> Iterator[str]:
        for line in counted(2):
            known = [count for series, count in counts.items() if f"candidate,{series}," in line]
            yield line.rpartition(",")[0] + f",{known[0]}" if known else line

    spec, plan = policy(tmp_path)
    with pytest.raises(InvalidFile) as refused:
        bound(spec, plan, changed())
    (problem,) = refused.value.problems
    assert problem.field == "count"
    assert said in problem.reason
    assert problem.value == str(max(counts.values()))


def test_times_may_be_written_with_a_zone_and_stand_for_the_same_windows(tmp_path: Path) -> None:
    lines = [HEADER, "2026-01-05T16:00:00+08:00,candidate,errors,,3", "2026-01-05T08:00:00Z,baseline,errors,,4"]
    counts = read_csv(lines, FILE)
    assert {tuple(column.items()) for column in counts.series.values()} == {((START, 3.0),), ((START, 4.0),)}


def test_ticks_take_what_was_counted_since_the_tick_before(tmp_path: Path) -> None:
    spec, plan = policy(tmp_path)
    source = bound(spec, plan, counted(10, every=5))
    assert (source.step, source.first, source.last) == (5, START, START + 600)
    seen, foreseen = [], []

    class Shelf:
        pairs = (("green", next(check for check in _checks(spec, plan) if check.name == "errors")),)

        def take_counts(self, ticks: dict, at: int) -> None:
            seen.append((at, ticks["green", "errors"].candidate.n))

        def foresee(self, ticks: dict) -> None:
            foreseen.append(ticks["green", "errors"])

    grid, shelf = Grid(anchor=START, tick=15), Shelf()
    for index in range(3):
        source.show(shelf, grid, index)  # type: ignore[arg-type]
    own = read_csv(counted(10, every=5), FILE).series["candidate", "errors", ""]
    thirds = [sum(own[START + 15 * part + 5 * third] for third in (1, 2, 3)) for part in (0, 1)]
    assert seen == [(START, 0.0), (START + 15, thirds[0]), (START + 30, thirds[1])]
    assert [(tick.at, tick.candidate.n) for tick in foreseen[0][:3]] == seen
    assert len(foreseen) == 1


def _checks(spec, plan):  # type: ignore[no-untyped-def]
    from tailramp.checks import checks_by_slot

    return checks_by_slot(spec, plan)["green"]


def test_a_window_without_any_line_is_blind_and_not_zero(tmp_path: Path) -> None:
    from tailramp.replay.course import play

    spec, plan = policy(tmp_path)
    gap = range(START + 120, START + 600)
    lines = (line for line in counted(30) if not line[0].isdigit() or int(line.split(",")[0]) not in gap)
    course = play(spec, plan, bound(spec, plan, lines))
    assert course.state.stop == "blind"
    assert course.rolled_back_at is not None
    assert course.rolled_back_at - START in range(120 + 300 - 15, 120 + 300 + 31)


def test_without_a_share_the_answers_tell_it(tmp_path: Path) -> None:
    spec, plan = policy(tmp_path)
    shares = bound(spec, plan, counted(5), None).shares(plan, START)
    assert shares["green"] == pytest.approx(0.05, abs=0.01)
    assert sum(shares.values()) == pytest.approx(1)
