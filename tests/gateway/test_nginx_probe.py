"""Signed probes through a real nginx: the vectors and refusals of Envoy, for the same Lua on another host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from probe_samples import ECHO, PATH, PROBE, SECRET, VECTORS, nonce_of, signed
from running_envoy import Answer, expected_bucket
from running_nginx import RunningNginx, StartNginx, document, needs_nginx

from lab.process import free_port
from lab.sample_route import on_green
from tailramp.probe_token import Echo, bucket_value, user_value
from tailramp.route_record import OffAnswer

pytestmark = needs_nginx

U1 = ("x-user-id", "u1")
GOOD = bucket_value("01")
CANARY = document(on_green("00-09"))


@pytest.fixture
def start(start_nginx: StartNginx, tmp_path: Path) -> Callable[..., Any]:
    """A gateway with the secret, on which green serves buckets 00 to 09."""
    secret_file = tmp_path / "probe-secret"
    secret_file.write_text(SECRET + "\n")

    async def started(**changes: Any) -> RunningNginx:
        return await start_nginx(CANARY, **({"probe_secret_file": secret_file} | changes))

    return started


def assert_ordinary(answer: Answer) -> None:
    """Labelled as the user u1 is, with nothing left of the probe."""
    assert (answer.status, answer.values("x-model-route")) == (200, ["blue"])
    assert answer.bucket == expected_bucket("u1")[:2]
    assert ECHO not in answer.headers
    assert [name for name, _ in answer.received if "tailramp" in name or name == "x-user-bucket-2d"] == []


async def test_accepted_probes_are_labelled_as_they_ask_and_echoed(start: Callable[..., Any]) -> None:
    nginx = await start()
    for value, bucket, key, label in [
        (bucket_value("00"), "00", None, "green"),
        (bucket_value("10"), "10", None, "blue"),
        (bucket_value("01", "VIP"), "01", "01_VIP", "green"),
        (user_value("u1"), "19", None, "blue"),
        (user_value("用户甲"), "24", None, "blue"),
    ]:
        token = signed(value)
        forged = [("x-user-bucket", "03"), ("x-user-bucket-2d", "03_NEW")]
        answer = await nginx.get(U1, *forged, (PROBE, token))
        assert answer.values("x-model-route") == [label]
        assert Echo.parse(answer.headers[ECHO]) == Echo(nonce_of(token), key or bucket)
        ours = {name: said for name, said in answer.received if "bucket" in name or "tailramp" in name}
        assert ours == {"x-user-bucket": bucket} | ({"x-user-bucket-2d": key} if key else {})


@pytest.mark.parametrize("group", VECTORS, ids=lambda group: f"{len(group['secret'].encode())} bytes of secret")
async def test_nginx_accepts_the_shared_vectors(
    start_nginx: StartNginx, tmp_path: Path, group: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.settings.WINDOW_MS", 10**15)
    secret_file = tmp_path / "secret"
    secret_file.write_text(group["secret"], "utf-8")
    name, path = group["route"], group["path"]
    nginx = await start_nginx(
        document(on_green("00-09"), route=name),
        route_config_name=name,
        probe_path=path,
        probe_secret_file=secret_file,
        salt=group["salt"],
        resolution=group["resolution"],
    )
    for vector in group["probes"]:
        answer = await nginx.get((PROBE, vector["header"]), path=path)
        assert answer.headers.get(ECHO) == f"{vector['nonce']};{vector['bucket']}"


REFUSED: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "expired": lambda: [(PROBE, signed(GOOD, late=11))],
    "from the future": lambda: [(PROBE, signed(GOOD, late=-11))],
    "another secret": lambda: [(PROBE, signed(GOOD, secret=SECRET[::-1]))],
    "another route": lambda: [("x-user-bucket", "01"), (PROBE, signed(GOOD, route="demo/other"))],
    "signed for another path": lambda: [(PROBE, signed(GOOD, path="/v1/chat/completions"))],
    "MAC cut off": lambda: [(PROBE, signed(GOOD)[:-1])],
    "changed bucket": lambda: [(PROBE, signed("bucket=50").replace("=50", "=01"))],
    "four digits of two": lambda: [(PROBE, signed("bucket=0001"))],
    "user too long": lambda: [(PROBE, signed(user_value("x" * 513)))],
    "twice": lambda: [(PROBE, signed(GOOD))] * 2,
    "an underscore": lambda: [("X_Tailramp_Probe", signed(GOOD))],
    "10 kB of garbage": lambda: [(PROBE, "%;" * 5_000)],
    "a body of known length": lambda: [(PROBE, signed(GOOD)), ("content-length", "2")],
    "a long body": lambda: [(PROBE, signed(GOOD)), ("content-length", "100000")],
    "a body in chunks": lambda: [(PROBE, signed(GOOD)), ("transfer-encoding", "chunked")],
}


async def test_anything_else_is_an_ordinary_request(start: Callable[..., Any]) -> None:
    nginx = await start()
    for name, headers in REFUSED.items():
        sent = headers()
        length = int(dict(sent).get("content-length", 0))
        body = b"2\r\n{}\r\n0\r\n\r\n" if "transfer-encoding" in dict(sent) else b"{" * length
        answer = await nginx.get(U1, *sent, body=body)
        assert answer.status == 200, name
        assert_ordinary(answer)
    for method in ("POST", "DELETE", "OPTIONS"):
        assert_ordinary(await nginx.get(U1, (PROBE, signed(GOOD)), ("content-length", "0"), method=method))
    assert ECHO not in (await nginx.get(U1, (PROBE, signed(GOOD)), method="HEAD")).headers
    for path in ("/v1/chat/completions", "/v1/models/", "/v1/models?x=1", "/V1/models", "//v1/models", "/v1/%6dodels"):
        for signed_for in (path, PATH):
            assert_ordinary(await nginx.get(U1, (PROBE, signed(GOOD, path=signed_for)), path=path))
    assert await nginx.label(U1, (PROBE, signed(GOOD))) == "green"
    assert await nginx.counter("http.gateway.lua.errors") == 0


async def test_an_empty_body_is_none(start: Callable[..., Any]) -> None:
    nginx = await start()
    assert await nginx.label((PROBE, signed(GOOD)), ("content-length", "0")) == "green"
    chunked = await nginx.get((PROBE, signed(GOOD)), ("transfer-encoding", "chunked"), body=b"0\r\n\r\n")
    assert chunked.values("x-model-route") == ["green"]


async def test_no_servers_word_passes_for_an_echo_and_probes_get_their_own(start: Callable[..., Any]) -> None:
    """The upstreams of these tests send an echo with every answer."""
    nginx = await start()
    assert_ordinary(await nginx.get(U1))
    tokens = {f"{number:02d}": signed(bucket_value(f"{number:02d}")) for number in range(0, 100, 3)}
    answers = await asyncio.gather(*(nginx.get((PROBE, token)) for token in tokens.values()))
    assert [answer.headers[ECHO] for answer in answers] == [f"{nonce_of(t)};{b}" for b, t in tokens.items()]


async def test_a_gateway_behind_that_is_dead_and_a_route_that_is_off_are_answered_with_the_echo(
    start_nginx: StartNginx, tmp_path: Path
) -> None:
    secret_file = tmp_path / "secret"
    secret_file.write_text(SECRET)
    dead = dict.fromkeys(("blue", "green"), f"127.0.0.1:{free_port()}")
    nginx = await start_nginx(CANARY, clusters=dead, probe_secret_file=secret_file)
    token = signed(GOOD)
    answer = await nginx.get((PROBE, token))
    assert (answer.status, answer.headers[ECHO]) == (502, f"{nonce_of(token)};01")
    off = document(on_green("00-09"), epoch=3, off=True, off_answer=OffAnswer(status=451, message="不提供服务"))
    await nginx.loads(off)
    token = signed(GOOD)
    answer = await nginx.get((PROBE, token))
    assert (answer.status, answer.headers["x-tailramp-variant"]) == (451, "off")
    assert answer.headers[ECHO] == f"{nonce_of(token)};01"


async def test_without_a_good_secret_users_are_served_probes_are_not_and_the_log_says_so(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    secret_file = tmp_path / "another-secret"
    secret_file.write_text("fifteen bytes..")
    nginx = await start(probe_secret_file=secret_file)
    assert_ordinary(await nginx.get(U1, (PROBE, signed(GOOD))))
    assert f"no signed probe is accepted: {secret_file}: 15 bytes of secret" in nginx.log()


async def test_the_secret_is_told_by_nothing_that_nginx_shows(start: Callable[..., Any]) -> None:
    nginx = await start()
    assert await nginx.label((PROBE, signed(GOOD))) == "green"
    shown = [(await nginx.admin(path))[1] for path in ("/config_dump", "/server_info", "/stats", "/clusters")]
    shown += [nginx.log(), nginx.configuration_text()]
    assert "window_ms" in shown[-1]
    assert not any(SECRET in text for text in shown)
