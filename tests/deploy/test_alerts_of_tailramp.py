"""The alerts on tailramp itself ask for counters that the processes have."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from activities import telemetry

ALERTS = Path(__file__).parents[2] / "deploy" / "kubernetes" / "monitoring" / "alerts.yaml"


def test_every_counter_that_an_alert_asks_for_is_counted_from_zero_on() -> None:
    rules = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["spec"]["groups"][0]["rules"]
    asked = {name for rule in rules for name in re.findall(r"tailramp_[a-z_]+", rule["expr"])}
    samples = {sample.name for metric in telemetry.REGISTRY.collect() for sample in metric.samples}
    assert asked
    assert asked <= samples
