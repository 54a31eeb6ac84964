"""What a worker process shows to Prometheus: tailramp's own metrics, its loop's lag and its resources."""

from prometheus_client import Gauge, ProcessCollector
from prometheus_client.exposition import choose_encoder

from activities.telemetry import REGISTRY
from worker.health import Pulse

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
