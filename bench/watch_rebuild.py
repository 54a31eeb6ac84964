"""How long a watch takes to catch up on a whole day after a crash: from Prometheus' answers to the verdicts.

A real Prometheus holds 24 hours of scrapes every 15 s of two slots with two servers each and 21 bucket edges.  What is
timed is what the watch does when it comes back: it reads the whole grid by range queries, turns the answers into
readings, counts, and judges with the dossiers of the shipped policy.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np

from activities.metrics import PrometheusMetrics
from bench._samples import RESULTS, machine
from cli.examples import CANARY, PLATFORM
from lab.prometheus_server import PrometheusServer
from tailramp.checks import shelf_of
from tailramp.dossiers import begin_stretch, dossiers_of
from tailramp.evidence import RUN_UP, Grid
from tailramp.garbage import look_for_garbage_seldom
from tailramp.planning import make_plan
from tailramp.presets.servers import DURATION
from tailramp.spec import load_spec

TEXT = RESULTS / "watch_rebuild.txt"
_TICK = 15
_DAY = 86_400
_SLOTS = (("blue", 0.95), ("green", 0.05))
_RATE = 100.0


def _past(end: int) -> Iterator[str]:
    random = np.random.default_rng(1)
    times = np.arange(end - _DAY - RUN_UP, end + 1, _TICK)
    kinds: dict[str, list[tuple[str, np.ndarray]]] = {}
    for slot, share in _SLOTS:
        answered = random.poisson(_RATE * share * _TICK, len(times))
        gateway = f'envoy_cluster_name="{slot}"'
        kinds.setdefault("envoy_cluster_upstream_rq_completed", []).append((gateway, answered))
        failed = f'{gateway},envoy_response_code_class="5"'
        kinds.setdefault("envoy_cluster_upstream_rq_xx", []).append((failed, random.binomial(answered, 0.005)))
        for server in "ab":
            mine = random.binomial(answered, 0.5)
            labels = f'slot="{slot}",instance="{slot}-{server}"'
            kinds.setdefault("llm_answers_scored_total", []).append((labels, mine))
            kinds.setdefault("llm_answers_toxic_total", []).append((labels, random.binomial(mine, 0.01)))
            above, left = mine, 1.0
            for edge in DURATION.edges:
                remaining = float(np.exp(-0.6 * edge * edge / 0.7))
                above = random.binomial(above, min(1.0, remaining / left))
                left = max(remaining, 1e-12)
                buckets = f'{labels},le="{float(edge)!r}"'
                kinds.setdefault(f"{DURATION.name}_bucket", []).append((buckets, mine - above))
            kinds[f"{DURATION.name}_bucket"].append((f'{labels},le="+Inf"', mine))
    for name, series in kinds.items():
        yield f"# TYPE {name} unknown\n"
        for labels, counts in series:
            for at, value in zip(times, counts.cumsum(), strict=True):
                yield f"{name}{{{labels}}} {value} {at}\n"
    yield "# EOF\n"


async def timed(folder: Path) -> list[str]:
    end = int(time.time()) // _TICK * _TICK
    past = folder / "past.om"
    with past.open("w", encoding="utf-8") as file:
        file.writelines(_past(end))
    server = PrometheusServer(folder / "prometheus", {}, retention="3d")
    server.remember(past)
    (folder / "canary.yaml").write_text(CANARY, encoding="utf-8")
    text = PLATFORM.replace("http://127.0.0.1:9090", f"{server.url}\n  timeout: 60s")
    (folder / "tailramp.yaml").write_text(text, encoding="utf-8")
    spec = load_spec(folder / "canary.yaml", folder / "tailramp.yaml")
    plan = make_plan(spec, default="blue", candidates=["green"])
    grid = Grid(anchor=end - _DAY, tick=_TICK)
    dossiers = dossiers_of(spec, plan, grid.anchor)
    shelf = shelf_of(spec, plan, grid, dossiers)
    begin_stretch(dossiers, plan.steps[-1].assignment, plan.baseline, grid.anchor)
    async with server:
        metrics = PrometheusMetrics.of(spec.platform.prometheus)
        try:
            begun, processor = time.perf_counter(), time.process_time()
            start = grid.time(-grid.ticks_in(RUN_UP))
            readings = await metrics.read_range(shelf.checks, shelf.slots, start, end, _TICK)
            read, read_processor = time.perf_counter(), time.process_time()
            shelf.speak_briefly(True)
            for reading in readings:
                shelf.take(reading)
            shelf.restate()
            done, done_processor = time.perf_counter(), time.process_time()
        finally:
            metrics.close()
    checks = ", ".join(check.name for check in shelf.checks)
    return [
        f"a watch that comes back after {timedelta(seconds=_DAY)}: {len(readings)} ticks of {checks}",
        machine(),
        "",
        f"reading from Prometheus      {read - begun:6.2f} s   ({read_processor - processor:.2f} s of one core here)",
        f"counting and judging         {done - read:6.2f} s   ({done_processor - read_processor:.2f} s of one core)",
        f"together                     {done - begun:6.2f} s",
        f"({os.getloadavg()[0]:.1f} processes ran beside it)",
        "",
        *(f"{verdict.check}: {verdict.kind}" for verdict in shelf.verdicts),
    ]


def main(arguments: Sequence[str]) -> None:
    look_for_garbage_seldom()  # as a worker does
    argparse.ArgumentParser(prog="python -m bench watch_rebuild", description=__doc__).parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tailramp-rebuild-") as folder:
        text = "\n".join(asyncio.run(timed(Path(folder))))
    TEXT.write_text(text + "\n", encoding="utf-8")
    print(text)
