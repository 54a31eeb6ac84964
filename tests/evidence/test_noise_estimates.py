"""Noise that was put in is found again, within the interval that is claimed for it; what cannot be told is not."""

import numpy as np
import pytest

from tailramp.calibrating import (
    BucketCounts,
    Division,
    Found,
    Pair,
    PairCounts,
    Row,
    found_of,
    halves_of_servers,
    is_label,
)
from tailramp.evidence import Answer, Reading, Sample, SlotMatch, toxicity
from tailramp.evidence.sequential.calibration import Estimate, noise_estimates, spread_estimate

BLUE = SlotMatch(slot="blue", metrics='slot="blue"', gateway='envoy_cluster_name="blue"')


def buckets(random: np.random.Generator, tau: float, count: int = 100) -> tuple[np.ndarray, np.ndarray]:
    n = np.full(count, 5000)
    return n, random.poisson(n * 0.01 * np.exp(random.normal(0.0, tau, count)))


def windows(random: np.random.Generator, blocks: int, session: int, sigma: float) -> np.ndarray:
    """Windows of 15 s of two groups with 20 bad answers each on average."""
    ratio = np.exp(random.normal(0.0, sigma, blocks)).repeat(20)
    n = np.full(blocks * 20, 2000.0)
    first = session * random.poisson(20 / session * ratio)
    return np.stack([n, first, n, session * random.poisson(20 / session, blocks * 20)], axis=1).astype(float)


def test_the_spread_between_buckets_lies_below_the_upper_end_nearly_always() -> None:
    random = np.random.default_rng(1)
    found = [spread_estimate(*buckets(random, 0.2)) for _ in range(60)]
    told = [estimate for estimate in found if estimate is not None]
    assert np.mean([estimate.value for estimate in told]) == pytest.approx(0.2, abs=0.015)
    assert sum(estimate.high >= 0.2 for estimate in told) >= 48
    assert sum(estimate.low <= 0.2 for estimate in told) >= 48


def test_sessions_and_servers_are_told_apart() -> None:
    random = np.random.default_rng(2)
    found = [noise_estimates(windows(random, 288, session=3, sigma=0.2), 20) for _ in range(20)]
    phi0, sigma0 = ([pair[which] for pair in found if pair is not None] for which in (0, 1))
    assert np.mean([one.value for one in phi0]) == pytest.approx(3.0, abs=0.2)
    assert np.mean([one.value for one in sigma0]) == pytest.approx(0.2, abs=0.03)
    assert sum(one.high >= 3.0 for one in phi0) >= 16
    assert sum(one.high >= 0.2 for one in sigma0) >= 16


def test_few_data_make_a_careful_test() -> None:
    random = np.random.default_rng(3)
    short, long = (noise_estimates(windows(random, blocks, 1, 0.1), 20) for blocks in (24, 576))
    assert short is not None
    assert long is not None
    assert short[1].high - short[1].low > 2 * (long[1].high - long[1].low)
    assert noise_estimates(windows(random, 23, 1, 0.1), 20) is None
    assert noise_estimates(np.tile([100.0, 0.0, 100.0, 0.0], (1000, 1)), 20) is None


def test_the_same_counts_give_the_same_estimate() -> None:
    counts = windows(np.random.default_rng(4), 50, 2, 0.1)
    assert noise_estimates(counts, 20) == noise_estimates(counts, 20)


def reading(check_queries: dict[str, str], at: int, *, total: float, bad: float) -> dict[str, Answer]:
    values = {"total": total, "bad": bad}
    return {query: Answer((Sample((("instance", "a"),), values[part]),)) for part, query in check_queries.items()}


def test_a_gap_spoils_the_windows_that_it_touches_and_no_others() -> None:
    check = toxicity()
    green = BLUE.model_copy(update={"slot": "green", "metrics": 'slot="green"'})
    pair = PairCounts(check, Pair(Division.SLOTS, (green, BLUE)), [None], "bucket")
    both = [
        {part: f"sum without (bucket) ({query})" for part, query in check.queries(slot).items()}
        for slot in (green, BLUE)
    ]
    assert set(pair.queries) == {query for parts in both for query in parts.values()}
    for tick in range(10):
        answers: dict[str, Answer] = {}
        for parts in both:
            answers |= reading(parts, tick, total=100.0 * tick, bad=float(tick))
        if tick == 5:
            answers = {query: Answer(fault="it did not answer") for query in answers}
        pair.take(Reading(tick, answers), starting=tick == 0)
    assert pair.windows(0).tolist() == [[100.0, 1.0, 100.0, 1.0]] * 7


def test_buckets_of_four_digits_are_added_up_to_their_parents() -> None:
    check = toxicity()
    counts = BucketCounts(check, [BLUE], [None], "bucket")
    for tick, grown in ((0, 0.0), (1, 10.0)):
        answers = {
            query: Answer(
                tuple(
                    Sample((("bucket", bucket), ("part", part)), grown * (1 if part == "total" else 0.5))
                    for bucket in ("0100", "0199", "0200", "none", "")
                )
            )
            for part, query in check.queries(BLUE).items()
        }
        counts.take(Reading(tick, answers), starting=tick == 0)
    assert counts.totals(0).tolist() == [[20.0, 10.0], [10.0, 5.0]]
    assert (counts.digits, counts.size) == (4, 1.0)


def test_what_one_rung_does_not_tell_stays_assumed() -> None:
    one = Estimate(0.1, 0.09, 0.1234)
    rows = (Row(0.5, 1, 1e6, 5e5, phi0=Estimate(1.0, 1.0, 1.013), sigma0=one), Row(2.0, 5, 1e6, 3.0))
    usual = {"tau": (0.1,) * 6, "phi0": (1.0,) * 6, "sigma0": (0.5, 0.5, 0.5, 0.5, 0.5, 0.9)}
    noise = Found("latency", rows).noise(usual)
    assert noise["sigma0"] == (0.124, 0.124, 0.9, 0.9, 0.9, 0.9)
    assert noise["phi0"] == (1.02, 1.02, 1.0, 1.0, 1.0, 1.0)
    assert "tau" not in noise
    assert Found("toxicity", ()).noise(usual) == {}


def test_nothing_to_compare_is_said() -> None:
    found = found_of(toxicity(), [(None, 5)], [], None, totals=np.array([[10.0], [1.0]]), window=15)
    assert set(found.missing) == {"tau", "phi0", "sigma0"}
    assert found.missing["phi0"].startswith("there is nothing to compare")


def test_servers_are_divided_by_exactly_their_names() -> None:
    assert halves_of_servers(BLUE, "instance", ["a"]) is None
    pair = halves_of_servers(BLUE, "instance", ['b"1', "a.b:80", "c"])
    assert pair is not None
    assert pair.groups[0].metrics == r'slot="blue",instance=~"a\\.b:80|c"'
    assert pair.groups[1].metrics == r'slot="blue",instance=~"b\"1"'
    assert is_label("bucket_of_user")
    assert not is_label("1bucket")
