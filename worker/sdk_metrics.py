"""The Temporal SDK's own metrics, which it keeps in its own runtime and serves itself, at an address of its own."""

import logging

from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from worker.settings import Address

log = logging.getLogger("tailramp.worker")


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
