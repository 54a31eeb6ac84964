"""What is remembered of the series of the last answer changes nothing: the same counts, in whatever order they come."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tailramp.evidence import Sample
from tailramp.evidence.arms import HistogramArm, RatioArm

PODS = ("a", "b", "c")
EDGES = ("0.5", "1", "2", "+Inf")

values = st.one_of(st.integers(0, 50), st.sampled_from([math.nan, -1.0, 1e300]))
pods = st.lists(st.sampled_from(PODS), max_size=4)


def series(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


@st.composite
def ratio_answers(draw: st.DrawFn) -> list[dict[str, list[Sample]]]:
    """Pods that come, go, come twice and restart; mostly they stay."""
    living = draw(pods)
    ticks = []
    for _ in range(draw(st.integers(1, 8))):
        living = draw(st.one_of(st.just(living), st.just(living), pods))
        ticks.append(
            {part: [Sample(series(pod=pod), float(draw(values))) for pod in living] for part in ("total", "bad")}
        )
    return ticks


@st.composite
def histogram_answers(draw: st.DrawFn) -> list[dict[str, list[Sample]]]:
    living = draw(pods)
    edges = EDGES
    ticks = []
    for _ in range(draw(st.integers(1, 8))):
        living = draw(st.one_of(st.just(living), st.just(living), pods))
        edges = draw(st.sampled_from([edges, edges, EDGES, EDGES[1:], EDGES[:3], (*EDGES, "nothing")]))
        samples = [Sample(series(pod=pod, le=edge), float(draw(values))) for pod in living for edge in edges]
        ticks.append({"buckets": samples})
    return ticks


def told_of(arm: RatioArm | HistogramArm, ticks: Sequence[dict[str, list[Sample]]], *, turned: bool) -> list[object]:
    """What the arm says after each tick; series whose order is turned around at every other one look new to it."""
    told = []
    for number, answers in enumerate(ticks):
        shown = {part: samples[::-1] if turned and number % 2 else samples for part, samples in answers.items()}
        faulty = bool(arm.take(shown, starting=number == 0))
        told.append((faulty, arm.total, arm.vanished, arm.edges, arm.before))
    return told


@given(ratio_answers())
def test_counters_add_up_to_the_same_in_any_order(ticks: list[dict[str, list[Sample]]]) -> None:
    kept, anew = (RatioArm(bad_absent_is_zero=True) for _ in range(2))
    assert told_of(kept, ticks, turned=False) == told_of(anew, ticks, turned=True)


@given(histogram_answers())
def test_buckets_add_up_to_the_same_in_any_order(ticks: list[dict[str, list[Sample]]]) -> None:
    kept, anew = (HistogramArm(edge=1.0, others=(0.5, 2.0)) for _ in range(2))
    assert told_of(kept, ticks, turned=False) == told_of(anew, ticks, turned=True)
