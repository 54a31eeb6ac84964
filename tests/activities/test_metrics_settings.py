"""How Prometheus is asked, as the platform file says: with which secrets, in which pieces, how much at once."""

import asyncio
import ssl
import subprocess
from base64 import b64encode
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from false_prometheus import AT, Serve, says, success
from scraped_service import BLUE, CHECKS, GREEN

from activities.clients import Clients
from activities.metrics import PrometheusMetrics
from tailramp.errors import Refused
from tailramp.spec import Prometheus


def platform_prometheus(**settings: object) -> Prometheus:
    return Prometheus.model_validate({"url": "http://127.0.0.1:9", **settings})


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"bearerToken": "${TOKEN}"}, "Bearer s3same"),
        ({"basicAuth": {"username": "ramp", "password": "${TOKEN}"}}, "Basic " + b64encode(b"ramp:s3same").decode()),
        ({}, None),
    ],
)
async def test_the_worker_alone_turns_references_into_secrets_and_sends_them(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], wanted: str | None
) -> None:
    seen = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append((request.headers.get("Authorization"), request.headers["X-Scope-OrgID"], request.headers["X-Key"]))
        return await success([])(request)

    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login nobody password nothing\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    headers = {"X-Scope-OrgID": "chat", "X-Key": "${KEY}"}
    settings = {"url": await serve(note), "headers": headers, **settings}
    metrics = PrometheusMetrics.of(platform_prometheus(**settings), {"TOKEN": "s3same", "KEY": "k3y"})
    reading = await metrics.read(CHECKS[:1], [GREEN], AT)
    metrics.close()
    assert not any(answer.fault for answer in reading.answers.values())
    assert set(seen) == {(wanted, "chat", "k3y")}


def test_a_secret_that_the_worker_does_not_have_is_named_and_nothing_is_asked() -> None:
    with pytest.raises(Refused, match="the variable TOKEN is not set"):
        PrometheusMetrics.of(platform_prometheus(bearerToken="${TOKEN}"), {})


async def test_no_fault_tells_a_secret(serve: Serve) -> None:
    settings = platform_prometheus(
        url=await serve(says(401, "no")), bearerToken="${TOKEN}", headers={"X-Key": "${TOKEN}"}
    )
    metrics = PrometheusMetrics.of(settings, {"TOKEN": "s3same"})
    reading = await metrics.read(CHECKS, [GREEN, BLUE], AT)
    metrics.close()
    assert all("HTTP 401" in answer.fault for answer in reading.answers.values())
    assert "s3same" not in repr(reading) + repr(settings)


async def test_a_server_that_allows_few_points_is_asked_in_smaller_pieces(serve: Serve) -> None:
    pieces = []

    async def note(request: web.Request) -> web.StreamResponse:
        pieces.append((int(request.query["end"]) - int(request.query["start"])) // int(request.query["step"]) + 1)
        return await success([])(request)

    metrics = PrometheusMetrics.of(platform_prometheus(url=await serve(note), maxPoints=100))
    readings = await metrics.read_range(CHECKS[:1], [GREEN], AT, AT + 5 * 249, 5)
    metrics.close()
    assert len(readings) == 250
    assert sorted(pieces) == [50, 50, 100, 100, 100, 100]


async def test_no_more_queries_run_at_once_than_the_settings_allow(serve: Serve) -> None:
    running, most = 0, 0

    async def note(request: web.Request) -> web.StreamResponse:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return await success([])(request)

    metrics = PrometheusMetrics.of(platform_prometheus(url=await serve(note), concurrency=2))
    await metrics.read(CHECKS, [GREEN, BLUE], AT)
    metrics.close()
    assert most == 2


async def test_all_ramps_of_a_process_share_the_connections_to_a_prometheus_and_its_limit(serve: Serve) -> None:
    running, most, peers = 0, 0, set[object]()

    async def note(request: web.Request) -> web.StreamResponse:
        nonlocal running, most
        running += 1
        most = max(most, running)
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        await asyncio.sleep(0.01)
        running -= 1
        return await success([])(request)

    settings = platform_prometheus(url=await serve(note), concurrency=3)
    async with aiohttp.ClientSession() as http, Clients(http) as clients:
        ramps = [clients.prometheus(settings.model_copy()) for _ in range(20)]
        await asyncio.gather(*(metrics.read(CHECKS, [GREEN, BLUE], AT) for metrics in ramps))
        assert clients.prometheus(platform_prometheus(url=settings.url, concurrency=4)) is not ramps[0]

    assert most == 3
    assert len(peers) == 3


async def test_a_ramp_whose_queries_hang_blinds_no_other(serve: Serve) -> None:
    hanging = asyncio.Semaphore(0)

    async def moody(request: web.Request) -> web.StreamResponse:
        if "hangs" in request.query["query"]:
            hanging.release()
            await asyncio.sleep(3600)
        return await success([])(request)

    settings = platform_prometheus(url=await serve(moody), concurrency=8, timeout="3s")
    async with aiohttp.ClientSession() as http, Clients(http) as clients:
        metrics = clients.prometheus(settings)
        bad = asyncio.create_task(metrics.read_queries([f"hangs_{number}" for number in range(9)], AT))
        for _ in range(4):
            await hanging.acquire()
        good = await clients.prometheus(settings).read(CHECKS, [GREEN, BLUE], AT)
        assert not bad.done()
        assert {answer.fault for answer in good.answers.values()} == {""}
        assert all(answer.fault for answer in (await bad).answers.values())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody but itself vouches for, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "ca.pem", folder / "key.pem"
    new = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=prometheus -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*new.split(), "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return certificate, key


async def test_a_ca_file_decides_whom_tls_trusts(certificate: tuple[Path, Path]) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    app = web.Application()
    app.router.add_get("/{rest:.*}", success([]))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    url = "https://{}:{}".format(*runner.addresses[0][:2])
    told = []
    for ca_file in (None, str(certificate[0])):
        metrics = PrometheusMetrics.of(platform_prometheus(url=url, caFile=ca_file))
        reading = await metrics.read(CHECKS[:1], [GREEN], AT)
        metrics.close()
        told.append({answer.fault for answer in reading.answers.values()})
    await runner.cleanup()
    assert "certificate verify failed" in told[0].pop()
    assert told[1] == {""}
