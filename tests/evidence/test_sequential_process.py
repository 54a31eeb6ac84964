"""The e-process: what it equals where a formula exists, that it is fair, and that no count can upset it."""

import json
import math

import numpy as np
import pytest

from tailramp.evidence.sequential.dispersion import Noise
from tailramp.evidence.sequential.grids import EFFECTS, USER
from tailramp.evidence.sequential.process import CAP, ChangeTime, EvidenceProcess
from tailramp.evidence.sequential.user_sets import UserSets, kernel, prior

AT_START = ChangeTime(at_start=1.0, at_move=0.0, over_day=0.0)
FIVE = UserSets.of_share(5)
TAUS = np.array([0.07, 0.13, 0.16, 0.19, 0.24, 0.32, 0.17, 0.28, 0.17])


def window(n_c: float, x_c: float, n_b: float, x_b: float, rows: int = 1) -> np.ndarray:
    return np.tile(np.array([[n_c], [x_c], [n_b], [x_b]], dtype=float), rows)


def poisson_windows(seed: int, ticks: int, rates: tuple[float, float], rows: int = 1) -> np.ndarray:
    """Shape (ticks, 4, rows): a candidate with 5 % of about 100 requests/s, and bad answers at the two rates."""
    random = np.random.default_rng(seed)
    n_c, n_b = random.poisson(75, (ticks, rows)), random.poisson(1425, (ticks, rows))
    return np.stack([n_c, random.poisson(n_c * rates[0]), n_b, random.poisson(n_b * rates[1])], axis=1).astype(float)


def mixture(windows: np.ndarray, tolerance: float) -> float:
    """The closed form: the mean over the effects of the likelihood ratio of all windows at once."""
    told = []
    for effect in EFFECTS:
        log_ratio = 0.0
        for n_c, x_c, n_b, x_b in windows[:, :, 0]:
            m = x_c + x_b
            for theta, sign in ((tolerance * math.exp(effect), 1), (tolerance, -1)):
                log_ratio += sign * (x_c * math.log(theta) - m * math.log(n_c * theta + n_b))
        told.append(math.exp(log_ratio))
    return sum(told) / len(told)


@pytest.mark.parametrize("rates", [(0.01, 0.01), (0.02, 0.01), (0.004, 0.01)])
def test_without_user_effect_tempering_and_change_time_it_is_the_mixture_formula(rates: tuple[float, float]) -> None:
    windows = poisson_windows(1, 40, rates)
    process = EvidenceProcess(Noise.of(0.0, 0.0, 0.0), FIVE, change_time=AT_START)
    for number, counts in enumerate(windows, start=1):
        evidence = process.observe(counts, 1.0)  # 40 s: no block closes, so nothing is tempered
        assert evidence[0] == pytest.approx(mixture(windows[:number], 1.10), rel=1e-9)


def test_with_a_user_effect_it_is_the_ratio_of_two_averages() -> None:
    windows = poisson_windows(2, 30, (0.015, 0.01))
    process = EvidenceProcess(Noise.of(0.3, 0.0, 0.0), FIVE, change_time=AT_START)
    for counts in windows:
        evidence = process.observe(counts, 1.0)
    weights = prior(FIVE, 0.3)

    def likelihood(shift: float) -> float:
        log = np.zeros(len(USER))
        for n_c, x_c, n_b, x_b in windows[:, :, 0]:
            theta = 1.10 * np.exp(USER + shift)
            log += x_c * np.log(theta) - (x_c + x_b) * np.log((n_c * theta + n_b) / (n_c + n_b))
        return float(weights @ np.exp(log))

    expected = sum(likelihood(effect) for effect in EFFECTS) / len(EFFECTS) / likelihood(0.0)
    assert evidence[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.timeout(300)
def test_it_is_a_martingale_under_the_null_hypothesis() -> None:
    """The mean over 10,000 runs stays at 1, user effects, growing share and change time included."""
    runs, tau, random = 10_000, 0.3, np.random.default_rng(3)
    process = EvidenceProcess(Noise.of(np.full(runs, tau), 0.0, 0.0), FIVE)
    old = random.normal(0, tau * math.sqrt(FIVE.variance), runs)
    ten, ever = UserSets.of_share(10), np.zeros(runs, dtype=bool)
    slope, variance = FIVE.passage_to(ten)
    new = random.normal(slope * old, tau * math.sqrt(variance))
    assert np.std(new) == pytest.approx(tau * math.sqrt(ten.variance), rel=0.03)
    for tick in range(16):
        if tick == 8:
            process.move(ten)
        share, effect = (0.05, old) if tick < 8 else (0.10, new)
        n_c, n_b = np.full(runs, 1000 * share), np.full(runs, 1000 * (1 - share))
        # Few events: with many the mean is that of a few enormous values that 10,000 runs do not contain.
        x_c = random.poisson(n_c * 0.001 * 1.10 * np.exp(np.clip(effect, -1.2, 1.2)))
        evidence = process.observe(np.stack([n_c, x_c, n_b, random.poisson(n_b * 0.001)]), 60.0)
        ever |= evidence >= 100
        if tick in {3, 7, 11, 15}:
            error = float(np.std(evidence) / math.sqrt(runs))
            assert abs(float(np.mean(evidence)) - 1.0) < 4 * error + 0.002
    assert float(np.mean(ever)) <= 0.01


def test_a_better_candidate_makes_no_evidence() -> None:
    windows = poisson_windows(4, 500, (0.005, 0.01), rows=50)
    process = EvidenceProcess(Noise.of(np.full(50, 0.2), 1.0, 0.1), FIVE)
    for counts in windows:
        evidence = process.observe(counts, 15.0)
    assert evidence.max() < 1.0


def test_a_regression_is_found_early_and_late_alike() -> None:
    for healthy in (0, 2000):
        process = EvidenceProcess(Noise.of(np.full(20, 0.17), 1.0, 0.1), FIVE)
        for counts in poisson_windows(5, healthy, (0.005, 0.005), rows=20):
            assert process.observe(counts, 5.0).max() < 100
        found = np.full(20, np.inf)
        for tick, counts in enumerate(poisson_windows(6, 60, (0.1, 0.005), rows=20)):
            found = np.where((process.observe(counts, 5.0) >= 100) & np.isinf(found), tick + 1, found)
        assert found.max() <= 6


HOSTILE = [0.0, 1.0, 1e9, -5.0, math.nan, math.inf]


@pytest.mark.parametrize("n_b", HOSTILE)
@pytest.mark.parametrize("n_c", HOSTILE)
def test_no_count_upsets_it(n_c: float, n_b: float) -> None:
    process = EvidenceProcess(Noise.of(TAUS[:3], 1.0, 0.1), FIVE)
    with np.errstate(all="raise", under="ignore"):
        for x_c in HOSTILE:
            for x_b in HOSTILE:
                evidence = process.observe(window(n_c, x_c, n_b, x_b, rows=3), 15.0)
                assert np.isfinite(evidence).all()
                assert (evidence >= 0).all()
                assert (evidence <= CAP).all()
        for counts in poisson_windows(7, 100, (0.01, 0.01), rows=3):
            assert np.isfinite(process.observe(counts, 15.0)).all()


@pytest.mark.parametrize(
    "counts",
    [(0, 0, 1500, 15), (75, 1, 0, 0), (math.nan, 3, 1500, 15), (75, 75, math.nan, 1), (75, 0, 1500, 0), (-75, 5, 9, 1)],
)
def test_where_nothing_can_be_compared_there_is_no_evidence(counts: tuple[float, float, float, float]) -> None:
    process = EvidenceProcess(Noise.of(0.2, 1.0, 0.1), FIVE)
    for _ in range(1000):
        evidence = process.observe(window(*counts), 15.0)
    assert evidence[0] == pytest.approx(1.0, abs=1e-9)


def test_all_bad_on_both_sides_is_no_evidence_against_the_candidate() -> None:
    process = EvidenceProcess(Noise.of(0.0, 1.0, 0.1), FIVE)
    for _ in range(1000):
        evidence = process.observe(window(75, 75, 1425, 1425), 15.0)
    assert evidence[0] < 1.0


def test_all_bad_on_the_candidate_alone_is_evidence_after_one_window() -> None:
    process = EvidenceProcess(Noise.of(0.17, 1.0, 0.1), FIVE)
    assert process.observe(window(25, 25, 475, 2), 5.0)[0] >= 100


def test_a_bad_answer_that_is_seen_before_its_answer_waits_for_it() -> None:
    early, together = (EvidenceProcess(Noise.of(0.0, 0.0, 0.0), FIVE) for _ in range(2))
    early.observe(window(10, 12, 500, 5), 5.0)
    together.observe(window(10, 10, 500, 5), 5.0)
    assert early.evidence[0] == pytest.approx(together.evidence[0], rel=1e-12)
    early.observe(window(10, 0, 500, 5), 5.0)
    together.observe(window(10, 2, 500, 5), 5.0)
    assert early.evidence[0] == pytest.approx(together.evidence[0], rel=1e-12)


def test_a_batch_says_what_each_of_its_rows_would_say_alone() -> None:
    windows = poisson_windows(8, 120, (0.013, 0.01), rows=9)
    batch = EvidenceProcess(Noise.of(TAUS, 2.0, 0.1), FIVE)
    singles = [EvidenceProcess(Noise.of(tau, 2.0, 0.1), FIVE) for tau in TAUS]
    for tick, counts in enumerate(windows):
        if tick == 60:
            for process in (batch, *singles):
                process.move(UserSets.of_share(10))
        together = batch.observe(counts, 15.0)
        alone = [process.observe(counts[:, [row]], 15.0)[0] for row, process in enumerate(singles)]
        assert together == pytest.approx(alone, rel=1e-9)


def test_a_restored_checkpoint_goes_on_to_the_last_digit() -> None:
    windows = poisson_windows(9, 200, (0.012, 0.01), rows=9)
    straight = EvidenceProcess(Noise.of(TAUS, 2.0, 0.1), FIVE)
    for counts in windows[:90]:
        straight.observe(counts, 15.0)
    kept = json.loads(json.dumps(straight.checkpoint()))
    resumed = EvidenceProcess(Noise.of(TAUS, 2.0, 0.1), FIVE)
    resumed.restore(kept)
    for counts in windows[90:]:
        assert (straight.observe(counts, 15.0) == resumed.observe(counts, 15.0)).all()


def test_it_does_not_grow() -> None:
    process = EvidenceProcess(Noise.of(TAUS, 2.0, 0.1), FIVE)
    sizes = set()
    for counts in poisson_windows(10, 300, (0.01, 0.01), rows=9):
        process.observe(counts, 15.0)
        sizes.add(sum(np.size(value) for value in vars(process).values()))
    assert len(sizes) == 1


def test_a_new_day_starts_at_one() -> None:
    process = EvidenceProcess(Noise.of(0.2, 1.0, 0.1), FIVE)
    for counts in poisson_windows(11, 200, (0.01, 0.01)):
        process.observe(counts, 300.0)
    process.renew()
    assert process.evidence[0] == 1.0


def test_a_regression_may_begin_with_every_move() -> None:
    process = EvidenceProcess(Noise.of(0.0, 1.0, 0.01), FIVE, change_time=ChangeTime(0.0, 0.05, 0.0))
    worse = window(75, 9, 1425, 9)
    assert process.observe(worse, 15.0)[0] == pytest.approx(1.0)
    process.move(UserSets.of_share(10))
    assert process.observe(worse, 15.0)[0] > 10.0


def test_the_weight_of_changes_is_never_more_than_all() -> None:
    process = EvidenceProcess(Noise.of(0.2, 1.0, 0.1), FIVE)
    for share in range(6, 80):
        process.move(UserSets.of_share(share))
        evidence = process.observe(window(0, 0, 0, 0), 3600.0)
    assert evidence[0] == pytest.approx(1.0, abs=1e-9)


def test_the_prior_is_a_law_of_the_stated_spread() -> None:
    law = prior(UserSets.of_share(5), 0.3)
    assert law.sum() == pytest.approx(1.0, abs=1e-12)
    assert math.sqrt(float(law @ USER**2)) == pytest.approx(0.3 * math.sqrt(100 / (5 * 95)), rel=0.01)
    assert prior(UserSets.of_share(5), 0.0)[60] == 1.0


def test_the_kernel_turns_the_old_law_into_the_new_one() -> None:
    five, ten = UserSets.of_share(5), UserSets.of_share(10)
    moved = kernel(five, ten, 0.3) @ prior(five, 0.3)
    assert moved == pytest.approx(prior(ten, 0.3), abs=2e-3)


def test_a_passage_is_that_of_the_reference_formula_and_leads_back() -> None:
    slope, variance = UserSets.of_share(5).passage_to(UserSets.of_share(20))
    assert slope == pytest.approx(5 / 20)
    assert variance == pytest.approx(100**2 * (20 - 5) / (20**2 * 95 * 80))
    slope, variance = UserSets.of_share(20).passage_to(UserSets.of_share(20))
    assert slope == pytest.approx(1.0)
    assert variance == pytest.approx(0.0, abs=1e-12)
    for before, after in ((UserSets(10, 60), UserSets(4, 66)), (UserSets(5, 80), UserSets(10, 60))):
        slope, variance = before.passage_to(after)
        assert slope**2 * before.variance + variance == pytest.approx(after.variance)


def test_while_one_side_has_no_users_nothing_is_forgotten() -> None:
    process = EvidenceProcess(Noise.of(0.3, 1.0, 0.1), UserSets.of_share(50))
    for counts in poisson_windows(12, 50, (0.02, 0.01)):
        process.observe(counts, 15.0)
    before = process.checkpoint()
    process.move(UserSets(100, 0))
    assert process.checkpoint() == before
