"""Whatever stands where Prometheus should: the answer says why it is none, in time, and nothing is raised."""

import asyncio
import threading

import pytest
from aiohttp import web
from false_prometheus import AT, Serve, says, success
from scraped_service import BLUE, CHECKS, GREEN

from activities.metrics import PrometheusMetrics
from lab.process import free_port, wait_until
from tailramp.errors import Unreachable


async def faults(url: str, timeout: float = 30.0) -> set[str]:
    """The reasons of an instant and of a range reading, which must all be blind."""
    metrics = PrometheusMetrics(url, timeout)
    try:
        readings = [await metrics.read(CHECKS, [GREEN, BLUE], AT)]
        readings += await metrics.read_range(CHECKS, [GREEN, BLUE], AT, AT + 10, 5)
    finally:
        metrics.close()
    assert [reading.at for reading in readings] == [AT, AT, AT + 5, AT + 10]
    answers = [answer for reading in readings for answer in reading.answers.values()]
    assert len(answers) == 4 * 6
    assert all(answer.fault and not answer.samples for answer in answers)
    return {answer.fault for answer in answers}


async def test_a_closed_port_is_named_with_its_address_and_not_with_its_password() -> None:
    port = free_port()
    [fault] = await faults(f"http://user:secret@127.0.0.1:{port}/prom/")
    assert fault == f"Prometheus at http://127.0.0.1:{port}/prom cannot be reached (Connection refused)"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            400,
            '{"status":"error","errorType":"bad_data","error":"1:3: parse error: it\'s not PromQL"}',
            "it's not PromQL",
        ),
        (
            422,
            '{"status":"error","error":"query processing would load too many samples"}',
            "HTTP 422, query processing",
        ),
        (503, '{"status":"error","errorType":"timeout","error":"query timed out"}', "HTTP 503, query timed out"),
        (500, "<html>Internal Server Error</html>", "HTTP 500"),
        (401, "", "HTTP 401"),
        (200, "<html>please log in</html>", "none of Prometheus'"),
        (200, "", "none of Prometheus'"),
        (200, '{"status":"success"}', "none of Prometheus'"),
        (200, "[" * 100_000, "none of Prometheus'"),
    ],
)
async def test_an_answer_that_is_none_is_blind_with_its_reason(serve: Serve, status: int, body: str, said: str) -> None:
    for fault in await faults(await serve(says(status, body))):
        assert said in fault


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ([AT, "1"], "returns a number, not series"),
        ("1", "does not return series"),
        ([{"metric": {}, "histogram": [AT, {}], "histograms": [[AT, {}]]}], "both values"),
        ([{"metric": {}, "histogram": [AT, {}]}], "native histograms"),
        ([{"metric": {}}], "no values"),
        ([{"value": [AT, "1"], "values": [[AT, "1"]]}], "none of Prometheus'"),
        ([{"metric": {}, "value": [AT, "much"], "values": [[AT, "much"]]}], "none of Prometheus'"),
        ([{"metric": {}, "value": AT, "values": [AT]}], "none of Prometheus'"),
    ],
)
async def test_a_result_that_is_no_counter_is_blind_with_its_reason(serve: Serve, result: object, said: str) -> None:
    said = {"both values": "native histograms"}.get(said, said)
    for fault in await faults(await serve(success(result))):
        assert said in fault


async def test_a_server_that_never_answers_costs_no_more_than_the_time_limit(serve: Serve) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        raise AssertionError

    loop = asyncio.get_running_loop()
    begun = loop.time()
    [fault] = await faults(await serve(hang), timeout=0.3)
    assert fault.endswith("did not answer within 0.3 s")
    assert loop.time() - begun < 30.0


async def test_a_server_that_drips_is_given_up_in_time_and_its_threads_do_not_pile_up(serve: Serve) -> None:
    healed = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        if healed.is_set():
            return await success([])(request)
        response = web.StreamResponse(headers={"Content-Length": "1000000"})
        await response.prepare(request)
        while not healed.is_set():
            await response.write(b" ")
            await asyncio.sleep(0.02)
        return response

    metrics = PrometheusMetrics(await serve(drip), timeout=0.1)
    before = threading.active_count()
    loop = asyncio.get_running_loop()
    told: set[str] = set()
    # A busy machine starts fewer threads before a look gives up; so many looks fill the limit on any.
    for _ in range(100):
        begun = loop.time()
        reading = await metrics.read(CHECKS, [GREEN, BLUE], AT)
        assert loop.time() - begun < 30.0
        assert all(answer.fault for answer in reading.answers.values())
        assert threading.active_count() - before <= 32
        told |= {answer.fault for answer in reading.answers.values()}
        if "32 earlier queries still hang" in told:
            break
    assert "32 earlier queries still hang" in told
    healed.set()
    await wait_until(lambda: threading.active_count() <= before, 30, "the hung threads end with their connections")

    async def answered() -> bool:
        reading = await metrics.read(CHECKS, [GREEN, BLUE], AT)
        return {answer.fault for answer in reading.answers.values()} == {""}

    await wait_until(answered, 30, "the threads that are free again bring answers")
    metrics.close()


async def test_one_refused_query_does_not_spoil_the_others(serve: Serve) -> None:
    async def moody(request: web.Request) -> web.StreamResponse:
        bad = "toxic" in request.query["query"]
        return await (says(500, "{}") if bad else success([]))(request)

    metrics = PrometheusMetrics(await serve(moody), timeout=30)
    reading = await metrics.read(CHECKS, [GREEN, BLUE], AT)
    metrics.close()
    assert {query: bool(answer.fault) for query, answer in reading.answers.items()} == {
        query: "toxic" in query for query in reading.answers
    }


async def test_every_query_carries_the_same_time_a_limit_and_the_headers(serve: Serve) -> None:
    seen = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append((request.query["time"], request.query["timeout"], request.headers["Authorization"]))
        return await success([])(request)

    metrics = PrometheusMetrics(await serve(note), timeout=15, headers={"Authorization": "Bearer of the token"})
    await metrics.read(CHECKS, [GREEN, BLUE], AT)
    metrics.close()
    assert seen == [(str(AT), "15000ms", "Bearer of the token")] * 6


async def test_a_long_range_is_asked_in_pieces_that_prometheus_accepts(serve: Serve) -> None:
    pieces = []

    async def note(request: web.Request) -> web.StreamResponse:
        pieces.append(tuple(int(request.query[name]) for name in ("start", "end", "step")))
        return await success([])(request)

    metrics = PrometheusMetrics(await serve(note), timeout=30)
    ticks = 25_000
    readings = await metrics.read_range(CHECKS[:1], [GREEN], AT, AT + 5 * (ticks - 1), 5)
    metrics.close()
    assert [reading.at for reading in readings] == [AT + 5 * index for index in range(ticks)]
    unique = sorted(set(pieces))
    assert [(end - start) // step + 1 for start, end, step in unique] == [11_000, 11_000, 3_000]
    assert [start for start, _, _ in unique[1:]] == [end + step for _, end, step in unique[:-1]]


async def test_a_recount_is_not_made_from_half_of_the_scrapes(serve: Serve) -> None:
    metrics = PrometheusMetrics(await serve(says(503, "{}")), timeout=30)
    with pytest.raises(Unreachable, match="the scrapes cannot be read"):
        await metrics.read_scrapes(CHECKS, [GREEN], AT, AT + 60)
    metrics.close()


async def test_a_time_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves no time to ask"):
        PrometheusMetrics("http://127.0.0.1:9", timeout=0)


@pytest.mark.parametrize("after_headers", [False, True])
async def test_an_answer_that_stalls_is_late_and_not_unreachable(serve: Serve, after_headers: bool) -> None:
    released = asyncio.Event()

    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "10"})
        if after_headers:
            await response.prepare(request)
        await released.wait()
        return response

    metrics = PrometheusMetrics(await serve(stall), timeout=0.2)
    # Through the thread alone, whose own limit must tell the same as the one around it.
    told = await asyncio.to_thread(metrics._guarded, lambda query: metrics._instant(query, AT), "up")
    released.set()
    metrics.close()
    assert isinstance(told, str)
    assert told.endswith("did not answer within 0.2 s")
