"""The signed probe: how tailramp asks a gateway "who would serve bucket 67?" without being that user.

An ordinary request cannot name its bucket, since the gateway removes what it did not write itself.  A signed probe can,
and is therefore worth forging: this module is the one place that says what is signed, and ``gateway/bucket.lua`` is
bound to it by the vectors in ``tests/vectors/probes.json``.

Request::

    X-Tailramp-Probe: v1;<value>;<time>;<nonce>;<mac>

    value   bucket=67        serve this as bucket 67 (four digits at resolution 10000)
            bucket=67_VIP    as bucket 67 with the segment VIP
            user=7531        compute the bucket of this user id, given as the hexadecimal of its bytes
    time    milliseconds since 1970 in 13 digits, at most 10 s from the gateway's clock
    nonce   32 hexadecimal digits, new for every probe
    mac     HMAC-SHA-256 in lower-case hexadecimal, with the secret as key, over these seven lines, joined by "\\n":
            tailramp-probe-v1, route, method, path with query, value, time, nonce

A gateway accepts it only on a GET without a body for its one probe path, and only if everything above holds; otherwise
the request is an ordinary one.  The header never reaches a server.  An accepted probe is answered with::

    X-Tailramp-Probe-Echo: <nonce>;<bucket or bucket_SEGMENT, or - for a user without a bucket>

which is taken off whatever a server sends.  A refused probe is served by the default and would "prove" that nobody
reaches the candidate, so **a response without the echo is UNKNOWN and never evidence**.

A nonce may be used twice within the 10 s: gateways would have to share memory to prevent it, and all that a replay
gains is another answer to the same cheap GET.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final, Self

from tailramp.errors import Refused

PROBE_HEADER: Final = "X-Tailramp-Probe"
ECHO_HEADER: Final = "X-Tailramp-Probe-Echo"
WINDOW_MS: Final = 10_000
NO_BUCKET: Final = "-"
MIN_SECRET_BYTES: Final = 16
"""Of a key that a captured probe must not give away; ``openssl rand -hex 32`` gives 64."""

_BUCKET = re.compile(r"[0-9]{2}|[0-9]{4}")
_SEGMENT = re.compile(r"[A-Z0-9]{1,16}")
_NONCE = re.compile(r"[0-9a-f]{32}")
_ECHO = re.compile(r"([0-9a-f]{32});(-|[0-9]{2}(?:[0-9]{2})?(?:_[A-Z0-9]{1,16})?)")


def key_from(secret: str) -> bytes:
    """The key in a secret; line ends after it, which files have and variables lack, are no part of it.

    Raises Refused, without showing it, for one of fewer than ``MIN_SECRET_BYTES``.
    """
    key = secret.rstrip("\r\n").encode("utf-8", "surrogateescape")
    if len(key) < MIN_SECRET_BYTES:
        raise Refused(
            f"the probe secret has {len(key)} bytes and needs at least {MIN_SECRET_BYTES}. "
            "Make one with: openssl rand -hex 32"
        )
    return key


def bucket_value(bucket: str, segment: str | None = None) -> str:
    """What a probe says to be served as ``bucket``: two or four digits; ``segment`` is up to 16 of A-Z and 0-9."""
    if _BUCKET.fullmatch(bucket) is None:
        raise ValueError(f"{bucket!r} is not a bucket: two or four digits")
    if segment is None:
        return f"bucket={bucket}"
    if _SEGMENT.fullmatch(segment) is None:
        raise ValueError(f"{segment!r} is not a segment: 1 to 16 capital letters and digits")
    return f"bucket={bucket}_{segment}"


def user_value(user_id: str) -> str:
    """What a probe says to have the gateway compute the bucket of ``user_id``, which must not be empty."""
    if not user_id:
        raise ValueError("an empty user id has no bucket")
    return f"user={user_id.encode('utf-8', 'surrogateescape').hex()}"


def sign(key: bytes, *, route: str, path: str, value: str, time_ms: int, nonce: str) -> str:
    """The header's value for a GET of ``path`` (with its query, as sent) through the gateway of ``route``."""
    if _NONCE.fullmatch(nonce) is None:
        raise ValueError(f"{nonce!r} is not a nonce: 32 hexadecimal digits")
    lines = ("tailramp-probe-v1", route, "GET", path, value, f"{time_ms:013d}", nonce)
    if any("\n" in line for line in lines):
        raise ValueError("a line end in route or path would let one probe pass for another")
    mac = hmac.new(key, "\n".join(lines).encode(), hashlib.sha256).hexdigest()
    return f"v1;{value};{time_ms:013d};{nonce};{mac}"


@dataclass(frozen=True)
class Echo:
    """A gateway's word that it accepted the probe with ``nonce`` and served it as ``bucket``: ``67``, ``67_VIP``, or
    ``NO_BUCKET`` for a user id that has none."""

    nonce: str
    bucket: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for anything that no gateway of ours would say."""
        match = _ECHO.fullmatch(text)
        return cls(match.group(1), match.group(2)) if match is not None else None
