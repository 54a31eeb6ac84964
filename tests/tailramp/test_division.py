"""Whether users are divided as their buckets say: fairly judged over many windows, and said in words."""

from collections.abc import Sequence

import numpy as np
import pytest

from tailramp.division import Division, UserQueries, divisions_of, queries_of
from tailramp.evidence import Answer, Reading, Sample
from tailramp.plan import Plan
from tailramp.spec import RampSpec
from tailramp.spec.users import UsersSettings

QUERIES = UserQueries('users{slot="green"}', 'users{slot="blue"}')
WINDOW, TICK = 600, 60
ANCHOR = 1_760_000_000 // WINDOW * WINDOW - 100


def division(share: float = 0.05) -> Division:
    return Division("green", QUERIES, share=share, window=WINDOW, anchor=ANCHOR, needed=100.0)


def reading(at: int, candidate: float, baseline: float, queries: UserQueries = QUERIES) -> Reading:
    def answer(value: float) -> Answer:
        return Answer((Sample((("instance", "gateway"),), value),))

    return Reading(at, {queries.candidate: answer(candidate), queries.baseline: answer(baseline)})


def fed(one: Division, windows: Sequence[tuple[float, float]]) -> list[float]:
    """Windows of so many users on the one side and on the other, evenly; the evidence after every reading."""
    told, totals = [], np.zeros(2)
    one.take(reading(one.start - 50, 10_000, 10_000, one.queries))
    for number, users in enumerate(windows):
        for tick in range(WINDOW // TICK):
            at = one.start + number * WINDOW + tick * TICK
            one.take(reading(at, totals[0], totals[1], one.queries))
            told.append(one.evidence)
            totals += np.array(users) * TICK / WINDOW
    return told


def test_users_who_are_divided_as_they_should_be_hold_nothing() -> None:
    random, ever = np.random.default_rng(1), 0
    for _ in range(200):
        windows = [tuple(random.multinomial(1000, [0.05, 0.95])) for _ in range(12)]
        ever += max(fed(division(), windows)) >= 100
    assert ever <= 2


def test_the_same_users_in_every_window_are_no_news() -> None:
    """A share that is off by what chance gives once stays so, and must not add up."""
    unlucky = (63.0, 937.0)  # two standard errors above 5 % of 1,000 users
    assert max(fed(division(), [unlucky] * 40)) < 10


@pytest.mark.parametrize("users", [(0.0, 500.0), (25.0, 950.0), (100.0, 900.0)])
def test_users_who_do_not_arrive_or_are_too_many_hold_the_ramp_and_nobody_is_blamed(
    users: tuple[float, float],
) -> None:
    one = division()
    assert one.amiss == ""
    fed(one, [users] * 3)
    assert one.amiss.startswith("users are not divided as their buckets are: ")
    assert one.amiss.endswith("5.0 % were expected")


def test_users_of_the_time_before_the_first_whole_window_are_not_counted() -> None:
    one = division()
    one.take(reading(one.start - 60, 0, 0))
    one.take(reading(one.start, 5_000, 0))
    assert one.evidence == 1.0
    assert one.users == (0.0, 0.0)


def test_a_watch_that_comes_back_counts_in_every_window_what_one_that_never_died_counts() -> None:
    """It reads the boundaries of the windows that are over, and then the present."""
    windows = [(50.0, 950.0), (62.0, 938.0), (38.0, 962.0), (70.0, 930.0)]
    totals = np.vstack([np.zeros(2), np.cumsum([np.array(users) for users in windows], axis=0)])
    for tick in range(1, WINDOW // TICK + 1):
        steady, back = division(), division()
        at = steady.start + (len(windows) - 1) * WINDOW + tick * TICK
        for moment in range(steady.start, at + 1, TICK):
            whole, part = divmod(moment - steady.start, WINDOW)
            users = totals[whole] + (np.array(windows[whole]) * part / WINDOW if part else 0.0)
            steady.take(reading(moment, *users))
            if moment % WINDOW == 0 or moment == at:
                back.take(reading(moment, *users))
        assert back.users == steady.users
        assert back.evidence == pytest.approx(steady.evidence)
        assert sum(back.users) == pytest.approx(1000 * tick * TICK / WINDOW)


def test_what_cannot_be_asked_says_nothing() -> None:
    one = division()
    blind = Reading(one.start, {QUERIES.candidate: Answer(fault="late"), QUERIES.baseline: Answer(fault="late")})
    one.take(blind)
    assert (one.evidence, one.amiss) == (1.0, "")


def with_users(spec: RampSpec) -> RampSpec:
    users = UsersSettings(total="gateway_user_windows_total{match}")
    checks = spec.platform.checks.model_copy(update={"users": users})
    return spec.model_copy(update={"platform": spec.platform.model_copy(update={"checks": checks})})


def test_a_step_asks_for_the_users_of_both_sides_and_expects_the_candidates_share(
    full_spec: RampSpec, promoting: Plan
) -> None:
    assignment = promoting.step(2).assignment
    assert divisions_of(full_spec, promoting, assignment, ANCHOR) == []
    (one,) = divisions_of(with_users(full_spec), promoting, assignment, ANCHOR)
    assert len(queries_of([one])) == 2
    assert all(query.startswith("gateway_user_windows_total{") for query in queries_of([one]))
    fed(one, [(50.0, 950.0)] * 6)
    assert one.amiss == ""
    assert divisions_of(with_users(full_spec), promoting, promoting.baseline_only, ANCHOR) == []
