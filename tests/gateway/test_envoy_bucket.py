"""The bucket that a request arrives with, through a real Envoy: computed by nobody but the gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from running_envoy import StartGateway, expected_bucket, route_document
from sample_ids import misread, two_thousand_ids

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "buckets.json").read_text("utf-8"))
U1 = ("x-user-id", "u1")


@pytest.mark.parametrize("resolution", [100, 10000])
async def test_the_gateway_gives_the_shared_vectors(start_gateway: StartGateway, resolution: int) -> None:
    envoy = await start_gateway(salt=VECTORS["salt"], resolution=resolution)
    for vector in VECTORS["vectors"]:
        expected = f"{vector['bucket'] // 100:02d}" if resolution == 100 else f"{vector['bucket']:04d}"
        assert (await envoy.get(("x-user-id", vector["user"]))).bucket == expected


async def test_gateway_and_python_agree_on_two_thousand_user_ids(start_gateway: StartGateway) -> None:
    envoy = await start_gateway()
    assert await misread(envoy, two_thousand_ids(20260)) == []


@pytest.mark.parametrize(
    "salt",
    [
        '"',
        "'",
        "\\",
        '\\"',
        "]]",
        "--",
        "\n",
        "\r\n",
        "\0",
        "7",
        "盐 2026",
        "🧂",
        '"}; error("x") --',
        "x" * 300,
        "${SALT}",
    ],
)
async def test_any_salt_survives_the_way_into_lua(start_gateway: StartGateway, salt: str) -> None:
    envoy = await start_gateway(salt=salt)
    for uid in ("u1", "用户甲"):
        assert (await envoy.get(("x-user-id", uid))).bucket == expected_bucket(uid, salt)


FORGERIES = {
    "single": [("x-user-bucket", "0001")],
    "duplicate": [("x-user-bucket", "0001"), ("x-user-bucket", "0002")],
    "case": [("X-USER-BUCKET", "0001"), ("X-User-Bucket", "0002")],
    "underscores": [("X_User_Bucket", "0001"), ("x-user_bucket", "0001"), ("X_USER_BUCKET", "0001")],
    "two-dimensional": [("X-User-Bucket-2D", "00_VIP"), ("x_user_bucket_2d", "00_VIP")],
    "probe": [("X-Tailramp-Probe", "bucket=00"), ("x_tailramp_probe", "bucket=00")],
    "probe echo": [("X-Tailramp-Probe-Echo", f"{'0' * 32};0001"), ("x_tailramp_probe_echo", "0001")],
    "variant": [("X-Tailramp-Variant", "green"), ("x_tailramp_variant", "green")],
    "hop-by-hop": [("Connection", "x-user-bucket"), ("x-user-bucket", "0001")],
}


@pytest.mark.parametrize("forged", FORGERIES.values(), ids=FORGERIES.keys())
@pytest.mark.parametrize("identity", [[], [U1]], ids=["without an id", "with an id"])
async def test_a_forged_header_reaches_neither_the_candidate_nor_the_server(
    start_gateway: StartGateway, identity: list[tuple[str, str]], forged: list[tuple[str, str]]
) -> None:
    envoy = await start_gateway(route_document({"green": "^(?:000[0-9])$"}, "blue", "1"))
    for headers in (forged + identity, identity + forged):
        answer = await envoy.get(*headers)
        assert answer.slot == "blue"
        ours = {name: value for name, value in answer.received if "bucket" in name or "tailramp" in name}
        assert ours == ({"x-user-bucket": expected_bucket("u1")} if identity else {})


NO_ID: dict[str, list[tuple[str, str]]] = {
    "none": [],
    "empty": [("x-user-id", "")],
    "blank": [("x-user-id", "   ")],
    "twice": [U1, ("x-user-id", "u2")],
    "twice the same": [U1, ("X-User-Id", "u1")],
    "too long": [("x-user-id", "a" * 513)],
    "too long in bytes": [("x-user-id", "户" * 171)],
    "huge": [("x-user-id", "a" * 50_000)],
}


@pytest.mark.parametrize("headers", NO_ID.values(), ids=NO_ID.keys())
async def test_without_one_clear_user_id_there_is_no_bucket(
    start_gateway: StartGateway, headers: list[tuple[str, str]]
) -> None:
    envoy = await start_gateway(route_document({"green": "^(?:[0-9][0-9][0-9][0-9])$"}, "blue", "1"))
    answer = await envoy.get(*headers)
    assert (answer.slot, answer.bucket) == ("blue", None)
    assert (await envoy.get(U1)).slot == "green"


async def test_a_request_too_large_for_envoy_is_refused_and_counted_for_no_slot(start_gateway: StartGateway) -> None:
    envoy = await start_gateway()
    assert (await envoy.get(("x-user-id", "a" * 70_000))).status == 431
    assert await envoy.counter("cluster.blue.upstream_rq_total") == 0


async def test_the_user_id_is_taken_as_it_is_and_passed_on(start_gateway: StartGateway) -> None:
    envoy = await start_gateway()
    for uid in ("a" * 512, "户" * 170, "a  b", "U1", "u1,u2", "%75%31", '"u1"', "13800001234 "):
        answer = await envoy.get(("X-User-Id", uid))
        # Blanks around a header's value are not part of it, by HTTP's own rule.
        assert answer.bucket == expected_bucket(uid.strip())
        assert answer.values("x-user-id") == [uid.strip()]


async def test_an_id_that_is_no_utf8_is_hashed_as_its_bytes(start_gateway: StartGateway) -> None:
    envoy = await start_gateway()
    for encoding in ("latin-1", "utf-8", "utf-16-be"):
        uid = "\u00e9t\u00e9".encode(encoding).replace(b"\0", b"")
        assert (await envoy.get(("x-user-id", uid))).bucket == expected_bucket(uid)


async def test_the_id_comes_from_the_configured_header_only(start_gateway: StartGateway) -> None:
    envoy = await start_gateway(identity_header="X-Account")
    assert (await envoy.get(U1)).bucket is None
    assert (await envoy.get(U1, ("x-account", "用户甲"))).bucket == expected_bucket("用户甲")


async def test_an_honest_header_with_an_underscore_costs_the_header_not_the_request(
    start_gateway: StartGateway,
) -> None:
    envoy = await start_gateway()
    answer = await envoy.get(U1, ("trace_id", "7"), ("trace-id", "8"))
    assert answer.status == 200
    assert (answer.values("trace_id"), answer.values("trace-id")) == ([], ["8"])
    assert await envoy.counter("http1.dropped_headers_with_underscores") == 1


async def test_an_error_in_the_script_leaves_no_bucket_and_serves_the_default(start_gateway: StartGateway) -> None:
    def spoil(bootstrap: dict[str, Any]) -> None:
        filters = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
        source = filters[0]["typed_config"]["http_filters"][0]["typed_config"]["default_source_code"]
        spoiled = source["inline_string"].replace('["strategy"] = "sha256"', '["strategy"] = "unheard of"')
        assert spoiled != source["inline_string"]
        source["inline_string"] = spoiled

    envoy = await start_gateway(route_document({"green": "^(?:[0-9][0-9][0-9][0-9])$"}, "blue", "1"), edit=spoil)
    answer = await envoy.get(U1, ("x-user-bucket", "0001"))
    assert (answer.status, answer.slot, answer.bucket) == (200, "blue", None)
    assert await envoy.counter("http.gateway.lua.errors") == 1


async def test_the_answer_does_not_tell_the_client_its_bucket(start_gateway: StartGateway) -> None:
    envoy = await start_gateway()
    answer = await envoy.get(U1)
    assert {name for name in answer.headers if name.startswith(("x-", "server-timing"))} == {"x-tailramp-variant"}
