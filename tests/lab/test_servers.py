"""The lab's servers are the real ones: they start, survive being killed, and say why when they cannot start."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError

from lab.envoy_server import EnvoyServer
from lab.process import ProcessError, free_port, wait_until
from lab.prometheus_server import PrometheusServer
from lab.server import Server
from lab.temporal_server import TemporalServer


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


@pytest.fixture
async def target() -> AsyncIterator[str]:
    """`host:port` of a server whose counter `ticks_total`, at `/numbers`, grows with every scrape."""
    ticks = 0

    async def numbers(request: web.Request) -> web.Response:
        nonlocal ticks
        ticks += 1
        return web.Response(text=f"# TYPE ticks_total counter\nticks_total {ticks}\n")

    app = web.Application()
    app.router.add_get("/numbers", numbers)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", free_port())
    await site.start()
    yield site.name.removeprefix("http://")
    await runner.cleanup()


@pytest.fixture
def prometheus(tmp_path: Path, target: str) -> PrometheusServer:
    return PrometheusServer(
        tmp_path / "prometheus", {"toy": [(target, {"slot": "green"})]}, 0.5, metrics_path={"toy": "/numbers"}
    )


def saying(text: str, port: int) -> dict[str, Any]:
    """The bootstrap of an Envoy that answers every request with `text`."""
    extensions = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{extensions}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "direct_response": {"status": 200, "body": {"inline_string": text}},
                        }
                    ],
                }
            ]
        },
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": f"{extensions}.http.router.v3.Router"},
            }
        ],
    }
    listener = {
        "name": "front",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener]}}


async def samples_of(http: aiohttp.ClientSession, url: str, query: str) -> list[tuple[dict[str, str], list[float]]]:
    """The labels and the times of the samples of each series that a range selector finds."""
    async with http.get(f"{url}/api/v1/query", params={"query": query}) as response:
        answer = await response.json()
        assert answer["status"] == "success", answer
        return [(series["metric"], [time for time, _ in series["values"]]) for series in answer["data"]["result"]]


async def test_prometheus_scrapes_a_real_target_twice_a_second(
    prometheus: PrometheusServer, target: str, http: aiohttp.ClientSession
) -> None:
    async def has_eight_samples() -> bool:
        """Not further apart than asked for, as they may be while the machine is busy."""
        found = await samples_of(http, prometheus.url, "ticks_total[1m]")
        times = found[0][1][-8:] if found else []
        between = [after - before for before, after in pairwise(times)]
        return len(times) == 8 and median(between) == pytest.approx(0.5, abs=0.1)

    async with prometheus:
        await wait_until(has_eight_samples, 60, "Prometheus has eight samples half a second apart")
        [(labels, _)] = await samples_of(http, prometheus.url, "ticks_total[1m]")
    assert labels == {"__name__": "ticks_total", "job": "toy", "instance": target, "slot": "green"}


async def test_prometheus_keeps_what_it_scraped_when_it_is_killed(
    prometheus: PrometheusServer, http: aiohttp.ClientSession
) -> None:
    async def has_samples() -> bool:
        return bool(await samples_of(http, prometheus.url, "ticks_total[1m]"))

    async with prometheus:
        url = prometheus.url
        await wait_until(has_samples, 60, "Prometheus has a sample")
        [(_, before)] = await samples_of(http, url, "ticks_total[1m]")
        await prometheus.kill()
        await prometheus.start()
        assert prometheus.url == url
        [(_, after)] = await samples_of(http, url, "ticks_total[1m]")
    assert after[: len(before)] == before


async def test_a_suspended_prometheus_answers_nobody_until_it_is_thawed(
    prometheus: PrometheusServer, http: aiohttp.ClientSession
) -> None:
    async with prometheus:
        prometheus.suspend()
        with pytest.raises(TimeoutError):
            await http.get(f"{prometheus.url}/-/ready", timeout=aiohttp.ClientTimeout(total=0.3))
        prometheus.thaw()
        async with http.get(f"{prometheus.url}/-/ready") as response:
            assert response.status == 200


def test_prometheus_refuses_settings_that_it_would_ignore(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="metrics_path names gateway, which targets does not have"):
        PrometheusServer(tmp_path, {"toy": []}, metrics_path={"gateway": "/stats/prometheus"})
    with pytest.raises(ValueError, match="scrape_interval is 0"):
        PrometheusServer(tmp_path, {"toy": []}, scrape_interval=0)


async def test_envoy_serves_and_its_counters_can_be_read(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    port = free_port()
    async with EnvoyServer(tmp_path, saying("hello", port)) as envoy:
        async with http.get(f"http://127.0.0.1:{port}/") as response:
            assert await response.text() == "hello"

        async def is_counted() -> bool:
            """It is answered before it is counted."""
            async with http.get(f"{envoy.admin_url}/stats/prometheus") as response:
                counters = await response.text()
            return 'envoy_http_downstream_rq_completed{envoy_http_conn_manager_prefix="front"} 1' in counters

        await wait_until(is_counted, 30, "the request is counted")


async def test_envoy_comes_back_on_its_ports_after_a_kill(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    port = free_port()
    async with EnvoyServer(tmp_path, saying("again", port)) as envoy:
        await envoy.kill()
        assert not envoy.is_running
        await envoy.restart()
        async with http.get(f"http://127.0.0.1:{port}/") as response:
            assert await response.text() == "again"


async def test_an_envoy_that_refuses_its_bootstrap_says_why(tmp_path: Path) -> None:
    envoy = EnvoyServer(tmp_path, {"no_such_section": 1})
    with pytest.raises(ProcessError, match=r"(?s)envoy ended with exit code 1 before .*no_such_section"):
        await envoy.start()
    assert not envoy.is_running


@pytest.mark.parametrize("admin", [{}, {"address": {"socket_address": {"address": "127.0.0.1", "port_value": "any"}}}])
def test_an_admin_section_without_a_port_is_refused(tmp_path: Path, admin: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"admin\.address\.socket_address must have"):
        EnvoyServer(tmp_path, {"admin": admin})


async def test_a_workflow_is_still_there_when_temporal_was_killed_and_came_back(tmp_path: Path) -> None:
    phase = SearchAttributeKey.for_keyword("RampPhase")
    share = SearchAttributeKey.for_int("RampShare")
    async with TemporalServer(tmp_path) as temporal:
        client = await Client.connect(temporal.address)
        attributes = TypedSearchAttributes([SearchAttributePair(phase, "HOLDING"), SearchAttributePair(share, 5)])
        await client.start_workflow(
            "AnyWorkflow", id="ramp/default/chat", task_queue="nobody", search_attributes=attributes
        )
        address = temporal.address
        await temporal.kill()
        await temporal.start()
        assert temporal.address == address
        client = await Client.connect(address)
        description = await client.get_workflow_handle("ramp/default/chat").describe()

        async def is_listed() -> bool:
            return (await client.count_workflows("RampPhase = 'HOLDING' AND RampShare = 5")).count == 1

        await wait_until(is_listed, 40, "the workflow is found by its search attributes")
    assert description.status == WorkflowExecutionStatus.RUNNING
    assert description.typed_search_attributes[share] == 5


async def test_temporal_shows_its_web_interface_and_takes_dynamic_configuration(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    config: dict[str, str | float] = {"history.timerProcessorMaxTimeShift": "5ms", "limit.maxIDLength": 100}
    async with TemporalServer(tmp_path, dynamic_config=config) as temporal:

        async def has_interface() -> bool:
            async with http.get(f"{temporal.ui_url}/api/v1/namespaces/default") as response:
                return response.status == 200

        await wait_until(has_interface, 40, "the web interface knows the namespace")
        client = await Client.connect(temporal.address)
        with pytest.raises(RPCError, match=r"\(101/100\)"):
            await client.start_workflow("AnyWorkflow", id="x" * 101, task_queue="nobody")


async def test_every_server_may_be_stopped_twice_and_before_it_was_started(
    tmp_path: Path, prometheus: PrometheusServer
) -> None:
    servers: list[Server] = [TemporalServer(tmp_path / "temporal"), EnvoyServer(tmp_path / "envoy", {}), prometheus]
    for server in servers:
        await server.stop()
        await server.kill()
    await asyncio.gather(*(server.start() for server in servers))
    pids = [server.process.pid for server in servers]
    for server in servers:
        await server.start()
    assert [server.process.pid for server in servers] == pids
    await asyncio.gather(*(server.stop() for server in servers))
    for server in servers:
        await server.stop()
        with pytest.raises(ProcessError, match=f"{server.name} is not started"):
            server.suspend()
