"""A Prometheus that stores native histograms: the same counts, by instant and by range query, as with classic ones."""

import gzip
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scraped_service import BLUE, GREEN, RULE, ScrapedService

from activities.metrics import PrometheusMetrics
from activities.recording import record
from lab.process import wait_until
from lab.prometheus_server import PrometheusServer
from tailramp.evidence import Answer, CheckBook, Grid, Reading, VerdictKind, latency, recount
from tailramp.replay.recording import Header, Span

SLOTS = [GREEN, BLUE]
LAG = 2.0
"""Seconds in which a scrape is stored on a busy machine, too."""
NATIVE = latency(rule=RULE, native=True).model_copy(update={"ladder": None})


@pytest.fixture
async def service() -> AsyncIterator[ScrapedService]:
    async with ScrapedService() as service:
        yield service


@pytest.fixture
async def metrics(tmp_path: Path, service: ScrapedService) -> AsyncIterator[PrometheusMetrics]:
    server = PrometheusServer(tmp_path, service.targets, 0.2, service.paths, native_histograms=True)
    async with server:
        metrics = PrometheusMetrics(server.url, timeout=20)

        async def measured() -> bool:
            reading = await metrics.read([NATIVE], SLOTS, int(time.time()))
            return all(answer.samples for answer in reading.answers.values())

        await wait_until(measured, 60, "both slots are scraped")
        yield metrics
        metrics.close()


def unordered(answer: Answer) -> frozenset[object]:
    return frozenset(answer.samples)


async def test_a_slow_candidate_fails_by_its_native_histogram(
    metrics: PrometheusMetrics, service: ScrapedService
) -> None:
    assert await metrics.preflight([NATIVE], BLUE, int(time.time())) == []
    grid = Grid(anchor=int(time.time()), tick=1)
    book = CheckBook([NATIVE], [GREEN], BLUE, grid, run_up=2)
    service.bad["green"] = True
    kept: list[Reading] = []
    for index in range(-2, 60):
        await wait_until(lambda due=index: grid.last_due(time.time(), LAG) >= due, 30, f"tick {index} may be asked")
        kept.append(await metrics.read([NATIVE], SLOTS, grid.time(index)))
        if book.observe(kept[-1])[0].kind is VerdictKind.FAIL:
            break
    assert "p99 above 2 s" in book.verdicts[0].reason
    last = index
    ranged = await metrics.read_range([NATIVE], SLOTS, grid.time(-2), grid.time(last), 1)
    assert [{q: unordered(a) for q, a in one.answers.items()} for one in ranged] == [
        {q: unordered(a) for q, a in one.answers.items()} for one in kept
    ]
    scrapes = await metrics.read_scrapes([NATIVE], SLOTS, grid.time(-5), grid.time(last))
    counted = recount([NATIVE], [GREEN], BLUE, grid, scrapes, until=last, run_up=2)
    assert counted.tick == last


async def test_what_cannot_be_counted_is_refused_before_the_ramp_with_the_reason(
    metrics: PrometheusMetrics, service: ScrapedService
) -> None:
    service.bad["blue"] = True
    inside = latency(2.2, RULE, native=True)

    async def refused() -> bool:
        found = await metrics.preflight([inside], BLUE, int(time.time()))
        return bool(found) and "no bucket boundary at 2.2 s: one bucket reaches from 2 to 2.5 s" in str(found[0])

    await wait_until(refused, 60, "answers above 2 s are scraped")
    (problem,) = await metrics.preflight([latency(rule=RULE)], BLUE, int(time.time()))
    assert "no series for the baseline" in str(problem)


async def test_a_recording_holds_them_bucket_by_bucket(
    metrics: PrometheusMetrics, service: ScrapedService, tmp_path: Path
) -> None:
    queries = tuple(NATIVE.queries(slot)["buckets"] for slot in SLOTS)
    end = int(time.time())
    header = Header(
        route="default/chat",
        spec="0" * 64,
        baseline="blue",
        candidates={"green": "chat-v2"},
        step=1,
        spans=(Span(start=end, end=end, anchor=end),),
        queries=queries,
        native=queries,
    )
    out = tmp_path / "recorded.gz"
    assert [progress async for progress in record(metrics, header, out)]
    with gzip.open(out, "rt", encoding="utf-8") as file:
        text = file.read()
    assert text.count("+Inf") >= 2
    assert '"0.5"' in text  # where all answers lie
