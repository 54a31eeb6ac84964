"""Native histograms: exact on a boundary and between filled buckets, refused inside one."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailramp.evidence import ArmCounts, Sample
from tailramp.evidence.arms import HistogramArm
from tailramp.evidence.native import EDGES, at_edges, buckets_of

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
    assert at_edges(cumulative(FIRST), [edge]).get(edge) == count


def one_by_one(cumulative: dict[float, float], edge: float) -> float | None:
    """What is counted at an edge, by looking at every boundary."""
    for known in sorted(cumulative):
        if math.isclose(known, edge, rel_tol=1e-9):
            return cumulative[known]
    left = max((known for known in cumulative if known < edge), default=-math.inf)
    right = min((known for known in cumulative if known > edge), default=math.inf)
    below = cumulative.get(left, 0.0)
    return below if cumulative.get(right, 0.0) == below or right == math.inf else None


BOUNDARIES = st.one_of(
    st.sampled_from([*EDGES, -0.001, 0.0, 0.001, *(edge * (1 + 3e-16) for edge in EDGES)]),
    st.floats(min_value=-10, max_value=1e5, allow_nan=False),
)


@given(st.dictionaries(BOUNDARIES, st.integers(0, 3), max_size=40), st.lists(BOUNDARIES, max_size=20))
def test_edges_are_found_as_by_looking_at_every_boundary(filled: dict[float, int], edges: list[float]) -> None:
    counts, below = dict[float, float](), 0.0
    for boundary in sorted(filled):
        below += filled[boundary]
        counts[boundary] = below
    counts[math.inf] = below + 1
    asked = [*edges, *counts][:-1]
    expected = {edge: count for edge in asked if (count := one_by_one(counts, edge)) is not None}
    assert at_edges(counts, asked) == {**expected, math.inf: below + 1}


def test_edges_of_a_fine_histogram_are_found_in_no_time() -> None:
    """At every tick, of every server, on the loop that a watch shares."""
    counts = {1.0001**number: float(number) for number in range(100_000)} | {math.inf: 1e6}
    began = time.process_time()
    found = at_edges(counts, EDGES)
    assert time.process_time() - began < 0.2
    assert found[math.inf] == 1e6


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
