"""What a route file does in a real Envoy, and what its counters say about it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
from running_envoy import (
    ROUTE,
    RunningEnvoy,
    StartGateway,
    Upstream,
    end,
    replace,
    route_document,
    spawn,
    until,
)

from lab.process import free_port

U1, U2 = ("x-user-id", "u1"), ("x-user-id", "13800001234")  # buckets 1950 and 2002
SCATTERED = "^(?:" + "|".join(f"{7919 * step % 10000:04d}" for step in range(200)) + ")$"
ONLY_U1 = {"green": "^(?:19[0-9][0-9])$"}


async def slot_of(envoy: RunningEnvoy, *headers: tuple[str, str]) -> str | None:
    return (await envoy.get(*headers)).slot


async def test_the_bucket_decides_and_the_route_names_the_variant(start_gateway: StartGateway) -> None:
    envoy = await start_gateway(route_document(ONLY_U1, "blue", "1"))
    for headers, slot in (([U1], "green"), ([U2], "blue"), ([], "blue")):
        answer = await envoy.get(*headers)
        assert answer.slot == slot
        # The upstreams of these tests claim to be "a-liar".
        assert answer.headers["x-tailramp-variant"] == slot


async def test_traffic_moves_when_the_file_is_renamed(start_gateway: StartGateway) -> None:
    envoy = await start_gateway()
    assert await slot_of(envoy, U1) == "blue"

    async def moved() -> bool:
        return await slot_of(envoy, U1) == "green"

    envoy.write_routes(route_document(ONLY_U1, "blue", "2"))
    await until(moved, "u1 is served by green")
    assert await slot_of(envoy, U2) == "blue"
    loaded = await envoy.loaded()
    assert loaded["version_info"] == "2"
    assert loaded["route_config"]["metadata"]["filter_metadata"]["tailramp"] == {"epoch": 2}
    assert (await envoy.rds("update_success"), await envoy.rds("config_reload")) == (2, 2)


async def test_no_request_fails_while_the_route_moves_to_and_fro(start_gateway: StartGateway) -> None:
    envoy = await start_gateway()
    served: list[str | None] = []
    done = asyncio.Event()

    async def user() -> None:
        while not done.is_set():
            served.append(await slot_of(envoy, U1))

    users = [asyncio.create_task(user()) for _ in range(4)]
    for version in range(2, 22):
        envoy.write_routes(route_document(ONLY_U1 if version % 2 == 0 else {}, "blue", str(version)))

        async def loaded(version: int = version) -> bool:
            return str((await envoy.loaded())["version_info"]) == str(version)

        await until(loaded, f"version {version} is loaded")
    done.set()
    await asyncio.gather(*users)
    assert set(served) == {"blue", "green"}
    assert await envoy.rds("update_rejected") == 0


@pytest.mark.parametrize(
    ("file", "outcome"),
    [
        (route_document({"green": "^(?:19[0-9]"}, "green", "2"), "update_rejected"),
        (
            route_document({"green": SCATTERED}, "green", "2"),
            "update_rejected",
        ),
        (route_document({}, "green", "2", name="another/route"), "update_rejected"),
        ("{ half a fi", "update_failure"),
        ("", "update_failure"),
    ],
    ids=["bad pattern", "pattern too large", "another route", "cut off", "empty"],
)
async def test_a_file_that_envoy_refuses_changes_nothing_and_is_counted(
    start_gateway: StartGateway, file: dict[str, object] | str, outcome: str
) -> None:
    envoy = await start_gateway(route_document(ONLY_U1, "blue", "1"))
    before = await envoy.loaded()
    envoy.write_routes(file)

    async def counted() -> bool:
        return await envoy.rds(outcome) == 1

    await until(counted, f"{outcome} is 1")
    assert await envoy.loaded() == before
    assert (await slot_of(envoy, U1), await slot_of(envoy, U2)) == ("green", "blue")
    assert await envoy.rds("update_success") == 1

    async def mended() -> bool:
        return await slot_of(envoy, U1) == "blue"

    envoy.write_routes(route_document({}, "blue", "3"))
    await until(mended, "the next good file is taken")


async def test_the_same_routes_under_a_new_version_are_taken_but_not_shown(start_gateway: StartGateway) -> None:
    """Envoy compares contents: who reads back must put what he looks for into the configuration, not the version."""
    envoy = await start_gateway()
    document = route_document({}, "blue", "1")
    envoy.write_routes(document | {"version_info": "9"})

    async def taken() -> bool:
        return await envoy.rds("update_success") == 2

    await until(taken, "the file is taken")
    assert (await envoy.loaded())["version_info"] == "1"
    assert await envoy.rds("config_reload") == 1


async def test_a_dead_slot_is_charged_with_its_errors_but_not_with_requests(start_gateway: StartGateway) -> None:
    dead = free_port()
    envoy = await start_gateway(
        route_document(ONLY_U1, "blue", "1"),
        clusters={"blue": f"127.0.0.1:{dead}", "green": f"127.0.0.1:{dead}"},
    )
    for _ in range(3):
        answer = await envoy.get(U1)
        assert answer.status == 503
        assert answer.headers["x-tailramp-variant"] == "green"
    charged = {
        name: await envoy.counter(f"cluster.green.{name}")
        for name in (
            "upstream_rq_total",
            "upstream_rq_completed",
            "upstream_rq_5xx",
            "upstream_rq_503",
            "upstream_rq_pending_failure_eject",
            "upstream_cx_connect_fail",
            "upstream_rq_active",
        )
    }
    assert charged == {
        # Only what was handed to a connection is in the total.
        "upstream_rq_total": 0,
        "upstream_rq_completed": 3,
        "upstream_rq_5xx": 3,
        "upstream_rq_503": 3,
        "upstream_rq_pending_failure_eject": 3,
        "upstream_cx_connect_fail": 3,
        "upstream_rq_active": 0,
    }
    assert await envoy.counter("cluster.blue.upstream_rq_completed") == 0


async def test_prometheus_sees_every_slot_by_name_before_its_first_request(start_gateway: StartGateway) -> None:
    envoy = await start_gateway(
        route_document(ONLY_U1, "blue", "1"), clusters={"blue": "127.0.0.1:9", "green": "127.0.0.1:9"}
    )

    async def samples() -> set[str]:
        return set((await envoy.admin("/stats/prometheus"))[1].splitlines())

    before = await samples()
    for slot in ("blue", "green"):
        for name in ("total", "completed"):
            assert f'envoy_cluster_upstream_rq_{name}{{envoy_cluster_name="{slot}"}} 0' in before
    # The classes of answers appear with their first answer: no series means zero, when `completed` is there.
    assert not any(line.startswith("envoy_cluster_upstream_rq_xx{") for line in before)
    await envoy.get(U1)
    after = await samples()
    assert 'envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="green"} 1' in after
    assert 'envoy_cluster_upstream_rq_completed{envoy_cluster_name="green"} 1' in after
    rds = (
        f'envoy_http_rds_update_success{{envoy_rds_route_config="{ROUTE}",envoy_http_conn_manager_prefix="gateway"}} 1'
    )
    assert rds in after


async def test_a_client_cannot_ask_for_retries(start_gateway: StartGateway) -> None:
    envoy = await start_gateway(clusters={"blue": f"127.0.0.1:{free_port()}"})
    answer = await envoy.get(U1, ("x-envoy-retry-on", "5xx,connect-failure"), ("x-envoy-max-retries", "5"))
    assert answer.status == 503
    assert await envoy.counter("cluster.blue.upstream_cx_connect_fail") == 1
    # Not even tried: an overflow would mean that the header was believed.
    assert await envoy.counter("cluster.blue.upstream_rq_retry_overflow") == 0


async def test_a_stream_passes_piece_by_piece_and_is_completed_with_its_first_byte(
    start_gateway: StartGateway, upstreams: dict[str, Upstream]
) -> None:
    envoy = await start_gateway()
    async with envoy.session.get(envoy.url + "/stream") as response:
        assert await response.content.readline() == b"first\n"
        # "Completed" is counted when the answer's headers arrive; only the gauge knows that the stream is still open.
        assert await envoy.counter("cluster.blue.upstream_rq_total") == 1
        assert await envoy.counter("cluster.blue.upstream_rq_completed") == 1
        assert await envoy.counter("cluster.blue.upstream_rq_active") == 1
        upstreams["blue"].silent.set()
        assert await response.content.readline() == b"second\n"
        assert await response.content.read() == b""

    async def closed() -> bool:  # the last byte is there before the stream is done with
        return await envoy.counter("cluster.blue.upstream_rq_active") == 0

    await until(closed, "no stream is open")


async def test_a_stream_that_says_nothing_is_cut_after_the_idle_time(start_gateway: StartGateway) -> None:
    envoy = await start_gateway(stream_idle_timeout=2.0)
    async with envoy.session.get(envoy.url + "/stream") as response:
        assert await response.content.readline() == b"first\n"
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.readline()
    assert await envoy.counter("http.gateway.downstream_rq_idle_timeout") == 1


async def test_an_unused_upstream_connection_is_closed_by_the_gateway_first(start_gateway: StartGateway) -> None:
    envoy = await start_gateway(upstream_idle_timeout=0.1)
    await envoy.get(U1)

    async def closed() -> bool:  # with it may go the one of a health check
        return await envoy.counter("cluster.blue.upstream_cx_active") == 0

    await until(closed, "the idle connection is closed")
    assert await envoy.counter("cluster.blue.upstream_cx_idle_timeout") >= 1
    assert await envoy.counter("cluster.blue.upstream_cx_destroy_remote") == 0


async def test_a_slot_may_be_named_by_host(start_gateway: StartGateway, upstreams: dict[str, Upstream]) -> None:
    envoy = await start_gateway(clusters={"blue": f"localhost:{upstreams['blue'].port}"})
    assert await slot_of(envoy, U1) == "blue"


async def test_the_admin_interface_can_be_read_but_not_used(start_gateway: StartGateway) -> None:
    envoy = await start_gateway()
    await envoy.get(U1)
    for path in ("/quitquitquit", "/reset_counters", "/drain_listeners", "/runtime_modify?x=y", "/healthcheck/fail"):
        assert (await envoy.admin(path, "POST"))[0] == 403
    for path in ("/ready", "/server_info", "/clusters", "/stats", "/stats/prometheus", "/config_dump"):
        assert (await envoy.admin(path))[0] == 200
    assert await envoy.counter("cluster.blue.upstream_rq_total") == 1


async def test_the_running_gateway_tells_its_salt_id_and_strategy(start_gateway: StartGateway) -> None:
    envoy = await start_gateway(salt="not to be told", salt_id="2026-spring")
    _, text = await envoy.admin("/server_info")
    assert json.loads(text)["node"]["metadata"]["tailramp"] == {
        "route_config_name": ROUTE,
        "identity": {"kind": "header", "name": "x-user-id"},
        "strategy": "sha256",
        "salt_id": "2026-spring",
        "resolution": 10000,
    }
    assert "not to be told" not in text


async def test_a_second_gateway_on_the_same_port_does_not_start(start_gateway: StartGateway) -> None:
    envoy = await start_gateway()
    second = envoy.gateway.model_copy(update={"admin_port": free_port()})
    folder = envoy.log.parent / "second"
    folder.mkdir()
    process, log = await spawn(second.bootstrap(), folder)
    try:
        assert await asyncio.wait_for(process.wait(), 40) != 0
    finally:
        await end(process)
    assert "Address already in use" in log.read_text()
    assert await slot_of(envoy, U1) == "blue"


async def test_the_access_log_tells_bucket_and_slot_but_not_the_user(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    envoy = await start_gateway(route_document(ONLY_U1, "blue", "1"), access_log=f"{tmp_path}/access.log")
    await envoy.get(U1, path="/v1/models?token=secret")
    await end(envoy.process)
    assert envoy.gateway.access_log is not None
    (line,) = envoy.gateway.access_log.read_text().splitlines()
    entry = json.loads(line)
    assert {name: entry[name] for name in ("method", "path", "bucket", "route", "slot", "status", "flags")} == {
        "method": "GET",
        "path": "/v1/models",
        "bucket": "1950",
        "route": "green",
        "slot": "green",
        "status": 200,
        "flags": "-",
    }
    assert "u1" not in line
    assert "secret" not in line


async def test_any_rename_in_the_folder_makes_envoy_read_the_route_file_again(start_gateway: StartGateway) -> None:
    """So a half-written file must never bear the route file's name, however short the time."""
    envoy = await start_gateway()
    envoy.gateway.route_file.write_text(json.dumps(route_document({}, "green", "2")))
    replace(envoy.gateway.route_file.with_name("baseline-only.json"), route_document({}, "blue", "3"))

    async def moved() -> bool:
        return await slot_of(envoy, U1) == "green"

    await until(moved, "the file written in place is in use")
