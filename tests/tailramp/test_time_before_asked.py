"""The time before a ramp: what is asked of it, that a record holds it, and that a replay knows what the watch knew."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from replay_samples import EVERYONE, START, as_counters, bound, counted, policy
from spec_samples import PLATFORM, TWO_CANARIES, plan_of, spec_of

from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.checks import checks_by_slot, shelf_of, slot_match
from tailramp.dossiers import begin_stretch, dossiers_of, shares_in
from tailramp.errors import InvalidFile
from tailramp.evidence import Grid, Verdict
from tailramp.evidence.kept import Kept, TimeBefore
from tailramp.evidence.ledger import MOST_BYTES, Counts, Ledger
from tailramp.evidence.sequential.dossier import teach
from tailramp.plan import Plan
from tailramp.ramp import Began
from tailramp.replay.counters import of_recording
from tailramp.replay.course import Course, play
from tailramp.replay.opening import open_counts
from tailramp.replay.recording import Header, Recorded, Span, encode, encode_end
from tailramp.spec import RampSpec
from tailramp.time_before import asked_before, why_not

KNOWN, UNKNOWN = "its users are known from before the ramp", "its users are not known from before"


def knowing(carry: float = 0.9) -> str:
    """The platform file of a service that names the bucket of its users."""
    block = f"  sequential: {{history: {{bucketLabel: user_bucket, period: 1d, carry: {carry}}}}}\n"
    assert "\nchecks:\n" in PLATFORM
    return PLATFORM.replace("\nchecks:\n", f"\nchecks:\n{block}")


def serving(buckets: str, segments: tuple[str, ...] = ()) -> Assignment:
    return Assignment(default="blue", rules=(Rule(slot="green", buckets=BucketSet.parse(buckets), segments=segments),))


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [
        (serving("00-04"), ""),
        (serving("0000-0499"), ""),
        (serving("0000-0049"), "the first step's buckets 0000-0049 are a part of a value of the label"),
        (serving("00-04", ("VIP",)), "a label of the bucket does not tell users with a tag from others"),
        (Assignment(default="blue"), "the first step gives it no buckets"),
    ],
)
def test_users_that_the_label_cannot_tell_apart_are_named_with_the_reason(
    tmp_path: Path, assignment: Assignment, reason: str
) -> None:
    spec, plan = policy(tmp_path, EVERYONE, knowing())
    assert why_not(plan, assignment) == ({"green": reason} if reason else {})
    assert (asked_before(spec, plan, Began(at=START, assignment=assignment)) is None) is bool(reason)


def test_a_few_queries_about_the_baseline_are_asked_whatever_the_number_of_buckets(tmp_path: Path) -> None:
    spec, plan = policy(tmp_path, EVERYONE, knowing())
    asked = asked_before(spec, plan, Began(at=START, assignment=serving("0000-0199")))
    assert asked is not None
    assert (asked.windows, asked.shares) == (288, {"green": (2.0, 98.0)})
    assert START - 600 < asked.grid.time(asked.windows) <= START - 300
    users, checks = asked.parts["green"]
    for check in checks:
        for match, of in ((users, '=~"(00|01)([0-9][0-9])?"'), (asked.others, '!~"(00|01)([0-9][0-9])?"')):
            for query in check.queries(match).values():
                assert query.startswith("sum without (user_bucket) (")
                assert f"user_bucket{of}" in query
                assert "blue" in query
                assert "green" not in query
    assert asked_before(*policy(tmp_path), Began(at=START, assignment=serving("00-01"))) is None


def test_with_two_candidates_the_others_are_those_of_neither(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, TWO_CANARIES, with_red(knowing()))
    plan = plan_of(spec)
    rules = tuple(Rule(slot=slot, buckets=BucketSet.parse(text)) for slot, text in (("green", "00"), ("red", "20")))
    asked = asked_before(spec, plan, Began(at=START, assignment=Assignment(default="blue", rules=rules)))
    assert asked is not None
    assert set(asked.parts) == {"green", "red"}
    assert asked.shares == {"green": (1.0, 98.0), "red": (1.0, 98.0)}
    assert 'user_bucket!~"(00|20)([0-9][0-9])?"' in asked.others.metrics
    assert 'user_bucket=~"(20)([0-9][0-9])?"' in asked.parts["red"][0].metrics


def with_red(platform: str) -> str:
    slot = """\
  red:
    url: http://127.0.0.1:8003
    metrics: slot="red"
    gatewayMetrics: envoy_cluster_name="red"
"""
    return platform.replace("identity:\n", f"{slot}identity:\n")


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("{bucketLabel: x-y}", "x-y"),
        ("{carry: 1}", "carry"),
        ("{period: 10m}", "period"),
        ("{days: 2}", "days"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, block: str, words: str) -> None:
    text = PLATFORM.replace("\nchecks:\n", f"\nchecks:\n  sequential: {{history: {block}}}\n")
    with pytest.raises(InvalidFile) as refused:
        spec_of(tmp_path, EVERYONE, text)
    (problem,) = refused.value.problems
    assert problem.field.startswith("checks.sequential.history")
    assert words in str(problem)
    assert problem.mend


@pytest.mark.parametrize(
    ("block", "errors", "latency"),
    [
        ("{noise: {errors: {carry: [0.8]}}}", None, None),
        ("{history: {}}", (0.5,), (0.5,)),
        ("{history: {}, noise: {errors: {carry: [0.8]}, latency: {tau: [0.2]}}}", (0.8,), (0.5,)),
        (
            "{history: {}, noise: {errors: {carry: [0]}, latency: {carry: [0.9, 0.9, 0.8, 0.8, 0.7, 0.6]}}}",
            (0.0,),
            (0.9, 0.9, 0.8, 0.8, 0.7, 0.6),
        ),
        ("{history: {carry: 0.95}, noise: {errors: {carry: [0.8]}}}", (0.95,), (0.95,)),
    ],
)
def test_users_keep_what_is_written_else_what_was_measured_else_half(
    tmp_path: Path, block: str, errors: tuple[float, ...] | None, latency: tuple[float, ...] | None
) -> None:
    spec, plan = policy(tmp_path, EVERYONE, PLATFORM.replace("\nchecks:\n", f"\nchecks:\n  sequential: {block}\n"))
    rules = {check.name: check.sequential for check in checks_by_slot(spec, plan)["green"]}
    found = {name: rule.carry for name, rule in rules.items() if rule is not None}
    assert (found["errors"], found["latency"]) == (errors, latency)


def day_before(spec: RampSpec, plan: Plan, toxic: float = 2.0) -> TimeBefore:
    """A day in which the first users had ``toxic`` times as many toxic answers as the others."""
    random = np.random.default_rng(8)
    n_c, n_b = random.poisson(300, 288), random.poisson(5700, 288)
    x_c, x_b = random.binomial(n_c, 0.02 * toxic), random.binomial(n_b, 0.02)
    rows = tuple(zip(*([float(v) for v in part] for part in (n_c, x_c, n_b, x_b)), strict=True))
    return TimeBefore(
        start=START - 300 - 86_400,
        window=300,
        shares={"green": (5.0, 95.0)},
        kept={"green": {"toxicity": Kept(rows=rows)}},
    )


def judged(folder: Path, earlier: TimeBefore | None) -> tuple[str, list[Verdict]]:
    spec, plan = policy(folder, EVERYONE, knowing())
    dossiers = dossiers_of(spec, plan, START)
    ledger = Ledger(checks_by_slot(spec, plan), START, dossiers)
    teach(dossiers, earlier)
    ledger.remember(earlier)
    grid = Grid(anchor=START, tick=15)
    begin_stretch(dossiers, serving("00-04"), "blue", START)
    ledger.begin(grid, {"green": shares_in(serving("00-04"), "green", "blue")}, settling=False)

    shelf = shelf_of(spec, plan, grid, dossiers, told=ledger.take)
    source = bound(spec, plan, counted(30))
    for index in range((source.last - START) // 15 + 1):
        source.show(shelf, grid, index)
    return ledger.written(), shelf.verdicts


def test_a_record_holds_what_was_known_of_the_users(tmp_path: Path) -> None:
    earlier = day_before(*policy(tmp_path, EVERYONE, knowing()))
    written, verdicts = judged(tmp_path, earlier)
    assert Counts.read(written).verdicts() == verdicts
    assert {verdict.check: KNOWN in verdict.reason for verdict in verdicts} == {
        "errors": False,
        "latency": False,
        "toxicity": True,
    }
    without, others = judged(tmp_path, None)
    assert all(UNKNOWN in verdict.reason for verdict in others if verdict.kind != "BLIND")
    told, untold = ({v.check: v.numbers.evidence for v in found} for found in (verdicts, others))
    assert told["toxicity"] != untold["toxicity"]
    assert told["errors"] == untold["errors"]
    assert len(without) < len(written) < MOST_BYTES


def recorded(folder: Path, spec: RampSpec, plan: Plan, earlier: TimeBefore | None, served: Assignment) -> Path:
    counters = as_counters(spec, plan, counted(30))
    many = len(next(iter(counters.values()))[0][1])
    header = Header(
        route=plan.route,
        spec=spec.digest,
        baseline="blue",
        candidates={"green": "chat-v2"},
        step=15,
        spans=(Span(start=START, end=START + 15 * (many - 1), anchor=START, served=served),),
        queries=tuple(counters),
        earlier=earlier,
    )
    lines = [header.model_dump_json()]
    for query, series in counters.items():
        columns = [(tuple(labels.items()), values) for labels, values in series]
        lines.append(encode(query, 0, START, many, columns))
    file = folder / "ramp.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join([*lines, encode_end(len(lines))]).encode()))
    return file


def replayed(spec: RampSpec, plan: Plan, file: Path) -> Course:
    counts = open_counts(file)
    assert isinstance(counts, Recorded)
    matches = {slot: slot_match(spec.platform, slot) for slot in ("blue", "green")}
    return play(spec, plan, of_recording(counts, plan, checks_by_slot(spec, plan), matches, None))


def evidence(verdicts: Any) -> Mapping[str, float | None]:
    return {verdict.check: verdict.numbers.evidence for verdict in verdicts}


def test_a_replay_knows_the_users_as_the_watch_did_and_says_so_if_the_recording_does_not(tmp_path: Path) -> None:
    spec, plan = policy(tmp_path, EVERYONE, knowing())
    first, earlier = plan.steps[0].assignment, day_before(spec, plan)
    earlier = earlier.model_copy(update={"shares": {"green": shares_in(first, "green", "blue")}})
    known = replayed(spec, plan, recorded(tmp_path, spec, plan, earlier, first))
    unknown = replayed(spec, plan, recorded(tmp_path, spec, plan, None, first))
    others = replayed(spec, plan, recorded(tmp_path, spec, plan, earlier, serving("00-09")))
    told = {verdict.check: verdict.reason for verdict in known.verdicts}
    assert KNOWN in told["toxicity"]
    assert UNKNOWN in told["errors"]
    for course in (unknown, others):
        assert all(UNKNOWN in verdict.reason for verdict in course.verdicts)
    assert evidence(known.verdicts) != evidence(unknown.verdicts)


def test_a_header_without_a_time_before_is_as_it_always_was(tmp_path: Path) -> None:
    spec, plan = policy(tmp_path)
    file = recorded(tmp_path, spec, plan, None, plan.steps[0].assignment)
    header = json.loads(gzip.decompress(file.read_bytes()).split(b"\n")[0])
    assert "earlier" not in header
    assert not any(UNKNOWN in verdict.reason for verdict in replayed(spec, plan, file).verdicts)
