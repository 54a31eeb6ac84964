"""Signed probes through a real Envoy: which are believed, which are ordinary requests, and what nobody ever sees."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from probe_samples import ECHO, PATH, PROBE, SECRET, VECTORS, nonce_of, signed
from running_envoy import ROUTE, Answer, RunningEnvoy, StartGateway, Upstream, expected_bucket, until
from running_envoy import route_document as routes

from lab.process import free_port
from tailramp.probe_token import Echo, bucket_value, sign, user_value

U1 = ("x-user-id", "u1")
GOOD = bucket_value("0001")
CANARY = {"green": "^(?:000[0-9])$"}


@pytest.fixture
def start(start_gateway: StartGateway, tmp_path: Path) -> Callable[..., Any]:
    """A gateway with the secret, on which green serves buckets 0000 to 0009."""
    secret_file = tmp_path / "probe-secret"
    secret_file.write_text(SECRET + "\n")

    async def started(**changes: Any) -> RunningEnvoy:
        return await start_gateway(routes(CANARY, "blue", "1"), **({"probe_secret_file": secret_file} | changes))

    return started


def assert_ordinary(answer: Answer) -> None:
    """Served as the user u1, with nothing left of the probe."""
    assert (answer.status, answer.slot, answer.bucket) == (200, "blue", expected_bucket("u1"))
    assert ECHO not in answer.headers
    assert [name for name, _ in answer.received if "tailramp" in name or name == "x-user-bucket-2d"] == []


@pytest.mark.parametrize(
    ("value", "bucket", "key", "slot"),
    [
        (bucket_value("0000"), "0000", None, "green"),
        (bucket_value("0009"), "0009", None, "green"),
        (bucket_value("0010"), "0010", None, "blue"),
        (bucket_value("0001", "VIP"), "0001", "0001_VIP", "green"),
        (user_value("u1"), "1950", None, "blue"),
        (user_value("用户甲"), "2423", None, "blue"),
        (user_value("x" * 512), expected_bucket("x" * 512), None, "blue"),
    ],
)
async def test_an_accepted_probe_is_served_as_it_asks_and_echoed(
    start: Callable[..., Any], value: str, bucket: str, key: str | None, slot: str
) -> None:
    envoy = await start()
    token = signed(value)
    # Neither the sender's own id nor a forged header may win over what was signed.
    answer = await envoy.get(U1, ("x-user-bucket", "0003"), ("x-user-bucket-2d", "0003_NEW"), (PROBE, token))
    assert (answer.status, answer.slot, answer.headers["x-tailramp-variant"]) == (200, slot, slot)
    assert Echo.parse(answer.headers[ECHO]) == Echo(nonce_of(token), key or bucket)
    ours = {name: value for name, value in answer.received if "bucket" in name or "tailramp" in name}
    assert ours == {"x-user-bucket": bucket} | ({"x-user-bucket-2d": key} if key else {})


@pytest.mark.parametrize("group", VECTORS, ids=lambda group: f"{len(group['secret'].encode())} bytes of secret")
async def test_the_gateway_accepts_the_shared_vectors(
    start_gateway: StartGateway, tmp_path: Path, group: dict[str, Any]
) -> None:
    def believe_old_probes(bootstrap: dict[str, Any]) -> None:
        replace_in_script(bootstrap, '["window_ms"] = 10000', '["window_ms"] = 1e15')

    secret_file = tmp_path / "secret"
    secret_file.write_text(group["secret"], "utf-8")
    name, path = group["route"], group["path"]
    envoy = await start_gateway(
        routes({}, "blue", "1", name=name),
        edit=believe_old_probes,
        route_config_name=name,
        probe_path=path,
        probe_secret_file=secret_file,
        salt=group["salt"],
        resolution=group["resolution"],
    )
    for vector in group["probes"]:
        answer = await envoy.get((PROBE, vector["header"]), path=path)
        assert answer.headers.get(ECHO) == f"{vector['nonce']};{vector['bucket']}"


def tampered(position: int) -> str:
    token = signed(GOOD)
    position %= len(token)
    return token[:position] + ("1" if token[position] == "0" else "0") + token[position + 1 :]


REFUSED: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "expired": lambda: [(PROBE, signed(GOOD, late=11))],
    "from the future": lambda: [(PROBE, signed(GOOD, late=-11))],
    "another secret": lambda: [(PROBE, signed(GOOD, secret=SECRET[::-1]))],
    "another route": lambda: [(PROBE, signed(GOOD, route="demo/other"))],
    "another route and a bucket of one's own": lambda: [
        ("x-user-bucket", "0001"),
        (PROBE, signed(GOOD, route="demo/other")),
    ],
    "signed for another path": lambda: [(PROBE, signed(GOOD, path="/v1/chat/completions"))],
    "first digit of the MAC": lambda: [(PROBE, tampered(-64))],
    "last digit of the MAC": lambda: [(PROBE, tampered(-1))],
    "changed bucket": lambda: [(PROBE, signed("bucket=0050").replace("=0050", "=0001"))],
    "changed nonce": lambda: [(PROBE, tampered(-66))],
    "MAC in capitals": lambda: [(PROBE, signed(GOOD).upper().replace("V1;BUCKET", "v1;bucket"))],
    "MAC cut off": lambda: [(PROBE, signed(GOOD)[:-1])],
    "no MAC": lambda: [(PROBE, signed(GOOD)[:-64])],
    "another version": lambda: [(PROBE, signed(GOOD).replace("v1;", "v2;", 1))],
    "two digits of four": lambda: [(PROBE, signed("bucket=01"))],
    "three digits": lambda: [(PROBE, signed("bucket=001"))],
    "segment without a name": lambda: [(PROBE, signed("bucket=0001_"))],
    "segment in lower case": lambda: [(PROBE, signed("bucket=0001_vip"))],
    "segment too long": lambda: [(PROBE, signed(f"bucket=0001_{'V' * 17}"))],
    "half a byte of a user": lambda: [(PROBE, signed("user=313"))],
    "no user": lambda: [(PROBE, signed("user="))],
    "user too long": lambda: [(PROBE, signed(user_value("x" * 513)))],
    "neither bucket nor user": lambda: [(PROBE, signed("slot=green"))],
    "twice": lambda: [(PROBE, signed(GOOD))] * 2,
    "an underscore": lambda: [("X_Tailramp_Probe", signed(GOOD))],
    "empty": lambda: [(PROBE, "")],
    "10 kB of garbage": lambda: [(PROBE, "%;" * 5_000)],
    "10 kB of digits": lambda: [(PROBE, "v1;bucket=0001;" + "1" * 10_000)],
    "10 kB around a good one": lambda: [(PROBE, signed(f"bucket=0001{'0' * 10_000}"))],
    "a body of known length": lambda: [(PROBE, signed(GOOD)), ("content-length", "2")],
    "a body in chunks": lambda: [(PROBE, signed(GOOD)), ("transfer-encoding", "chunked")],
}


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED.keys())
async def test_anything_else_is_an_ordinary_request(
    start: Callable[..., Any], headers: Callable[[], list[tuple[str, str]]]
) -> None:
    envoy = await start()
    sent = headers()
    names = {name for name, _ in sent}
    body = b"{}" if "content-length" in names else b"2\r\n{}\r\n0\r\n\r\n" if "transfer-encoding" in names else b""
    assert_ordinary(await envoy.get(U1, *sent, body=body))
    assert (await envoy.get(U1, (PROBE, signed(GOOD)))).slot == "green"
    assert await envoy.counter("http.gateway.lua.errors") == 0


async def test_a_probe_is_good_for_ten_seconds_on_the_gateways_clock(start: Callable[..., Any]) -> None:
    envoy = await start()
    for late in (-9, 0, 9):
        assert ECHO in (await envoy.get((PROBE, signed(GOOD, late=late)))).headers


async def test_a_good_probe_on_another_path_is_an_ordinary_request(start: Callable[..., Any]) -> None:
    envoy = await start()
    for path in ("/v1/chat/completions", "/v1/models/", "/v1/models?x=1", "/V1/models", "//v1/models", "/v1/%6dodels"):
        for signed_for in (path, PATH):
            assert_ordinary(await envoy.get(U1, (PROBE, signed(GOOD, path=signed_for)), path=path))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_a_good_probe_by_another_method_is_an_ordinary_request(start: Callable[..., Any], method: str) -> None:
    envoy = await start()
    assert_ordinary(await envoy.get(U1, (PROBE, signed(GOOD)), ("content-length", "0"), method=method))


async def test_a_head_request_is_no_probe(start: Callable[..., Any]) -> None:
    envoy = await start()
    answer = await envoy.get(U1, (PROBE, signed(GOOD)), method="HEAD")
    assert (answer.status, answer.headers["x-tailramp-variant"]) == (200, "blue")
    assert ECHO not in answer.headers


async def test_a_path_with_a_query_can_be_the_probe_path(start: Callable[..., Any]) -> None:
    envoy = await start(probe_path="/ping?deep=0")
    answer = await envoy.get((PROBE, signed(GOOD, path="/ping?deep=0")), path="/ping?deep=0")
    assert (answer.slot, ECHO in answer.headers) == ("green", True)
    assert_ordinary(await envoy.get(U1, (PROBE, signed(GOOD, path="/ping")), path="/ping"))


async def test_an_empty_body_is_none(start: Callable[..., Any]) -> None:
    envoy = await start()
    assert (await envoy.get((PROBE, signed(GOOD)), ("content-length", "0"))).slot == "green"
    chunked = ("transfer-encoding", "chunked")
    assert (await envoy.get((PROBE, signed(GOOD)), chunked, body=b"0\r\n\r\n")).slot == "green"


@pytest.mark.parametrize(("body", "slot"), [(b"", "green"), (b"unannounced", "blue")])
async def test_over_http2_an_unannounced_body_makes_a_probe_ordinary(
    start: Callable[..., Any], upstreams: dict[str, Upstream], body: bytes, slot: str
) -> None:
    envoy = await start()
    writer = await send_http2(envoy.gateway.listener_port, [U1, (PROBE.lower(), signed(GOOD))], body)
    try:

        async def served() -> bool:
            return any(upstream.requests for upstream in upstreams.values())

        await until(served, "a slot has the request")
    finally:
        writer.close()
    ((name, (request,)),) = [(name, upstream.requests) for name, upstream in upstreams.items() if upstream.requests]
    assert (name, request["x-user-bucket"]) == (slot, "0001" if slot == "green" else expected_bucket("u1"))
    assert PROBE.lower() not in request


async def test_a_replayed_probe_is_answered_again(start: Callable[..., Any]) -> None:
    """Harmless: it can be nothing but the same cheap GET; `tailramp.probe_token` says why it is allowed."""
    envoy = await start()
    token = signed(GOOD)
    first, second = await envoy.get((PROBE, token)), await envoy.get((PROBE, token))
    assert first.headers[ECHO] == second.headers[ECHO] == f"{nonce_of(token)};0001"


async def test_no_servers_word_passes_for_an_echo(start: Callable[..., Any]) -> None:
    """The upstreams of these tests send an echo with every answer."""
    envoy = await start()
    assert_ordinary(await envoy.get(U1))
    token = signed(GOOD)
    # The exchange itself refuses a header that comes twice.
    assert (await envoy.get((PROBE, token))).headers[ECHO] == f"{nonce_of(token)};0001"


async def test_a_dead_slot_is_named_by_the_gateways_own_answer(start: Callable[..., Any]) -> None:
    dead = f"127.0.0.1:{free_port()}"
    envoy = await start(clusters={"blue": dead, "green": dead})
    token = signed(GOOD)
    answer = await envoy.get((PROBE, token))
    assert (answer.status, answer.headers["x-tailramp-variant"]) == (503, "green")
    assert answer.headers[ECHO] == f"{nonce_of(token)};0001"


async def test_concurrent_probes_get_their_own_echoes(start: Callable[..., Any]) -> None:
    envoy = await start()
    tokens = {f"{number:04d}": signed(bucket_value(f"{number:04d}")) for number in range(0, 10_000, 250)}
    answers = await asyncio.gather(*(envoy.get((PROBE, token)) for token in tokens.values()))
    assert [answer.headers[ECHO] for answer in answers] == [f"{nonce_of(t)};{b}" for b, t in tokens.items()]


NO_SECRET: dict[str, tuple[bytes | None, str]] = {
    "no file": (None, "No such file"),
    "empty": (b"", "0 bytes of secret"),
    "only a line end": (b"\r\n", "0 bytes of secret"),
    "too short": (b"fifteen bytes..\n", "15 bytes of secret, at least 16 are needed"),
}


@pytest.mark.parametrize(("content", "words"), NO_SECRET.values(), ids=NO_SECRET.keys())
async def test_without_a_secret_users_are_served_probes_are_not_and_the_log_says_so(
    start: Callable[..., Any], tmp_path: Path, content: bytes | None, words: str
) -> None:
    secret_file = tmp_path / "another-secret"
    if content is not None:
        secret_file.write_bytes(content)
    envoy = await start(probe_secret_file=secret_file)
    for token in (signed(GOOD), unsigned_key(content or b"")):
        assert_ordinary(await envoy.get(U1, (PROBE, token)))
    log = envoy.log.read_text()
    assert f"tailramp: no signed probe is accepted: {secret_file}" in log
    assert words in log


def unsigned_key(key: bytes) -> str:
    """A probe signed with a key that `key_from` would refuse."""
    token_time, nonce = int(time.time() * 1000), secrets.token_hex(16)
    return sign(key.rstrip(b"\r\n"), route=ROUTE, path=PATH, value="bucket=0001", time_ms=token_time, nonce=nonce)


async def test_without_a_secret_file_every_probe_is_an_ordinary_request(start: Callable[..., Any]) -> None:
    envoy = await start(probe_secret_file=None)
    for token in (signed(GOOD), unsigned_key(b"")):
        assert_ordinary(await envoy.get(U1, (PROBE, token)))
    assert "no signed probe" not in envoy.log.read_text()


async def test_the_secret_is_told_by_nothing_that_envoy_shows(start: Callable[..., Any]) -> None:
    envoy = await start()
    assert (await envoy.get((PROBE, signed(GOOD)))).slot == "green"
    shown = [(await envoy.admin(path))[1] for path in ("/config_dump", "/server_info", "/stats", "/clusters")]
    assert "window_ms" in shown[0]
    assert not any(SECRET in text for text in (*shown, envoy.log.read_text()))


async def test_a_line_end_after_the_secret_is_not_part_of_it(start: Callable[..., Any], tmp_path: Path) -> None:
    for ending in ("", "\n", "\r\n"):
        secret_file = tmp_path / f"secret-{len(ending)}"
        secret_file.write_bytes((SECRET + ending).encode())
        envoy = await start(probe_secret_file=secret_file)
        assert (await envoy.get((PROBE, signed(GOOD, secret=SECRET + "\n")))).slot == "green"


@pytest.mark.parametrize("length", [16, 63, 65, 128])
async def test_a_secret_may_be_shorter_or_longer_than_a_block_of_the_hash(
    start: Callable[..., Any], tmp_path: Path, length: int
) -> None:
    secret = (SECRET * 4)[:length]
    secret_file = tmp_path / "secret"
    secret_file.write_text(secret)
    envoy = await start(probe_secret_file=secret_file)
    assert (await envoy.get((PROBE, signed(GOOD, secret=secret)))).slot == "green"


async def test_a_binary_secret_of_any_bytes_but_utf8_signs_too(start: Callable[..., Any], tmp_path: Path) -> None:
    key = bytes(range(256)) * 2
    secret_file = tmp_path / "binary"
    secret_file.write_bytes(key)
    envoy = await start(probe_secret_file=secret_file)
    assert (await envoy.get((PROBE, signed(GOOD, secret=os.fsdecode(key))))).slot == "green"


async def test_an_error_in_the_probe_leaves_no_bucket_and_no_echo(start_gateway: StartGateway, tmp_path: Path) -> None:
    def spoil(bootstrap: dict[str, Any]) -> None:
        replace_in_script(bootstrap, '["window_ms"] = 10000', '["window_ms"] = "soon"')

    secret_file = tmp_path / "probe-secret"
    secret_file.write_text(SECRET)
    envoy = await start_gateway(routes(CANARY, "blue", "1"), edit=spoil, probe_secret_file=secret_file)
    answer = await envoy.get((PROBE, signed(GOOD)), ("x-user-bucket", "0001"))
    assert (answer.status, answer.slot, answer.bucket, ECHO in answer.headers) == (200, "blue", None, False)
    assert await envoy.counter("http.gateway.lua.errors") == 1
    assert_ordinary(await envoy.get(U1))


def replace_in_script(bootstrap: dict[str, Any], old: str, new: str) -> None:
    filters = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    source = filters[0]["typed_config"]["http_filters"][0]["typed_config"]["default_source_code"]
    assert old in source["inline_string"]
    source["inline_string"] = source["inline_string"].replace(old, new)


async def send_http2(port: int, headers: list[tuple[str, str]], body: bytes) -> asyncio.StreamWriter:
    """One GET of the probe path over HTTP/2, whose body no header announces; the connection stays open."""

    def number(value: int) -> bytes:
        return bytes([value]) if value < 127 else bytes([127, (value - 127) & 127 | 128, (value - 127) >> 7])

    def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

    fields = [(":method", "GET"), (":scheme", "http"), (":authority", "route"), (":path", PATH), *headers]
    block = b"".join(
        b"\0" + number(len(name)) + name.encode() + number(len(value)) + value.encode() for name, value in fields
    )
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
    writer.write(frame(1, 4 if body else 5, 1, block))
    if body:
        writer.write(frame(0, 1, 1, body))
    return writer
