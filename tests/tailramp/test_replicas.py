"""From a share to a number of servers, row by row, and what no row may ever break."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.sample_route import on_green
from tailramp.assignment import Assignment
from tailramp.replicas import after_shift, before_shift, needed
from tailramp.spec import Replicas

BLUE, GREEN = Assignment(default="blue"), Assignment(default="green")
EIGHT = Replicas(full=8)


@pytest.mark.parametrize(
    ("slot", "assignment", "servers"),
    [
        ("green", BLUE, 0),
        ("green", on_green("00"), 1),
        ("green", on_green("00-11"), 1),
        ("green", on_green("00-12"), 2),
        ("green", on_green("00-24"), 2),
        ("green", on_green("00-49"), 4),
        ("green", on_green("00-98"), 8),
        ("green", on_green("00-49", default="green"), 8),
        ("green", GREEN, 8),
        ("blue", BLUE, 8),
        # Whoever is on the candidate may be back in a moment.
        ("blue", on_green("00-98"), 8),
        ("blue", GREEN, 8),
        ("red", on_green("00-98"), 0),
    ],
)
def test_a_share_needs_its_part_rounded_up_and_the_baseline_everything(
    slot: str, assignment: Assignment, servers: int
) -> None:
    assert needed(EIGHT, slot, assignment, "blue") == servers


def test_seven_percent_of_a_hundred_servers_are_seven() -> None:
    assert needed(Replicas(full=100), "green", on_green("00-06"), "blue") == 7


def test_a_candidate_has_at_least_as_many_as_asked_for_once_it_serves_anybody() -> None:
    sizes = Replicas(full=8, least=3)
    assert [needed(sizes, "green", served, "blue") for served in (BLUE, on_green("00"), on_green("00-49"))] == [0, 3, 4]


@pytest.mark.parametrize(
    ("slot", "now", "then", "servers"),
    [
        ("green", BLUE, on_green("00"), 1),
        ("green", on_green("00"), on_green("00-49"), 4),
        ("green", on_green("00-49"), on_green("00"), 4),
        ("green", on_green("00-49"), on_green("00-49", default="green"), 8),
        ("blue", on_green("00-49"), on_green("00-49", default="green"), 8),
        ("blue", BLUE, on_green("00"), 8),
    ],
)
def test_servers_come_before_the_users(slot: str, now: Assignment, then: Assignment, servers: int) -> None:
    assert before_shift(EIGHT, slot, now=now, then=then, baseline="blue") == servers


@pytest.mark.parametrize(
    ("slot", "found", "now", "servers"),
    [
        ("green", 0, on_green("00-24"), 2),
        ("green", 3, on_green("00-24"), 3),
        ("green", 0, BLUE, 0),
        ("blue", 2, on_green("00-98"), 8),
        ("blue", 2, GREEN, 8),
        ("green", 0, GREEN, 8),
    ],
)
def test_servers_go_after_the_users_down_to_what_was_found_and_never_those_of_the_baseline(
    slot: str, found: int, now: Assignment, servers: int
) -> None:
    assert after_shift(EIGHT, slot, found=found, now=now, baseline="blue") == servers


SHARES = st.integers(0, 99).map(lambda last: on_green(f"00-{last:02d}"))
SERVED = st.one_of(
    st.just(BLUE), SHARES, st.just(GREEN), SHARES.map(lambda a: a.model_copy(update={"default": "green"}))
)
SIZES = st.builds(Replicas, full=st.integers(1, 300), least=st.integers(1, 4))


@given(sizes=SIZES, now=SERVED, then=SERVED, slot=st.sampled_from(["blue", "green"]))
def test_nothing_is_served_by_fewer_than_it_needs(
    sizes: Replicas, now: Assignment, then: Assignment, slot: str
) -> None:
    servers = before_shift(sizes, slot, now=now, then=then, baseline="blue")
    assert servers >= sizes.full * now.share_of(slot) - 1e-6
    assert servers >= sizes.full * then.share_of(slot) - 1e-6


@given(sizes=SIZES, now=SERVED, slot=st.sampled_from(["blue", "green"]), found=st.integers(0, 400))
def test_what_is_let_go_leaves_what_the_present_share_needs_and_the_whole_baseline(
    sizes: Replicas, now: Assignment, slot: str, found: int
) -> None:
    servers = after_shift(sizes, slot, found=found, now=now, baseline="blue")
    assert servers >= max(found, needed(sizes, slot, now, "blue"))
    if slot == "blue":
        assert servers >= sizes.full


@given(sizes=SIZES, shares=st.lists(st.integers(0, 99), min_size=1, max_size=8).map(sorted))
def test_a_share_that_only_grows_never_needs_fewer_servers(sizes: Replicas, shares: list[int]) -> None:
    had, now = 0, BLUE
    for last in shares:
        then = on_green(f"00-{last:02d}")
        needs = before_shift(sizes, "green", now=now, then=then, baseline="blue")
        assert had <= needs <= max(sizes.full, sizes.least)
        had, now = needs, then
