"""From the two files to the checks that guard a ramp."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_samples import CANARY, PLATFORM, spec_of

from tailramp.checks import checks_of, slot_match
from tailramp.errors import InvalidFile, Problem
from tailramp.evidence import (
    ArmCounts,
    Check,
    CheckTick,
    HangingCheck,
    HistogramCheck,
    RatioCheck,
    SlotMatch,
    Source,
    VerdictKind,
)
from tailramp.spec import RampSpec
from workflows.spec_wording import limits


def test_every_limit_of_the_files_becomes_a_check_with_that_limit(spec: RampSpec) -> None:
    checks = {check.name: check for check in checks_of(spec.platform, spec.candidate)}
    assert list(checks) == ["errors", "latency", "toxicity"]
    assert checks["errors"].limit == 0.05
    assert checks["toxicity"].limit == 0.05
    assert "2 s" in checks["latency"].breach


def test_requests_and_errors_are_counted_at_the_gateway_and_the_rest_at_the_server(spec: RampSpec) -> None:
    sources = {check.name: check.source for check in checks_of(spec.platform, spec.candidate)}
    assert sources == {"errors": Source.GATEWAY, "latency": Source.SERVER, "toxicity": Source.SERVER}


def test_the_platforms_rule_and_metric_names_reach_every_check(tmp_path: Path) -> None:
    platform = PLATFORM.replace(
        "tick: 15s", "tick: 15s\n  window: 2m\n  consecutive: 4\n  minSample: 7\n  floor: 9\n  latencyHistogram: lat\n"
        "  scoredCounter: scored\n  toxicCounter: toxic"
    )  # fmt: skip
    spec = spec_of(tmp_path, platform=platform)
    checks = {check.name: check for check in checks_of(spec.platform, spec.candidate)}
    for check in checks.values():
        assert (check.rule.window, check.rule.consecutive, check.rule.min_sample, check.rule.floor) == (120, 4, 7, 9)
    assert "lat_bucket{match}" in checks["latency"].model_dump_json()
    assert "scored{match}" in checks["toxicity"].model_dump_json()
    assert "toxic{match}" in checks["toxicity"].model_dump_json()


def test_a_limit_that_is_not_written_is_not_checked(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, CANARY.replace("  maxToxicity: 0.05\n", ""), PLATFORM.replace("5%\n", "null\n"))
    assert [check.name for check in checks_of(spec.platform, spec.candidate)] == ["latency"]


def test_each_slot_is_told_by_its_own_matchers(spec: RampSpec) -> None:
    green = slot_match(spec.platform, "green")
    assert (green.slot, green.metrics, green.gateway) == ("green", 'slot="green"', 'envoy_cluster_name="green"')


def platform_with(checks: str, text: str = PLATFORM) -> str:
    lines = "".join(f"  {line}\n" for line in checks.strip().splitlines())
    return text.replace("  maxErrors: 5%\n", f"  maxErrors: 5%\n{lines}")


def checks_in(folder: Path, checks: str, canary: str = CANARY) -> dict[str, Check]:
    spec = spec_of(folder, canary, platform_with(checks))
    return {check.name: check for check in checks_of(spec.platform, spec.candidate)}


def problems_in(folder: Path, checks: str, canary: str = CANARY) -> list[Problem]:
    with pytest.raises(InvalidFile) as raised:
        spec_of(folder, canary, platform_with(checks))
    return raised.value.problems


TRITON_MS = "nv_inference_first_response_histogram_ms"
DURATION_S = "llm_inference_duration_seconds"
NO_TOXICITY = CANARY.replace("  maxToxicity: 0.05\n", "")


@pytest.mark.parametrize(
    ("checks", "query", "edge", "source"),
    [
        ("server: vllm", "vllm:e2e_request_latency_seconds_bucket{match}", 2.0, "server"),
        ("server: vllm\nlatency: firstToken", "vllm:time_to_first_token_seconds_bucket{match}", 2.0, "server"),
        ("server: sglang", "sglang:e2e_request_latency_seconds_bucket{match}", 2.0, "server"),
        ("server: triton\nlatency: firstToken", f"{TRITON_MS}_bucket{{match}}", 2000, "server"),
        ("server: kserve\nlatency: gateway", "envoy_cluster_upstream_rq_time_bucket{match}", 2000, "gateway"),
        ("gateway: traefik\nlatency: gateway", "traefik_service_request_duration_seconds_bucket{match}", 2, "gateway"),
        ("latencyHistogram: my_time_ms", "my_time_ms_bucket{match}", 2000, "server"),
        ("latencyHistogram: my_time\nlatencyUnit: us", "my_time_bucket{match}", 2_000_000, "server"),
        (f"latencyHistogram: {DURATION_S}", f"{DURATION_S}_bucket{{match}}", 2, "server"),
    ],
)
def test_the_latency_is_measured_where_the_platform_file_says(
    tmp_path: Path, checks: str, query: str, edge: float, source: str
) -> None:
    check = checks_in(tmp_path, checks, NO_TOXICITY)["latency"]
    assert isinstance(check, HistogramCheck)
    assert (check.buckets, check.edge, check.source) == (query, edge, source)


@pytest.mark.parametrize(
    ("gateway", "total"),
    [
        ("envoy", "envoy_cluster_upstream_rq_completed{match}"),
        ("traefik", "traefik_service_requests_total{match}"),
        ("ingress-nginx", "nginx_ingress_controller_requests{match}"),
        ("istio", "istio_requests_total{match}"),
    ],
)
def test_errors_are_counted_by_the_gateway_that_the_platform_file_names(
    tmp_path: Path, gateway: str, total: str
) -> None:
    check = checks_in(tmp_path, f"gateway: {gateway}")["errors"]
    assert isinstance(check, RatioCheck)
    assert check.total == total


def test_limits_of_tokens_and_of_the_servers_own_errors_become_checks(tmp_path: Path) -> None:
    checks = checks_in(tmp_path, "server: vllm\nmaxFirstToken: 500ms\nmaxPerOutputToken: 50ms", NO_TOXICITY)
    assert list(checks) == ["errors", "latency", "first-token", "per-output-token"]
    assert checks["first-token"].breach == "p99 of the time to first token above 0.5 s"
    checks = checks_in(tmp_path, "server: tgi\nmaxServerErrors: 1%", NO_TOXICITY)
    assert "server-errors" in checks


@pytest.mark.parametrize(
    ("checks", "field", "reason", "mend"),
    [
        ("server: vllm", "canary.maxToxicity", "vllm, which counts no toxic answers", "checks.scoredCounter"),
        (
            "server: triton\nscoredCounter: scored\ntoxicCounter: toxic",
            "canary.maxLatency",
            "only sums and summaries",
            "histogram_latencies=true",
        ),
        (
            "server: tgi\nlatency: firstToken\nscoredCounter: s\ntoxicCounter: t",
            "canary.maxLatency",
            "tgi, which has no histogram of the time to first token",
            "checks.latency: endToEnd or checks.latency: gateway",
        ),
    ],
)
def test_a_limit_without_a_metric_is_refused_where_it_is_set_and_says_what_to_mend(
    tmp_path: Path, checks: str, field: str, reason: str, mend: str
) -> None:
    [problem] = problems_in(tmp_path, checks)
    assert problem.field == field
    assert reason in problem.reason
    assert mend in problem.mend
    assert problem.file == tmp_path / "canary.yaml"
    assert problem.line is not None


@pytest.mark.parametrize(
    ("checks", "field", "said"),
    [
        ("server: vllm\nmaxServerErrors: 1%", "checks.maxServerErrors", "no counter of failed requests (tgi, triton"),
        (
            "server: tgi\nmaxFirstToken: 1s",
            "checks.maxFirstToken",
            "no histogram of the time to first token (llm, vllm",
        ),
        ("server: kserve\nmaxPerOutputToken: 1s", "checks.maxPerOutputToken", "(vllm, sglang, tgi have)"),
        ("server: vllm\nmaxFirstToken: 0s", "checks.maxFirstToken", "longer than nothing"),
        ("server: ollama", "checks.server", "vllm"),
        ("gateway: caddy", "checks.gateway", "traefik"),
        ("latency: p99", "checks.latency", "firstToken"),
        ("latencyUnit: ms", "checks.latencyUnit", "belongs to a latencyHistogram"),
        ("server: vllm\nscoredCounter: scored", "checks.scoredCounter", "Set both"),
        ("latencyHistogram: a b", "checks.latencyHistogram", "the name of a metric"),
    ],
)
def test_a_wish_that_the_platforms_metrics_cannot_meet_is_refused(
    tmp_path: Path, checks: str, field: str, said: str
) -> None:
    problem = problems_in(tmp_path, checks, NO_TOXICITY)[0]
    assert problem.field == field
    assert said in str(problem)


CUSTOM = """\
custom:
  - name: refusals
    total: my_answers_total{match}
    bad: 'my_answers_total{{match},kind="refused"}'
    failWhen: "> 2%"
    badIs: refused
"""


def test_a_custom_check_asks_what_it_says(tmp_path: Path) -> None:
    check = checks_in(tmp_path, CUSTOM)["refusals"]
    assert isinstance(check, RatioCheck)
    match = SlotMatch(slot="green", metrics='slot="green"', gateway='a="b"')
    assert check.queries(match) == {
        "total": 'my_answers_total{slot="green"}',
        "bad": 'my_answers_total{slot="green",kind="refused"}',
    }
    assert (check.limit, check.breach, check.source) == (0.02, "refusals above 2 %", "server")


@pytest.mark.parametrize(("sign", "kind"), [(">", VerdictKind.INCONCLUSIVE), (">=", VerdictKind.FAIL)])
def test_a_share_exactly_at_the_limit_breaches_only_where_the_condition_says_so(
    tmp_path: Path, sign: str, kind: VerdictKind
) -> None:
    custom = CUSTOM.replace('"> 2%"', f'"{sign} 2%"') + "    minSample: 50\n    floor: 500\n"
    judge = checks_in(tmp_path, custom)["refusals"].judge("green")
    judge.observe(CheckTick(index=0, at=0))
    for index in (1, 2, 3):
        verdict = judge.observe(CheckTick(index=index, at=60 * index, candidate=ArmCounts(50, 1)))
    assert verdict.kind is kind
    assert ("at 2 % or above" in verdict.reason) == (sign == ">=")


@pytest.mark.parametrize(
    ("old", "new", "field", "said"),
    [
        ('    failWhen: "> 2%"\n', "", "checks.custom.0.failWhen", "is missing"),
        ('"> 2%"', '"2%"', "checks.custom.0.failWhen", "a condition is > or >= and a share"),
        ('"> 2%"', '"< 2%"', "checks.custom.0.failWhen", "a condition is > or >= and a share"),
        ('"> 2%"', '">= 0"', "checks.custom.0.failWhen", "always or never"),
        ('"> 2%"', '"> 100%"', "checks.custom.0.failWhen", "always or never"),
        ("my_answers_total{match}", "my_answers_total", "checks.custom.0.total", "without {match}"),
        ("my_answers_total{match}", "rate(x{match}[1m])", "checks.custom.0.total", "rate() only estimates"),
        (
            "my_answers_total{match}",
            "sum(increase(x{match}[1m]))",
            "checks.custom.0.total",
            "increase() only estimates",
        ),
        (
            "my_answers_total{match}",
            "histogram_quantile(0.9, x{match})",
            "checks.custom.0.total",
            "histogram_quantile() only",
        ),
        ("refusals", "latency", "checks.custom", "name of a built-in check"),
        ("badIs: refused", "badIs: refused\n    judge: coin", "checks.custom.0.judge", "threshold"),
        ("badIs: refused", "badIs: refused\n    colour: red", "checks.custom.0.colour", "unknown field"),
    ],
)
def test_a_custom_check_that_would_not_judge_what_it_seems_to_is_refused(
    tmp_path: Path, old: str, new: str, field: str, said: str
) -> None:
    problem = problems_in(tmp_path, CUSTOM.replace(old, new, 1))[0]
    assert problem.field.replace("[", ".").replace("]", "") == field
    assert said in str(problem)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("  bearerToken: sesame\n", "a secret stands in a variable"),
        ("  bearerToken: ${A}\n  basicAuth: {username: u, password: '${B}'}\n", "takes one of them"),
        ("  basicAuth: {username: u, password: sesame}\n", "a secret stands in a variable"),
        ("  headers: {Authorization: Bearer x}\n", "Write bearerToken or basicAuth"),
        ("  headers: {X-Token: 'Bearer ${A}'}\n", "stands for a whole value"),
        ("  caFile: /etc/ca.pem\n", "no certificate is ever shown"),
        ("  caFile: ca.pem\n", "Write the whole path"),
        ("  timeout: 0s\n", "needs some time"),
        ("  maxPoints: 50000\n", "11000"),
    ],
)
def test_a_prometheus_that_could_not_be_asked_safely_is_refused(tmp_path: Path, lines: str, said: str) -> None:
    platform = PLATFORM.replace("prometheus:\n", f"prometheus:\n{lines}")
    with pytest.raises(InvalidFile) as raised:
        spec_of(tmp_path, platform=platform)
    assert said in str(raised.value)


def test_a_secret_is_never_sent_in_the_clear_beyond_this_machine(tmp_path: Path) -> None:
    secret = PLATFORM.replace("prometheus:\n", "prometheus:\n  bearerToken: ${TOKEN}\n")
    assert spec_of(tmp_path, platform=secret).platform.prometheus.bearer_token == "${TOKEN}"  # on loopback
    far = secret.replace("http://127.0.0.1:9090", "http://prometheus:9090")
    with pytest.raises(InvalidFile, match="Let url start with https:"):
        spec_of(tmp_path, platform=far)
    assert spec_of(tmp_path, platform=far.replace("http://prometheus", "https://prometheus"))


def test_ticks_are_asked_for_as_late_as_their_samples_are_stored(tmp_path: Path) -> None:
    platform = PLATFORM.replace("prometheus:\n", "prometheus:\n  ingestionDelay: 45s\n")
    assert spec_of(tmp_path, platform=platform).platform.prometheus.lag == 60


@pytest.mark.parametrize(
    ("checks", "active", "source"),
    [
        ("maxHang: 60s", "envoy_cluster_upstream_rq_active{match}", "gateway"),
        ("gateway: traefik\nserver: vllm\nmaxHang: 60s", "vllm:num_requests_running{match}", "server"),
    ],
)
def test_requests_in_flight_are_asked_of_whoever_counts_them(
    tmp_path: Path, checks: str, active: str, source: str
) -> None:
    check = checks_in(tmp_path, checks, NO_TOXICITY)["hanging"]
    assert isinstance(check, HangingCheck)
    assert (check.active, check.source, check.seconds) == (active, source, 60)


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ("gateway: istio\nmaxHang: 60s", "neither istio nor llm says how many requests of a slot are in flight"),
        ("maxHang: 10ms", "after a second or more"),
    ],
)
def test_a_limit_for_hung_requests_that_nobody_can_count_is_refused(tmp_path: Path, checks: str, said: str) -> None:
    [problem] = problems_in(tmp_path, checks)
    assert problem.field == "checks.maxHang"
    assert said in problem.reason


def test_a_request_cannot_be_seen_hanging_for_less_than_two_scrapes(tmp_path: Path) -> None:
    [problem] = problems_in(tmp_path, "maxHang: 20s")
    assert "checks.maxHang (20s) is seen only at a scrape, and they come every 15s" in problem.reason


def test_every_limit_of_the_platform_file_is_told(tmp_path: Path) -> None:
    checks = "server: tgi\nmaxServerErrors: 1%\nmaxPerOutputToken: 50ms\nmaxHang: 2m\n" + CUSTOM
    spec = spec_of(tmp_path, NO_TOXICITY, platform_with(checks))
    assert limits(spec) == (
        "errors ≤ 5 %, server errors ≤ 1 %, p99 ≤ 2s, p99 per output token ≤ 50ms, in flight ≤ 2m, not refusals > 2%"
    )
