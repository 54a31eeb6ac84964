"""What is known of the ticks to come changes nothing but the time that they take."""

import json
import math

import numpy as np
import pytest
from evidence_samples import ANCHOR, RULE
from hypothesis import given
from hypothesis import strategies as st

from tailramp.evidence import ArmCounts, Check, CheckTick, EdgeCounts, gateway_errors, latency
from tailramp.evidence.judge import JudgeName
from tailramp.evidence.sequential.dispersion import Noise
from tailramp.evidence.sequential.dossier import Dossier
from tailramp.evidence.sequential.grids import Array
from tailramp.evidence.sequential.process import EvidenceProcess
from tailramp.evidence.sequential.rule import FAILURES, TIMES, SequentialRule, UsualNoise
from tailramp.evidence.sequential.user_sets import UserSets

FIVE, TEN = UserSets.of_share(5), UserSets.of_share(10)
EDGES = (0.5, 1.0, 2.0)

usual = st.tuples(st.integers(1, 90), st.integers(0, 1), st.integers(100, 900), st.integers(0, 9))
anything = st.tuples(*[st.sampled_from([0, 3, 90, math.nan, math.inf, -1, 1e300])] * 4)
window = st.one_of(usual, usual, usual, anything).map(lambda drawn: np.array(drawn, dtype=float))
windows = st.lists(st.tuples(window, window).map(lambda rows: np.stack(rows, axis=1)), min_size=1, max_size=60)


def process() -> EvidenceProcess:
    return EvidenceProcess(Noise.of([0.1, 0.3], [1.0, 3.0], 0.1), FIVE)


@given(windows, st.sampled_from([5.0, 60.0, 400.0]), st.integers(1, 20), st.integers(0, 60), st.integers(0, 60))
def test_windows_that_were_foreseen_are_observed_as_those_that_were_not(
    counts: list[Array], seconds: float, at_once: int, moved: int, renewed: int
) -> None:
    plain, foreseeing = process(), process()
    for place, one in enumerate(counts):
        for each in (plain, foreseeing):
            if place == moved:
                each.move(TEN)
            if place == renewed:
                each.renew()
        if not foreseeing.foresees(one):
            ahead = counts[place : place + at_once]
            foreseeing.foresee(ahead, [seconds] * len(ahead))
        assert (plain.observe(one, seconds) == foreseeing.observe(one, seconds)).all()
    assert json.dumps(plain.checkpoint()) == json.dumps(foreseeing.checkpoint())


def test_another_window_than_the_one_that_was_foreseen_is_observed_for_what_it_is() -> None:
    plain, foreseeing = process(), process()
    bad, good = (np.array([[40.0, 40.0], [x, x], [900.0, 900.0], [9.0, 9.0]]) for x in (30.0, 0.0))
    foreseeing.foresee([good, good], [5.0, 5.0])
    assert foreseeing.foresees(good)
    assert not foreseeing.foresees(bad)
    assert (plain.observe(bad, 5.0) == foreseeing.observe(bad, 5.0)).all()
    assert not foreseeing.foresees(good)


def test_what_is_foreseen_ends_with_the_five_minutes_of_its_tempering() -> None:
    foreseeing = process()
    one = np.array([[40.0, 40.0], [1.0, 1.0], [900.0, 900.0], [9.0, 9.0]])
    foreseeing.foresee([one] * 50, [15.0] * 50)
    for _ in range(20):
        assert foreseeing.foresees(one)
        foreseeing.observe(one, 15.0)
    assert not foreseeing.foresees(one)


def rule(noise: UsualNoise) -> SequentialRule:
    return SequentialRule(alpha=0.01, tau=noise.tau, phi0=noise.phi0, sigma0=noise.sigma0)


ERRORS = gateway_errors(rule=RULE).model_copy(update={"judges": (JudgeName.SEQUENTIAL,), "sequential": rule(FAILURES)})
LATENCY = latency(rule=RULE).model_copy(
    update={"judges": (JudgeName.SEQUENTIAL,), "sequential": rule(TIMES), "ladder": EDGES}
)


@st.composite
def ticks(draw: st.DrawFn) -> list[CheckTick]:
    """Two sides of a histogram; a tick may miss an edge, or have no answers."""
    found = []
    before = EdgeCounts(5000.0, {0.5: 2500.0, 1.0: 500.0, 2.0: 40.0})
    for index in range(draw(st.integers(1, 50))):
        sides = []
        for most in (60, 900):
            n = draw(st.integers(0, most))
            above = sorted((draw(st.integers(0, n)) for _ in EDGES), reverse=True)
            known = EDGES if draw(st.integers(0, 9)) else EDGES[1:]
            of_edges = {edge: float(many) for edge, many in zip(EDGES, above, strict=True) if edge in known}
            sides.append((ArmCounts(float(n), float(above[-1])), EdgeCounts(float(n), of_edges)))
        (own, own_edges), (other, other_edges) = sides
        found.append(CheckTick(index, ANCHOR + 30 * index, own, other, "", own_edges, other_edges, before))
    return found


@pytest.mark.parametrize("check", [ERRORS, LATENCY], ids=lambda check: check.name)
@given(ticks(), st.integers(0, 50), st.integers(0, 50))
def test_a_dossier_that_knows_the_ticks_to_come_says_what_one_says_that_does_not(
    check: Check, shown: list[CheckTick], moved: int, forgets: int
) -> None:
    def begun() -> Dossier:
        dossier = check.dossier(ANCHOR - 86_400 + 450)  # a day is over within the ticks
        dossier.begin(FIVE, ANCHOR)
        return dossier

    plain, knowing = begun(), begun()
    knowing.foresee(shown)
    for place, tick in enumerate(shown):
        if place == moved:
            for each in (plain, knowing):
                each.begin(TEN, tick.at)
        if place == forgets:
            knowing.foresee(shown[place + 1 :])  # not of this one: it is taken for what it is
        plain.take(tick)
        knowing.take(tick)
        assert (plain.evidence, plain.breaks_limit) == (knowing.evidence, knowing.breaks_limit)
    assert (plain.finding(), plain.risks()) == (knowing.finding(), knowing.risks())
