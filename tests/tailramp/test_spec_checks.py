"""From the two files to the checks that guard a ramp."""

from __future__ import annotations

from pathlib import Path

from spec_samples import CANARY, PLATFORM, spec_of

from tailramp.checks import checks_of, slot_match
from tailramp.evidence import Source
from tailramp.spec import RampSpec


def test_every_limit_of_the_files_becomes_a_check_with_that_limit(spec: RampSpec) -> None:
    checks = {check.name: check for check in checks_of(spec)}
    assert list(checks) == ["errors", "latency", "toxicity"]
    assert checks["errors"].limit == 0.05
    assert checks["toxicity"].limit == 0.05
    assert "2 s" in checks["latency"].breach


def test_requests_and_errors_are_counted_at_the_gateway_and_the_rest_at_the_server(spec: RampSpec) -> None:
    sources = {check.name: check.source for check in checks_of(spec)}
    assert sources == {"errors": Source.GATEWAY, "latency": Source.SERVER, "toxicity": Source.SERVER}


def test_the_platforms_rule_and_metric_names_reach_every_check(tmp_path: Path) -> None:
    platform = PLATFORM.replace(
        "tick: 15s", "tick: 15s\n  window: 2m\n  consecutive: 4\n  minSample: 7\n  floor: 9\n  latencyHistogram: lat\n"
        "  scoredCounter: scored\n  toxicCounter: toxic"
    )  # fmt: skip
    checks = {check.name: check for check in checks_of(spec_of(tmp_path, platform=platform))}
    for check in checks.values():
        assert (check.rule.window, check.rule.consecutive, check.rule.min_sample, check.rule.floor) == (120, 4, 7, 9)
    assert "lat_bucket{match}" in checks["latency"].model_dump_json()
    assert "scored{match}" in checks["toxicity"].model_dump_json()
    assert "toxic{match}" in checks["toxicity"].model_dump_json()


def test_a_limit_that_is_not_written_is_not_checked(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, CANARY.replace("  maxToxicity: 0.05\n", ""), PLATFORM.replace("5%\n", "null\n"))
    assert [check.name for check in checks_of(spec)] == ["latency"]


def test_each_slot_is_told_by_its_own_matchers(spec: RampSpec) -> None:
    green = slot_match(spec.platform, "green")
    assert (green.slot, green.metrics, green.gateway) == ("green", 'slot="green"', 'envoy_cluster_name="green"')
