"""What a worker process shows to Prometheus: tailramp's own metrics, its loop's lag, its resources, and the SDK's.

The Temporal SDK keeps its metrics in its own runtime and serves them itself, at an address of its own.
"""

import logging

from prometheus_client import Gauge, ProcessCollector
from prometheus_client.exposition import choose_encoder
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from activities.telemetry import REGISTRY
from worker.health import Pulse
from worker.settings import Address

log = logging.getLogger("tailramp.worker")

LOOP_LAG = Gauge(
    "tailramp_loop_lag_seconds",
    "By how much the event loop's latest beat was late, or the next one is",
    registry=REGISTRY,
)
ProcessCollector(registry=REGISTRY)


def measure_loop(pulse: Pulse) -> None:
    """Let the lag of ``pulse`` be read at every scrape."""
    LOOP_LAG.set_function(pulse.lag)


def exposition(accept: str) -> tuple[bytes, str]:
    """All metrics and their content type, in the format that ``accept``, the header, asks for.  For any thread."""
    encode, content_type = choose_encoder(accept)
    return encode(REGISTRY), content_type


def serve_sdk_metrics(address: Address) -> None:
    """Let the Temporal SDK serve its own metrics; call before the first client.

    An address that cannot be had is said and left: metrics are no reason to go without rollbacks.
    """
    metrics = PrometheusConfig(bind_address=str(address), durations_as_seconds=True)
    try:
        runtime = Runtime(telemetry=TelemetryConfig(metrics=metrics))
    except ValueError as error:
        log.error("the SDK's metrics are not served at %s: %s", address, error)
        return
    Runtime.set_default(runtime)
    log.info("the SDK's metrics are at http://%s/metrics", address)
