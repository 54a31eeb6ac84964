"""The pattern of a set means the same to every engine that a gateway may have: RE2, PCRE and JavaScript's."""

from __future__ import annotations

import re
from collections.abc import Callable

import pcre2
import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st
from py_mini_racer import MiniRacer

from tailramp.buckets import ENVOY_PROGRAM_SIZE, BucketSet, Resolution, program_size

SEGMENTS = st.sampled_from([(), (), ("VIP",), ("VIP", "NEW"), ("A", "AA", "AAA", "0123456789ABCDEF")])
SLOW = settings(max_examples=40, deadline=None)


@st.composite
def sets(draw: st.DrawFn) -> BucketSet:
    """Scattered buckets, and runs as people write them."""
    resolution: Resolution = draw(st.sampled_from([100, 10000]))
    numbers = draw(st.lists(st.integers(0, resolution - 1), max_size=40))
    for first, length in draw(st.lists(st.tuples(st.integers(0, resolution - 1), st.integers(1, 200)), max_size=4)):
        numbers += range(first, min(first + length, resolution))
    return BucketSet(tuple(dict.fromkeys(numbers)) or (0,), resolution)


def values(buckets: BucketSet, segments: tuple[str, ...]) -> list[str]:
    """Every bucket, with every tag where the pattern asks for one, and what is almost a bucket."""
    width = 2 if buckets.resolution == 100 else 4
    every = [f"{number:0{width}d}" for number in range(buckets.resolution)]
    first = next(iter(buckets))
    keys = [f"{bucket}_{tag}" for bucket in every[:: max(1, len(every) // 500)] for tag in (*segments, "OTHER", "")]
    keys += [f"{bucket}_{tag}" for bucket in buckets for tag in segments]
    strange = [
        *("", " ", "0", "000", "00000", "a^", "٠٠", "００", "VIP", "_VIP"),
        f"{first} ",
        f" {first}",
        f"{first}\n",
    ]
    strange += [
        f"x{first}",
        f"{first}x",
        f"{first},{first}",
        f"{first}_",
        f"{first}_vip",
        f"{first}_VIPX",
        f"\n{first}",
    ]
    strange += [f"{first}\n{first}", f"{first}\r", f"{first}\0"]
    return [*every, *keys, *strange]


def meant(buckets: BucketSet, segments: tuple[str, ...], value: str) -> bool:
    bucket, mark, tag = value.partition("_")
    return bucket in buckets and (tag in segments if segments else not mark)


def by_re2(pattern: str) -> Callable[[str], tuple[bool, bool]]:
    compiled = re2.compile(pattern)
    return lambda value: (bool(compiled.search(value)), bool(compiled.fullmatch(value)))


def by_pcre(pattern: str) -> Callable[[str], tuple[bool, bool]]:
    compiled = pcre2.compile(pattern)
    return lambda value: (compiled.search(value) is not None,) * 2


@SLOW
@given(sets(), SEGMENTS)
def test_re2_and_pcre_match_exactly_the_set(buckets: BucketSet, segments: tuple[str, ...]) -> None:
    pattern = buckets.pattern(segments)
    for engine in (by_re2(pattern), by_pcre(pattern)):
        for value in values(buckets, segments):
            # To PCRE and Python `$` also stands before one line end; no header value can hold one.
            if not value.endswith("\n"):
                assert set(engine(value)) == {meant(buckets, segments, value)}, (pattern, value)


@pytest.fixture(scope="module")
def javascript() -> MiniRacer:
    return MiniRacer()


TESTED = "((pattern, values) => { const r = new RegExp(pattern); return values.map(value => r.test(value)); })"


@SLOW
@given(data=st.data())
def test_javascript_matches_exactly_the_set(javascript: MiniRacer, data: st.DataObject) -> None:
    """NGINX Gateway Fabric tests header values with `new RegExp(pattern).test(value)`."""
    buckets, segments = data.draw(sets()), data.draw(SEGMENTS)
    asked = values(buckets, segments)
    found = javascript.call(TESTED, buckets.pattern(segments), asked)
    assert list(found) == [meant(buckets, segments, value) for value in asked]


@SLOW
@given(sets(), SEGMENTS)
def test_the_size_of_a_program_is_never_underrated_and_hardly_overrated(
    buckets: BucketSet, segments: tuple[str, ...]
) -> None:
    pattern = buckets.pattern(segments)
    actual = re2.compile(pattern).programsize
    assert actual <= program_size(pattern) <= actual + 25 + actual // 4


@given(st.lists(st.integers(0, 99), unique=True, min_size=1))
def test_any_hundred_buckets_fit_into_envoy(numbers: list[int]) -> None:
    assert program_size(BucketSet(tuple(numbers)).pattern()) <= ENVOY_PROGRAM_SIZE


def test_the_widest_set_of_a_hundred_is_within_the_bound() -> None:
    """Ten heads, each with other endings, each of five digits that do not touch."""
    endings = [(0, 2, 4, 6, 8), (1, 3, 5, 7, 9), (0, 2, 4, 6, 9), (0, 2, 4, 7, 9), (0, 2, 5, 7, 9), (0, 3, 5, 7, 9)]
    endings += [(1, 3, 5, 7), (0, 3, 5, 8), (1, 4, 6, 9), (2, 4, 7, 9)]
    numbers = tuple(10 * head + digit for head, digits in enumerate(endings) for digit in digits)
    pattern = BucketSet(numbers).pattern()
    assert re2.compile(pattern).programsize <= program_size(pattern) <= ENVOY_PROGRAM_SIZE
    assert re.fullmatch(r"[0-9()|?:^$\[\]-]+", pattern)
