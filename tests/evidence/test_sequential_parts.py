"""The parts around the e-process: tempering, interval of the ratio, limit, average, division of users."""

import math

import numpy as np
import pytest

from tailramp.evidence.sequential.absolute import LimitProcess
from tailramp.evidence.sequential.assignment_check import assignment_evidence
from tailramp.evidence.sequential.combination import combined, weights_of
from tailramp.evidence.sequential.dispersion import Dispersion, Noise
from tailramp.evidence.sequential.process import EvidenceProcess
from tailramp.evidence.sequential.ratios import ratios
from tailramp.evidence.sequential.user_sets import UserSets


def process_after(windows: np.ndarray, tau: float = 0.0) -> EvidenceProcess:
    process = EvidenceProcess(Noise.of(np.full(windows.shape[2], tau), 1.0, 0.05), UserSets.of_share(50))
    for counts in windows:
        process.observe(counts, 15.0)
    return process


def halves(seed: int, ticks: int, ratio: float, rows: int = 1, p: float = 0.01, n: int = 750) -> np.ndarray:
    random = np.random.default_rng(seed)
    full = np.full((ticks, rows), float(n))
    bad = [random.poisson(n * p * ratio, (ticks, rows)), random.poisson(n * p, (ticks, rows))]
    return np.stack([full, bad[0], full, bad[1]], axis=1).astype(float)


def test_tempering_begins_with_the_sessions_and_grows_with_the_traffic() -> None:
    dispersion = Dispersion(Noise.of([1.0, 1.0, 1.0], [0.5, 3.0, 3.0], [0.1, 0.1, 0.1]))
    assert dispersion.eta == pytest.approx([1.0, 1 / 3, 1 / 3])
    for _ in range(20):
        dispersion.add(np.array([[750, 750, 75], [8, 8, 1], [750, 750, 75], [8, 8, 1]], dtype=float), 15.0)
    assert dispersion.eta[1] < 1 / 3
    assert dispersion.eta[1] < dispersion.eta[2] < 1 / 3
    before = dispersion.eta.copy()
    dispersion.scale(np.array([False, True, False]), 4.0)
    assert dispersion.eta[1] < before[1]
    assert dispersion.eta[2] == before[2]


def test_tempering_learns_from_counts_that_scatter() -> None:
    random = np.random.default_rng(1)
    calm, wild = (Dispersion(Noise.of(0.1, 1.0, 0.1)) for _ in range(2))
    for _ in range(60):
        noise = math.exp(random.normal(0, 0.5))
        for dispersion, factor in ((calm, 1.0), (wild, noise)):
            counts = [15000, random.poisson(150 * factor), 15000, random.poisson(150)]
            dispersion.add(np.array(counts, dtype=float)[:, None], 300.0)
    assert wild.eta[0] < calm.eta[0] / 3


def test_tempering_follows_its_formula() -> None:
    block = np.array([[15_000.0], [100.0], [15_000.0], [100.0]])  # 200 bad answers, of which half are expected: v = 50
    dispersion = Dispersion(Noise.of(0.1, 2.0, 0.1))
    dispersion.add(block, 300.0)
    information = (0.5 / 2.5) ** 2
    sigma2 = 0.01 * (12 + information * -4.0) / (12 + information)
    assert dispersion.eta[0] == pytest.approx(1 / (2 + 1.5 * sigma2 * 50))


def test_no_calm_ever_takes_more_than_three_quarters_of_the_servers_noise_away() -> None:
    dispersion = Dispersion(Noise.of(0.1, 2.0, 1.0))
    for _ in range(300):
        dispersion.add(np.array([[15_000.0], [100.0], [15_000.0], [100.0]]), 300.0)
    assert dispersion.eta[0] == pytest.approx(1 / (2 + 1.5 * 0.25 * 50))


def test_tempering_depends_on_the_past_only() -> None:
    """The block that is open cannot temper itself, whatever it holds."""
    dispersion = Dispersion(Noise.of(0.1, 1.0, 0.1))
    for _ in range(19):
        dispersion.add(np.array([[750.0], [700.0], [750.0], [0.0]]), 15.0)
        assert dispersion.eta[0] == 1.0
    dispersion.add(np.array([[750.0], [700.0], [750.0], [0.0]]), 15.0)
    assert dispersion.eta[0] < 0.1


def test_the_interval_holds_the_ratio_at_all_times_at_once() -> None:
    rows, ratio = 400, 1.3
    process = EvidenceProcess(Noise.of(np.zeros(rows), 1.0, 0.05), UserSets.of_share(50))
    missed = np.zeros(rows, dtype=bool)
    for counts in halves(2, 200, ratio, rows):
        process.observe(counts, 15.0)
        found = ratios(*process.ratio_support, process.spread, alpha=0.05)
        missed |= (found.low > ratio * 1.02) | (found.high < ratio / 1.02)
    assert missed.mean() <= 0.05
    assert np.median(found.estimate) == pytest.approx(ratio, rel=0.05)
    assert np.median(found.high / found.low) < 1.6


def test_nothing_known_is_the_whole_range() -> None:
    process = process_after(halves(3, 50, 1.0, n=0))
    found = ratios(*process.ratio_support, process.spread)
    assert found.low[0] == pytest.approx(0.30, abs=0.01)
    assert found.high[0] == found.upper[0] == pytest.approx(16, rel=0.02)


def test_the_upper_end_allows_for_two_sets_of_users() -> None:
    windows = halves(4, 300, 1.0)
    same, different = process_after(windows), process_after(windows, tau=0.3)
    plain, wide = (ratios(*one.ratio_support, one.spread) for one in (same, different))
    assert wide.high[0] == plain.high[0] == plain.upper[0]
    assert wide.upper[0] == pytest.approx(plain.upper[0] * math.exp(1.64 * 0.3 * math.sqrt(100 / 2500)))


def test_a_move_keeps_half_of_what_was_known_of_the_ratio() -> None:
    process = process_after(halves(5, 300, 1.0))
    before = ratios(*process.ratio_support, process.spread)
    process.move(UserSets.of_share(60))
    after = ratios(*process.ratio_support, process.spread)
    assert after.high[0] > before.high[0]


def test_evidence_against_a_limit_rises_above_it_and_soon_falls_again() -> None:
    for limit, often in ((0.01, 1.0), (0.05, 5.0)):
        process = LimitProcess(limit, alpha=0.01)
        for _ in range(40):
            process.observe(750.0, 6.0 * often, 15.0, 1.0)
        assert process.evidence < 1.0
        for _ in range(40):
            process.observe(750.0, 15.0 * often, 15.0, 1.0)
        assert process.evidence >= 100
        for _ in range(20):
            process.observe(750.0, 3.0 * often, 15.0, 1.0)
        assert process.evidence < 1.0


def test_at_the_limit_evidence_is_a_martingale() -> None:
    random, rows = np.random.default_rng(6), 10_000
    bad = random.binomial(10, 0.05, (rows, 2))
    ended = []
    for row in bad:
        process = LimitProcess(0.05, alpha=0.01)
        for x in row.tolist():
            process.observe(10.0, x, 60.0, 1.0)
        ended.append(process.evidence)
    assert float(np.mean(ended)) == pytest.approx(1.0, abs=0.02)


def test_at_the_limit_hours_of_looking_seldom_finds_evidence() -> None:
    random, rows = np.random.default_rng(7), 1_000
    found = 0
    for row in random.binomial(10, 0.05, (rows, 300)).tolist():
        process = LimitProcess(0.05, alpha=0.01)
        found += any(process.observe(10.0, x, 60.0, 1.0) >= 100 for x in row)
    assert found / rows <= 0.01 + 3 * math.sqrt(0.01 / rows)


@pytest.mark.parametrize("n", [0.0, 1.0, 1e9, -1.0, math.nan, math.inf])
def test_no_count_upsets_the_limit(n: float) -> None:
    process = LimitProcess(0.01, alpha=0.01)
    for x in (0.0, 1.0, 1e9, -1.0, math.nan, math.inf):
        assert math.isfinite(process.observe(n, x, 15.0, 1.0))


@pytest.mark.parametrize("counts", [(1000.0, -1.0), (1000.0, math.nan), (1000.0, math.inf), (-1.0, 5.0)])
def test_what_is_no_count_says_nothing_against_the_limit_nor_for_it(counts: tuple[float, float]) -> None:
    process, nobody = (LimitProcess(0.01, alpha=0.01) for _ in range(2))
    for each in (process, nobody):
        each.observe(750.0, 15.0, 15.0, 1.0)
    assert process.observe(*counts, 15.0, 1.0) == nobody.observe(0.0, 0.0, 15.0, 1.0)


def test_a_bad_answer_without_an_answer_breaks_no_limit() -> None:
    process, nobody = (LimitProcess(0.05, alpha=0.01) for _ in range(2))
    for _ in range(100):
        process.observe(0.0, 50.0, 15.0, 1.0)
        nobody.observe(0.0, 0.0, 15.0, 1.0)
    assert process.evidence == nobody.evidence


def test_a_bad_answer_that_is_seen_before_its_answer_breaks_a_limit_with_it() -> None:
    early, in_time = (LimitProcess(0.05, alpha=0.01) for _ in range(2))
    for each, first, second in ((early, (0.0, 3.0), (10.0, 0.0)), (in_time, (0.0, 0.0), (10.0, 3.0))):
        each.observe(*first, 15.0, 1.0)
        each.observe(*second, 15.0, 1.0)
    assert early.evidence == in_time.evidence > 1.0


def test_metrics_share_the_promise_by_their_parts() -> None:
    weights = weights_of({"latency": 2.0, "errors": 1.0, "toxicity": 1.0})
    assert weights == {"latency": 0.5, "errors": 0.25, "toxicity": 0.25}
    assert combined({"latency": [100.0, 300.0], "errors": [0.0], "toxicity": [4.0]}, weights) == 101.0
    assert combined({}, weights) == 1.0
    with pytest.raises(ValueError, match="above 0"):
        weights_of({"errors": 0.0})


def test_a_candidate_whose_users_do_not_arrive_is_noticed() -> None:
    assert assignment_evidence(500, 9500, 0.05) < 1
    assert assignment_evidence(250, 9500, 0.05) > 1e6
    assert assignment_evidence(0, 300, 0.05) > 100
    for hostile in (math.nan, math.inf, -1.0):
        assert assignment_evidence(hostile, 9500, 0.05) == 1.0
    assert math.isfinite(assignment_evidence(1e9, 0, 0.05))


def test_the_division_of_users_is_tested_fairly() -> None:
    random = np.random.default_rng(7)
    ever = 0
    for _ in range(300):
        users = np.cumsum(random.random(2000) < 0.05)
        looks = range(99, 2000, 100)
        ever += any(assignment_evidence(users[k], k + 1 - users[k], 0.05) >= 100 for k in looks)
    assert ever <= 300 * 0.03
