"""nginx holds an assignment that others push: what it trusts, what it keeps, and what it tells of itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from running_envoy import ROUTE, StartGateway, Upstream, replace, until
from running_nginx import RunningNginx, StartNginx, document, needs_nginx, record

from activities.routers.gateway_label import GatewayFleet
from gateway.label_document import LabelDocument
from lab.process import free_port, wait_until
from lab.sample_route import on_green, user_in
from tailramp.assignment import Assignment
from tailramp.proof import Answer
from tailramp.route_record import OffAnswer

pytestmark = needs_nginx

HALF = document(on_green("00-49"))
NOBODY = document(Assignment(default="blue"))
IN_SET, OUTSIDE = ("x-user-id", user_in("03")), ("x-user-id", user_in("70"))


async def becomes(nginx: RunningNginx, label: str) -> None:
    async def named() -> bool:
        return await nginx.label(IN_SET) == label

    await until(named, f"user 03 is for {label}")


async def rejected(nginx: RunningNginx) -> int:
    return await nginx.counter(f"http.gateway.rds.{ROUTE}.update_rejected")


async def test_everybody_has_the_label_of_their_slot_and_follows_a_new_assignment(start_nginx: StartNginx) -> None:
    nginx = await start_nginx(HALF)
    assert [await nginx.label(IN_SET), await nginx.label(OUTSIDE), await nginx.label()] == ["green", "blue", "blue"]
    for assignment, labels in [
        (on_green("00-04,70"), ["green", "green", "blue"]),
        (on_green("10-19"), ["blue", "blue", "blue"]),
        (Assignment(default="green"), ["green", "green", "green"]),
        (Assignment(default="blue"), ["blue", "blue", "blue"]),
    ]:
        await nginx.loads(document(assignment))
        # Once it says that it serves a version, no worker serves another.
        for _ in range(10):
            assert [await nginx.label(IN_SET), await nginx.label(OUTSIDE), await nginx.label()] == labels


@pytest.mark.parametrize("assignment", [on_green("00-49"), Assignment(default="green")], ids=["step", "promoted"])
async def test_a_lease_that_has_run_out_sends_everybody_to_the_original_default_and_comes_back(
    start_nginx: StartNginx, assignment: Assignment
) -> None:
    nginx = await start_nginx(document(assignment))
    assert nginx.gateway.lease_file is not None
    assert await nginx.label(IN_SET) == "green"
    nginx.trust(0.6)
    await becomes(nginx, "blue")
    answer = await nginx.get(IN_SET)
    assert (answer.values("x-tailramp-stale"), answer.bucket) == ([], "03")
    nginx.trust(60)
    await becomes(nginx, "green")
    await asyncio.to_thread(nginx.gateway.lease_file.write_text, "what")
    await becomes(nginx, "blue")
    nginx.trust(60)
    await becomes(nginx, "green")
    await asyncio.to_thread(nginx.gateway.lease_file.unlink)
    await becomes(nginx, "blue")


BROKEN: dict[str, Any] = {
    "half a document": HALF.text()[:400],
    "empty": "",
    "no object": "[]",
    "of another route": document(on_green("00-99"), route="demo/other").data,
    "with a slot that is not there": document(Assignment(default="red")).data,
}


def spoiled(change: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(document(on_green("00-99")).text())
    routes = data["resources"][0]["virtual_hosts"][0]["routes"]
    match change:
        case "nobody's default":
            routes.pop()
        case "no routes":
            routes.clear()
        case "a pattern that is none":
            routes[1]["match"]["headers"][0]["string_match"]["safe_regex"]["regex"] = "(?:"
        case "a match of two headers":
            routes[1]["match"]["headers"] *= 2
        case "a match of another kind":
            routes[1]["match"]["headers"][0]["string_match"] = {"prefix": "0"}
        case "a match of some paths":
            routes[1]["match"]["prefix"] = "/v1"
    return data


SPOILED = ["nobody's default", "no routes", "a pattern that is none", "a match of two headers"]
SPOILED += ["a match of another kind", "a match of some paths"]


async def test_a_document_that_is_not_understood_keeps_the_last_good_one_until_its_lease_ends(
    start_nginx: StartNginx,
) -> None:
    nginx = await start_nginx(HALF)
    for count, broken in enumerate([*BROKEN.values(), *map(spoiled, SPOILED)], 1):
        nginx.write_routes(broken)

        async def refused(count: int = count) -> bool:
            return await rejected(nginx) == count

        await until(refused, f"document {count} is refused: {str(broken)[:80]}")
        assert await nginx.admin_reader.loaded_version(ROUTE) == HALF.version
        assert [await nginx.label(IN_SET), await nginx.label(OUTSIDE)] == ["green", "blue"]
    assert "is left out, and what served before goes on" in nginx.log()
    await asyncio.to_thread(nginx.gateway.route_file.unlink)
    await asyncio.sleep(0.2)
    assert await nginx.label(IN_SET) == "green"
    nginx.trust(0.3)
    await becomes(nginx, "blue")
    await nginx.loads(document(on_green("00-09")))
    nginx.trust(60)
    await becomes(nginx, "green")


async def test_a_reload_in_between_changes_no_label_and_forgets_no_count(start_nginx: StartNginx) -> None:
    nginx = await start_nginx(HALF)
    reader = nginx.admin_reader
    stop = asyncio.Event()
    seen: list[tuple[str, str]] = []

    async def keep_asking() -> None:
        while not stop.is_set():
            seen.append((await nginx.label(IN_SET), await nginx.label(OUTSIDE)))

    async def told() -> tuple[str | None, float]:
        return await reader.loaded_version(ROUTE), await reader.uptime()

    users = [asyncio.create_task(keep_asking()) for _ in range(3)]
    before = await told()
    # What is broken when new workers come must not hurt them either.
    nginx.write_routes("{")
    for _ in range(3):
        workers = await _workers(nginx)
        nginx.server.reload()

        async def replaced(workers: set[int] = workers) -> bool:
            return len(now := await _workers(nginx)) == 2 and not now & workers

        await until(replaced, "new workers serve")
        version, uptime = await told()
        assert (version, uptime > before[1]) == (HALF.version, True)
    stop.set()
    await asyncio.gather(*users)
    assert set(seen) == {("green", "blue")}
    for slot in ("green", "blue"):
        assert await reader.counter(f"cluster.{slot}.upstream_rq_total") == len(seen)
    await nginx.loads(document(on_green("70-79")))
    assert [await nginx.label(IN_SET), await nginx.label(OUTSIDE)] == ["blue", "green"]


async def _workers(nginx: RunningNginx) -> set[int]:
    master = nginx.server.process.pid
    children = await asyncio.to_thread(Path(f"/proc/{master}/task/{master}/children").read_text)
    return set(map(int, children.split()))


async def test_workers_that_crash_are_replaced_and_still_follow(start_nginx: StartNginx) -> None:
    nginx = await start_nginx(HALF)
    first = await _workers(nginx)
    for worker in first:
        os.kill(worker, signal.SIGKILL)

    async def replaced() -> bool:
        return len(now := await _workers(nginx)) == 2 and not now & first

    await until(replaced, "new workers serve")
    assert await nginx.label(IN_SET) == "green"
    await nginx.loads(NOBODY)
    assert await nginx.label(IN_SET) == "blue"


async def test_nothing_of_nginx_outlives_the_process_that_the_lab_started(start_nginx: StartNginx) -> None:
    nginx = await start_nginx(HALF)
    workers = await _workers(nginx)
    os.kill(nginx.server.process.pid, signal.SIGKILL)

    def gone() -> bool:
        return not any(Path(f"/proc/{worker}").exists() for worker in workers)

    await wait_until(gone, 40, "the workers have ended")


async def test_a_restart_begins_the_counts_and_the_uptime_anew(start_nginx: StartNginx) -> None:
    nginx = await start_nginx(HALF)
    fleet = GatewayFleet(nginx.server.admin_url, nginx.session)
    for _ in range(3):
        await nginx.label(IN_SET)

    async def runs_for_a_while() -> bool:
        served = await fleet.served("green")
        return served is not None and served.uptime >= 3

    await until(runs_for_a_while, "it has an uptime that a new one cannot have at once")
    before, restarted = await fleet.served("green"), time.monotonic()
    await nginx.server.restart()
    after = await fleet.served("green")
    assert before is not None
    assert after is not None
    assert (before.count, after.count) == (3, 0)
    assert after.uptime <= time.monotonic() - restarted + 1
    assert await fleet.served("purple") is None


async def test_the_fleet_asks_nginx_as_it_asks_envoy(start_nginx: StartNginx, upstreams: dict[str, Upstream]) -> None:
    nginx = await start_nginx(HALF)
    fleet = GatewayFleet(nginx.server.admin_url, nginx.session)
    (finding,) = await fleet.hold(ROUTE, HALF.version)
    assert finding.answer is Answer.YES
    (finding,) = await fleet.hold(ROUTE, NOBODY.version)
    assert finding.answer is Answer.NO
    assert await fleet.known(ROUTE) == [{"epoch": 2, "ramp": "", "default": "blue", "original_default": "blue"}]
    assert await fleet.known("demo/other") == [{}]

    async def ready() -> bool:
        return [await fleet.ready(slot) for slot in ("blue", "green", "red")] == [True, True, None]

    await until(ready, "each slot has answered to its label")
    await upstreams["blue"].stop()

    async def gone() -> bool:
        return [await fleet.ready(slot) for slot in ("blue", "green")] == [False, False]

    await until(gone, "nobody is behind")


async def test_an_envoy_and_an_nginx_are_one_fleet(start_nginx: StartNginx, start_gateway: StartGateway) -> None:
    nginx = await start_nginx(HALF, admin_host="127.0.0.2")
    port = nginx.gateway.admin_port
    files = {"lease_file": nginx.gateway.lease_file, "resolution": 100}
    envoy = await start_gateway(HALF.data, admin_port=port, **files)

    async def both(host: str, port: int) -> list[str]:
        return ["127.0.0.1", "127.0.0.2"]

    fleet = GatewayFleet(f"http://gateways.example:{port}", nginx.session, both)
    for user in (IN_SET, OUTSIDE, ("x-user-id", "用户甲")):
        ((label,), bucket) = ((answer := await envoy.get(user)).values("x-model-route"), answer.bucket)
        assert (await nginx.label(user), (await nginx.get(user)).bucket) == (label, bucket)
    assert [finding.answer for finding in await fleet.hold(ROUTE, HALF.version)] == [Answer.YES, Answer.YES]
    known = await fleet.known(ROUTE)
    assert known[0] == known[1]
    before = await fleet.served("green")
    for gateway in (envoy, nginx):
        await gateway.get(IN_SET)
    after = await fleet.served("green")
    assert before is not None
    assert after is not None
    assert after.count - before.count == 2


async def test_health_is_asked_of_each_slot_by_its_label_and_of_the_routes_host(start_nginx: StartNginx) -> None:
    asked: set[tuple[str | None, ...]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ") for line in lines[1:-2])
        asked.add((lines[0], headers["host"], headers["x-model-route"]))
        status = b"404 Not Found" if headers["x-model-route"] == "green" else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port := free_port()):
        behind = dict.fromkeys(("blue", "green"), f"127.0.0.1:{port}")
        nginx = await start_nginx(NOBODY, clusters=behind, behind_host="chat.example", probe_path="/ping?x=1")

        async def known() -> bool:
            return [await nginx.admin_reader.ready(slot) for slot in ("blue", "green")] == [True, False]

        await until(known, "blue is ready and green is not")
    assert asked == {("GET /ping?x=1 HTTP/1.1", "chat.example", slot) for slot in ("blue", "green")}


async def test_a_route_that_is_off_answers_itself_and_counts_for_nobody(start_nginx: StartNginx) -> None:
    switched = LabelDocument.of(
        record(Assignment(default="blue"), off=True, off_answer=OffAnswer(status=451, message="不提供服务"))
    )
    nginx = await start_nginx(switched)
    async with nginx.session.post(f"{nginx.url}/v1/chat/completions", json={"model": "chat"}) as response:
        assert (response.status, response.headers["x-tailramp-variant"]) == (451, "off")
        assert response.headers["content-type"] == "application/json; charset=utf-8"
        assert (await response.json())["error"]["message"] == "不提供服务"
    assert await nginx.admin_reader.counter("cluster.blue.upstream_rq_total") == 0


async def test_without_any_routes_nobody_is_served_and_nginx_is_not_ready(
    start_nginx: StartNginx, tmp_path: Path
) -> None:
    nginx = await start_nginx(HALF)
    await nginx.server.stop()
    await asyncio.to_thread(nginx.gateway.route_file.write_text, "{")
    starting = asyncio.create_task(nginx.server.start())

    async def answers() -> bool:
        try:
            return (await nginx.admin("/ready"))[0] == 503 and (await nginx.get(IN_SET)).status == 503
        except aiohttp.ClientError:
            return False

    await until(answers, "nginx answers that it has no routes")
    assert await nginx.admin_reader.loaded_version(ROUTE) is None
    replace(nginx.gateway.route_file, HALF.data)
    await starting
    assert await nginx.label(IN_SET) == "green"


async def test_a_stream_and_a_long_prompt_pass_as_they_come(
    start_nginx: StartNginx, upstreams: dict[str, Upstream]
) -> None:
    nginx = await start_nginx(HALF)
    async with nginx.session.get(f"{nginx.url}/stream", headers=dict([IN_SET])) as response:
        assert await response.content.readline() == b"first\n"
        active = "cluster.green.upstream_rq_active"
        assert await nginx.counter(active) == 1
        nginx.server.reload()
        await nginx.loads(NOBODY)
        upstreams["blue"].silent.set()
        assert await response.content.readline() == b"second\n"

    async def done() -> bool:
        return await nginx.counter(active) == 0

    await until(done, "the stream is over")
    async with nginx.session.post(f"{nginx.url}/v1/chat", data=b"x" * 900_000, headers=dict([IN_SET])) as response:
        assert response.status == 200


async def test_a_gateway_that_hardly_gets_a_processor_gives_nobody_up_for_having_been_slow_itself(
    start_nginx: StartNginx,
) -> None:
    """A hundred users at once take longer than the server may take to accept one, and it accepts all of them."""
    nginx = await start_nginx(HALF, connect_timeout=0.002)
    for _ in range(3):
        answers = await asyncio.gather(*(nginx.get(IN_SET) for _ in range(100)))
        assert {answer.status for answer in answers} == {200}


async def test_prometheus_reads_what_it_reads_of_an_envoy(start_nginx: StartNginx) -> None:
    nginx = await start_nginx(HALF)
    for _ in range(3):
        await nginx.label(IN_SET)
    lines: dict[str, str] = {}

    async def counted() -> bool:  # an answer is there before it is counted
        (_, text) = await nginx.admin("/stats/prometheus")
        lines.update(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return lines['envoy_cluster_upstream_rq_time_bucket{le="3600000",envoy_cluster_name="green"}'] == "3"

    await until(counted, "three answers of green are counted")
    assert lines['envoy_cluster_upstream_rq_completed{envoy_cluster_name="green"}'] == "3"
    assert lines['envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="green"}'] == "3"
    assert lines['envoy_cluster_upstream_rq_time_bucket{le="+Inf",envoy_cluster_name="green"}'] == "3"
    assert lines['envoy_cluster_upstream_rq_time_bucket{le="3600000",envoy_cluster_name="green"}'] == "3"
    assert lines['envoy_cluster_upstream_rq_time_count{envoy_cluster_name="blue"}'] == "0"


async def test_nobody_can_change_anything_by_the_admin_port(start_nginx: StartNginx) -> None:
    nginx = await start_nginx(HALF)
    assert (await nginx.admin("/quitquitquit"))[0] == 404
    assert (await nginx.admin("/stats", method="POST"))[0] == 405
    said = json.loads((await nginx.admin("/server_info"))[1])["node"]["metadata"]["tailramp"]
    assert said["identity"] == {"kind": "header", "name": "x-user-id"}
    assert (said["strategy"], said["salt_id"], said["resolution"]) == ("sha256", "demo", 100)
    assert "demo-2026" not in (await nginx.admin("/server_info"))[1]
