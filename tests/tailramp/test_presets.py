"""What each preset says it can answer, and what becomes of limits in its units."""

from __future__ import annotations

import pytest

from tailramp.evidence import latency
from tailramp.presets import GATEWAYS, SERVERS, Counted, GatewayName, ServerName, TimeUnit
from tailramp.query_template import checked_template

QUESTIONS = ("end_to_end", "first_token", "per_output_token", "errors", "toxicity", "tokens", "in_flight")

ANSWERS = {
    ServerName.LLM: {"end_to_end", "first_token", "toxicity", "tokens"},
    ServerName.VLLM: {"end_to_end", "first_token", "per_output_token", "tokens", "in_flight"},
    ServerName.SGLANG: {"end_to_end", "first_token", "per_output_token", "tokens", "in_flight"},
    ServerName.TGI: {"end_to_end", "per_output_token", "errors", "tokens", "in_flight"},
    ServerName.TRITON: {"first_token", "errors", "in_flight"},
    ServerName.KSERVE: {"end_to_end"},
}


@pytest.mark.parametrize("name", ServerName)
def test_a_server_answers_what_its_own_source_says(name: ServerName) -> None:
    assert {question for question in QUESTIONS if getattr(SERVERS[name], question) is not None} == ANSWERS[name]


@pytest.mark.parametrize("preset", [*SERVERS.values(), *GATEWAYS.values()])
def test_every_query_of_a_preset_is_a_raw_counter_with_a_place_for_matchers(preset: object) -> None:
    queries = []
    for question in (*QUESTIONS, "latency"):
        if (answer := getattr(preset, question, None)) is None:
            continue
        queries += [answer.buckets] if hasattr(answer, "buckets") else []
        parts = ("total", "bad", "prompt", "generated", "active", "finished")
        queries += [getattr(answer, part) for part in parts if hasattr(answer, part)]
    assert queries
    for query in queries:
        assert checked_template(query) == query


@pytest.mark.parametrize("preset", [*SERVERS.values(), *GATEWAYS.values()])
def test_edges_rise_and_each_is_found_from_the_seconds_that_name_it(preset: object) -> None:
    for question in ("end_to_end", "first_token", "per_output_token", "latency"):
        if (histogram := getattr(preset, question, None)) is None:
            continue
        assert list(histogram.edges) == sorted(set(histogram.edges))
        for edge in histogram.edges:
            seconds = round(edge / histogram.unit.per_second, 6)  # as precise as a duration in a file can be
            if seconds >= 1e-3:
                assert histogram.edge(seconds) == edge


def test_a_limit_is_asked_for_in_the_unit_of_the_histogram() -> None:
    envoy = GATEWAYS[GatewayName.ENVOY].latency
    assert envoy.unit is TimeUnit.MILLISECONDS
    check = latency(2.5, histogram=envoy)
    assert (check.edge, check.breach) == (2500, "p99 above 2.5 s")
    assert latency(2.0, histogram=envoy).edge == 2000  # not an edge: preflight names its neighbours


def test_a_computed_edge_is_meant_by_the_limit_that_a_person_can_write() -> None:
    tgi = SERVERS[ServerName.TGI].end_to_end
    assert tgi is not None
    assert tgi.edge(2.525) == tgi.edges[24]
    assert tgi.edge(2.525) != 2.525
    assert tgi.edge(2.0) == 2.0


def test_tokens_of_one_answer_are_no_sample_of_their_number() -> None:
    histogram = SERVERS[ServerName.VLLM].per_output_token
    assert histogram is not None
    assert histogram.counts is Counted.TOKENS
    check = latency(0.05, histogram=histogram, name="per-output-token", what="time per output token")
    assert (check.rule.min_sample, check.rule.floor, check.unit) == (50_000, 50_000, "tokens")
    assert check.breach == "p99 of the time per output token above 0.05 s"
