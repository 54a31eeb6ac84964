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
from tailramp.evidence.sequential.calibration import Estimate, carry_estimate, noise_estimates, spread_estimate

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


def days(
    random: np.random.Generator, kept: float, many: int = 5, rate: float = 0.01, count: int = 100
) -> tuple[np.ndarray, np.ndarray]:
    """Buckets whose users keep `kept` of what tells them from others, from each day to the next."""
    users = [random.normal(0.0, 0.25, count)]
    for _ in range(many - 1):
        users.append(kept * users[-1] + np.sqrt(1 - kept**2) * random.normal(0.0, 0.25, count))
    n = np.full((many, count), 20_000)
    # All are worse on some days: that is nobody's own.
    shared = np.exp(random.normal(0.0, 0.3, (many, 1)))
    return n, random.poisson(n * rate * shared * np.exp(users))


@pytest.mark.parametrize("kept", [1.0, 0.9, 0.5, 0.0, -1.0])
def test_how_much_users_keep_lies_above_the_lower_end_nearly_always(kept: float) -> None:
    random = np.random.default_rng(11)
    told = [estimate for _ in range(40) if (estimate := carry_estimate(*days(random, kept))) is not None]
    assert len(told) == 40
    assert np.mean([estimate.value for estimate in told]) == pytest.approx(kept, abs=0.04)
    assert sum(estimate.low <= kept for estimate in told) >= 34
    assert np.mean([estimate.low for estimate in told]) > kept - 0.2


def test_the_spread_of_users_who_change_is_that_of_a_day() -> None:
    """Added up over the days they would seem to differ less than they do on any of them."""
    random = np.random.default_rng(12)
    n, x = days(random, 0.0, many=7)
    within, together = spread_estimate(n, x), spread_estimate(n.sum(axis=0), x.sum(axis=0))
    assert within is not None
    assert together is not None
    assert within.value == pytest.approx(0.25, abs=0.02)
    assert together.value < 0.15


def test_where_counting_hides_the_users_nothing_is_said_of_how_they_change() -> None:
    random = np.random.default_rng(13)
    assert carry_estimate(*days(random, 0.9, many=2)) is None
    assert carry_estimate(*days(random, 0.9, rate=0.0003)) is None
    assert carry_estimate(*days(random, 0.9, count=9)) is None
    n, x = days(random, 0.9, many=3)
    assert carry_estimate(n * [[1], [0], [1]], x * [[1], [0], [1]]) is None
    same = np.full((5, 100), 20_000)
    assert carry_estimate(same, random.poisson(same * 0.01)) is None


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


@pytest.mark.parametrize("other", [(0.0, 0.0), (100.0, 0.0)])
@pytest.mark.parametrize("first", [True, False])
def test_a_group_that_nothing_can_be_compared_with_is_no_proof_that_there_is_no_noise(
    other: tuple[float, float], first: bool
) -> None:
    counts = np.tile([*other, 100.0, 3.0] if first else [100.0, 3.0, *other], (1000, 1))
    assert noise_estimates(counts, 20) is None


def test_only_the_time_in_which_both_groups_were_answered_tells_anything() -> None:
    random = np.random.default_rng(5)
    counts = windows(random, 288, session=1, sigma=0.1)
    idle = counts.copy()
    idle[20 * 23 :, :2] = 0.0
    assert noise_estimates(idle, 20) is None
    idle = counts.copy()
    idle[20 * 100 :, :2] = 0.0
    assert noise_estimates(idle, 20) == noise_estimates(counts[: 20 * 100], 20)


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


def test_buckets_are_counted_day_by_day_too() -> None:
    check = toxicity()
    counts = BucketCounts(check, [BLUE], [None], "bucket")
    hours = range(-1, 60, 6)
    for hour in hours:
        known = ("00", "01") if hour > 30 else ("00",)  # the second bucket is not asked for on the first day
        answers = {
            query: Answer(
                tuple(
                    Sample((("bucket", bucket),), float(hour + 1) * (10 if part == "total" else 1)) for bucket in known
                )
            )
            for part, query in check.queries(BLUE).items()
        }
        counts.take(Reading(1_760_000_000 + 3600 * hour, answers), starting=hour < 0)
    assert counts.days == 2
    whole = counts.totals(0)
    n, x = counts.by_day(0)
    assert n.tolist() == [[240.0, 0.0], [240.0, 480.0]]
    assert (x == n / 10).all()
    assert whole.tolist() == [[600.0, 600.0], [60.0, 60.0]]
    one = BucketCounts(check, [BLUE], [None], "bucket")
    for hour in (0, 23):
        queries = check.queries(BLUE).items()
        told = {
            q: Answer((Sample((("bucket", "00"),), hour * (10.0 if part == "total" else 1.0)),)) for part, q in queries
        }
        one.take(Reading(3600 * hour, told), starting=hour == 0)
    assert one.by_day(0).tolist() == [[[230.0]], [[23.0]]]


def test_what_one_rung_does_not_tell_stays_assumed() -> None:
    one = Estimate(0.1, 0.09, 0.1234)
    rows = (Row(0.5, 1, 1e6, 5e5, phi0=Estimate(1.0, 1.0, 1.013), sigma0=one), Row(2.0, 5, 1e6, 3.0))
    usual = {"tau": (0.1,) * 6, "phi0": (1.0,) * 6, "sigma0": (0.5, 0.5, 0.5, 0.5, 0.5, 0.9)}
    noise = Found("latency", rows).noise(usual)
    assert noise["sigma0"] == (0.124, 0.124, 0.9, 0.9, 0.9, 0.9)
    assert noise["phi0"] == (1.02, 1.02, 1.0, 1.0, 1.0, 1.0)
    assert "tau" not in noise
    careful = Row(2.0, 5, 1e6, 5e5, carry=Estimate(0.93, 0.8789, 0.99))
    carries = {name: Found("latency", (careful,)).noise(usual | {"carry": (0.5,)})[name] for name in ("carry",)}
    assert carries == {"carry": (0.87,) * 6}
    turned = Row(None, 5, 1e6, 5e5, carry=Estimate(-0.9, -1.0, -0.8))
    assert Found("toxicity", (turned,)).noise(usual) == {"carry": (0.0,)}
    assert Found("toxicity", ()).noise(usual) == {}


@pytest.mark.parametrize(
    ("many", "tau", "why"),
    [
        (4, 0.3, ""),
        (2, 0.3, "2 of the 3 whole days that are needed"),
        (4, 0.0, "the buckets differ by hardly more than chance"),
    ],
)
def test_what_users_keep_is_found_where_there_are_days_enough(many: int, tau: float, why: str) -> None:
    check, random = toxicity(), np.random.default_rng(14)
    counts = BucketCounts(check, [BLUE], [None], "bucket")
    rate = 0.01 * np.exp(random.normal(0.0, tau, 100))
    n, x = np.zeros(100), np.zeros(100)
    for hour in range(0, 24 * many + 3, 3):
        answers = {
            query: Answer(
                tuple(
                    Sample((("bucket", f"{bucket:02}"),), float(value))
                    for bucket, value in enumerate(n if part == "total" else x)
                )
            )
            for part, query in check.queries(BLUE).items()
        }
        counts.take(Reading(3600 * hour, answers), starting=hour == 0)
        n, x = n + 2500, x + random.poisson(2500 * rate)
    pair = PairCounts(check, Pair(Division.SLOTS, (BLUE, BLUE)), [None], "bucket")
    pair._windows = [window[:, None] for window in windows(random, 30, 1, 0.1)]  # as its readings would have made them
    totals = np.array([[n.sum()], [x.sum()]])
    found = found_of(check, [(None, 5)], [pair], counts, totals=totals, window=15)
    carry = found.rows[0].carry
    assert found.missing.get("carry", "") == why
    assert (carry is None) is bool(why)
    if carry is not None:
        assert carry.low <= 1.0
        assert carry.value > 0.9
        assert found.noise({"carry": (0.5,)})["carry"] == (pytest.approx(carry.low, abs=0.0101),)


def test_nothing_to_compare_is_said() -> None:
    found = found_of(toxicity(), [(None, 5)], [], None, totals=np.array([[10.0], [1.0]]), window=15)
    assert set(found.missing) == {"tau", "phi0", "sigma0", "carry"}
    assert found.missing["phi0"].startswith("there is nothing to compare")


def test_servers_are_divided_by_exactly_their_names() -> None:
    assert halves_of_servers(BLUE, "instance", ["a"]) is None
    pair = halves_of_servers(BLUE, "instance", ['b"1', "a.b:80", "c"])
    assert pair is not None
    assert pair.groups[0].metrics == r'slot="blue",instance=~"a\\.b:80|c"'
    assert pair.groups[1].metrics == r'slot="blue",instance=~"b\"1"'
    assert is_label("bucket_of_user")
    assert not is_label("1bucket")
