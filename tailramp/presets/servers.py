"""LLM servers, as their own source code names what they export.

`LLM` is the contract of this project for servers that choose their own names. The others were read in:

- vLLM, V1 engine: `vllm/v1/metrics/loggers.py` (commit 005a810) and `docs/design/metrics.md` (commit 0328b59).
- SGLang: `python/sglang/srt/observability/metrics_collector.py` (commit 016d860).
- TGI 3.3.7: `router/src/server.rs`, `router/src/infer/mod.rs`, `backends/v3/src/` (commit db931fc).
- Triton: `docs/user_guide/metrics.md` of the server (commit e1db8a6), `src/metrics.cc` and
  `src/metric_model_reporter.{h,cc}` of the core (commit 73aad7c).
- KServe 0.20: `python/kserve/kserve/metrics.py` (commit aaac4e2), with the default edges of prometheus_client.

How an edge is spelt depends on who wrote it: a Python server says `le="2.0"`, a Go or Rust one `le="2"`, and Prometheus
3 stores both as `2.0`. It is the same edge in any spelling.
"""

from tailramp.presets.model import Counted, Counters, Histogram, InFlight, ServerPreset, TimeUnit, TokenCounters

_S, _MS = TimeUnit.SECONDS, TimeUnit.MILLISECONDS

DURATION = Histogram(
    "llm_inference_duration_seconds",
    _S,
    (0.1, 0.125, 0.16, 0.2, 0.25, 0.32, 0.4, 0.5, 0.64, 0.8, 1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.4, 8, 10),
)
FIRST_TOKEN = Histogram(
    "llm_time_to_first_token_seconds",
    _S,
    (0.02, 0.04, 0.06, 0.08, 0.1, 0.125, 0.16, 0.2, 0.25, 0.32, 0.4, 0.5, 0.64, 0.8, 1, 2, 5, 10),
)
TOXIC_ANSWERS = Counters("llm_answers_scored_total{match}", "llm_answers_toxic_total{match}")
"""The gauge `llm_toxicity_score` stands beside them. It shows one number at the moment of a scrape, so no share of
answers can be counted from it."""

LLM = ServerPreset(
    end_to_end=DURATION,
    first_token=FIRST_TOKEN,
    toxicity=TOXIC_ANSWERS,
    tokens=TokenCounters("llm_prompt_tokens_total{match}", "llm_generated_tokens_total{match}"),
)

_VLLM_REQUEST_EDGES = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
_VLLM_FIRST_TOKEN_EDGES = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_VLLM_TOKEN_EDGES = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0),
    *(2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)

VLLM = ServerPreset(
    end_to_end=Histogram("vllm:e2e_request_latency_seconds", _S, _VLLM_REQUEST_EDGES),
    first_token=Histogram("vllm:time_to_first_token_seconds", _S, _VLLM_FIRST_TOKEN_EDGES),
    # At commit 005a810 its name was still vllm:time_per_output_token_seconds.
    per_output_token=Histogram("vllm:inter_token_latency_seconds", _S, _VLLM_TOKEN_EDGES, Counted.TOKENS),
    # It counts ends by reason, and no failures: what fails before the engine is seen by the gateway alone.
    tokens=TokenCounters("vllm:prompt_tokens_total{match}", "vllm:generation_tokens_total{match}"),
    in_flight=InFlight("vllm:num_requests_running{match}", "vllm:request_success_total{match}"),
)

_SGLANG_FIRST_TOKEN_EDGES = (0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400)
_SGLANG_REQUEST_EDGES = (*_SGLANG_FIRST_TOKEN_EDGES, 600, 1200, 1800, 2400)
_SGLANG_TOKEN_EDGES = (
    *(0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.06, 0.08, 0.1, 0.2, 0.4, 0.6, 0.8),
    *(1, 2, 4, 6, 8),
)
_SGLANG_ENABLE = "start SGLang with --enable-metrics"

SGLANG = ServerPreset(
    end_to_end=Histogram("sglang:e2e_request_latency_seconds", _S, _SGLANG_REQUEST_EDGES, enable=_SGLANG_ENABLE),
    first_token=Histogram("sglang:time_to_first_token_seconds", _S, _SGLANG_FIRST_TOKEN_EDGES, enable=_SGLANG_ENABLE),
    per_output_token=Histogram(
        "sglang:inter_token_latency_seconds", _S, _SGLANG_TOKEN_EDGES, Counted.TOKENS, enable=_SGLANG_ENABLE
    ),
    # A client that goes away is an abort too, so this is no count of failures; the gateway has one.
    tokens=TokenCounters("sglang:prompt_tokens_total{match}", "sglang:generation_tokens_total{match}"),
    in_flight=InFlight(
        "sglang:num_running_reqs{match}",
        '{__name__=~"sglang:num_(?:aborted_)?requests_total",{match}}',
    ),
)


def _geometric(first: float, factor: float, count: int) -> tuple[float, ...]:
    """Multiply step by step, as TGI's router does: only so are the floats the same, and with them their spelling."""
    edges = [first * factor]
    while len(edges) < count:
        edges.append(edges[-1] * factor)
    return tuple(edges)


_TGI_EDGES = _geometric(0.0001, 1.5, 35)

TGI = ServerPreset(
    end_to_end=Histogram("tgi_request_duration", _S, _TGI_EDGES),
    per_output_token=Histogram("tgi_request_mean_time_per_token_duration", _S, _TGI_EDGES),
    errors=Counters(
        "tgi_request_count{match}",
        # The two reasons left out are mistakes in what the client sent.
        'tgi_request_failure{{match},err!~"validation|template"}',
        bad_absent_is_zero=True,
    ),
    tokens=TokenCounters("tgi_request_input_length_sum{match}", "tgi_request_generated_tokens_sum{match}"),
    in_flight=InFlight("tgi_batch_current_size{match}", '{__name__=~"tgi_request_(?:success|failure)",{match}}'),
)

TRITON = ServerPreset(
    # Triton has no histogram of whole requests: nv_inference_request_duration_us is one growing sum of microseconds,
    # and the quantiles of its summaries cannot be added over servers or time.
    first_token=Histogram(
        "nv_inference_first_response_histogram_ms",
        _MS,
        (100, 500, 2000, 5000),
        enable="start Triton with --metrics-config histogram_latencies=true",
    ),
    errors=Counters(
        '{__name__=~"nv_inference_request_(?:success|failure)",{match}}',
        'nv_inference_request_failure{{match},reason!="CANCELED"}',
    ),
    in_flight=InFlight(
        "nv_inference_pending_request_count{match}", '{__name__=~"nv_inference_request_(?:success|failure)",{match}}'
    ),
)

KSERVE = ServerPreset(
    end_to_end=Histogram(
        "request_predict_seconds",
        _S,
        (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    ),
)
