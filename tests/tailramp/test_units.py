"""Durations and shares: what people write, what is kept, and what is refused."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tailramp.errors import WrongValue
from tailramp.units import Duration, Share, format_duration, format_share, parse_duration, parse_share

DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)
SHARE: TypeAdapter[float] = TypeAdapter(Share)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2000ms", 2),
        ("1.5s", 1.5),
        ("10m", 600),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        (" 15s ", 15),
        ("0s", 0),
        ("2d", 172800),
        ("P1DT1S", 86401),
        ("PT0.05S", 0.05),
        ("P1Y35D", 400 * 86400),
    ],
)
def test_a_duration_is_read_as_it_is_said(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "5",
        5,
        2.5,
        True,
        None,
        "5 apples",
        "-5s",
        "5s-",
        "1e3s",
        "s",
        "..5s",
        "5S",
        "P",
        "PT",
        "P5",
        "10m;",
        [5],
    ],
)
def test_what_is_no_duration_is_refused_with_a_duration_to_write(value: object) -> None:
    with pytest.raises(WrongValue) as refusal:
        parse_duration(value)
    offered = re.findall(r"[0-9][0-9a-z.]*", refusal.value.mend)
    assert offered
    assert all(parse_duration(each) for each in offered)


@pytest.mark.parametrize("text", ["9" * 400 + "s", "999999999999d", "P9999999999999D"])
def test_a_duration_beyond_all_bounds_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValidationError, match="no duration is that long"):
        DURATION.validate_python(text)


def test_a_negative_duration_is_refused() -> None:
    with pytest.raises(ValidationError):
        DURATION.validate_python(timedelta(seconds=-1))


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4000)))
def test_every_duration_survives_the_way_through_json(value: timedelta) -> None:
    assert DURATION.validate_json(DURATION.dump_json(value)) == value


@given(st.integers(0, 10**12).map(lambda ms: timedelta(milliseconds=ms)))
def test_a_printed_duration_is_read_back_exactly(value: timedelta) -> None:
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.25, "250ms"), (90, "1m30s"), (5400, "1h30m"), (90061.5, "1d1h1m1s500ms")]
)
def test_a_duration_is_printed_in_its_shortest_exact_spelling(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("value", "share"),
    [("5%", 0.05), ("5 %", 0.05), ("0.05", 0.05), (0.05, 0.05), (1, 1.0), ("100%", 1.0), ("0%", 0.0)],
)
def test_a_share_is_a_number_or_a_percentage(value: object, share: float) -> None:
    assert parse_share(value) == share


@pytest.mark.parametrize("value", ["five", "%", "", "5%%", "5 percent", True, None, [0.05], 10**400])
def test_what_is_no_share_is_refused_with_a_share_to_write(value: object) -> None:
    with pytest.raises(WrongValue) as refusal:
        parse_share(value)
    offered = re.findall(r"[0-9][0-9.%]*", refusal.value.mend)
    assert offered
    assert all(parse_share(each.rstrip(".")) is not None for each in offered)


@pytest.mark.parametrize("value", [-0.01, 1.01, "101%", "-1%", "nan", "nan%", "inf", float("nan"), float("inf")])
def test_a_share_beyond_all_and_nothing_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        SHARE.validate_python(value)


@pytest.mark.parametrize(("share", "text"), [(0.05, "5 %"), (0.005, "0.5 %"), (1.0, "100 %"), (0.07, "7 %")])
def test_a_share_is_printed_as_a_percentage(share: float, text: str) -> None:
    assert format_share(share) == text
