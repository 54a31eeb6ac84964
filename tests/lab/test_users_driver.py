"""The driver against a real HTTP server that keeps what was on the wire."""

import asyncio
import errno
import io
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from lab.client_log import ClientRequest, read_log
from lab.user_population import CORE_MINIMUM, Arrival, Forgery, Traffic, arrivals, populate
from lab.users import BEHIND_SECONDS, ClientLogWriter, Users, client_session

Lines = tuple[tuple[bytes, bytes], ...]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gateway:
    """Answers at once as the slot `blue`, and keeps the header lines of every request as they arrived."""

    def __init__(self) -> None:
        self.seen: list[Lines] = []
        self.bodies: list[bytes] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request.raw_headers)
        self.bodies.append(await request.read())
        return web.Response(text="{}", headers={"X-Tailramp-Variant": "blue"})


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def drive(
    url: str,
    schedule: Sequence[Arrival],
    path: Path,
    *,
    timeout: float = 30.0,
    most_in_flight: int = 4000,
    streamed_share: float = 0.0,
) -> list[ClientRequest]:
    with path.open("a", encoding="utf-8") as file:
        async with client_session(timeout) as session:
            users = Users(
                session,
                url,
                schedule,
                ClientLogWriter(file),
                timeout=timeout,
                most_in_flight=most_in_flight,
                streamed_share=streamed_share,
            )
            await users.run()
    return read_log(path).requests


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def test_every_core_user_asks_30_times_and_every_request_is_in_the_log(tmp_path: Path) -> None:
    population = populate(1, core=20, others=200)
    schedule = arrivals(population, Traffic(rate=330, duration=3), seed=1)
    gateway = Gateway()
    async with served(gateway.answer) as url:
        log = await drive(url, schedule, tmp_path / "log")
    visits = Counter(request.user for request in log)
    assert min(visits[user] for user in population.core) >= CORE_MINIMUM
    assert visits[None] > 0
    assert len(log) == len(schedule) == len(gateway.seen)
    assert {(request.status, request.error, request.variant) for request in log} == {(200, None, "blue")}
    assert Counter(r.forged for r in log) == Counter(a.forgery for a in schedule)


@pytest.mark.parametrize(("end", "whole"), [("data: [DONE]\n\n", True), ('data: {"choi', False)])
async def test_a_stream_that_was_cut_is_a_failed_request(tmp_path: Path, end: str, whole: bool) -> None:
    asked = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(json.loads(await request.read()).get("stream"))
        return web.Response(text=end if asked[-1] else "{}", headers={"X-Tailramp-Variant": "blue"})

    schedule = [Arrival(0.0, f"u{number}", None) for number in range(8)]
    async with served(answer) as url:
        log = await drive(url, schedule, tmp_path / "log", streamed_share=0.25)
    assert sorted(asked, key=bool) == [None] * 6 + [True] * 2
    assert sum(request.ok for request in log) == (8 if whole else 6)
    assert {request.error for request in log if not request.ok} == (set() if whole else {"CutStream"})


async def test_requests_leave_when_the_schedule_says_on_a_wall_clock(tmp_path: Path) -> None:
    schedule = [Arrival(0.05 * number, f"u{number}", None) for number in range(10)]
    for attempt in range(8):  # on a machine that is busy some may be late, also the one from which the others count
        before = time.time()
        async with served(Gateway().answer) as url:
            log = await drive(url, schedule, tmp_path / f"log-{attempt}")
        sent = {request.user: request.sent for request in log}
        start = sent["u0"]
        assert before <= start <= time.time()
        assert all(request.sent <= request.answered for request in log)
        late = [sent[arrival.user] - start - arrival.due for arrival in schedule]
        if on_time := min(late) > -0.05 and max(late) < 0.3:
            break
    assert on_time, late


async def test_ids_reach_the_server_as_their_utf8_bytes(tmp_path: Path) -> None:
    ids = ("李娜-0231", "王秀英·华东0007", "13800001234", "emp-00123")
    gateway = Gateway()
    async with served(gateway.answer) as url:
        await drive(url, [Arrival(0.0, user, None) for user in ids], tmp_path / "log")
    arrived = {value for lines in gateway.seen for name, value in lines if name.lower() == b"x-user-id"}
    assert arrived == {user.encode() for user in ids}
    assert json.loads(gateway.bodies[0])["model"] == "chat"


FORGED: dict[Forgery | None, Lines] = {
    None: (),
    Forgery.DUPLICATED: ((b"X-User-Bucket", b"00"), (b"X-User-Bucket", b"00")),
    Forgery.UNDERSCORES: ((b"X_User_Bucket", b"00"),),
    Forgery.LOWER_CASE: ((b"x-user-bucket", b"00"),),
    Forgery.TWO_DIMENSIONAL: ((b"X-User-Bucket-2D", b"00_VIP"),),
}


@pytest.mark.parametrize("user", ["用户甲", None])
@pytest.mark.parametrize("forgery", FORGED)
async def test_forged_headers_are_on_the_wire_as_written(
    tmp_path: Path, forgery: Forgery | None, user: str | None
) -> None:
    gateway = Gateway()
    async with served(gateway.answer) as url:
        (logged,) = await drive(url, [Arrival(0.0, user, forgery)], tmp_path / "log")
    (lines,) = gateway.seen
    about_users = tuple(line for line in lines if b"user" in line[0].lower() and line[0].lower() != b"x-user-id")
    assert about_users == FORGED[forgery]
    assert [value for name, value in lines if name.lower() == b"x-user-id"] == ([user.encode()] if user else [])
    assert (logged.user, logged.forged) == (user, forgery)


async def test_a_slow_answer_delays_no_other_request(tmp_path: Path) -> None:
    everybody_is_here = asyncio.Event()
    waiting = 0

    async def answer_when_all_have_asked(request: web.Request) -> web.Response:
        nonlocal waiting
        waiting += 1
        if waiting == 50:
            everybody_is_here.set()
        await everybody_is_here.wait()
        return web.Response()

    async with served(answer_when_all_have_asked) as url:
        log = await drive(url, [Arrival(0.002 * n, f"u{n}", None) for n in range(50)], tmp_path / "log")
    assert [request.status for request in log] == [200] * 50
    assert {request.variant for request in log} == {None}


async def test_a_lost_connection_is_logged_by_the_class_of_its_error(tmp_path: Path) -> None:
    async def cut(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async with served(cut) as url:
        (request,) = await drive(url, [Arrival(0.0, "u1", None)], tmp_path / "log")
    assert (request.status, request.error, request.variant) == (None, "ServerDisconnectedError", None)


async def test_an_answer_that_breaks_off_is_no_answer_but_names_its_variant(tmp_path: Path) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100", "X-Tailramp-Variant": "green"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.close()
        return response

    async with served(break_off) as url:
        (request,) = await drive(url, [Arrival(0.0, "u1", None)], tmp_path / "log")
    assert (request.status, request.error, request.variant) == (None, "ClientPayloadError", "green")


async def test_a_request_without_an_answer_ends_at_its_time_limit(tmp_path: Path) -> None:
    never = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    async with served(hang) as url:
        (request,) = await drive(url, [Arrival(0.0, "u1", None)], tmp_path / "log", timeout=0.2)
    assert request.error in {"TimeoutError", "ServerTimeoutError"}
    assert request.answered - request.sent >= 0.2


async def test_a_client_that_cannot_keep_up_says_so_loudly(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def hold(request: web.Request) -> web.Response:
        await release.wait()
        return web.Response()

    path = tmp_path / "log"
    schedule = [Arrival(0.0, f"u{number}", None) for number in range(3)]
    async with served(hold) as url:
        driving = asyncio.create_task(drive(url, schedule, path, timeout=60, most_in_flight=1))
        await eventually(lambda: path.exists() and bool(read_log(path).behind))
        release.set()
        assert len(await driving) == 3
    late = read_log(path).behind[0]
    assert late.behind_seconds >= BEHIND_SECONDS
    assert late.in_flight == 1


async def test_a_client_that_keeps_up_says_nothing(tmp_path: Path) -> None:
    for attempt in range(8):  # on a machine that is busy it may be behind, and must say so
        async with served(Gateway().answer) as url:
            log = tmp_path / f"log-{attempt}"
            await drive(url, [Arrival(0.01 * n, "u1", None) for n in range(20)], log)
        if not (behind := read_log(log).behind):
            break
    assert behind == []


class DiskThatFillsUp(io.StringIO):
    """Refuses the second flush, as if the room had been made again before the third."""

    flushes = 0

    def flush(self) -> None:
        self.flushes += 1
        if self.flushes == 2:
            raise OSError(errno.ENOSPC, "No space left on device")


async def test_users_whose_log_cannot_be_written_stop_with_an_error() -> None:
    schedule = [Arrival(30.0 * number, "u1", None) for number in range(3)]
    async with served(Gateway().answer) as url, client_session() as session:
        users = Users(session, url, schedule, ClientLogWriter(DiskThatFillsUp()))
        with pytest.raises(OSError, match="No space left"):
            await asyncio.wait_for(users.run(), 20)


@asynccontextmanager
async def started(*options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lab.users", *options, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def options(url: str, log: Path, **changes: object) -> list[str]:
    values = {"gateway": url, "log": log, "seed": 3, "rate": 100, "duration": 60, "core-users": 10, "other-users": 50}
    return [str(part) for name, value in (values | changes).items() for part in (f"--{name}", value)]


async def test_a_reader_can_follow_and_sigterm_waits_for_what_is_open(tmp_path: Path) -> None:
    release = asyncio.Event()
    arrived = 0
    last_arrival = 0.0

    async def hold_after_20(request: web.Request) -> web.Response:
        nonlocal arrived, last_arrival
        arrived += 1
        last_arrival = time.monotonic()
        if arrived > 20:
            await release.wait()
        return web.Response(headers={"X-Tailramp-Variant": "blue"})

    path = tmp_path / "users.jsonl"
    async with served(hold_after_20) as url, started(*options(url, path)) as process:
        await eventually(lambda: path.exists() and read_log(path).started)
        await eventually(lambda: len(read_log(path).requests) == 20 and arrived > 25)
        assert not read_log(path).stopped
        process.send_signal(signal.SIGTERM)
        # At 100 requests a second nobody is silent for so long unless the sending is over.
        await eventually(lambda: time.monotonic() - last_arrival > 0.4)
        assert process.returncode is None
        release.set()
        assert await asyncio.wait_for(process.wait(), 60) == 0
        log = read_log(path)
        assert log.stopped
        assert len(log.requests) == arrived < 60 * 100
        assert {request.status for request in log.requests} == {200}
    summary = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    assert (summary["sent"], summary["answered"]) == (arrived, arrived)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rate": 1}, "raise it, or lengthen the run to 330 s"),
        ({"core-rate": 1}, "30 are promised: raise it to 5.0"),
        ({"gateway": "localhost:80"}, "give for example http://127.0.0.1:8080"),
    ],
)
async def test_a_run_that_cannot_keep_its_promise_is_refused_in_words(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    async with started(*options("http://127.0.0.1:9", tmp_path / "log", **changes)) as process:
        _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert reason in " ".join(said.decode().split())
    assert not (tmp_path / "log").exists()
