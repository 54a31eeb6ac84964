import math

import pytest
from evidence_samples import histogram, sample

from tailramp.evidence import ArmCounts, EdgeCounts, Sample, UnknownEdgeError
from tailramp.evidence.arms import HistogramArm, RatioArm, edges_of
from tailramp.evidence.counts import parse_edge


def ratio(total: list[Sample], bad: list[Sample]) -> dict[str, list[Sample]]:
    return {"total": total, "bad": bad}


def started(total: float = 1000, bad: float = 10) -> RatioArm:
    arm = RatioArm(bad_absent_is_zero=False)
    assert arm.take(ratio([sample(total, pod="a")], [sample(bad, pod="a")]), starting=True) == ""
    return arm


def test_series_that_are_there_at_the_start_count_from_their_value_there() -> None:
    arm = started()
    assert arm.total == ArmCounts(0, 0)
    assert arm.take(ratio([sample(1112, pod="a")], [sample(47, pod="a")]), starting=False) == ""
    assert arm.total == ArmCounts(112, 37)


def test_a_series_that_appears_later_counts_from_zero() -> None:
    arm = started()
    arm.take(
        ratio([sample(1000, pod="a"), sample(7, pod="b")], [sample(10, pod="a"), sample(2, pod="b")]), starting=False
    )
    assert arm.total == ArmCounts(7, 2)


def test_a_counter_that_goes_down_was_restarted_and_its_new_value_counts() -> None:
    arm = started()
    arm.take(ratio([sample(30, pod="a")], [sample(1, pod="a")]), starting=False)
    assert arm.total == ArmCounts(30, 1)


def test_a_counter_that_goes_down_a_little_was_scraped_earlier_by_another_prometheus() -> None:
    arm = started()
    for total, bad in [(1040, 14), (1020, 13), (1060, 13), (1055, 15), (1070, 16)]:
        arm.take(ratio([sample(total, pod="a")], [sample(bad, pod="a")]), starting=False)
    assert arm.total == ArmCounts(70, 6)
    arm.take(ratio([sample(500, pod="a")], [sample(7, pod="a")]), starting=False)
    assert arm.total == ArmCounts(70 + 500, 6 + 7), "half of it is gone: that was a restart"


def test_an_older_scrape_at_the_starting_point_leaves_what_was_known_already() -> None:
    arm = started()
    arm.take(ratio([sample(980, pod="a")], [sample(9, pod="a")]), starting=True)
    arm.take(ratio([sample(1010, pod="a")], [sample(11, pod="a")]), starting=False)
    assert arm.total == ArmCounts(10, 1)


def test_a_series_that_vanishes_and_comes_back_loses_nothing() -> None:
    arm = started()
    other = [sample(5, pod="b")]
    arm.take(ratio(other, [sample(0, pod="b")]), starting=False)
    assert arm.total == ArmCounts(5, 0)
    arm.take(ratio([*other, sample(1040, pod="a")], [sample(0, pod="b"), sample(12, pod="a")]), starting=False)
    assert arm.total == ArmCounts(45, 2)


def test_a_series_that_comes_back_lower_was_restarted_meanwhile() -> None:
    arm = started()
    arm.take(ratio([], []), starting=False)
    arm.take(ratio([sample(8, pod="a")], [sample(3, pod="a")]), starting=False)
    assert arm.total == ArmCounts(8, 3)


def test_an_arm_without_any_of_its_series_has_vanished_only_if_it_had_some() -> None:
    never = RatioArm(bad_absent_is_zero=True)
    assert never.take(ratio([], []), starting=False) == ""
    assert not never.vanished
    once = started()
    once.take(ratio([], []), starting=False)
    assert once.vanished
    once.take(ratio([sample(1000, pod="a")], [sample(10, pod="a")]), starting=False)
    assert not once.vanished


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 1e300])
def test_a_value_that_no_counter_can_have_is_named_and_counted_by_nobody(value: float) -> None:
    arm = started()
    fault = arm.take(ratio([sample(value, pod="a")], [sample(10, pod="a")]), starting=False)
    assert 'pod="a"' in fault
    assert "no counter of answers" in fault
    assert arm.total == ArmCounts(0, 0)
    assert arm.take(ratio([sample(1100, pod="a")], [sample(11, pod="a")]), starting=False) == ""
    assert arm.total == ArmCounts(100, 1)


def test_a_value_missing_at_the_start_is_not_counted_as_a_whole_life_later() -> None:
    arm = RatioArm(bad_absent_is_zero=True)
    assert arm.take(ratio([sample(math.nan, pod="a")], []), starting=True)
    arm.take(ratio([sample(90_000, pod="a")], []), starting=False)
    assert arm.total.n == 0
    arm.take(ratio([sample(90_005, pod="a")], []), starting=False)
    assert arm.total.n == 5


def test_a_series_that_comes_twice_is_named_and_ignored() -> None:
    arm = started()
    twice = [sample(1001, pod="a"), sample(1002, pod="a"), sample(3, pod="b")]
    assert "more than once" in arm.take(ratio(twice, [sample(10, pod="a")]), starting=False)
    assert arm.total == ArmCounts(3, 0)


def test_no_counter_of_bad_answers_means_none_only_where_the_check_says_so() -> None:
    lenient, strict = RatioArm(bad_absent_is_zero=True), RatioArm(bad_absent_is_zero=False)
    answers = ratio([sample(10, pod="a")], [])
    assert lenient.take(answers, starting=False) == ""
    assert lenient.total == ArmCounts(10, 0)
    assert "bad ones are missing" in strict.take(answers, starting=False)


def test_envoys_counter_of_failures_counts_from_the_first_failure() -> None:
    arm = RatioArm(bad_absent_is_zero=True)
    arm.take(ratio([sample(500, cluster="green")], []), starting=True)
    arm.take(ratio([sample(520, cluster="green")], [sample(3, cluster="green")]), starting=False)
    assert arm.total == ArmCounts(20, 3)


@pytest.mark.parametrize("spelt", ["2", "2.0", "2.000", "2e0"])
def test_an_edge_is_the_same_however_it_is_spelt(spelt: str) -> None:
    arm = HistogramArm(edge=2.0)
    assert arm.take({"buckets": histogram(100, 99, edge=spelt, pod="a")}, starting=True) == ""
    arm.take({"buckets": histogram(212, 174, edge=spelt, pod="a")}, starting=False)
    assert arm.total == ArmCounts(112, 37)


def test_answers_above_the_limit_are_all_minus_those_within() -> None:
    arm = HistogramArm(edge=2.0)
    arm.take({"buckets": [*histogram(10, 9, pod="a"), *histogram(50, 50, pod="b")]}, starting=True)
    arm.take({"buckets": [*histogram(20, 12, pod="a"), *histogram(60, 59, pod="b")]}, starting=False)
    assert arm.total == ArmCounts(20, 8)


def test_a_restarted_server_is_restarted_in_all_its_buckets() -> None:
    arm = HistogramArm(edge=2.0)
    arm.take({"buckets": histogram(100, 3, pod="a")}, starting=True)
    # 5 answers since the restart, all fast: the bucket alone would look as if it had grown by 2.
    arm.take({"buckets": histogram(5, 5, pod="a")}, starting=False)
    assert arm.total == ArmCounts(5, 0)


def test_a_limit_that_is_no_edge_names_its_neighbours() -> None:
    arm = HistogramArm(edge=2.0)
    buckets = [sample(1, le=edge) for edge in ("1.6", "2.5", "+Inf")]
    fault = arm.take({"buckets": buckets}, starting=False)
    assert fault == "the histogram has no bucket edge at 2 s: the nearest edges are 1.6 s and 2.5 s"
    assert arm.total == ArmCounts(0, 0)
    assert "nearest edges are 1.6" in str(UnknownEdgeError(2.0, [1.0, 1.6, math.inf]))
    assert "no finite edge" in str(UnknownEdgeError(2.0, [math.inf]))


@pytest.mark.parametrize(
    ("buckets", "said"),
    [
        ([sample(1, le="2")], '"+Inf"'),
        ([sample(1, le="two"), sample(1, le="+Inf")], "no bucket edge in its label le"),
        ([sample(1, pod="a")], "no bucket edge in its label le"),
        ([sample(1, le="2"), sample(1, le="2.0"), sample(1, le="+Inf")], "edge 2 twice"),
        ([sample(math.nan, le="2"), sample(1, le="+Inf")], "no counter of answers"),
    ],
)
def test_a_broken_histogram_is_named_and_counted_by_nobody(buckets: list[Sample], said: str) -> None:
    arm = HistogramArm(edge=2.0)
    assert said in arm.take({"buckets": buckets}, starting=False)
    assert arm.total == ArmCounts(0, 0)


def test_one_broken_histogram_does_not_stop_the_others_from_being_counted() -> None:
    arm = HistogramArm(edge=2.0)
    arm.take({"buckets": [*histogram(10, 9, pod="a"), sample(4, le="2", pod="b")]}, starting=False)
    assert arm.total == ArmCounts(10, 1)


def test_a_scrape_between_two_increments_of_one_answer_never_lowers_the_count_of_bad_ones() -> None:
    arm = HistogramArm(edge=2.0)
    arm.take({"buckets": histogram(10, 9)}, starting=False)
    arm.take({"buckets": histogram(11, 11)}, starting=False)
    assert arm.total == ArmCounts(11, 1)


def test_edges_are_numbers_in_order() -> None:
    assert edges_of([sample(1, le="+Inf"), sample(1, le="10.0"), sample(1, le="2")]) == {(): [2.0, 10.0]}
    assert parse_edge("+Inf") == math.inf
    with pytest.raises(ValueError, match="not a bucket edge"):
        parse_edge("NaN")


def whole(cumulative: dict[str, float], **labels: str) -> list[Sample]:
    return [sample(count, le=edge, **labels) for edge, count in cumulative.items()]


def test_one_answer_of_prometheus_carries_every_edge_of_the_histogram() -> None:
    arm = HistogramArm(edge=2.0, others=None)
    arm.take({"buckets": whole({"1": 50, "2": 90, "4.0": 99, "+Inf": 100}, pod="a")}, starting=True)
    assert arm.before == EdgeCounts(100, {1.0: 50, 2.0: 10, 4.0: 1})
    assert arm.edges == EdgeCounts(0, {1.0: 0, 2.0: 0, 4.0: 0})
    buckets = whole({"1": 54, "2": 96, "4.0": 108, "+Inf": 110}, pod="a") + whole({"1": 1, "2": 2, "4": 3, "+Inf": 4})
    arm.take({"buckets": buckets}, starting=False)
    assert arm.edges == EdgeCounts(14, {1.0: 9, 2.0: 6, 4.0: 2})
    assert list(arm.edges.above) == [1.0, 2.0, 4.0]
    assert arm.total == ArmCounts(14, 6)
    assert arm.before.n == 100


def test_a_ladder_takes_the_edges_it_names_as_far_as_the_histogram_has_them() -> None:
    arm = HistogramArm(edge=2.0, others=(1.0, 3.0))
    arm.take({"buckets": whole({"0.5": 1, "1": 2, "2": 3, "+Inf": 4})}, starting=False)
    assert arm.edges == EdgeCounts(4, {1.0: 2, 2.0: 1})


def test_an_edge_that_a_new_pod_does_not_have_is_counted_no_more_and_the_others_go_on() -> None:
    arm = HistogramArm(edge=2.0, others=None)
    arm.take({"buckets": whole({"1": 5, "2": 8, "+Inf": 10}, pod="a")}, starting=False)
    buckets = whole({"1": 5, "2": 8, "+Inf": 12}, pod="a") + whole({"2": 3, "4": 3, "+Inf": 3}, pod="b")
    arm.take({"buckets": buckets}, starting=False)
    assert arm.edges == EdgeCounts(15, {2.0: 4})
    arm.take({"buckets": buckets}, starting=False)
    assert arm.edges == EdgeCounts(15, {2.0: 4})


def test_a_histogram_is_older_as_a_whole_or_not_at_all() -> None:
    arm = HistogramArm(edge=2.0, others=None)
    arm.take({"buckets": whole({"1": 100, "2": 190, "+Inf": 200})}, starting=True)
    arm.take({"buckets": whole({"1": 90, "2": 190, "+Inf": 195})}, starting=False)
    assert arm.edges == EdgeCounts(0, {1.0: 0, 2.0: 0})
    arm.take({"buckets": whole({"1": 101, "2": 195, "+Inf": 206})}, starting=False)
    assert arm.edges == EdgeCounts(6, {1.0: 5, 2.0: 1})


def test_a_restart_that_only_one_edge_shows_is_one_of_the_whole_histogram() -> None:
    arm = HistogramArm(edge=2.0, others=None)
    arm.take({"buckets": whole({"1": 9, "2": 9, "+Inf": 9})}, starting=True)
    arm.take({"buckets": whole({"1": 2, "2": 9, "+Inf": 12})}, starting=False)
    assert arm.edges == EdgeCounts(12, {1.0: 10, 2.0: 3})
