import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tailramp.evidence import Grid

GRID = Grid(anchor=1_760_000_000, tick=5)


def test_a_tick_is_due_one_lag_after_its_time_and_not_before() -> None:
    assert GRID.last_due(GRID.time(3) + 1.999, lag=2) == 2
    assert GRID.last_due(GRID.time(3) + 2, lag=2) == 3


def test_before_the_anchor_is_due_no_tick_is() -> None:
    assert GRID.last_due(GRID.anchor + 1.9, lag=2) == -1


@given(
    st.integers(0, 4_000_000_000),
    st.integers(1, 3600),
    st.integers(-100, 1_000_000),
    st.floats(0, 120, allow_nan=False),
)
def test_every_tick_is_due_exactly_at_the_time_at_which_it_may_be_asked(
    anchor: int, tick: int, index: int, lag: float
) -> None:
    grid = Grid(anchor=anchor, tick=tick)
    assert grid.last_due(grid.askable_at(index, lag), lag) == index
    assert grid.index(grid.time(index)) == index


def test_a_time_between_two_ticks_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="3 s after a tick"):
        GRID.index(GRID.time(7) + 3)


def test_a_tick_of_no_seconds_is_refused() -> None:
    with pytest.raises(ValidationError):
        Grid(anchor=0, tick=0)
