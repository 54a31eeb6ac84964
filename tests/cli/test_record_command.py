"""record: from a real Prometheus into a file that replay reads; interrupted, it goes on where it stopped."""

import gzip
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tailramp"))

from replay_samples import EVERYONE, PLATFORM, as_counters, as_open_metrics, counted, policy
from spec_samples import write_files
from test_json_output import are_documented
from test_language import english_left

from activities.metrics import PrometheusMetrics
from activities.recording import left_of, part_of, record
from cli.__main__ import main
from lab.process import free_port
from lab.prometheus_server import PrometheusServer
from tailramp.errors import Refused, Unreachable
from tailramp.replay.recording import Header, Span

pytestmark = pytest.mark.timeout(300)

MINUTES = 45
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
async def prometheus(tmp_path: Path) -> AsyncIterator[PrometheusServer]:
    """It has scraped a candidate that became slow half an hour ago."""
    spec, plan = policy(tmp_path)
    counters = as_counters(spec, plan, counted(MINUTES, slow=6, onset=MINUTES - 30))
    past = tmp_path / "past.om"
    past.write_text(as_open_metrics(counters, int(time.time()) // 15 * 15 - MINUTES * 60 - 60), encoding="utf-8")
    server = PrometheusServer(tmp_path / "prometheus", {}, retention="2d")
    server.remember(past)
    async with server:
        yield server


@pytest.fixture
def run(
    tmp_path: Path,
    prometheus: PrometheusServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    (tmp_path / "deploy").mkdir()
    write_files(tmp_path / "deploy", EVERYONE, PLATFORM.replace("http://127.0.0.1:9090", prometheus.url))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(arguments)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


def test_what_is_recorded_can_be_replayed_without_any_service(run: Run) -> None:
    code, out, err = run("record", "--since", "46m", "--out", "chat.gz", "-o", "json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    are_documented("record", [data])
    assert data["ticks"] >= 45 * 4 + 20
    platform = Path("deploy/tailramp.yaml")
    platform.write_text(PLATFORM.replace(":9090", f":{free_port()}"), encoding="utf-8")
    code, out, _ = run("replay", "chat.gz", "--share", "5%", "--assert", "rolled-back by latency", "-o", "json")
    told = json.loads(out)
    are_documented("replay", [told])
    assert (code, told["phase"], told["failed_checks"]) == (0, "ROLLED_BACK", ["latency"])
    code, out, err = run("record", "--since", "46m", "--out", "again.gz", "--lang", "zh")
    assert (code, english_left(err)) == (6, [])


def test_a_file_that_is_there_is_not_overwritten(run: Run) -> None:
    Path("chat.recording.jsonl.gz").write_text("mine", encoding="utf-8")
    code, _, err = run("record", "--since", "10m")
    assert (code, "is there already" in err) == (5, True)
    assert Path("chat.recording.jsonl.gz").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--since", "昨天"], 2, "is no moment"),
        (["--since", "2026-01-05T12:00:00"], 2, "has no zone"),
        (["--since", "10m", "--until", "20m"], 5, "is not before --until"),
        (["--since", "3650d", "--step", "1s"], 5, "more than 2,000,000 ticks"),
        (["--step", "500ms"], 5, "--step is a whole number of seconds"),
        (["--baseline", "red"], 2, "--baseline is red: the slots are blue, green"),
        (["--ramp", "--step", "5s"], 2, "--ramp has its own ticks"),
    ],
)
def test_what_cannot_be_recorded_is_refused_in_words(run: Run, arguments: list[str], code: int, words: str) -> None:
    found, _, err = run("record", *arguments)
    assert (found, words in err) == (code, True), err
    found, _, err = run("record", *arguments, "--lang", "zh")
    assert (found, english_left(err)) == (code, [])


async def _all(metrics: PrometheusMetrics, header: Header, out: Path, most: int) -> None:
    async for _ in record(metrics, header, out, left_of(out), most=most):
        pass


async def test_an_interrupted_recording_goes_on_and_is_the_same_in_the_end(
    tmp_path: Path, prometheus: PrometheusServer
) -> None:
    queries = tuple(as_counters(*policy(tmp_path), counted(1)))
    end = int(time.time()) - 60
    spans = tuple(Span(start=end - back - 600, end=end - back, anchor=end - back - 600) for back in (1200, 0))
    header = Header(route="d/c", spec="x", baseline="blue", candidates={}, step=15, spans=spans, queries=queries)
    metrics = PrometheusMetrics(prometheus.url, 10)
    whole, halting = tmp_path / "whole.gz", tmp_path / "halting.gz"
    try:
        await _all(metrics, header, whole, 7)
        while not halting.exists():  # two pieces at a time, the second of which is cut off while it is written
            pieces = 0
            async for progress in record(metrics, header, halting, left_of(halting), most=7):
                pieces += 1
                if pieces == 3 and progress.done < progress.points:
                    break
            if part_of(halting).exists():
                data = part_of(halting).read_bytes()
                part_of(halting).write_bytes(data[:-5])
    finally:
        metrics.close()
    assert gzip.decompress(halting.read_bytes()) == gzip.decompress(whole.read_bytes())


async def test_too_many_points_at_once_are_asked_for_in_halves(
    tmp_path: Path, prometheus: PrometheusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = int(time.time()) - 60
    span = Span(start=end - 40_000, end=end, anchor=end)
    query = next(iter(as_counters(*policy(tmp_path), counted(1))))
    header = Header(route="d/c", spec="x", baseline="blue", candidates={}, step=1, spans=(span,), queries=(query,))
    metrics = PrometheusMetrics(prometheus.url, 10)
    out = tmp_path / "many.gz"
    asked, ask = list[int](), metrics.read_columns

    async def noted(queries: Sequence[str], times: range, native: Collection[str] = ()) -> Any:
        asked.append(len(times))
        return await ask(queries, times, native)

    monkeypatch.setattr(metrics, "read_columns", noted)
    try:
        steps = [progress.done async for progress in record(metrics, header, out, most=40_001)]
    finally:
        metrics.close()
    assert steps[-1] == 40_001
    assert max(later - earlier for earlier, later in pairwise(steps)) <= 11_000
    assert [points for points in asked if points > 11_000] == [40_001, 20_000]  # not again for every piece


async def test_a_prometheus_that_cannot_be_reached_leaves_what_was_saved(
    tmp_path: Path, prometheus: PrometheusServer
) -> None:
    end = int(time.time()) - 60
    span = Span(start=end - 600, end=end, anchor=end)
    queries = tuple(as_counters(*policy(tmp_path), counted(1)))
    header = Header(route="d/c", spec="x", baseline="blue", candidates={}, step=15, spans=(span,), queries=queries)
    metrics = PrometheusMetrics(prometheus.url, 2)
    out = tmp_path / "cut.gz"
    try:
        saving = record(metrics, header, out, most=20)
        assert [(await anext(saving)).done for _ in range(2)] == [0, 20]
        await prometheus.kill()
        with pytest.raises(Unreachable, match="goes on from here"):
            await anext(saving)
    finally:
        metrics.close()
    left = left_of(out)
    assert left is not None
    assert (left.header, left.start) == (header, span.start + 20 * 15)
    part_of(out).write_bytes(gzip.compress(b"something else"))
    with pytest.raises(Refused, match="can be gone on with"):
        left_of(out)
