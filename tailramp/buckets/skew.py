"""How evenly a strategy spreads real ids: the shares that a sample has, against the shares that were meant."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tailramp.buckets.bucket_set import BucketSet
from tailramp.buckets.strategies import BucketFunction, Resolution


@dataclass(frozen=True)
class Skew:
    """``counts`` are distinct ids by bucket; ``without`` had none."""

    counts: Counter[str]
    without: int
    resolution: Resolution

    @classmethod
    def of(cls, ids: Iterable[str], function: BucketFunction, resolution: Resolution) -> "Skew":
        counts: Counter[str] = Counter()
        without = 0
        for user_id in set(ids):
            bucket = function(user_id)
            if bucket is None:
                without += 1
            else:
                counts[bucket] += 1
        return cls(counts, without, resolution)

    @property
    def total(self) -> int:
        """Ids with a bucket."""
        return self.counts.total()

    @property
    def chi_square(self) -> float:
        """Pearson's statistic against equal shares, with ``resolution - 1`` degrees of freedom; 0 without ids."""
        if not self.total:
            return 0.0
        expected = self.total / self.resolution
        missing = self.resolution - len(self.counts)
        return sum((count - expected) ** 2 for count in self.counts.values()) / expected + missing * expected

    @property
    def p_value(self) -> float:
        """How often an even spread looks at least as uneven as this.

        By the approximation of Wilson and Hilferty (1931): the cube root of chi-square over its degrees of freedom is
        nearly normal.  It is off by less than 0.001 for 99 degrees and more.
        """
        freedom = self.resolution - 1
        spread = 2 / (9 * freedom)
        z = ((self.chi_square / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)
        return 0.5 * math.erfc(z / math.sqrt(2))

    @property
    def is_tellable(self) -> bool:
        """Whether the sample is large enough for chi-square: five ids expected in every bucket."""
        return self.total >= 5 * self.resolution

    def share_of(self, buckets: BucketSet) -> float:
        """The share, 0 to 1, that ``buckets`` have of the ids with a bucket; NaN without any."""
        return sum(self.counts[bucket] for bucket in buckets) / self.total if self.total else math.nan

    @property
    def largest(self) -> tuple[str, float]:
        """The bucket with the most ids, and its share; NaN without any."""
        if not self.total:
            return "", math.nan
        bucket, count = self.counts.most_common(1)[0]
        return bucket, count / self.total

    @property
    def smallest(self) -> float:
        """The share of the bucket with the fewest ids; NaN without any."""
        if not self.total:
            return math.nan
        return 0.0 if len(self.counts) < self.resolution else min(self.counts.values()) / self.total
