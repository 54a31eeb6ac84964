"""Signed probes as a gateway of these tests should believe them, and what may be wrong with one."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path

from running_envoy import ROUTE

from tailramp.probe_token import key_from, sign

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "probes.json").read_text("utf-8"))["gateways"]
SECRET = "0123456789abcdef0123456789abcdef"
PROBE, ECHO = "X-Tailramp-Probe", "x-tailramp-probe-echo"
PATH = "/v1/models"


def signed(value: str, *, secret: str = SECRET, late: float = 0, **changes: str) -> str:
    """A good probe for these gateways, made `late` seconds ago, except for what is changed."""
    fields = {"route": ROUTE, "path": PATH, "nonce": secrets.token_hex(16)} | changes
    return sign(key_from(secret), value=value, time_ms=int((time.time() - late) * 1000), **fields)


def nonce_of(token: str) -> str:
    return token.split(";")[3]
