"""What is learnt of the users before a ramp: no evidence comes of it, it is fair, and it is worth having."""

import json
import math

import numpy as np
import pytest
from evidence_samples import ANCHOR

from tailramp.evidence import ArmCounts, CheckTick, EdgeCounts
from tailramp.evidence.kept import Kept, TimeBefore
from tailramp.evidence.sequential.dispersion import Noise
from tailramp.evidence.sequential.dossier import Dossier, teach
from tailramp.evidence.sequential.grids import USER
from tailramp.evidence.sequential.process import EvidenceProcess
from tailramp.evidence.sequential.ratios import ratios
from tailramp.evidence.sequential.rule import FAILURES, TIMES, SequentialRule
from tailramp.evidence.sequential.time_before import LEAST_BAD, learnt_law
from tailramp.evidence.sequential.user_sets import UserSets, faded, prior

ONE, FIVE = UserSets.of_share(1), UserSets.of_share(5)
TAU = 0.3
NOISE = Noise.of(TAU, 1.0, 0.1)


def day(effect: float, *, seed: int = 1, windows: int = 288, rate: float = 0.01, runs: int = 1) -> np.ndarray:
    """Windows of five minutes at 100 answers/s with 1 % of the users, whose rate is exp(effect) times the others'."""
    random = np.random.default_rng(seed)
    n_c, n_b = random.poisson(300, (windows, runs)), random.poisson(29_700, (windows, runs))
    x_c, x_b = random.poisson(n_c * rate * np.exp(effect)), random.poisson(n_b * rate)
    return np.stack([n_c, x_c, n_b, x_b], axis=1).astype(float)


def knowing(effect: float, carry: float = 0.9, days: int = 0) -> EvidenceProcess:
    process = EvidenceProcess(NOISE, ONE)
    process.expect(*learnt_law(NOISE, ONE, day(effect), 300.0), ONE, carry, days=days)
    return process


@pytest.mark.parametrize("effect", [-0.5, 0.0, 0.4])
def test_the_users_own_difference_is_learnt_and_is_no_evidence(effect: float) -> None:
    law, learnt = learnt_law(NOISE, ONE, day(effect), 300.0)
    assert learnt.all()
    assert law.sum() == pytest.approx(1.0)
    assert law[0] @ USER == pytest.approx(effect, abs=0.1)
    process = knowing(effect)
    assert process.evidence.tolist() == [1.0]
    assert process.eta.tolist() == EvidenceProcess(NOISE, ONE).eta.tolist()
    assert process.centre[0] == pytest.approx(0.9 * (law[0] @ USER), abs=0.02)
    assert 0.4 * TAU < process.spread[0] < 0.6 * TAU


def test_of_nothing_that_is_carried_over_nothing_changes_to_the_last_bit() -> None:
    plain, forgetful = EvidenceProcess(NOISE, ONE), knowing(0.4, carry=0.0)
    for counts in day(0.2, seed=2, windows=40):
        assert plain.observe(counts, 300.0).tolist() == forgetful.observe(counts, 300.0).tolist()
    plain.move(FIVE)
    forgetful.move(FIVE)
    plain.renew()
    forgetful.renew()
    assert plain.checkpoint() == forgetful.checkpoint()


def test_of_each_row_is_kept_what_stays_of_it() -> None:
    noise = Noise.of([TAU] * 3, 1.0, 0.1)
    windows = np.repeat(day(0.4), 3, axis=2)
    law, learnt = learnt_law(noise, ONE, windows, 300.0)
    process = EvidenceProcess(noise, ONE)
    process.expect(law, learnt, ONE, [0.9, 0.5, 0.0])
    assert process.adjusted.tolist() == [True, True, False]
    assert process.centre[:2] == pytest.approx([0.9 * (law[0] @ USER), 0.5 * (law[0] @ USER)], abs=0.03)
    assert process.centre[2] == 0.0
    spread = process.spread / TAU
    assert spread[0] < spread[1] < spread[2] == pytest.approx(1.0, abs=0.01)
    process.renew()
    assert process.centre[:2] == pytest.approx([0.81 * (law[0] @ USER), 0.25 * (law[0] @ USER)], abs=0.03)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("share", [1.0, 5.0])
def test_it_is_a_martingale_whoever_the_users_were(share: float) -> None:
    """The mean over 10,000 runs stays at 1 where users keep what `carry` says, a larger share included."""
    runs, carry, sets, random = 10_000, 0.9, UserSets.of_share(share), np.random.default_rng(5)
    noise = Noise.of(np.full(runs, TAU), 0.0, 0.0)
    spread = TAU * math.sqrt(sets.variance)
    yesterday = random.normal(0.0, spread, runs)
    today = carry * yesterday + random.normal(0.0, spread * math.sqrt(1 - carry**2), runs)
    n_c, n_b = np.full(runs, 3000.0 * share), np.full(runs, 3000.0 * (100 - share))
    earlier = np.stack(
        [
            np.stack([n_c, random.poisson(n_c * 0.0001 * np.exp(yesterday)), n_b, random.poisson(n_b * 0.0001)])
            for _ in range(24)
        ]
    ).astype(float)
    process = EvidenceProcess(noise, sets)
    law, learnt = learnt_law(noise, sets, earlier, 300.0)
    assert learnt.all()
    process.expect(law, learnt, sets, carry)
    ten = UserSets.of_share(10)
    slope, variance = sets.passage_to(ten)
    later = random.normal(slope * today, TAU * math.sqrt(variance))
    ever = np.zeros(runs, dtype=bool)
    for tick in range(16):
        if tick == 8:
            process.move(ten)
        part, effect = (share / 100, today) if tick < 8 else (0.10, later)
        n_c, n_b = np.full(runs, 1000 * part), np.full(runs, 1000 * (1 - part))
        x_c = random.poisson(n_c * 0.001 * 1.10 * np.exp(np.clip(effect, -1.2, 1.2)))
        evidence = process.observe(np.stack([n_c, x_c, n_b, random.poisson(n_b * 0.001)]), 60.0)
        ever |= evidence >= 100
        if tick in {3, 7, 11, 15}:
            error = float(np.std(evidence) / math.sqrt(runs))
            assert float(np.mean(evidence)) - 1.0 < 4 * error + 0.002
    assert float(np.mean(ever)) <= 0.01


def test_a_regression_at_one_percent_that_users_may_explain_is_found_once_they_are_known() -> None:
    plain, known = EvidenceProcess(NOISE, ONE), knowing(0.0)
    counts = day(math.log(2.2), seed=3, windows=24)
    told = [(plain.observe(window, 300.0)[0], known.observe(window, 300.0)[0]) for window in counts]
    assert max(without for without, _ in told) < 100 < told[-1][1]


def test_users_who_always_had_more_bad_answers_are_not_blamed_on_the_candidate() -> None:
    known, wrongly = knowing(0.5), EvidenceProcess(Noise.of(0.0, 1.0, 0.1), ONE)
    for window in day(0.5, seed=4):
        known.observe(window, 300.0)
        wrongly.observe(window, 300.0)
    assert known.evidence[0] < 5
    assert wrongly.evidence[0] > 100


def test_what_was_learnt_fades_by_the_day_and_stays_over_renewals_and_moves() -> None:
    process = knowing(0.5)
    first = process.centre[0], process.spread[0]
    process.renew()
    second = process.centre[0], process.spread[0]
    assert process.evidence.tolist() == [1.0]
    assert second[0] == pytest.approx(0.9 * first[0], abs=0.01)
    assert first[1] < second[1] < TAU * math.sqrt(ONE.variance)
    later = knowing(0.5, days=1)
    assert (later.centre[0], later.spread[0]) == pytest.approx(second, abs=2e-3)
    process.move(FIVE)
    slope, _ = ONE.passage_to(FIVE)
    assert process.centre[0] == pytest.approx(slope * second[0], abs=0.01)
    assert process.spread[0] < TAU * math.sqrt(FIVE.variance)


def test_fading_keeps_the_spread_over_all_users() -> None:
    assert faded(ONE, TAU, 0.7) @ prior(ONE, TAU) == pytest.approx(prior(ONE, TAU), abs=2e-3)


@pytest.mark.parametrize(
    ("windows", "rate"), [(23, 0.01), (288, 0.0)], ids=["less than two hours", "no bad answers at all"]
)
def test_of_too_little_nothing_is_learnt(windows: int, rate: float) -> None:
    law, learnt = learnt_law(NOISE, ONE, day(0.5, windows=windows, rate=rate), 300.0)
    assert not learnt.any()
    assert law[0].tolist() == prior(ONE, TAU).tolist()
    assert LEAST_BAD > 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e300])
def test_no_count_upsets_what_is_learnt(value: float) -> None:
    windows = day(0.3)
    for row in range(4):
        windows[row * 10, row, 0] = value
    law, learnt = learnt_law(NOISE, ONE, windows, 300.0)
    assert learnt.all()
    assert np.isfinite(law).all()
    assert law[0] @ USER == pytest.approx(0.3, abs=0.15)


def test_users_known_to_be_better_hide_a_regression_and_those_known_to_be_worse_excuse_none() -> None:
    log_ratios, told = EvidenceProcess(NOISE, ONE).ratio_support
    told = -0.5 * ((log_ratios - 0.0) / 0.05) ** 2 + np.zeros_like(told)
    spread = np.array([0.1])
    better, unknown, worse = (ratios(log_ratios, told, spread, np.array([at])).upper[0] for at in (-0.4, 0.0, 0.4))
    assert better == pytest.approx(unknown * math.exp(0.4))
    assert worse == unknown == ratios(log_ratios, told, spread).upper[0]


def test_a_checkpoint_keeps_what_was_learnt() -> None:
    straight, again = knowing(0.4), EvidenceProcess(NOISE, ONE)
    again.restore(json.loads(json.dumps(straight.checkpoint())))
    for process in (straight, again):
        process.move(FIVE)
        process.renew()
    assert straight.checkpoint() == again.checkpoint()


def dossier(carry: float | None = 0.9, *, edge: float | None = None) -> Dossier:
    noise = FAILURES.cautious if edge is None else TIMES.cautious
    carries = None if carry is None else (carry,)
    rule = SequentialRule(alpha=0.01, carry=carries, tau=noise.tau, phi0=noise.phi0, sigma0=noise.sigma0)
    return Dossier(rule, limit=0.05, limit_edge=edge, since=ANCHOR)


def kept(effect: float) -> Kept:
    return Kept(rows=tuple(tuple(map(float, window[:, 0])) for window in day(effect)))


def earlier(effect: float) -> TimeBefore:
    return TimeBefore(
        start=ANCHOR - 300 * 289, window=300, shares={"green": (1.0, 99.0)}, kept={"green": {"errors": kept(effect)}}
    )


def test_a_dossier_says_whether_it_knows_the_users() -> None:
    taught, untaught, unasked = dossier(), dossier(), dossier(carry=None)
    teach({("green", "errors"): taught, ("green", "toxicity"): untaught}, earlier(0.3))
    teach({("green", "errors"): unasked}, earlier(0.3))
    assert taught.knows_users
    assert not untaught.knows_users
    for one in (taught, untaught, unasked):
        assert one.adjusted is None
        one.begin(ONE, ANCHOR)
        one.take(CheckTick(1, ANCHOR + 15, ArmCounts(10, 0), ArmCounts(990, 5)))
    assert [one.adjusted for one in (taught, untaught, unasked)] == [True, False, None]


def test_a_rule_of_an_older_record_carries_the_same_at_every_rung() -> None:
    own = dossier(edge=2.0).rule
    older = SequentialRule.model_validate_json(own.model_dump_json().replace('"carry":[0.9]', '"carry":0.9'))
    assert older == own
    assert [older.carry_of(rung) for rung in (0, 5)] == [0.9, 0.9]
    by_rung = own.model_copy(update={"carry": (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)})
    assert [by_rung.carry_of(rung) for rung in (0, 2, 5)] == [0.9, 0.7, 0.4]


def test_a_dossier_that_is_rebuilt_at_a_later_step_knows_the_same_users() -> None:
    sizes = []
    for steps in ([(ONE, ANCHOR), (FIVE, ANCHOR + 60)], [(FIVE, ANCHOR + 60)]):
        one = dossier()
        teach({("green", "errors"): one}, earlier(0.4))
        for sets, at in steps:
            one.begin(sets, at)
            one.take(CheckTick(1, at + 15, ArmCounts(0, 0), ArmCounts(0, 0)))
        process = one._process  # what it believes of the users is told nowhere else
        assert process is not None
        sizes.append((process.centre[0], process.spread[0]))
    assert sizes[0] == pytest.approx(sizes[1], abs=2e-3)


def test_edges_are_compared_whatever_the_limit_was_when_they_were_counted() -> None:
    edges = (1.0, 2.0)
    rows = tuple((n_c, x_c, n_b, x_b, 3 * x_c, x_c, 3 * x_b, x_b) for n_c, x_c, n_b, x_b in day(0.4)[:, :, 0].tolist())
    before = EdgeCounts(100_000, {1.0: 3000.0, 2.0: 1000.0})
    one = dossier(edge=1.0)
    one.learn(ONE, ANCHOR - 300 * 288, 300, Kept(edges=edges, rows=rows))
    one.begin(ONE, ANCHOR)
    one.take(CheckTick(1, ANCHOR + 15, ArmCounts(10, 0), ArmCounts(990, 5), baseline_before=before))
    assert one.adjusted
    other = dossier(edge=4.0)
    other.learn(ONE, ANCHOR - 300 * 288, 300, Kept(edges=edges, rows=rows))
    other.begin(ONE, ANCHOR)
    other.take(CheckTick(1, ANCHOR + 15, ArmCounts(10, 0), ArmCounts(990, 5)))
    assert other.adjusted is False
