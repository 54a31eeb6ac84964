"""Every preset against what its server or gateway exposes, scraped by a real Prometheus, into verdicts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from exposed_samples import ExposedSamples, names

from activities.metrics import PrometheusMetrics
from lab.process import wait_until
from lab.prometheus_server import PrometheusServer
from tailramp.evidence import (
    Check,
    CheckBook,
    Grid,
    Protection,
    Reading,
    SlotMatch,
    Source,
    ThresholdRule,
    Verdict,
    VerdictKind,
    gateway_errors,
    latency,
    server_errors,
    toxicity,
)
from tailramp.presets import GATEWAYS, SERVERS, GatewayName, ServerName
from tailramp.query_template import render

TICKS = 5
# Both slots expose the same, so what breaks a limit is shared: only without that protection there is a FAIL to see.
RULE = ThresholdRule(min_sample=10, floor=20, window=1, consecutive=3, without=frozenset({Protection.COMPARE_BASELINE}))


class Case(NamedTuple):
    """A limit of a preset, and the share of bad ones that its exposition has above it."""

    preset: str
    check: Check
    bad: float

    def __str__(self) -> str:
        return f"{self.preset} {self.check.name} {self.check.bad_is}"


def cases() -> Iterator[Case]:
    above = {
        ServerName.LLM: {2.0: 0.04, 5.0: 0.0},
        ServerName.VLLM: {2.0: 0.04, 10.0: 0.0},
        ServerName.SGLANG: {2.0: 0.04, 10.0: 0.0},
        ServerName.TGI: {2.525: 0.04, 12.783: 0.0},
        ServerName.KSERVE: {2.5: 0.04, 10.0: 0.0},
    }
    for name, limits in above.items():
        histogram = SERVERS[name].end_to_end
        assert histogram is not None
        for seconds, share in limits.items():
            yield Case(name, latency(seconds, RULE, histogram), share)
    first_tokens = {
        ServerName.LLM: {0.5: 0.03, 2.0: 0.0},
        ServerName.VLLM: {0.5: 0.03, 2.5: 0.0},
        ServerName.SGLANG: {0.4: 0.03, 2.0: 0.0},
        ServerName.TRITON: {2.0: 0.04, 5.0: 0.0},
    }
    for name, limits in first_tokens.items():
        histogram = SERVERS[name].first_token
        assert histogram is not None
        for seconds, share in limits.items():
            yield Case(name, latency(seconds, RULE, histogram, name="first-token"), share)
    per_token = {ServerName.VLLM: 0.05, ServerName.SGLANG: 0.04, ServerName.TGI: 0.04379}
    for name, seconds in per_token.items():
        histogram = SERVERS[name].per_output_token
        assert histogram is not None
        check = latency(seconds, RULE, histogram, name="per-output-token")
        yield Case(name, check.model_copy(update={"rule": RULE}), 0.02)
    for name, share in {ServerName.TGI: 5 / 110, ServerName.TRITON: 0.03}.items():
        counters = SERVERS[name].errors
        assert counters is not None
        yield Case(name, server_errors(0.02, RULE, counters), share)
    yield Case(ServerName.LLM, toxicity(0.05, RULE), 0.07)
    yield Case(ServerName.LLM, toxicity(0.07, RULE), 0.07)
    for gateway, preset in GATEWAYS.items():
        yield Case(gateway, gateway_errors(0.05, RULE, preset.errors), 0.06)
        yield Case(gateway, gateway_errors(0.06, RULE, preset.errors), 0.06)
        limit, good = (5.0, None) if gateway is GatewayName.TRAEFIK else (2.5, 10.0)
        yield Case(gateway, latency(limit, RULE, preset.latency, source=Source.GATEWAY), 0.04)
        if good is not None:
            yield Case(gateway, latency(good, RULE, preset.latency, source=Source.GATEWAY), 0.0)


CASES = list(cases())

_GATEWAY_MATCHERS = {
    GatewayName.ENVOY: 'envoy_cluster_name="{slot}",job="envoy-blue"',
    GatewayName.TRAEFIK: 'service="{slot}@file",job="traefik-blue"',
    GatewayName.INGRESS_NGINX: 'ingress="chat-{slot}",job="ingress-nginx-blue"',
    GatewayName.ISTIO: 'reporter="source",destination_version="{slot}",job="istio-blue"',
}


def slot(preset: str, name: str) -> SlotMatch:
    gateway = _GATEWAY_MATCHERS.get(preset, 'job="none-{slot}"').replace("{slot}", name)  # type: ignore[call-overload]
    return SlotMatch(slot=name, metrics=f'job="{preset}-{name}"', gateway=gateway)


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Reading]]:
    """What Prometheus answered about every case, tick by tick: one stretch of seconds for all of them."""
    return asyncio.run(_scrape(tmp_path_factory.mktemp("presets")))


async def _scrape(folder: Path) -> dict[str, list[Reading]]:
    async with (
        ExposedSamples() as samples,
        PrometheusServer(folder / "prometheus", samples.targets, 0.5, samples.paths) as prometheus,
    ):
        metrics = PrometheusMetrics(prometheus.url, timeout=10)
        by_preset: dict[str, list[Check]] = {name: [] for name in names()}
        for case in CASES:
            by_preset[case.preset].append(case.check)

        async def all_there() -> bool:
            now = int(time.time())
            problems = [
                problem
                for name, checks in by_preset.items()
                for problem in await metrics.preflight(checks, slot(name, "blue"), now)
            ]
            return not problems

        await wait_until(all_there, 20, "every case has its series")
        grid = Grid(anchor=int(time.time()), tick=1)
        await wait_until(lambda: grid.last_due(time.time(), 1.0) >= TICKS, 20, "enough has been scraped")
        slots = {name: [slot(name, "green"), slot(name, "blue")] for name in by_preset}
        readings = {
            name: await metrics.read_range(checks, slots[name], grid.anchor, grid.time(TICKS), 1)
            for name, checks in by_preset.items()
        }
        metrics.close()
        return readings


def verdict_of(case: Case, readings: list[Reading]) -> Verdict:
    grid = Grid(anchor=readings[0].at, tick=1)
    book = CheckBook([case.check], [slot(case.preset, "green")], slot(case.preset, "blue"), grid, run_up=0)
    for one in readings:
        book.take(one)
    [verdict] = book.verdicts
    return verdict


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_preset_counts_what_its_server_or_gateway_exposes(scraped: dict[str, list[Reading]], case: Case) -> None:
    verdict = verdict_of(case, scraped[case.preset])
    assert verdict.kind is (VerdictKind.FAIL if case.bad > case.check.limit else VerdictKind.PASS), verdict.reason
    numbers = verdict.numbers
    assert numbers.seen >= 100
    assert numbers.rate == pytest.approx(case.bad)
    assert numbers.baseline_rate == pytest.approx(case.bad)


def test_every_preset_is_covered() -> None:
    assert {case.preset for case in CASES} == {*SERVERS, *GATEWAYS} == set(names())


def test_what_nothing_is_judged_by_is_exposed_under_its_name_too() -> None:
    exposed = {name: (Path(__file__).parents[1] / f"data/expositions/{name}.prom").read_text() for name in names()}
    for name, preset in {**SERVERS, **GATEWAYS}.items():
        tokens = getattr(preset, "tokens", None)
        templates = [tokens.prompt, tokens.generated] if tokens else []
        templates += [preset.in_flight.active] if preset.in_flight else []
        for template in templates:
            assert f"\n{render(template, '').removesuffix('{}')}" in exposed[name]
