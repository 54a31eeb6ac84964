"""User id → bucket, sets of buckets as people write them, and the pattern that a set compiles to."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tailramp.buckets import BucketFunction, BucketSet, bucket_of

VECTORS = json.loads(Path(__file__).parents[1].joinpath("vectors", "buckets.json").read_text(encoding="utf-8"))

Resolution = Literal[100, 10000]


def sets(resolution: Resolution, most: int = 60) -> st.SearchStrategy[BucketSet]:
    numbers = st.lists(st.integers(0, resolution - 1), unique=True, max_size=most)
    return numbers.map(lambda chosen: BucketSet(tuple(chosen), resolution))


any_set = st.one_of(sets(100), sets(10000))


# User id → bucket.


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["user"])
def test_the_shared_vectors_hold_at_both_resolutions(vector: dict[str, object]) -> None:
    user, fine = str(vector["user"]), f"{vector['bucket']:04d}"
    assert bucket_of(user, salt=VECTORS["salt"], resolution=10000) == fine
    assert bucket_of(user, salt=VECTORS["salt"], resolution=100) == fine[:2]


@given(st.text(min_size=1).filter(lambda text: not any("\ud800" <= letter <= "\udfff" for letter in text)))
def test_a_coarse_bucket_is_the_parent_of_the_fine_one(user: str) -> None:
    fine = bucket_of(user, salt="s", resolution=10000)
    assert len(fine) == 4
    assert bucket_of(user, salt="s", resolution=100) == fine[:2]


def test_an_empty_user_id_has_no_bucket() -> None:
    assert bucket_of("", salt="demo-2026") is None


def test_a_header_that_is_not_utf8_has_the_bucket_of_its_bytes() -> None:
    """aiohttp and others decode header bytes with surrogateescape; the gateway hashes the bytes."""
    raw = "用户".encode("gbk")
    from_header = raw.decode("utf-8", "surrogateescape")
    digest = hashlib.sha256(b"demo-2026:" + raw).digest()
    expected = int.from_bytes(digest[:6], "big") % 10000
    assert bucket_of(from_header, salt="demo-2026", resolution=10000) == f"{expected:04d}"


def test_another_salt_shuffles_the_users() -> None:
    users = [f"u{number}" for number in range(2000)]
    one, other = BucketFunction("one"), BucketFunction("other")
    assert sum(one(user) == other(user) for user in users) < 60  # 20 are expected by chance


def test_every_bucket_gets_its_hundredth_of_200_000_decimal_ids() -> None:
    bucket = BucketFunction("demo-2026")
    counts = Counter(bucket(f"138{number:08d}") for number in range(200_000))
    assert len(counts) == 100
    chi_square = sum((count - 2000) ** 2 / 2000 for count in counts.values())
    assert chi_square < 149  # 99 degrees of freedom: a fair split exceeds it once in a thousand
    assert abs(sum(counts[f"{bucket:02d}"] for bucket in range(5)) / 200_000 - 0.05) < 0.002


# Sets as people write them.


@pytest.mark.parametrize(
    ("text", "members", "resolution"),
    [
        ("00-04", ["00", "01", "02", "03", "04"], 100),
        ("00-02,10,37", ["00", "01", "02", "10", "37"], 100),
        ("37", ["37"], 100),
        (" 00 - 01 , 05 ", ["00", "01", "05"], 100),
        ("99,00", ["99", "00"], 100),
        ("0000-0002", ["0000", "0001", "0002"], 10000),
        ("9999", ["9999"], 10000),
        ("", [], 100),
        ("   ", [], 100),
    ],
)
def test_a_set_is_read_as_it_is_written(text: str, members: list[str], resolution: int) -> None:
    parsed = BucketSet.parse(text)
    assert list(parsed) == members
    assert parsed.resolution == resolution


@pytest.mark.parametrize(
    ("text", "part", "reason"),
    [
        ("04-00", "'04-00'", "is reversed. Write 00-04"),
        ("00-04,9-3", "'9-3'", "two digits"),
        ("00-04,02", "'02'", "02 a second time"),
        ("00-04,03-05", "'03-05'", "03 a second time"),
        ("00,0001", "'0001'", "every bucket has two digits"),
        ("00-0004", "'00-0004'", "every bucket has two digits"),
        ("5", "'5'", "two digits"),
        ("100", "'100'", "two digits"),
        ("000-004", "'000-004'", "two digits"),
        ("00000", "'00000'", "two digits"),
        ("00-100", "'00-100'", "two digits"),
        ("00-04,", "''", "neither a bucket"),
        (",", "''", "neither a bucket"),
        ("00,,01", "''", "neither a bucket"),
        ("00;01", "'00;01'", "neither a bucket"),
        ("零零", "'零零'", "neither a bucket"),
        ("００-０４", "'００-０４'", "neither a bucket"),
        ("٠٠", "'٠٠'", "neither a bucket"),
        ("²³", "'²³'", "neither a bucket"),
        ("-1", "'-1'", "neither a bucket"),
        ("00-", "'00-'", "neither a bucket"),
        ("00-01-02", "'00-01-02'", "neither a bucket"),
        ("00–04", "'00–04'", "neither a bucket"),
        ("0x10", "'0x10'", "neither a bucket"),
        ("VIP", "'VIP'", "neither a bucket"),
        ("*", "'*'", "neither a bucket"),
        ("5%", "'5%'", "neither a bucket"),
    ],
)
def test_a_set_that_is_written_wrongly_is_refused_with_the_part_named(text: str, part: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(part)) as refusal:
        BucketSet.parse(text)
    assert reason in str(refusal.value)


@given(any_set)
def test_a_printed_set_is_read_back_in_the_same_order(buckets: BucketSet) -> None:
    again = BucketSet.parse(str(buckets))
    assert again.numbers == buckets.numbers
    assert again == buckets or not len(buckets)


@given(st.text(alphabet="0123456789-, 零", max_size=30))
def test_any_text_is_either_a_set_or_refused(text: str) -> None:
    try:
        parsed = BucketSet.parse(text)
    except ValueError:
        return
    assert len(set(parsed)) == len(parsed) <= parsed.resolution


@given(any_set)
def test_a_set_survives_the_way_through_json(buckets: BucketSet) -> None:
    adapter = TypeAdapter(BucketSet)
    assert adapter.validate_json(adapter.dump_json(buckets)).numbers == buckets.numbers


@pytest.mark.parametrize("value", [5, 10.0, None, True, ["00"], {"00": 1}])
def test_buckets_that_are_not_text_are_refused_with_an_example(value: object) -> None:
    with pytest.raises(ValueError, match='for example "00-04,10,37"'):
        TypeAdapter(BucketSet).validate_python(value)


def test_runs_are_joined_when_printed_but_never_reordered() -> None:
    assert str(BucketSet.parse("00,01,02,10,09,08,11-12")) == "00-02,10,09,08,11-12"


@pytest.mark.parametrize("stranger", ["0", "5", "005", "0000", "", "０５", "²³", "٠٥", "0५", " 5", "+5", "VIP"])
def test_nobody_strange_is_in_the_set_of_everyone(stranger: str) -> None:
    everyone = BucketSet.parse("00-99")
    assert stranger not in everyone
    assert everyone.is_everyone


# Sets as sets.


@given(sets(100), sets(100))
def test_union_minus_and_overlap_are_those_of_sets(one: BucketSet, other: BucketSet) -> None:
    assert set(one.union(other)) == set(one) | set(other)
    assert set(one.minus(other)) == set(one) - set(other)
    assert set(one.overlap(other)) == set(one) & set(other)
    assert one.issuperset(other) == (set(one) >= set(other))
    assert one.same_members(other) == (set(one) == set(other))
    assert one.union(other).numbers[: len(one)] == one.numbers


@given(sets(100), st.integers(0, 100), st.integers(0, 100))
def test_a_user_who_is_in_stays_in_as_the_share_grows(target: BucketSet, one: int, other: int) -> None:
    few, many = sorted((one, other))
    assert target.first(many).issuperset(target.first(few))
    assert target.first(many).numbers[: len(target.first(few))] == target.first(few).numbers


def test_sets_of_different_resolutions_do_not_mix() -> None:
    with pytest.raises(ValueError, match="different resolutions"):
        BucketSet.parse("00-04").union(BucketSet.parse("0000-0004"))


def test_nobody_mixes_with_either_resolution() -> None:
    fine = BucketSet.parse("0007")
    assert BucketSet().union(fine) == fine
    assert fine.minus(BucketSet()) == fine
    assert not len(BucketSet().overlap(fine))


def test_the_share_is_that_of_hashed_users() -> None:
    assert BucketSet.parse("00-04").share == 0.05
    assert BucketSet.parse("0000-0004").share == 0.0005
    assert BucketSet().share == 0


# Patterns.


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("00-04,37", "^(?:0[0-4]|37)$"),
        ("37", "^(?:37)$"),
        ("00-99", "^(?:[0-9][0-9])$"),
        ("0000-0499", "^(?:0[0-4][0-9][0-9])$"),
    ],
)
def test_the_patterns_of_the_design_are_spelt_as_it_spells_them(text: str, pattern: str) -> None:
    assert BucketSet.parse(text).pattern() == pattern


def test_the_two_dimensional_pattern_of_the_design_matches_what_the_design_says() -> None:
    pattern = BucketSet.parse("00-01").pattern(("VIP", "NEW"))
    design = "^(?:(?:00|01)_(?:VIP|NEW))$"
    keys = [f"{bucket:02d}_{tag}" for bucket in range(100) for tag in ("VIP", "NEW", "RETURNING", "", "VIPNEW", "vip")]
    keys += ["00", "00_", "_VIP", "00_VIP ", "x00_VIP"]
    assert [key for key in keys if re.search(pattern, key)] == [key for key in keys if re.search(design, key)]


@settings(max_examples=60)
@given(sets(100, most=100).filter(len))
def test_a_pattern_matches_exactly_the_buckets_of_its_set(buckets: BucketSet) -> None:
    assert matching(buckets.pattern(), 100) == set(buckets)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9999), st.integers(1, 150)), min_size=1, max_size=12).map(
        lambda runs: BucketSet(
            tuple(
                dict.fromkeys(number for first, length in runs for number in range(first, min(first + length, 10000)))
            ),
            10000,
        )
    )
)
def test_a_fine_pattern_matches_exactly_the_buckets_of_its_set(buckets: BucketSet) -> None:
    assert matching(buckets.pattern(), 10000) == set(buckets)


@given(any_set.filter(len))
def test_a_pattern_holds_only_what_every_regular_expression_engine_reads_alike(buckets: BucketSet) -> None:
    pattern = buckets.pattern()
    assert pattern.startswith("^(?:")
    assert pattern.endswith(")$")
    assert re.fullmatch(r"[0-9()|?:\[\]-]+", pattern[1:-1])
    assert "{" not in pattern


def test_a_pattern_admits_neither_a_longer_nor_a_shorter_value() -> None:
    pattern = BucketSet.parse("00-04,37").pattern()
    for value in ("", "0", "000", "370", "037", "00 ", " 00", "00,37", "00_VIP", "a^"):
        assert re.search(pattern, value) is None


def test_every_second_of_ten_thousand_buckets_still_has_a_short_pattern() -> None:
    assert len(BucketSet(tuple(range(0, 10000, 2)), 10000).pattern()) < 60


def test_nobody_has_no_pattern() -> None:
    with pytest.raises(ValueError, match="an empty bucket set has no pattern"):
        BucketSet().pattern()


def matching(pattern: str, resolution: int) -> set[str]:
    compiled, width = re.compile(pattern), len(str(resolution - 1))
    every = (f"{number:0{width}d}" for number in range(resolution))
    return {bucket for bucket in every if compiled.fullmatch(bucket)}
