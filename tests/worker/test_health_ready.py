"""Ready means at work: Temporal answers and queues are polled, or the sentinel looks."""

import os
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from observed_process import address, ask, status

from gateway.route_document import RouteDocument
from lab.process import ManagedProcess, free_port, wait_until
from lab.temporal_server import TemporalServer
from tailramp.route_record import SlotRecord

LOOPBACK = "127.0.0.1:0"
LATE = 40.0
"""What a busy machine may need for anything that is waited for."""


@pytest.fixture
async def temporal(tmp_path: Path) -> AsyncIterator[TemporalServer]:
    server = TemporalServer(tmp_path / "temporal")
    yield server
    await server.stop()


def start(tmp_path: Path, *arguments: str, **environment: str) -> ManagedProcess:
    environment = {"TAILRAMP_RECORDS": str(tmp_path / "records"), **environment}
    return ManagedProcess.start(
        [sys.executable, "-m", "worker", *arguments], tmp_path / "log", env=environment, name="worker"
    )


async def test_a_worker_is_ready_only_while_temporal_answers(tmp_path: Path, temporal: TemporalServer) -> None:
    settings = {"TEMPORAL_ADDRESS": temporal.address, "TAILRAMP_CONTROL_HTTP": LOOPBACK}
    async with start(tmp_path, "control", **settings) as worker:
        url = await address(worker, "control")

        async def not_reached() -> bool:
            answer = await ask(f"{url}/readyz")
            return answer[0] == 503 and "cannot be reached" in answer[1] and temporal.address in answer[1]

        await wait_until(not_reached, LATE, "not ready, and why")
        assert await status(f"{url}/healthz") == 200, "a worker that waits for Temporal is alive"

        async def ready() -> bool:
            return await ask(f"{url}/readyz") == (200, "ready\n")

        async def unready() -> bool:
            return await status(f"{url}/readyz") == 503

        await temporal.start()
        await wait_until(ready, LATE, "ready with Temporal")
        temporal.suspend()
        await wait_until(unready, LATE, "not ready while Temporal is frozen")
        temporal.thaw()
        await wait_until(ready, LATE, "ready again")
        assert await status(f"{url}/healthz") == 200
        assert await worker.terminate() == 0


async def test_a_sentinel_that_was_frozen_for_longer_than_the_limit_lives_on_and_is_ready_again(tmp_path: Path) -> None:
    route = tmp_path / "chat.json"
    slots = {"blue": SlotRecord(model="chat-v1"), "green": SlotRecord(model="chat-v0")}
    route.write_text(RouteDocument.initial("demo/chat", slots=slots, default="blue").text(), encoding="utf-8")
    settings = {"TAILRAMP_SENTINEL_HTTP": LOOPBACK, "TAILRAMP_SENTINEL_POLL": "0.1"}
    settings |= {"TAILRAMP_STUCK_SECONDS": "1", "TAILRAMP_STUCK_EXIT_SECONDS": "1"}
    async with start(tmp_path, "sentinel", str(route), **settings) as sentinel:
        url = await address(sentinel, "sentinel")

        async def ready() -> bool:
            return await status(f"{url}/readyz") == 200

        async def looks() -> float:
            found = re.search(r"^tailramp_sentinel_looks_total (\S+)", (await ask(f"{url}/metrics"))[1], re.MULTILINE)
            return float(found.group(1)) if found else 0.0

        await wait_until(ready, LATE, "ready")
        sentinel.suspend()
        frozen_at = time.monotonic()
        await wait_until(lambda: time.monotonic() - frozen_at > 3, 10, "longer than it takes to be ended")
        sentinel.thaw()
        before = await looks()

        async def looks_again() -> bool:
            return await looks() > before + 3

        await wait_until(looks_again, LATE, "it looks again")
        await wait_until(ready, LATE, "ready again")
        assert sentinel.is_running
        assert await sentinel.terminate() == 0


async def test_a_sentinel_whose_look_does_not_end_is_alive_and_not_ready(tmp_path: Path) -> None:
    route = tmp_path / "chat.json"
    settings = {"TAILRAMP_SENTINEL_HTTP": LOOPBACK, "TAILRAMP_SENTINEL_POLL": "0.1"}
    async with start(tmp_path, "sentinel", str(route), **settings) as sentinel:
        url = await address(sentinel, "sentinel")

        async def answers(status_of_ready: int) -> bool:
            return await status(f"{url}/readyz") == status_of_ready

        await wait_until(lambda: answers(200), LATE, "ready")
        os.mkfifo(route)  # a read of it waits for a writer that never comes, as on a file server that is gone
        await wait_until(lambda: answers(503), LATE, "not ready")
        assert "last confirmed" in (await ask(f"{url}/readyz"))[1]
        assert await status(f"{url}/healthz") == 200
        await sentinel.kill()


async def test_each_role_answers_at_its_own_address(tmp_path: Path) -> None:
    settings = {"TAILRAMP_CONTROL_HTTP": LOOPBACK, "TAILRAMP_WATCH_HTTP": LOOPBACK}
    settings["TEMPORAL_ADDRESS"] = f"127.0.0.1:{free_port()}"
    async with start(tmp_path, "all", **settings) as worker:
        control, watch = await address(worker, "control"), await address(worker, "watch")
        assert control != watch
        assert [await status(f"{url}/healthz") for url in (control, watch)] == [200, 200]
        assert [await status(f"{url}/readyz") for url in (control, watch)] == [503, 503]


async def test_without_an_address_nothing_is_served(tmp_path: Path) -> None:
    async with start(tmp_path, "sentinel", str(tmp_path / "chat.json"), TAILRAMP_SENTINEL_HTTP="") as sentinel:
        await sentinel.wait_ready(lambda: "the sentinel watches" in sentinel.tail(), LATE, "it watches")
        assert not listening_sockets(sentinel.pid)


def listening_sockets(pid: int) -> set[str]:
    """The inodes of the TCP sockets on which process ``pid`` listens."""
    links = [str(descriptor.readlink()) for descriptor in Path(f"/proc/{pid}/fd").iterdir()]
    inodes = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")}
    tables = [Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii") for name in ("tcp", "tcp6")]
    rows = [row.split() for table in tables for row in table.splitlines()[1:]]
    return inodes & {row[9] for row in rows if row[3] == "0A"}


async def test_a_port_that_is_taken_is_named_and_the_sentinel_watches_all_the_same(tmp_path: Path) -> None:
    async with start(tmp_path, "sentinel", str(tmp_path / "a.json"), TAILRAMP_SENTINEL_HTTP=LOOPBACK) as first:
        taken = (await address(first, "sentinel")).removeprefix("http://")
        assert len(listening_sockets(first.pid)) == 1
        argv = [sys.executable, "-m", "worker", "sentinel", str(tmp_path / "b.json")]
        environment = {"TAILRAMP_SENTINEL_HTTP": taken}
        async with ManagedProcess.start(argv, tmp_path / "second.log", env=environment, name="second") as second:
            said = f"are not served at {taken}: "
            await second.wait_ready(lambda: said in second.tail() and "b.json: " in second.tail(), LATE, "it looks")
            assert second.is_running


async def test_an_unknown_path_and_another_method_are_refused_and_head_is_answered(tmp_path: Path) -> None:
    async with start(tmp_path, "sentinel", str(tmp_path / "a.json"), TAILRAMP_SENTINEL_HTTP=LOOPBACK) as sentinel:
        url = await address(sentinel, "sentinel")
        assert await ask(f"{url}/") == (404, "there are /healthz, /readyz and /metrics\n")
        async with aiohttp.ClientSession() as http:
            async with http.post(f"{url}/healthz") as response:
                assert response.status == 501
            async with http.head(f"{url}/healthz") as response:
                assert (response.status, await response.read()) == (200, b"")
