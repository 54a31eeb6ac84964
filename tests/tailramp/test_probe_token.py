"""The wire format of signed probes, held by the vectors that the gateway's Lua must meet too."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailramp.buckets import bucket_of
from tailramp.errors import Refused
from tailramp.probe_token import Echo, bucket_value, key_from, sign, user_value

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "probes.json").read_text("utf-8"))["gateways"]
KEY = b"0123456789abcdef"
NONCE = "00112233445566778899aabbccddeeff"
GOOD: dict[str, Any] = {
    "route": "demo/chat",
    "path": "/v1/models",
    "value": "bucket=67",
    "time_ms": 1767225600000,
    "nonce": NONCE,
}

lines = st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=30)
fields = st.fixed_dictionaries(
    {
        "route": lines,
        "path": lines,
        "value": lines,
        "time_ms": st.integers(10**12, 10**13 - 1),
        "nonce": st.binary(min_size=16, max_size=16).map(bytes.hex),
    }
)


def test_python_gives_the_shared_vectors() -> None:
    """Their MACs were computed by OpenSSL."""
    for gateway in VECTORS:
        for vector in gateway["probes"]:
            told = {name: vector[name] for name in ("value", "time_ms", "nonce")}
            token = sign(key_from(gateway["secret"]), route=gateway["route"], path=gateway["path"], **told)
            assert token == vector["header"]


def test_the_vectors_of_users_name_the_bucket_that_python_computes() -> None:
    users = [
        (bytes.fromhex(vector["value"].removeprefix("user=")).decode(), vector["bucket"], gateway)
        for gateway in VECTORS
        for vector in gateway["probes"]
        if vector["value"].startswith("user=")
    ]
    assert len(users) >= 5
    for user, bucket, gateway in users:
        assert bucket_of(user, salt=gateway["salt"], resolution=gateway["resolution"]) == bucket


@pytest.mark.parametrize(
    "changed",
    [
        {"route": "demo/cha"},
        {"path": "/v1/model"},
        {"value": "bucket=68"},
        {"time_ms": 1767225600001},
        {"nonce": NONCE[::-1]},
        {"route": "demo", "path": "/chat/v1/models"},
    ],
)
def test_every_field_is_signed(changed: dict[str, Any]) -> None:
    assert mac_of(sign(KEY, **(GOOD | changed))) != mac_of(sign(KEY, **GOOD))


@given(fields, fields)
def test_two_different_probes_never_share_a_mac(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (mac_of(sign(KEY, **one)) == mac_of(sign(KEY, **other))) == (one == other)


@pytest.mark.parametrize(
    "changed", [{"route": "demo\nGET"}, {"path": "/v1\n/models"}, {"nonce": NONCE[:-1]}, {"nonce": NONCE.upper()}]
)
def test_a_probe_that_could_pass_for_another_is_not_signed(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"line end|not a nonce"):
        sign(KEY, **(GOOD | changed))


def mac_of(token: str) -> str:
    return token.rsplit(";", 1)[1]


def test_a_value_names_a_bucket_a_segment_or_the_bytes_of_a_user() -> None:
    assert bucket_value("67") == "bucket=67"
    assert bucket_value("6700", "VIP") == "bucket=6700_VIP"
    assert user_value("u1") == "user=7531"
    assert user_value("用户甲") == "user=e794a8e688b7e794b2"


@pytest.mark.parametrize("bucket", ["", "6", "067", "67000", "6a", "-1", "６７", "67\n"])
def test_what_is_no_bucket_is_refused(bucket: str) -> None:
    with pytest.raises(ValueError, match="two or four digits"):
        bucket_value(bucket)


@pytest.mark.parametrize("segment", ["", "vip", "V_P", "V" * 17, "VIP;", "重要"])
def test_what_is_no_segment_is_refused(segment: str) -> None:
    with pytest.raises(ValueError, match="not a segment"):
        bucket_value("67", segment)


def test_nobody_has_no_bucket_to_compute() -> None:
    with pytest.raises(ValueError, match="empty user id"):
        user_value("")


def test_line_ends_after_a_secret_are_no_part_of_it() -> None:
    for secret in ("0123456789abcdef", "0123456789abcdef\n", "0123456789abcdef\r\n"):
        assert key_from(secret) == KEY
    assert key_from(" 123456789abcdef ") == b" 123456789abcdef "


def test_a_binary_secret_keeps_its_bytes() -> None:
    assert key_from(os.fsdecode(bytes(range(128, 256)))) == bytes(range(128, 256))


@pytest.mark.parametrize("secret", ["", "fifteen bytes..", "fifteen bytes..\n\n\n"])
def test_a_secret_that_can_be_guessed_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(Refused, match=r"has (0|15) bytes and needs at least 16\. .*openssl rand") as refused:
        key_from(secret)
    assert "fifteen bytes.." not in str(refused.value)


def test_an_echo_is_a_nonce_and_what_was_set() -> None:
    for bucket in ("67", "6700", "67_VIP", "6700_NEW"):
        assert Echo.parse(f"{NONCE};{bucket}") == Echo(NONCE, bucket)


@pytest.mark.parametrize(
    "text",
    ["", NONCE, f"{NONCE};", f"{NONCE};6", f"{NONCE};670", f"{NONCE};67_", f"{NONCE};67_vip", f"{NONCE};67, x", ";67"],
)
def test_anything_else_is_no_echo(text: str) -> None:
    assert Echo.parse(text) is None
