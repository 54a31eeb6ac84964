"""Two servers of Prometheus behind one address, as they are run so that one may fail: each has scrapes of its own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from scraped_service import BLUE, CHECKS, GREEN

from activities.metrics import PrometheusMetrics
from lab.prometheus_server import PrometheusServer
from tailramp.evidence import CheckBook, Grid, VerdictKind

START = 1_767_600_000
MINUTES = 20
EVERY = 30
"""Seconds between two scrapes, twice as many as between two ticks."""

ANSWERS = {"green": 5, "blue": 95}
"""A second."""

GRID = Grid(anchor=START + 120, tick=15)


def counted(slot: str, at: int) -> tuple[int, int]:
    """Answers, and bad ones, of a server that had run for an hour at ``START``; of a hundred one is bad."""
    answered = ANSWERS[slot] * (at - START + 3600)
    return answered, answered // 100


def scraped(offset: int) -> Iterator[str]:
    """What a server that scrapes at times of its own has stored, in OpenMetrics."""
    times = range(START + offset, START + 60 * MINUTES + 1, EVERY)
    for name, part in (("llm_answers_scored", 0), ("llm_answers_toxic", 1)):
        yield f"# TYPE {name} counter\n"
        for slot in ANSWERS:
            yield from (f'{name}_total{{slot="{slot}"}} {counted(slot, at)[part]} {at}\n' for at in times)
    yield "# TYPE llm_inference_duration_seconds histogram\n"
    for slot in ANSWERS:
        for edge in ("1.6", "2.0", "+Inf"):
            for at in times:
                answered, slow = counted(slot, at)
                within = answered if edge == "+Inf" else answered - slow // 4
                yield f'llm_inference_duration_seconds_bucket{{slot="{slot}",le="{edge}"}} {within} {at}\n'
    yield "# EOF\n"


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[list[PrometheusMetrics]]:
    async with AsyncExitStack() as stack:
        found = []
        for offset in (0, EVERY - 1):
            folder = tmp_path / f"scraped{offset}"
            folder.mkdir()
            (folder / "past.om").write_text("".join(scraped(offset)), encoding="utf-8")
            server = PrometheusServer(folder, {}, retention="10y")
            server.remember(folder / "past.om")
            await stack.enter_async_context(server)
            metrics = PrometheusMetrics(server.url, timeout=5)
            stack.callback(metrics.close)
            found.append(metrics)
        yield found


@pytest.mark.parametrize("turns", [(0, 1), (0, 0, 1), (1, 1, 0, 0)])
async def test_answers_of_now_the_one_and_now_the_other_are_counted_once(
    pair: list[PrometheusMetrics], turns: tuple[int, ...]
) -> None:
    book = CheckBook(CHECKS, [GREEN], BLUE, GRID, run_up=60)
    last = GRID.ticks_in(60 * MINUTES - 120) - 2
    for index in range(-4, last + 1):
        verdicts = book.observe(await pair[turns[index % len(turns)]].read(CHECKS, [GREEN, BLUE], GRID.time(index)))
        if index >= 0:
            assert {verdict.kind for verdict in verdicts} <= {VerdictKind.PASS, VerdictKind.INCONCLUSIVE}, verdicts
    for verdict in verdicts:
        since = ANSWERS["green"] * (GRID.time(last) - GRID.anchor)
        assert since - ANSWERS["green"] * EVERY <= verdict.numbers.seen <= since + ANSWERS["green"] * EVERY
