"""Native histograms: exact on a boundary and between filled buckets, refused inside one."""

import math

import pytest

from tailramp.evidence import ArmCounts, Sample
from tailramp.evidence.counts import HistogramArm
from tailramp.evidence.native import at_edges, buckets_of, count_at

LABELS = (("__name__", "llm_inference_duration_seconds"), ("instance", "a"))

# As Prometheus answers: resolution 1, boundaries at powers of the root of two; the zero bucket is closed on both sides.
ROOT = 2**0.5


def answer(*buckets: tuple[int, float, float, float]) -> dict[str, object]:
    filled = [[rule, repr(left), repr(right), repr(count)] for rule, left, right, count in buckets]
    return {"count": repr(sum(bucket[3] for bucket in buckets)), "sum": "1", "buckets": filled}


FIRST = answer((3, -0.001, 0.001, 1.0), (0, 0.5, 0.5 * ROOT, 10.0), (0, ROOT, 2.0, 4.0), (0, 2.0, 2 * ROOT, 2.0))


def cumulative(histogram: dict[str, object]) -> dict[float, float]:
    return {float(dict(sample.labels)["le"]): sample.value for sample in buckets_of(LABELS, histogram)}


def test_it_reads_as_classic_buckets_of_the_same_name() -> None:
    samples = list(buckets_of(LABELS, FIRST))
    assert {dict(sample.labels)["__name__"] for sample in samples} == {"llm_inference_duration_seconds_bucket"}
    assert cumulative(FIRST)[2.0] == 15.0
    assert cumulative(FIRST)[math.inf] == 17.0


@pytest.mark.parametrize(
    ("edge", "count"),
    [
        (2.0, 15.0),
        (1.0, 11.0),
        (0.25, 1.0),
        (ROOT, 11.0),
        (1.6, None),
        (0.6, None),
        (4.0, 17.0),
        (100.0, 17.0),
        (-1, 0.0),
    ],
)
def test_counts_are_exact_on_a_boundary_and_between_filled_buckets(edge: float, count: float | None) -> None:
    assert count_at(cumulative(FIRST), edge) == count


def test_nothing_filled_is_nothing_above_any_edge() -> None:
    assert at_edges(cumulative({"count": "0", "sum": "0"}), [0.5, 2.0]) == {0.5: 0.0, 2.0: 0.0, math.inf: 0.0}


def test_an_arm_counts_what_lies_above_the_limit_between_two_readings() -> None:
    arm = HistogramArm(edge=2.0, others=None, native=True)
    later = answer((0, 0.25, 0.5, 5.0), (0, 0.5, 0.5 * ROOT, 20.0), (0, ROOT, 2.0, 6.0), (0, 2.0, 2 * ROOT, 9.0))
    for histogram, starting in ((FIRST, True), (later, False)):
        assert arm.take({"buckets": list(buckets_of(LABELS, histogram))}, starting=starting) == ""
    assert arm.total == ArmCounts(40.0, 9.0)  # the zero bucket is gone: it was restarted
    assert arm.edges.above[1.0] == 15.0
    assert arm.before.n == 17.0


def test_an_arm_says_why_it_cannot_count_inside_a_bucket() -> None:
    arm = HistogramArm(edge=1.6, native=True)
    fault = arm.take({"buckets": list(buckets_of(LABELS, FIRST))}, starting=True)
    assert fault == ("the native histogram has no bucket boundary at 1.6 s: one bucket reaches from 1.414 to 2 s")


def test_a_boundary_that_was_computed_is_the_one_that_is_meant() -> None:
    samples = [Sample((("le", repr(1.6000000000000005)),), 3.0), Sample((("le", "+Inf"),), 4.0)]
    arm = HistogramArm(edge=1.6, native=True)
    assert arm.take({"buckets": samples}, starting=True) == ""
