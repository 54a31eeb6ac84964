"""The checks against a real Prometheus that scrapes a real, if small, service."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scraped_service import BLUE, CHECKS, GREEN, HANGING, ScrapedService, advance

from activities.metrics import PrometheusMetrics
from lab.process import wait_until
from lab.prometheus_server import PrometheusServer
from tailramp.evidence import CheckBook, Grid, Reading, Verdict, VerdictKind, latency, recount, toxicity
from tailramp.presets import SERVERS, ServerName

LAG = 1.5
"""Seconds in which a scrape is stored on a busy machine, too."""
MOST_TICKS = 60
"""After which a verdict must be there."""
SLOTS = [GREEN, BLUE]


@pytest.fixture
async def service() -> AsyncIterator[ScrapedService]:
    async with ScrapedService() as service:
        yield service


@pytest.fixture
async def prometheus(tmp_path: Path, service: ScrapedService) -> AsyncIterator[PrometheusServer]:
    async with PrometheusServer(tmp_path / "prometheus", service.targets, 0.2, service.paths) as server:
        yield server


@pytest.fixture
async def metrics(prometheus: PrometheusServer) -> AsyncIterator[PrometheusMetrics]:
    metrics = PrometheusMetrics(prometheus.url, timeout=20)

    async def measured() -> bool:
        reading = await metrics.read(CHECKS, SLOTS, int(time.time()))
        return all(answer.samples for answer in reading.answers.values())

    await wait_until(measured, 60, "both slots are scraped")
    yield metrics
    metrics.close()


def new_grid() -> Grid:
    return Grid(anchor=int(time.time()), tick=1)


def new_book(grid: Grid) -> CheckBook:
    return CheckBook(CHECKS, [GREEN], BLUE, grid, run_up=5)


async def due(grid: Grid, index: int) -> None:
    await wait_until(lambda: grid.last_due(time.time(), LAG) >= index, 30, f"tick {index} may be asked")


def unordered(reading: Reading) -> dict[str, frozenset[object]]:
    return {query: frozenset(answer.samples) for query, answer in reading.answers.items()}


def kinds(verdicts: list[Verdict]) -> list[VerdictKind]:
    return [verdict.kind for verdict in verdicts]


async def test_instant_and_range_queries_give_the_same_values_through_resets_and_gaps(
    metrics: PrometheusMetrics, service: ScrapedService
) -> None:
    grid = new_grid()
    events = {2: lambda: service.hidden.add("b"), 4: lambda: service.restart("green", "a"), 5: service.hidden.clear}
    instant = {}
    index = 0
    for number in range(8):
        await due(grid, index)
        instant[grid.time(index)] = unordered(await metrics.read(CHECKS, SLOTS, grid.time(index)))
        last, index = index, index + 1
        if number in events:
            events[number]()
            seen = dict(service.scrapes)
            await wait_until(lambda seen=seen: all(service.scrapes[s] > seen[s] + 4 for s in seen), 60, "it is scraped")
            index = max(index, grid.index(int(time.time())))
    ranged = await metrics.read_range(CHECKS, SLOTS, grid.time(0), grid.time(last), grid.tick)
    assert {one.at: unordered(one) for one in ranged if one.at in instant} == instant
    assert all(not answer.fault for reading in ranged for answer in reading.answers.values())
    series = {len(answer.samples) for reading in ranged for answer in reading.answers.values()}
    assert series >= {1, 2, 4}  # with pod b and without it; two edges of each in the histogram


async def test_a_bad_candidate_fails_and_the_recount_names_the_scrape_that_showed_it(
    metrics: PrometheusMetrics, service: ScrapedService
) -> None:
    grid = new_grid()
    book = new_book(grid)
    verdicts: list[Verdict] = []
    index = -1
    while VerdictKind.FAIL not in kinds(verdicts):
        index += 1
        await due(grid, index)
        if index == 3:
            assert VerdictKind.FAIL not in kinds(verdicts)
            service.bad["green"] = True
        verdicts = await advance(metrics, book, index)
        assert index < MOST_TICKS
    scrapes = await metrics.read_scrapes(CHECKS, SLOTS, grid.time(-5), grid.time(index))
    counted = recount(CHECKS, [GREEN], BLUE, grid, scrapes, until=index, run_up=5)
    assert counted.tick == index
    assert counted.trigger is not None
    assert grid.time(index - 1) < counted.trigger <= grid.time(index)
    assert list(counted.verdicts) == verdicts
    assert "baseline 0.0 %" in next(verdict.reason for verdict in verdicts if verdict.kind is VerdictKind.FAIL)


async def test_a_crash_and_an_outage_of_prometheus_change_no_verdict(
    metrics: PrometheusMetrics, service: ScrapedService, prometheus: PrometheusServer
) -> None:
    grid = new_grid()
    steady = new_book(grid)
    await due(grid, 1)
    assert VerdictKind.BLIND not in kinds(await advance(metrics, steady, 1))

    prometheus.suspend()
    await due(grid, 2)
    hurried = PrometheusMetrics(prometheus.url, timeout=2)
    blind = await advance(hurried, steady, 2)
    hurried.close()
    assert kinds(blind) == [VerdictKind.BLIND, VerdictKind.BLIND]
    assert blind[0].reason.endswith("did not answer within 2 s")
    prometheus.thaw()

    service.bad["green"] = True
    index = grid.last_due(time.time(), LAG) + 6
    await due(grid, index)
    made_up = await advance(metrics, steady, index)
    while VerdictKind.FAIL not in kinds(made_up) and index < MOST_TICKS:
        index += 1
        await due(grid, index)
        made_up = await advance(metrics, steady, index)
    rebuilt = new_book(grid)
    assert await advance(metrics, rebuilt, index) == made_up
    assert VerdictKind.FAIL in kinds(made_up)

    again = new_book(grid)
    readings = await metrics.read_range(CHECKS, SLOTS, grid.time(-5), grid.time(index), grid.tick)
    for one in readings:
        again.take(one)
    assert again.verdicts == made_up


async def test_a_dead_prometheus_is_blind_until_it_is_back(
    metrics: PrometheusMetrics, prometheus: PrometheusServer
) -> None:
    grid = new_grid()
    book = new_book(grid)
    await due(grid, 0)
    await advance(metrics, book, 0)
    await prometheus.kill()
    await due(grid, 1)
    [toxic, _] = await advance(metrics, book, 1)
    assert toxic.kind is VerdictKind.BLIND
    assert "cannot be reached" in toxic.reason
    await prometheus.start()
    index = grid.last_due(time.time(), LAG) + 1
    await due(grid, index)
    assert VerdictKind.BLIND not in kinds(await advance(metrics, book, index))


async def test_a_series_without_new_scrapes_is_gone_after_the_lookback(
    metrics: PrometheusMetrics, prometheus: PrometheusServer
) -> None:
    """The server itself would show its last value for five minutes: as if nobody had asked anything meanwhile."""
    impatient = PrometheusMetrics(prometheus.url, timeout=20, lookback=1.5)

    async def is_there(at: int) -> bool:
        reading = await impatient.read(CHECKS, SLOTS, at)
        return any(answer.samples for answer in reading.answers.values())

    async def is_gone() -> bool:
        return not await is_there(int(time.time()))

    seen = int(time.time()) + 1
    await wait_until(lambda: is_there(seen), 60, "the series are there")
    prometheus.scrape({})
    await wait_until(is_gone, 60, "the series are gone")
    ranged = await impatient.read_range(CHECKS, SLOTS, seen, int(time.time()), 1)
    impatient.close()
    assert any(answer.samples for answer in ranged[0].answers.values())
    assert not any(answer.samples for answer in ranged[-1].answers.values())


async def test_a_candidate_that_hangs_fails_while_its_scrapes_go_on_and_can_be_recounted(
    metrics: PrometheusMetrics, service: ScrapedService
) -> None:
    await wait_until(lambda: service.scrapes["blue"] > 20, 60, "the gauge has been scraped for a while")
    assert await metrics.preflight([HANGING], BLUE, int(time.time())) == []
    grid = new_grid()
    book = CheckBook([HANGING], [GREEN], BLUE, grid, run_up=0)
    verdicts: list[Verdict] = []
    index = -1
    while VerdictKind.FAIL not in kinds(verdicts):
        index += 1
        await due(grid, index)
        if kinds(verdicts) == [VerdictKind.PASS]:
            service.hung.add("green")
        verdicts = await advance(metrics, book, index)
        assert index < MOST_TICKS
    assert service.hung == {"green"}, "it failed before it hung"
    assert verdicts[0].reason.startswith("requests in flight for more than 2 s: ")
    scrapes = await metrics.read_scrapes([HANGING], SLOTS, grid.time(0) - 5, grid.time(index))
    counted = recount([HANGING], [GREEN], BLUE, grid, scrapes, until=index, run_up=0)
    assert counted.tick == index


async def test_preflight_has_nothing_to_say_where_everything_is_measured(metrics: PrometheusMetrics) -> None:
    assert await metrics.preflight(CHECKS, BLUE, int(time.time())) == []


async def test_preflight_names_the_missing_edge_and_its_neighbours(metrics: PrometheusMetrics) -> None:
    [problem] = await metrics.preflight([latency(2.25)], BLUE, int(time.time()))
    assert problem.reason == "the histogram has no bucket edge at 2.25 s: the nearest edges are 2 s and 2.5 s"
    assert problem.mend == "Add a bucket at 2.25 s to the histogram, or set the limit to one of its edges"
    assert problem.field == "checks.latency"


async def test_preflight_names_every_query_without_series(metrics: PrometheusMetrics) -> None:
    nobody = BLUE.model_copy(update={"metrics": 'slot="bleu"'})
    problems = await metrics.preflight(CHECKS, nobody, int(time.time()))
    assert [(problem.field, problem.reason) for problem in problems] == [
        ("checks.toxicity", "no series for the baseline"),
        ("checks.latency", "no series for the baseline"),
    ]
    assert problems[0].value == 'llm_answers_scored_total{slot="bleu"}'
    assert 'slot="bleu"' in problems[0].mend
    assert "a gauge of toxicity is not enough" in problems[0].mend


async def test_preflight_says_what_has_to_be_switched_on_for_a_histogram(metrics: PrometheusMetrics) -> None:
    histogram = SERVERS[ServerName.TRITON].first_token
    assert histogram is not None
    [problem] = await metrics.preflight([latency(2.0, histogram=histogram)], BLUE, int(time.time()))
    assert problem.reason == "no series for the baseline"
    assert problem.mend.endswith("start Triton with --metrics-config histogram_latencies=true")


async def test_preflight_names_what_prometheus_refuses_and_what_cannot_be_counted(metrics: PrometheusMetrics) -> None:
    wrong = {
        "refused": {"total": "sum by (pod (llm_answers_scored_total{match})"},
        "swapped": {"total": "llm_answers_toxic_total{match}", "bad": "llm_answers_scored_total{match}"},
        "absent": {"bad": "llm_answers_poisonous_total{match}"},
        "negative": {"total": "0 * llm_answers_scored_total{match}", "bad": "-1 - llm_answers_toxic_total{match}"},
    }
    checks = [toxicity().model_copy(update={"name": name, **queries}) for name, queries in wrong.items()]
    problems = {problem.field: problem for problem in await metrics.preflight(checks, BLUE, int(time.time()))}
    assert "HTTP 400" in problems["checks.refused"].reason
    assert "parse error" in problems["checks.refused"].reason
    assert problems["checks.swapped"].reason == "more bad answers than answers"
    assert problems["checks.absent"].reason == "no series of bad answers for the baseline"
    assert "no counter of answers" in problems["checks.negative"].reason


async def test_preflight_names_an_unreachable_prometheus_once(prometheus: PrometheusServer) -> None:
    await prometheus.kill()
    metrics = PrometheusMetrics(prometheus.url, timeout=20)
    [problem] = await metrics.preflight(CHECKS, BLUE, int(time.time()))
    metrics.close()
    assert problem.field == "prometheus.url"
    assert "cannot be reached" in problem.reason
