"""The population and its schedule follow from the seed, and are what the promises need."""

import re
from collections import Counter

import numpy as np
import pytest

from lab.user_population import CORE_MINIMUM, Arrival, Forgery, Traffic, arrivals, populate

KINDS = {
    "mobile": re.compile(r"1[3-9]\d{9}"),
    "uuid": re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
    "staff": re.compile(r"emp-\d{5}"),
    "name": re.compile(r"[\u4e00-\u9fff]{2,4}[-_@·][\w]{4,6}"),
}


def kind_of(user: str) -> str:
    return next(kind for kind, pattern in KINDS.items() if pattern.fullmatch(user))


def default_run() -> list[Arrival]:
    return arrivals(populate(3), Traffic(rate=350, duration=600), seed=3)


def test_the_same_seed_gives_the_same_users_and_the_same_schedule() -> None:
    assert populate(5) == populate(5)
    assert populate(5).core != populate(6).core
    population, traffic = populate(5, core=20, others=100), Traffic(rate=100, duration=10)
    assert arrivals(population, traffic, 5) == arrivals(population, traffic, 5)
    assert arrivals(population, traffic, 5) != arrivals(population, traffic, 6)


def test_the_population_is_500_and_20000_different_users_of_four_kinds() -> None:
    population = populate(1)
    assert (len(population.core), len(population.others)) == (500, 20_000)
    everyone = population.core + population.others
    assert len(set(everyone)) == 20_500
    for group in (population.core, population.others):
        share = Counter(map(kind_of, group))
        assert set(share) == set(KINDS)
        assert min(share.values()) > 0.1 * len(group)


def test_every_id_can_be_a_header_value_as_it_is() -> None:
    for user in (*(population := populate(2)).core, *population.others):
        assert user.isprintable()
        assert user == user.strip()
        assert "," not in user
        assert 1 <= len(user.encode()) <= 64


def test_every_core_user_asks_at_least_30_times_evenly_over_the_run() -> None:
    run = default_run()
    times: dict[str, list[float]] = {user: [] for user in populate(3).core}
    for arrival in run:
        if arrival.user in times:
            times[arrival.user].append(arrival.due)
    assert min(map(len, times.values())) >= CORE_MINIMUM
    spacing = 600 / len(times[populate(3).core[0]])
    gaps = [gap for due in times.values() for gap in np.diff(due)]
    assert min(gaps) > 0.49 * spacing
    assert max(gaps) < 1.51 * spacing


def test_the_others_take_turns_and_arrive_at_random() -> None:
    run = default_run()
    core = set(populate(3).core)
    others = [arrival for arrival in run if arrival.user is not None and arrival.user not in core]
    visits = Counter(arrival.user for arrival in others)
    assert len(visits) == 20_000
    # Turns alone would differ by one; the requests that became anonymous take a few from some.
    assert max(visits.values()) <= len(others) / 20_000 + 2
    per_second = np.bincount([int(arrival.due) for arrival in others], minlength=600)
    assert 0.8 < per_second.var() / per_second.mean() < 1.25


def test_rate_and_shares_are_as_asked() -> None:
    run = default_run()
    assert len(run) == pytest.approx(350 * 600, rel=0.02)
    assert [arrival.due for arrival in run] == sorted(arrival.due for arrival in run)
    assert run[0].due >= 0
    assert run[-1].due < 600
    assert sum(arrival.user is None for arrival in run) / len(run) == pytest.approx(0.03, abs=0.003)
    forged = [arrival for arrival in run if arrival.forgery is not None]
    assert len(forged) / len(run) == pytest.approx(0.03, abs=0.003)
    assert {arrival.forgery for arrival in forged if arrival.user is None} == set(Forgery)
    assert {arrival.forgery for arrival in forged if arrival.user is not None} == set(Forgery)


def test_a_core_rate_sets_how_often_core_users_ask() -> None:
    population = populate(4, core=10, others=50)
    run = arrivals(population, Traffic(rate=100, duration=10, core_rate=50), seed=4)
    visits = Counter(arrival.user for arrival in run)
    assert {visits[user] for user in population.core} == {50}


@pytest.mark.parametrize(
    ("traffic", "reason"),
    [
        (Traffic(rate=10, duration=60), r"500 core users with 33 requests each in 60 s are 275.0/s.*raise it"),
        (Traffic(rate=350, duration=60, core_rate=100), r"each of 500 core users 12 requests.*raise it to 250.0"),
    ],
)
def test_a_run_in_which_core_users_cannot_ask_often_enough_is_refused(traffic: Traffic, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        arrivals(populate(1), traffic, seed=1)


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"duration": float("inf")}, {"forged_share": 1.5}])
def test_a_traffic_that_makes_no_sense_is_refused_by_field(wrong: dict[str, float]) -> None:
    values = {"rate": 10.0, "duration": 10.0, "forged_share": 0.0} | wrong
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Traffic(**values)
