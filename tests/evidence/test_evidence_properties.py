"""What must hold whatever Prometheus and the traffic do."""

import math

from evidence_samples import BLUE, GREEN, GRID, RULE, Bench, rebuild, sample, toxicity_book
from hypothesis import given
from hypothesis import strategies as st

from tailramp.evidence import (
    Answer,
    ArmCounts,
    Check,
    CheckBook,
    Reading,
    Sample,
    Verdict,
    VerdictKind,
    latency,
    toxicity,
)
from tailramp.evidence.arms import RatioArm

CHECKS: list[Check] = [toxicity(rule=RULE), latency(rule=RULE)]
QUERIES = [query for check in CHECKS for slot in (GREEN, BLUE) for query in check.queries(slot).values()]

hostile_values = st.one_of(
    st.sampled_from([0.0, 1.0, 1e9, 1e300, -1.0, math.nan, math.inf, -math.inf, 5e-324, 2.0**53]),
    st.floats(0, 1e6),
)
edges = st.sampled_from(["2", "2.0", "+Inf", "1.6", "two", ""])
hostile_samples = st.builds(
    lambda pod, le, value: sample(value, pod=pod, le=le), st.sampled_from("ab"), edges, hostile_values
)
hostile_answers = st.one_of(
    st.builds(lambda samples: Answer(tuple(samples)), st.lists(hostile_samples, max_size=6)),
    st.just(Answer()),
    st.just(Answer(fault="HTTP 503")),
)
hostile_readings = st.builds(
    lambda index, answers: Reading(GRID.time(index), answers),
    st.integers(-3, 12),
    st.dictionaries(st.sampled_from(QUERIES), hostile_answers, min_size=len(QUERIES) - 1),
)
hostile_counts = st.one_of(
    st.sampled_from([(0, 0), (1, 0), (1, 1), (10**9, 10**9), (10**9, 0), (0, 1), (5, 10)]),
    st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)),
)
hostile_ticks = st.lists(st.tuples(hostile_counts, hostile_counts, st.sampled_from(["", "", "", "down"])), max_size=40)


def is_sane(verdict: Verdict) -> bool:
    numbers = verdict.numbers
    rates = [rate for rate in (numbers.rate, numbers.baseline_rate) if rate is not None]
    counts = (numbers.n, numbers.bad, numbers.baseline_n, numbers.baseline_bad, numbers.seen, numbers.baseline_seen)
    told = verdict.kind is VerdictKind.BLIND or "nan" not in verdict.reason  # BLIND quotes the value that it met
    return all(0 <= rate <= 1 for rate in rates) and all(count >= 0 for count in counts) and told


@given(st.lists(hostile_readings, max_size=25))
def test_no_answer_of_prometheus_makes_a_book_raise_or_lose_its_numbers(readings: list[Reading]) -> None:
    book = CheckBook(CHECKS, [GREEN], BLUE, GRID, run_up=10)
    for one in [*readings, *sorted(readings, key=lambda one: one.at)]:
        for verdict in book.observe(one):
            assert is_sane(verdict)
            assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict
        book.behind(one)


@given(hostile_ticks)
def test_no_counts_make_a_judge_raise_pass_without_answers_or_take_a_failure_back(
    ticks: list[tuple[tuple[int, int], tuple[int, int], str]],
) -> None:
    bench = Bench()
    failed: Verdict | None = None
    answers = 0
    for (n, bad), baseline, blind in ticks:
        verdict = bench.tick(n, bad, baseline, blind=blind)
        answers += 0 if blind else n
        assert is_sane(verdict)
        if failed is not None:
            assert verdict == failed
        elif verdict.kind is VerdictKind.FAIL:
            failed = verdict
            assert verdict.numbers.streak == verdict.numbers.needed
        if blind and failed is None:
            assert verdict.kind is VerdictKind.BLIND
        if verdict.kind is VerdictKind.PASS:
            assert answers >= 20


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 4)), max_size=60))
def test_a_candidate_within_its_limit_in_every_tick_never_fails(ticks: list[tuple[int, int]]) -> None:
    bench = Bench(limit=0.01)
    for n, bad in ticks:
        assert bench.tick(n, min(bad, n // 100)).kind is not VerdictKind.FAIL


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=60))
def test_a_baseline_that_does_the_same_keeps_the_candidate_from_failing(ticks: list[tuple[int, int]]) -> None:
    bench = Bench()
    for n, bad in ticks:
        assert bench.tick(n, min(n, bad), (n, min(n, bad))).kind is not VerdictKind.FAIL


increments = st.integers(0, 1000)
events = st.lists(st.tuples(increments, st.sampled_from(["seen", "seen", "missed", "restarted", "nan"])), max_size=60)


@given(events)
def test_missed_broken_and_restarted_scrapes_lose_only_what_a_restart_took_along(events: list[tuple[int, str]]) -> None:
    """A counter's true growth against what the arm counts; only what was never scraped before a restart may be
    missing.
    """
    arm = RatioArm(bad_absent_is_zero=True)
    counter, unscraped, lost, true = 1000, 0, 0, 0
    last_scraped = 1000
    arm.take({"total": [sample(counter)], "bad": []}, starting=True)
    for grown, what in events:
        if what == "restarted":
            lost += unscraped
            counter, unscraped = 0, 0
        counter, unscraped, true = counter + grown, unscraped + grown, true + grown
        seen: list[Sample] = [] if what == "missed" else [sample(math.nan if what == "nan" else counter)]
        if what == "restarted" and counter >= last_scraped / 2:
            return  # nobody can tell it from growth, nor from a scrape that is older than the last one
        arm.take({"total": seen, "bad": []}, starting=False)
        if what in ("seen", "restarted"):
            unscraped, last_scraped = 0, counter
    assert arm.total == ArmCounts(true - lost - unscraped, 0)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5), st.booleans()), min_size=1, max_size=50),
    st.integers(0, 50),
)
def test_a_crash_at_any_tick_and_outages_between_never_change_a_verdict(
    ticks: list[tuple[int, int, bool]], crash: int
) -> None:
    scored = toxic = 0
    readings: list[Reading] = []
    for n, bad, _ in ticks:
        scored, toxic = scored + n, toxic + min(n, bad)
        answers = {}
        for slot, counts in ((GREEN, (scored, toxic)), (BLUE, (2 * scored, toxic // 3))):
            queries = toxicity().queries(slot)
            answers[queries["total"]] = Answer((sample(counts[0], slot=slot.slot),))
            answers[queries["bad"]] = Answer((sample(counts[1], slot=slot.slot),))
        readings.append(Reading(GRID.time(len(readings)), answers))
    whole, torn = toxicity_book(), toxicity_book()
    for index, ((_, _, outage), one) in enumerate(zip(ticks, readings, strict=True)):
        expected = whole.observe(one)
        if index == crash:
            torn = toxicity_book()
        if outage:
            torn.observe(Reading(one.at, dict.fromkeys(one.answers, Answer(fault="down"))))
            continue
        checks, first = torn.behind(one)
        if checks:
            rebuild(torn, readings[first:index])
        assert torn.observe(one) == expected
