"""Gateways, as they name what they count for the servers behind them.

A gateway also counts the answers of a server that no longer reports anything, so requests and errors are counted here.
An error is an answer of 5xx, those included that the gateway itself gives for a server that is gone (503) or too slow
(504). The names and edges were read in:

- Envoy 1.40: its own `/stats/prometheus`, with and without a reachable upstream.
- Traefik: `pkg/observability/metrics/prometheus.go` (3.7.9, commit fd5a576).
- ingress-nginx: `internal/ingress/metric/collectors/socket.go`, `pkg/flags/flags.go`, `docs/user-guide/monitoring.md`
  (1.15, commit dbb11b9).
- Istio: its standard metrics, and the proxy's edges, which are Envoy's (1.31, commit 86c9f01).
"""

from tailramp.presets.model import Counters, GatewayPreset, Histogram, InFlight, TimeUnit

_ENVOY_EDGES = (
    *(0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000),
    *(300_000, 600_000, 1_800_000, 3_600_000),
)

ENVOY = GatewayPreset(
    errors=Counters(
        "envoy_cluster_upstream_rq_completed{match}",
        'envoy_cluster_upstream_rq_xx{{match},envoy_response_code_class="5"}',
        bad_absent_is_zero=True,  # Envoy creates the counter of a class with its first answer
    ),
    latency=Histogram("envoy_cluster_upstream_rq_time", TimeUnit.MILLISECONDS, _ENVOY_EDGES),
    in_flight=InFlight("envoy_cluster_upstream_rq_active{match}", "envoy_cluster_upstream_rq_completed{match}"),
)

TRAEFIK = GatewayPreset(
    errors=Counters(
        "traefik_service_requests_total{match}",
        'traefik_service_requests_total{{match},code=~"5.."}',
        bad_absent_is_zero=True,
    ),
    latency=Histogram("traefik_service_request_duration_seconds", TimeUnit.SECONDS, (0.1, 0.3, 1.2, 5)),
)

INGRESS_NGINX = GatewayPreset(
    errors=Counters(
        "nginx_ingress_controller_requests{match}",
        # With --report-status-classes the label reads 5xx.
        'nginx_ingress_controller_requests{{match},status=~"5.."}',
        bad_absent_is_zero=True,
    ),
    latency=Histogram(
        "nginx_ingress_controller_request_duration_seconds",
        TimeUnit.SECONDS,
        (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    ),
)

ISTIO = GatewayPreset(
    errors=Counters(
        "istio_requests_total{match}",
        # Not code 0: it stands for every connection that ended early, most often by its client.
        'istio_requests_total{{match},response_code=~"5.."}',
        bad_absent_is_zero=True,
    ),
    latency=Histogram("istio_request_duration_milliseconds", TimeUnit.MILLISECONDS, _ENVOY_EDGES),
)
