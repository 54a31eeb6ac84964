"""Raw counters, recorded or as Prometheus answers: read as a live watch reads them, and refused with line and field."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from replay_samples import START, as_counters, as_plain, as_range_json, bound, counted, policy

from tailramp.checks import checks_by_slot, slot_match
from tailramp.errors import InvalidFile
from tailramp.evidence import SlotMatch, Source, ThresholdRule, VerdictKind, hanging
from tailramp.presets import InFlight
from tailramp.ramp import Phase
from tailramp.replay.counters import Counters, answers_to, of_recording, run_up
from tailramp.replay.course import Course, play
from tailramp.replay.opening import open_counts
from tailramp.replay.range_json import RangeAnswers, read_range_json
from tailramp.replay.recording import Header, Recorded, Series, Span, encode, encode_end
from tailramp.replay.selector import Selector

FILE = Path("answers.json")


def bad_candidate() -> Iterator[str]:
    return counted(45, slow=4, onset=15)


def decisions(course: Course) -> list[Any]:
    return [(one.at, one.outcome, one.verdicts) for one in course.decided]


def recorded(
    folder: Path,
    lines: Iterator[str] | None = None,
    *,
    cut: int | None = None,
    header: dict[str, Any] | None = None,
) -> Path:
    """A recording, by default of the bad candidate, with two pieces of each query."""
    spec, plan = policy(folder)
    counters = as_counters(spec, plan, lines or bad_candidate())
    many = len(next(iter(counters.values()))[0][1])
    span = Span(start=START, end=START + 15 * (many - 1), anchor=START)
    told = Header(
        route=plan.route,
        spec=spec.digest,
        baseline="blue",
        candidates={"green": "chat-v2"},
        step=15,
        spans=(span,),
        queries=tuple(counters),
    )
    written = [json.dumps(told.model_dump(mode="json") | (header or {}))]
    for first in (0, 60):
        for query, series in counters.items():
            until = 60 if first == 0 else many
            columns = [(tuple(labels.items()), values[first:until]) for labels, values in series]
            written.append(encode(query, 0, START + 15 * first, until - first, columns))
    written.append(encode_end(len(written)))
    file = folder / "chat.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join(written[:cut]).encode()))
    return file


def read(folder: Path, file: Path) -> Counters:
    spec, plan = policy(folder)
    counts = open_counts(file)
    matches = {slot: slot_match(spec.platform, slot) for slot in ("blue", "green")}
    checks = checks_by_slot(spec, plan)
    if isinstance(counts, Recorded):
        return of_recording(counts, plan, checks, matches, 0.05)
    assert isinstance(counts, RangeAnswers)
    return counts.bound(plan, checks, matches, 0.05)


def test_counters_are_judged_as_the_counts_between_them(tmp_path: Path) -> None:
    """A recording, Prometheus' answers and CSV of the same traffic: the same decisions, to the last number."""
    spec, plan = policy(tmp_path)
    expected = decisions(play(spec, plan, bound(spec, plan, bad_candidate())))
    assert expected[-1][1].kind == "failed"
    assert decisions(play(spec, plan, read(tmp_path, recorded(tmp_path)))) == expected
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps(as_range_json(as_counters(spec, plan, bad_candidate()))), encoding="utf-8")
    assert decisions(play(spec, plan, read(tmp_path, answers))) == expected


def test_a_bake_begins_when_the_recorded_one_did_and_tells_what_was_counted_until_then(tmp_path: Path) -> None:
    """Between the last hold and the bake lie the writes and proofs of a promotion."""
    spec, plan = policy(tmp_path)
    decided = play(spec, plan, bound(spec, plan, counted(60))).decided
    *steps, bake = [one for one in decided if one.outcome is None and one.after.phase is not Phase.SUCCEEDED]
    assert (len(steps), bake.after.phase) == (3, Phase.BAKING)
    whole = Span(start=START, end=START + 3600, anchor=START)
    late = [
        Span(start=at, end=at + 15, anchor=at, served=served)
        for at, served in (*((one.at, one.after.applied) for one in steps), (bake.at + 90, bake.after.applied))
    ]
    header = {"spans": [span.model_dump(mode="json") for span in (whole, *late)]}
    faulty = counted(60, slow=1000, onset=(bake.at - START) / 60)
    again = play(spec, plan, read(tmp_path, recorded(tmp_path, faulty, header=header)))

    before = [one.at for one in decided if one.at <= bake.at]
    assert [one.at for one in again.decided][: len(before)] == [*before[:-1], bake.at + 90]
    assert again.state.anchor == bake.at + 90
    (failed,) = [verdict for verdict in again.decided[-1].verdicts if verdict.kind is VerdictKind.FAIL]
    assert failed.at == bake.at + 90
    assert "since before the step's anchor; baseline" in failed.reason


def test_answers_at_half_seconds_are_the_same_ticks(tmp_path: Path) -> None:
    spec, plan = policy(tmp_path)
    answers = as_range_json(as_counters(spec, plan, bad_candidate()))
    for answer in answers.values():
        for series in answer["data"]["result"]:
            series["values"] = [[at + 0.5, value] for at, value in series["values"]]
    file = tmp_path / "answers.json"
    file.write_text(json.dumps(answers), encoding="utf-8")
    expected = decisions(play(spec, plan, bound(spec, plan, bad_candidate())))
    assert decisions(play(spec, plan, read(tmp_path, file))) == expected


def test_a_restart_of_a_server_loses_and_invents_nothing(tmp_path: Path) -> None:
    spec, plan = policy(tmp_path)
    counters = as_counters(spec, plan, bad_candidate())
    for series in counters.values():
        for _, values in series:
            values[50:] = [value - values[50] for value in values[50:]]
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps(as_range_json(counters)), encoding="utf-8")
    course = play(spec, plan, read(tmp_path, answers))
    assert course.failed_checks == ("latency",)


@pytest.mark.parametrize("seed", range(4))
def test_two_servers_of_prometheus_behind_one_address_invent_no_answers(tmp_path: Path, seed: int) -> None:
    """Each scrapes every 30 s at times of its own, and each query at each tick of 15 s is answered by one of them."""
    random = np.random.default_rng(seed)

    def of_pair(lines: Iterator[str]) -> Path:
        answers = as_range_json(as_counters(spec, plan, lines))
        for answer in answers.values():
            of_first = random.random(10_000) < 0.5
            for series in answer["data"]["result"]:
                known = [value for _, value in series["values"]]
                for index, point in enumerate(series["values"]):
                    scrape = index // 2 * 2 if of_first[index] else (index - 1) // 2 * 2 + 1
                    point[1] = known[max(0, scrape)]
        file = tmp_path / "answers.json"
        file.write_text(json.dumps(answers), encoding="utf-8")
        return file

    spec, plan = policy(tmp_path)
    healthy = play(spec, plan, read(tmp_path, of_pair(counted(46))))
    assert healthy.failed_checks == ()
    assert healthy.promoted_at is not None
    bad = play(spec, plan, read(tmp_path, of_pair(bad_candidate())))
    assert bad.failed_checks == ("latency",)


def test_series_of_plain_selectors_are_found_by_their_labels(tmp_path: Path) -> None:
    spec, plan = policy(tmp_path)
    counters = as_counters(spec, plan, bad_candidate())
    series = [
        {"metric": labels, "values": [[START + 15 * index, str(value)] for index, value in enumerate(values)]}
        for labels, values in as_plain(counters)
    ]
    half = len(series) // 2
    plain = [{"data": {"resultType": "matrix", "result": part}} for part in (series[:half], series[half:])]
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps(plain), encoding="utf-8")
    expected = decisions(play(spec, plan, bound(spec, plan, bad_candidate())))
    assert decisions(play(spec, plan, read(tmp_path, answers))) == expected


@pytest.mark.parametrize(
    ("query", "labels", "selects"),
    [
        ('a{b="1"}', {"__name__": "a", "b": "1"}, True),
        ('a{b="1"}', {"__name__": "a", "b": "2"}, False),
        ('{__name__=~"a|c",b!="1",}', {"__name__": "c"}, True),
        ('a{b=~"x.*"}', {"__name__": "a", "b": "xy"}, True),
        ('a{b=~"x"}', {"__name__": "a", "b": "xy"}, False),
        ('a{b!~"x.*"}', {"__name__": "a", "b": "xy"}, False),
        ('a{b="q\\"{}"}', {"__name__": "a", "b": 'q"{}'}, True),
        ('a{b="聊天"}', {"__name__": "a", "b": "聊天"}, True),
    ],
)
def test_a_selector_selects_as_prometheus_does(query: str, labels: dict[str, str], selects: bool) -> None:
    selector = Selector.parse(query)
    assert selector is not None
    assert selector.selects(labels) is selects


@pytest.mark.parametrize("query", ["", "sum(a)", "a[5m]", 'a{b="1"} offset 5m', 'a{b=~"("}', "a{b}", "{}", "a + b"])
def test_what_is_no_plain_selector_is_none(query: str) -> None:
    assert Selector.parse(query) is None


@pytest.mark.parametrize(
    ("cut", "line", "words"),
    [(1, 1, "is not finished"), (5, 5, "is not finished"), (-1, 21, "is not finished")],
)
def test_a_recording_that_was_cut_off_is_not_taken_for_a_whole_one(
    tmp_path: Path, cut: int, line: int, words: str
) -> None:
    with pytest.raises(InvalidFile) as refused:
        open_counts(recorded(tmp_path, cut=cut))
    (problem,) = refused.value.problems
    assert (problem.line, words in problem.reason) == (line, True)


def test_a_damaged_or_newer_recording_is_refused(tmp_path: Path) -> None:
    for header, field in (({"version": 2}, "version"), ({"step": 0}, "step"), ({"spans": []}, "spans")):
        with pytest.raises(InvalidFile) as refused:
            open_counts(recorded(tmp_path, header=header))
        assert refused.value.problems[0].field == field
        assert refused.value.problems[0].line == 1
    whole = recorded(tmp_path).read_bytes()
    file = tmp_path / "cut.gz"
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidFile, match="cut off or damaged"):
        open_counts(file)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"query": "x"}, "query"),
        ({"span": 1}, "span"),
        ({"start": START + 1}, "start"),
        ({"start": "now"}, "start"),
        ({"count": 10**9}, "count"),
        ({"series": {}}, "series"),
        ({"series": [{"labels": [], "values": []}]}, "series.0.labels"),
        ({"series": [{"labels": {}, "values": 1}]}, "series.0.values"),
        ({"series": [{"labels": {}, "values": [1, "2"]}]}, "series.0.values.1"),
        ({"series": [{"labels": {}, "values": [True]}]}, "series.0.values.0"),
    ],
)
def test_a_damaged_line_is_named_with_its_field(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    lines = gzip.decompress(recorded(tmp_path).read_bytes()).decode().splitlines()
    lines[3] = json.dumps(json.loads(lines[3]) | change)
    file = tmp_path / "chat.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(InvalidFile) as refused:
        open_counts(file)
    (problem,) = refused.value.problems
    assert (problem.line, problem.field) == (4, field)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ("{", "(line)"),
        ("[" * 100_000, "(file)"),
        ("[]", "data.result"),
        ("[1]", "[0]"),
        ('{"status":"error","error":"bad"}', "status"),
        ('{"status":"success","data":{"resultType":"vector","result":[]}}', "data.resultType"),
        ('{"status":"success","data":{"resultType":"matrix","result":{}}}', "data.result"),
        ('{"data":{"resultType":"matrix","result":[{"metric":1}]}}', "data.result[0].metric"),
        ('{"data":{"resultType":"matrix","result":[{"metric":{}}]}}', "data.result[0].values"),
        ('{"data":{"resultType":"matrix","result":[{"metric":{},"values":[[1]]}]}}', "data.result[0].values[0]"),
        ('{"data":{"resultType":"matrix","result":[{"metric":{},"values":[["x","1"]]}]}}', "data.result[0].values[0]"),
        ('{"data":{"resultType":"matrix","result":[{"metric":{},"values":[[NaN,"1"]]}]}}', "data.result[0].values[0]"),
        ('{"查询":{"data":{"resultType":"matrix","result":3}}}', "查询.data.result"),
        ('{"data":{"resultType":"matrix","result":[{"metric":{},"values":[[5,"1"]]}]}}', "data.result"),
        (
            '{"data":{"resultType":"matrix","result":[{"metric":{},"values":[[5,"1"],[6,"1"],[9e8,"1"]]}]}}',
            "data.result",
        ),
    ],
)
def test_what_is_no_answer_of_prometheus_is_refused_with_its_field(data: str, field: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        read_range_json([data], FILE)
    assert refused.value.problems[0].field == field


def test_values_that_no_counter_has_are_blind_and_never_a_verdict(tmp_path: Path) -> None:
    spec, plan = policy(tmp_path)
    counters = as_counters(spec, plan, counted(30))
    answers = as_range_json(counters)
    for answer in answers.values():
        for one in answer["data"]["result"]:
            for index in range(40, len(one["values"])):
                one["values"][index][1] = "NaN"
    file = tmp_path / "answers.json"
    file.write_text(json.dumps(answers), encoding="utf-8")
    course = play(spec, plan, read(tmp_path, file))
    assert (course.state.stop, course.failed_checks) == ("blind", ())


def test_a_check_without_counts_is_named_with_its_query(tmp_path: Path) -> None:
    spec, plan = policy(tmp_path)
    counters = as_counters(spec, plan, counted(5))
    gone = next(query for query in counters if "toxic" in query and "blue" in query)
    file = tmp_path / "answers.json"
    file.write_text(json.dumps(as_range_json({q: s for q, s in counters.items() if q != gone})), encoding="utf-8")
    with pytest.raises(InvalidFile) as refused:
        read(tmp_path, file)
    (problem,) = refused.value.problems
    assert (problem.field, problem.value) == ("checks.toxicity", gone)
    assert "--without toxicity" in problem.mend


@pytest.mark.parametrize(
    ("seconds", "least", "before"),
    [
        (60.0, [0.0, 5.0, 4.0, 5.0], [None, 0.0, 5.0, 4.0]),
        (20.0, [0.0, 5.0, 4.0, 5.0], [None, 0.0, 5.0, 4.0]),
        (120.0, [0.0, 0.0, 4.0, 4.0], [None, None, 0.0, 5.0]),
    ],
)
def test_of_requests_in_flight_is_told_what_was_counted_at_least_one_tick_ago(
    seconds: float, least: list[float | None], before: list[float | None]
) -> None:
    """Counts a minute apart tell of requests that may hang for 20 s, too: those that are there at two ticks."""
    rule = ThresholdRule(min_sample=10, floor=10)
    check = hanging(seconds, rule, InFlight("active{match}", "ended{match}"), Source.SERVER)
    slot = SlotMatch(slot="green", metrics='slot="green"', gateway='slot="green"')
    span = Span(start=START, end=START + 180, anchor=START)
    header = Header(route="r", spec="", baseline="blue", candidates={}, step=60, spans=(span,), queries=("*",))
    series = Series((("instance", "a"),), START, [0.0, 5.0, 4.0, 5.0])

    def derived(part: str) -> list[float | None]:
        query = check.queries(slot)[part]
        found = answers_to(
            check,
            part,
            query,
            slot,
            lambda asked: [[series]] if "[" not in asked and "offset" not in asked else None,
            header,
        )
        assert found is not None
        return list(found[0][0].values)

    assert (derived("least"), derived("before"), derived("endedBefore")) == (least, before, before)


def test_a_run_up_lies_on_the_grid() -> None:
    assert (run_up(15), run_up(7), run_up(3600)) == (300, 301, 3600)
