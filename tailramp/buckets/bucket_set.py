"""Sets of buckets as people write them: ``00-04,10,37``."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from tailramp.buckets.patterns import pattern_of, runs
from tailramp.buckets.strategies import Resolution, width_of
from tailramp.errors import WrongValue

_LONGEST_PART: Final = 40
_EXAMPLE: Final = 'Write buckets and ranges, such as "00-04,10,37"'
_RANGE: Final = re.compile(r"([0-9]+)(?:\s*-\s*([0-9]+))?")


@dataclass(frozen=True)
class BucketSet:
    """A set of buckets that remembers the order in which it was written.

    The order matters to a ramp: its steps take the first buckets of the target, so that a user who is in stays in.
    Two sets with the same members are equal in what they admit (``same_members``) but may differ as written.
    """

    numbers: tuple[int, ...] = ()
    resolution: Resolution = 100

    @classmethod
    def parse(cls, text: str) -> Self:
        """``"00-04,10,37"`` → the set; ``""`` → nobody.

        Raises WrongValue, naming the part, for anything but ranges of two (or all four) digits, for reversed ranges
        and for a bucket that is named twice.
        """
        parts = [part.strip() for part in text.split(",")] if text.strip() else []
        if tedious := next((part for part in parts if len(part) > _LONGEST_PART), None):
            raise WrongValue(f"{tedious[:_LONGEST_PART]!r}... is neither a bucket nor a range", _EXAMPLE)
        numbers: list[int] = []
        seen: set[int] = set()
        widths: set[int] = set()
        for part in parts:
            match = _RANGE.fullmatch(part)
            if match is None or not part.isascii():
                raise WrongValue(f"{part!r} is neither a bucket nor a range", _meant(text))
            first, last = match.group(1), match.group(2) or match.group(1)
            widths |= {len(first), len(last)}
            if not widths <= {2, 4} or len(widths) > 1:
                reason = f"{part!r}: every bucket has two digits (00-99), or every bucket has four (0000-9999)"
                raise WrongValue(reason, _meant(text))
            if int(first) > int(last):
                raise WrongValue(f"{part!r} is reversed", f"Write {last}-{first}")
            for number in range(int(first), int(last) + 1):
                if number in seen:
                    reason = f"{part!r} names bucket {number:0{len(first)}d} a second time"
                    raise WrongValue(reason, "Name each bucket once")
                seen.add(number)
                numbers.append(number)
        return cls(tuple(numbers), 10000 if widths == {4} else 100)

    def __str__(self) -> str:
        width = width_of(self.resolution)
        parts = [
            f"{first:0{width}d}" if first == last else f"{first:0{width}d}-{last:0{width}d}"
            for first, last in runs(self.numbers)
        ]
        return ",".join(parts)

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[str]:
        width = width_of(self.resolution)
        return (f"{number:0{width}d}" for number in self.numbers)

    def __contains__(self, bucket: str) -> bool:
        is_bucket = len(bucket) == width_of(self.resolution) and bucket.isascii() and bucket.isdigit()
        return is_bucket and int(bucket) in self.numbers

    @property
    def share(self) -> float:
        """The share of identified users, 0 to 1, that the set admits when ids are hashed evenly."""
        return len(self.numbers) / self.resolution

    @property
    def is_everyone(self) -> bool:
        return len(self.numbers) == self.resolution

    def first(self, count: int) -> "BucketSet":
        """The first ``count`` buckets in written order."""
        return BucketSet(self.numbers[:count], self.resolution)

    def union(self, other: "BucketSet") -> "BucketSet":
        """These buckets, then those of ``other`` that are not among them."""
        resolution = self._common_resolution(other)
        mine = set(self.numbers)
        return BucketSet((*self.numbers, *(number for number in other.numbers if number not in mine)), resolution)

    def minus(self, other: "BucketSet") -> "BucketSet":
        resolution = self._common_resolution(other)
        theirs = set(other.numbers)
        return BucketSet(tuple(number for number in self.numbers if number not in theirs), resolution)

    def issuperset(self, other: "BucketSet") -> bool:
        self._common_resolution(other)
        return set(other.numbers) <= set(self.numbers)

    def same_members(self, other: "BucketSet") -> bool:
        return self.issuperset(other) and other.issuperset(self)

    def overlap(self, other: "BucketSet") -> "BucketSet":
        return self.minus(self.minus(other))

    def _common_resolution(self, other: "BucketSet") -> Resolution:
        if self.numbers and other.numbers and self.resolution != other.resolution:
            raise ValueError(f"{self} and {other} have different resolutions")
        return self.resolution if self.numbers else other.resolution

    def pattern(self, segments: tuple[str, ...] = ()) -> str:
        """The anchored pattern that matches exactly these buckets; with ``segments`` their two-dimensional keys.

        An empty set has no pattern: nobody is expressed by having no rule.
        """
        if not self.numbers:
            raise ValueError("an empty bucket set has no pattern")
        return pattern_of(set(self), segments)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        one, several = (rf"\s*{digits}(\s*-\s*{digits})?\s*" for digits in ("[0-9]{2}", "[0-9]{4}"))
        pattern = rf"^(\s*|{one}(,{one})*|{several}(,{several})*)$"
        return {"type": "string", "examples": ["00-04,10,37", ""], "pattern": pattern}

    @classmethod
    def _validate(cls, value: object) -> "BucketSet":
        if isinstance(value, BucketSet):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        raise WrongValue("buckets are text in quotes", 'Write for example "00-04,10,37", or "" for nobody')


def _meant(text: str) -> str:
    """What to write instead of ``text``, which is no set of buckets."""
    plain = re.sub(r"[\s“”„‘’'\"]+", "", unicodedata.normalize("NFKC", text))
    if (percent := re.fullmatch(r"([1-9][0-9]?|100)%", plain)) is not None:
        last = int(percent[1]) - 1
        return f'{percent[1]} % of the users are "00-{last:02d}"' if last else '1 % of the users is one bucket, "00"'
    plain = re.sub(r"[、;,.]+", ",", re.sub(r"[‐-―−~〜]|至|到|\.\.|to", "-", plain)).strip(",")
    parts = [_RANGE.fullmatch(part) for part in plain.split(",")]
    numbers = [number for part in parts if part is not None for number in part.groups() if number is not None]
    if None in parts or not plain.isascii() or max(map(len, numbers)) > 4:
        return _EXAMPLE
    if beyond := [number for number in numbers if len(number) == 3 and int(number) > 99]:
        return f"{beyond[0]} is out of range: write 00 to 99, or four digits everywhere"
    width = 4 if any(len(number) == 4 for number in numbers) else 2
    return f'Did you mean "{re.sub("[0-9]+", lambda number: number[0].zfill(width)[-width:], plain)}"?'
