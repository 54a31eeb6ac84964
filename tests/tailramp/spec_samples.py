"""The two files of DESIGN as text, and specs and plans made from them."""

from __future__ import annotations

from pathlib import Path

from tailramp.plan import Plan, make_plan
from tailramp.spec import RampSpec, load_spec

CANARY = """\
canary:
  model: "llama-2-70b-chat-v1.3"
  buckets: "00-04"        # 5 %
  autoRollback: true
  maxLatency: 2000ms      # limit of the p99
  maxToxicity: 0.05
"""

TWO_CANARIES = """\
canaries:
  - {model: chat-70b, buckets: "00-19", maxLatency: 2000ms}
  - {model: chat-13b, buckets: "20-39", maxLatency: 1000ms}
"""

PLATFORM = """\
apiVersion: tailramp/v1
route:
  namespace: demo
  name: chat
  publicModel: chat
router:
  kind: envoy-file
  file: routes/chat.json
  admin: http://127.0.0.1:9901
  gateway: http://127.0.0.1:8080
slots:
  blue:
    url: http://127.0.0.1:8001
    metrics: slot="blue"
    gatewayMetrics: envoy_cluster_name="blue"
  green:
    url: http://127.0.0.1:8002
    metrics: slot="green"
    gatewayMetrics: envoy_cluster_name="green"
identity:
  header: X-User-Id
  salt: demo-2026
prometheus:
  url: http://127.0.0.1:9090
ramp:
  steps: [1%, 5%, {share: 25%, hold: 20m}, 100%]
  hold: 10m
  bake: 30m
checks:
  tick: 15s
  maxErrors: 5%
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
