import pytest
from evidence_samples import ANCHOR, Bench
from pydantic import ValidationError

from tailramp.evidence import ArmCounts, CheckTick, Protection, ThresholdRule, VerdictKind

HEALTHY = (1000, 4)


def test_three_bad_windows_in_a_row_fail_and_the_sentence_gives_the_numbers() -> None:
    bench = Bench()
    for n, bad in ((40, 12), (40, 13)):
        assert bench.window(n, bad, HEALTHY).kind is VerdictKind.INCONCLUSIVE
    verdict = bench.window(32, 12, HEALTHY)
    assert verdict.kind is VerdictKind.FAIL
    assert verdict.reason == (
        "p99 above 2 s: 37 of 112 answers (33.0 %, limit 1 %) in 3 consecutive windows; baseline 0.4 %"
    )
    numbers = verdict.numbers
    assert (numbers.n, numbers.bad, numbers.streak, numbers.needed, numbers.windows) == (112, 37, 3, 3, 3)
    assert (numbers.baseline_n, numbers.baseline_bad, numbers.limit) == (3000, 12, 0.01)
    assert numbers.rate == pytest.approx(37 / 112)
    assert numbers.baseline_rate == pytest.approx(0.004)


def test_a_good_window_ends_the_streak() -> None:
    bench = Bench()
    for _ in range(3):
        bench.window(100, 50)
        assert bench.window(100, 50).numbers.streak == 2
        assert bench.window(100, 1).numbers.streak == 0


def test_exactly_the_limit_is_not_above_it() -> None:
    for limit, n, bad in ((0.01, 100, 1), (0.05, 100, 5), (0.29, 100, 29), (0.07, 700, 49), (0.0, 100, 0)):
        bench = Bench(limit=limit)
        assert bench.window(n, bad).numbers.streak == 0, (limit, n, bad)
        assert bench.window(n, bad + 1).numbers.streak == 1, (limit, n, bad)


def test_one_slow_answer_is_never_counted_in_more_than_one_window() -> None:
    bench = Bench()
    verdicts = [bench.tick(5, 1 if tick == 0 else 0) for tick in range(40)]
    assert max(verdict.numbers.streak for verdict in verdicts) == 1
    assert verdicts[-1].kind is VerdictKind.PASS


def test_little_traffic_makes_longer_windows_and_never_smaller_samples() -> None:
    bench = Bench()
    verdicts = [bench.tick(1, 1) for _ in range(29)]
    assert [verdict.numbers.windows for verdict in verdicts] == [tick // 10 for tick in range(1, 30)]
    assert {verdict.kind for verdict in verdicts} == {VerdictKind.INCONCLUSIVE}
    assert bench.tick(1, 1).kind is VerdictKind.FAIL


def test_much_traffic_never_makes_a_window_shorter_than_its_length() -> None:
    bench = Bench()
    assert bench.tick(100_000, 50_000).numbers.windows == 0
    assert bench.tick(100_000, 50_000).numbers.windows == 1


def test_a_breach_that_the_baseline_shares_neither_adds_to_the_streak_nor_ends_it() -> None:
    bench = Bench()
    bench.window(100, 30, HEALTHY)
    bench.window(100, 30, HEALTHY)
    shared = bench.window(100, 30, (100, 25))
    assert shared.kind is VerdictKind.INCONCLUSIVE
    assert shared.shared
    assert shared.numbers.streak == 2
    assert shared.reason == (
        "p99 above 2 s, and the baseline shares it: "
        "30 of 100 answers (30.0 %, limit 1 %) in the last window; baseline 25.0 %"
    )
    failed = bench.window(100, 30, HEALTHY)
    assert failed.kind is VerdictKind.FAIL
    assert not failed.shared
    assert failed.numbers.n == 300


def test_an_incident_of_both_versions_never_fails_the_candidate() -> None:
    bench = Bench()
    verdicts = [bench.window(100, 90, (100, 90)) for _ in range(50)]
    assert {verdict.kind for verdict in verdicts} == {VerdictKind.INCONCLUSIVE}
    assert all(verdict.shared for verdict in verdicts)
    assert not bench.window(100, 0, (100, 0)).shared


@pytest.mark.parametrize("baseline", [(0, 0), (4, 4)])
def test_without_enough_answers_of_the_baseline_nothing_can_be_called_shared(baseline: tuple[float, float]) -> None:
    bench = Bench()
    bench.window(100, 30, baseline)
    bench.window(100, 30, baseline)
    assert bench.window(100, 30, baseline).kind is VerdictKind.FAIL


def test_a_candidate_that_is_not_clearly_worse_than_the_baseline_is_neither_failed_nor_passed() -> None:
    bench = Bench(limit=0.01)
    verdicts = [bench.window(1000, 12, (1000, 9)) for _ in range(5)]
    assert {verdict.kind for verdict in verdicts} == {VerdictKind.INCONCLUSIVE}
    assert verdicts[-1].numbers.streak == 5
    assert not verdicts[-1].shared
    assert verdicts[-1].reason == (
        "p99 above 2 s: 60 of 5,000 answers (1.2 %, limit 1 %) in 5 consecutive windows; baseline 0.9 %; "
        "not clearly worse than the baseline"
    )
    assert bench.window(1000, 200, (1000, 9)).kind is VerdictKind.FAIL


def test_half_of_the_sample_is_enough_to_compare_with() -> None:
    """At half of the users the baseline has as many answers as the candidate, give or take a few."""
    bench = Bench()
    assert all(bench.window(100, 30, (9, 4)).shared for _ in range(5))


def test_a_sentence_without_a_baseline_says_so() -> None:
    bench = Bench(consecutive=1)
    reason = bench.window(100, 30).reason
    assert reason == "p99 above 2 s: 30 of 100 answers (30.0 %, limit 1 %) in 1 window; no baseline beside it"


def test_pass_needs_the_floor_of_answers() -> None:
    bench = Bench()
    verdict = bench.window(19, 0)
    assert verdict.kind is VerdictKind.INCONCLUSIVE
    assert verdict.reason.startswith("19 of the 20 answers that a verdict needs")
    verdict = bench.tick(1, 0, HEALTHY)
    assert verdict.kind is VerdictKind.PASS
    assert (
        verdict.reason == "0 of 20 answers (0.0 %, limit 1 %) slower than 2 s since the step's anchor; baseline 0.4 %"
    )


def test_no_traffic_is_never_a_pass() -> None:
    bench = Bench()
    verdicts = [bench.tick(0, 0, HEALTHY) for _ in range(100)]
    assert {verdict.kind for verdict in verdicts} == {VerdictKind.INCONCLUSIVE}
    assert verdicts[-1].reason == "no answers yet: a verdict needs 20"
    assert verdicts[-1].numbers.rate is None


def test_a_candidate_that_stopped_answering_does_not_pass_on_old_answers() -> None:
    bench = Bench()
    assert bench.window(1000, 0).kind is VerdictKind.PASS
    assert bench.tick().kind is VerdictKind.PASS
    verdict = bench.tick()
    assert verdict.kind is VerdictKind.INCONCLUSIVE
    assert verdict.reason == "no answers for 10 s"
    assert bench.tick(1).kind is VerdictKind.PASS


def test_an_open_window_that_looks_bad_holds_the_pass_back() -> None:
    bench = Bench()
    bench.window(1000, 0)
    verdict = bench.tick(9, 3)
    assert verdict.kind is VerdictKind.INCONCLUSIVE
    assert "in the window that is still open" in verdict.reason


def test_a_failure_is_final() -> None:
    bench = Bench(consecutive=1)
    failed = bench.window(100, 50)
    assert failed.kind is VerdictKind.FAIL
    assert bench.window(100_000, 0) == failed
    assert bench.tick(blind="Prometheus is down") == failed


def test_while_blind_the_verdict_is_blind_and_afterwards_it_goes_on() -> None:
    bench = Bench()
    bench.window(100, 30)
    bench.window(100, 30)
    blind = bench.tick(blind="the histogram has vanished")
    assert blind.kind is VerdictKind.BLIND
    assert blind.reason == "latency could not be judged: the histogram has vanished"
    assert bench.window(100, 30).kind is VerdictKind.FAIL


def test_a_tick_that_comes_again_is_not_counted_again() -> None:
    bench = Bench(consecutive=1)
    bench.tick(6, 6)
    before = bench.judge.observe(CheckTick(index=1, at=ANCHOR + 5, candidate=ArmCounts(1000, 1000)))
    assert before.numbers.seen == 6


def test_without_a_minimum_sample_a_single_slow_answer_makes_a_window() -> None:
    bench = Bench(Protection.MIN_SAMPLE)
    bench.window(1, 1)
    bench.window(1, 1)
    assert bench.window(1, 1).kind is VerdictKind.FAIL


def test_without_a_minimum_sample_a_window_still_needs_an_answer() -> None:
    bench = Bench(Protection.MIN_SAMPLE)
    assert bench.window(0, 0).numbers.windows == 0


def test_without_comparing_the_baseline_an_incident_of_both_is_blamed_on_the_candidate() -> None:
    bench = Bench(Protection.COMPARE_BASELINE)
    for _ in range(2):
        assert not bench.window(100, 90, (100, 90)).shared
    assert bench.window(100, 90, (100, 90)).kind is VerdictKind.FAIL


def test_more_bad_answers_than_answers_are_all_answers() -> None:
    bench = Bench(consecutive=1)
    verdict = bench.window(100, 101)
    assert verdict.kind is VerdictKind.FAIL
    assert verdict.numbers.rate == 1.0


@pytest.mark.parametrize("wrong", [{"min_sample": 0}, {"floor": 0}, {"window": 0}, {"consecutive": 0}])
def test_a_rule_that_would_judge_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        ThresholdRule.model_validate({"min_sample": 1, "floor": 1} | wrong)
