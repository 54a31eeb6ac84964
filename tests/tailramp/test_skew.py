"""Real shares of a sample, and how likely an even spread looks like it."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from tailramp.buckets import BucketFunction, BucketSet, Skew, Strategy


def skew(counts: dict[str, int]) -> Skew:
    return Skew(Counter(counts), 0, 100)


def test_an_even_sample_has_no_chi_square_and_one_in_a_single_bucket_the_largest() -> None:
    even = skew({f"{bucket:02d}": 10 for bucket in range(100)})
    assert (even.chi_square, even.smallest, even.largest[1]) == (0, 0.01, 0.01)
    assert even.p_value == pytest.approx(1, abs=1e-6)
    lonely = skew({"07": 1000})
    assert lonely.chi_square == pytest.approx(990**2 / 10 + 99 * 10)
    assert (lonely.smallest, lonely.largest) == (0.0, ("07", 1.0))
    assert lonely.p_value < 1e-12


@pytest.mark.parametrize(
    ("chi_square", "p"), [(98.334, 0.5), (117.407, 0.1), (123.225, 0.05), (134.642, 0.01), (148.230, 0.001)]
)
def test_the_p_value_is_that_of_the_tables_for_99_degrees_of_freedom(chi_square: float, p: float) -> None:
    """Two buckets of a hundred deviate by as much as gives that chi-square."""
    size = 10_000
    off = math.sqrt(chi_square * size / 100 / 2)
    counts = {f"{bucket:02d}": 100.0 for bucket in range(100)} | {"00": 100 + off, "01": 100 - off}
    sample = Skew(Counter(counts), 0, 100)  # type: ignore[arg-type]
    assert sample.chi_square == pytest.approx(chi_square)
    assert sample.p_value == pytest.approx(p, rel=0.03)


def test_an_id_counts_once_and_one_without_a_bucket_apart() -> None:
    found = Skew.of(["a11", "a11", "a12", "bc"], BucketFunction("", strategy=Strategy.TAIL2), 100)
    assert (found.counts, found.without, found.total) == (Counter({"11": 1, "12": 1}), 1, 2)
    assert found.share_of(BucketSet.parse("10-11")) == 0.5
    assert not found.is_tellable


def test_without_any_bucket_nothing_is_claimed() -> None:
    nobody = Skew.of(["a"], BucketFunction("", strategy=Strategy.TAIL2), 100)
    assert (nobody.chi_square, nobody.largest[0], nobody.p_value) == (0, "", pytest.approx(1))
    assert all(map(math.isnan, (nobody.smallest, nobody.largest[1], nobody.share_of(BucketSet.parse("00")))))


def test_p_values_of_hashed_ids_are_spread_as_they_should_be() -> None:
    """Of 200 samples about a tenth lies below 0.1."""
    source = random.Random(3)
    low = 0
    for number in range(200):
        ids = [str(source.getrandbits(64)) for _ in range(2000)]
        low += Skew.of(ids, BucketFunction(f"salt-{number}"), 100).p_value < 0.1
    assert 8 <= low <= 36
