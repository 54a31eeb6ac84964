"""The two files of DESIGN as text, and specs and plans made from them."""

from __future__ import annotations

from pathlib import Path

from tailramp.plan import Plan
from tailramp.planning import make_plan
from tailramp.spec import RampSpec, load_spec

GOOD = Path(__file__).parents[1] / "data" / "good"
CANARY = (GOOD / "canary.yaml").read_text(encoding="utf-8")
PLATFORM = (GOOD / "tailramp.yaml").read_text(encoding="utf-8")

TWO_CANARIES = """\
canaries:
  - {model: chat-70b, buckets: "00-19", maxLatency: 2000ms}
  - {model: chat-13b, buckets: "20-39", maxLatency: 1000ms}
"""


def write_files(folder: Path, canary: str = CANARY, platform: str = PLATFORM) -> tuple[Path, Path]:
    paths = folder / "canary.yaml", folder / "tailramp.yaml"
    for path, text in zip(paths, (canary, platform), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def spec_of(folder: Path, canary: str = CANARY, platform: str = PLATFORM) -> RampSpec:
    return load_spec(*write_files(folder, canary, platform))


def with_slot(name: str) -> str:
    """The platform file with one more slot."""
    slot = f"""\
  {name}:
    url: http://127.0.0.1:8003
    metrics: slot="{name}"
    gatewayMetrics: envoy_cluster_name="{name}"
"""
    return PLATFORM.replace("identity:\n", f"{slot}identity:\n")


def plan_of(spec: RampSpec) -> Plan:
    return make_plan(spec, default="blue", candidates=["green", "red"][: len(spec.candidates)])
