"""User id → bucket.

A share of users is exact and sticky only if every place that computes a bucket computes the same one: this module, the
gateway's Lua and whoever checks them share the vectors in ``tests/vectors/buckets.json``.

``sha256``
    ``v = int(first 6 bytes of SHA-256(salt + ":" + user id), big-endian) mod 10000``.  A bucket at resolution 10000 is
    ``v`` in four digits, at resolution 100 it is ``v // 100`` in two, so that bucket ``67`` is the parent of
    ``6700``-``6799``.
``legacy_base36``
    The last four characters read as a number of base 36, modulo 100: for routes whose users are spread like this
    already.  Buckets are not equally large, and neighbouring ids share them.
``tail2``
    The last two digits of the id.

The last two have 100 buckets and no salt.  They take ASCII letters and digits (``tail2``: digits) only; an id whose
tail holds anything else, such as ``-``, ``_``, a blank or ``用``, has no bucket, and its user is served by the default.
The classic ``int(uid[-4:], 36)`` raises for some of those and silently accepts ``+123``, ``1_23`` and full-width
digits; a gateway that answers must do neither.  An id of fewer than four characters counts whole, as it does there;
``tail2`` needs two.
"""

import re
from collections.abc import Callable, Collection
from enum import StrEnum
from hashlib import sha256
from typing import Final, Literal

Resolution = Literal[100, 10000]

_BASE36_TAIL: Final = re.compile(r"[0-9A-Za-z]{1,4}")
_DIGITS_TAIL: Final = re.compile(r"[0-9]{2}")
_DIGEST_BYTES: Final = 6


class Strategy(StrEnum):
    """How a user id becomes a bucket."""

    SHA256 = "sha256"
    LEGACY_BASE36 = "legacy_base36"
    TAIL2 = "tail2"

    @property
    def is_salted(self) -> bool:
        return self is Strategy.SHA256

    @property
    def resolutions(self) -> tuple[Resolution, ...]:
        return (100, 10000) if self is Strategy.SHA256 else (100,)


def width_of(resolution: Resolution) -> int:
    """The digits of a bucket."""
    return 2 if resolution == 100 else 4


def bucket_of(user_id: str, *, salt: str, resolution: Resolution = 100) -> str | None:
    """The bucket of one user by the default strategy, as fixed-width digits; None for an empty id."""
    return BucketFunction(salt, resolution)(user_id)


class BucketFunction:
    """User id → bucket with everything else bound, for many ids; None where an id has no bucket.

    The salted prefix is hashed once and copied: a million ids take about two seconds.  ``allow`` and ``deny`` hold
    digests of users (``digest_of``): the former are in the first bucket whatever their ids say, which is the first that
    a ramp of ``00-…`` reaches, and the latter have none.  Who is in both has none.

    Raises ValueError for a resolution that the strategy does not have.
    """

    def __init__(
        self,
        salt: str,
        resolution: Resolution = 100,
        strategy: Strategy = Strategy.SHA256,
        *,
        allow: Collection[str] = (),
        deny: Collection[str] = (),
    ) -> None:
        if resolution not in strategy.resolutions:
            raise ValueError(f"{strategy} has no resolution {resolution}")
        self._prefix = sha256(f"{salt}:".encode())
        self._divisor = 10000 // resolution
        self._width = width_of(resolution)
        self._allow, self._deny = frozenset(allow), frozenset(deny)
        of: dict[Strategy, Callable[[str], str | None]] = {
            Strategy.SHA256: self._hashed,
            Strategy.LEGACY_BASE36: _legacy_base36,
            Strategy.TAIL2: _tail2,
        }
        self._of = of[strategy]

    def __call__(self, user_id: str) -> str | None:
        if not user_id:
            return None
        if self._allow or self._deny:
            digest = self.digest_of(user_id)
            if digest in self._deny:
                return None
            if digest in self._allow:
                return "0" * self._width
        return self._of(user_id)

    def digest_of(self, user_id: str) -> str:
        """What stands for the user in a list: the first 12 hexadecimal digits of the salted hash."""
        return self._digest(user_id).hex()

    def _digest(self, user_id: str) -> bytes:
        digest = self._prefix.copy()
        digest.update(user_id.encode("utf-8", "surrogateescape"))
        return digest.digest()[:_DIGEST_BYTES]

    def _hashed(self, user_id: str) -> str:
        value = int.from_bytes(self._digest(user_id), "big") % 10000
        return f"{value // self._divisor:0{self._width}d}"


def _legacy_base36(user_id: str) -> str | None:
    tail = user_id[-4:]
    return f"{int(tail, 36) % 100:02d}" if _BASE36_TAIL.fullmatch(tail) else None


def _tail2(user_id: str) -> str | None:
    tail = user_id[-2:]
    return tail if _DIGITS_TAIL.fullmatch(tail) else None
