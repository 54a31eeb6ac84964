"""A replay of 24 hours: 15 s ticks, nine judged metrics, from a recording file to the decisions."""

import argparse
import gzip
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tailramp.checks import checks_by_slot, slot_match
from tailramp.garbage import look_for_garbage_seldom
from tailramp.plan import Plan
from tailramp.planning import make_plan
from tailramp.replay.counters import of_recording, run_up
from tailramp.replay.course import Course, play
from tailramp.replay.opening import open_counts
from tailramp.replay.recording import Header, Recorded, Span, encode, encode_end
from tailramp.spec import RampSpec, load_spec

RESULT = Path(__file__).parent / "results" / "replay.txt"
_TICK, _TICKS = 15, 5760
_START = 1_767_600_000
_EDGES = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0)
_PODS = {"green": 1, "blue": 3}
_CANARY = """\
canary:
  model: chat-v2
  buckets: "00-99"
  maxLatency: 2000ms
  maxToxicity: 0.05
"""
_PLATFORM = """\
apiVersion: tailramp/v1
route: {name: chat}
router: {kind: envoy-file, file: chat.json, admin: "http://127.0.0.1:9901", gateway: "http://127.0.0.1:8080"}
slots:
  blue: {url: "http://127.0.0.1:8001", metrics: 'slot="blue"', gatewayMetrics: 'envoy_cluster_name="blue"'}
  green: {url: "http://127.0.0.1:8002", metrics: 'slot="green"', gatewayMetrics: 'envoy_cluster_name="green"'}
identity: {header: X-User-Id, salt: bench}
prometheus: {url: "http://127.0.0.1:9090"}
ramp: {steps: [5%, {share: 50%, hold: 19h}, 100%], hold: 1h, bake: 3h}
checks:
  maxErrors: 5%
  custom:
    - {name: refusals, total: "answers_total{match}", bad: "refused_total{match}", failWhen: "> 5%", badIs: refused}
"""


def main(arguments: Sequence[str]) -> None:
    look_for_garbage_seldom()  # as the command does
    parser = argparse.ArgumentParser(prog="python -m bench replay", description=__doc__)
    parser.add_argument("--keep", action="store_true", help=f"write the result to {RESULT}, too")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        spec, plan, file = _recorded(Path(folder))
        checks = checks_by_slot(spec, plan)
        matches = {slot: slot_match(spec.platform, slot) for slot in _PODS}
        _timed(spec, plan, file, checks, matches)  # imports, caches
        reading, judging, course = min(
            (_timed(spec, plan, file, checks, matches) for _ in range(3)), key=lambda t: t[1]
        )
        size = file.stat().st_size
    rows = sum(6 if check.limit_edge else 1 for check in checks["green"])
    lines = [
        f"24 hours, {course.ticks} ticks of 15 s, {rows} judged metrics, {sum(_PODS.values())} servers",
        f"the recording:        {size / 1e6:.1f} MB",
        f"reading the file:    {reading:.2f} s of one core",
        f"judging and deciding: {judging:.2f} s of one core",
        f"together:            {reading + judging:.2f} s ({'promoted' if course.promoted_at else 'not promoted'})",
        f"(processor time; {os.getloadavg()[0]:.1f} processes ran beside it on {os.cpu_count()} cores)",
    ]
    print("\n".join(lines))
    if options.keep:
        RESULT.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _timed(spec: RampSpec, plan: Plan, file: Path, checks: dict, matches: dict) -> tuple[float, float, Course]:  # type: ignore[type-arg]
    since = time.process_time()
    recorded = open_counts(file)
    assert isinstance(recorded, Recorded)  # noqa: S101
    source = of_recording(recorded, plan, checks, matches, 0.05)
    read = time.process_time()
    course = play(spec, plan, source)
    return read - since, time.process_time() - read, course


def _recorded(folder: Path) -> tuple[RampSpec, Plan, Path]:
    for name, text in (("canary.yaml", _CANARY), ("tailramp.yaml", _PLATFORM)):
        (folder / name).write_text(text, encoding="utf-8")
    spec = load_spec(folder / "canary.yaml", folder / "tailramp.yaml")
    plan = make_plan(spec, default="blue", candidates=["green"])
    before = run_up(_TICK)
    many = _TICKS + before // _TICK + 1
    lines = []
    random = np.random.default_rng(1)
    for slot, pods in _PODS.items():
        match = slot_match(spec.platform, slot)
        rate = 75 if slot == "green" else 475
        n = random.poisson(rate, (pods, many))
        for check in checks_by_slot(spec, plan)["green"]:
            for part, query in check.queries(match).items():
                columns = []
                for pod in range(pods):
                    labels = {"instance": f"10.0.0.{pod}:8000", "slot": slot, "job": "llm", "model_name": "chat"}
                    if part == "buckets":
                        slower = n[pod]
                        by_edge = {"+Inf": n[pod]}
                        share = 1.0
                        for edge in _EDGES:
                            now = min(1.0, float(np.exp(-2.6 * edge)) * 1.2)
                            slower = random.binomial(slower, now / share)
                            share = now
                            by_edge[str(edge)] = n[pod] - slower
                        columns += [(labels | {"le": edge}, counts.cumsum()) for edge, counts in by_edge.items()]
                    else:
                        counts = n[pod] if part == "total" else random.binomial(n[pod], 0.01)
                        columns.append((labels, counts.cumsum()))
                told = [(tuple(labels.items()), [float(v) for v in values]) for labels, values in columns]
                lines.append((query, told))
    span = Span(start=_START - before, end=_START + _TICKS * _TICK, anchor=_START)
    header = Header(
        route="default/chat",
        spec=spec.digest,
        baseline="blue",
        candidates={"green": "chat-v2"},
        step=_TICK,
        spans=(span,),
        queries=tuple(query for query, _ in lines),
    )
    told_lines = [header.model_dump_json(), *(encode(query, 0, span.start, many, columns) for query, columns in lines)]
    file = folder / "day.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join([*told_lines, encode_end(len(told_lines))]).encode()))
    return spec, plan, file
