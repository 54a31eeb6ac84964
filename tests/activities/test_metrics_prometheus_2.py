"""The same against Prometheus 2.42, which Debian 12 has: another spelling of edges, and an older API."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scraped_service import ScrapedService
from test_metrics_prometheus import (  # noqa: F401 - collected here, too, on this module's server
    metrics,
    service,
    test_a_bad_candidate_fails_and_the_recount_names_the_scrape_that_showed_it,
    test_a_crash_and_an_outage_of_prometheus_change_no_verdict,
    test_instant_and_range_queries_give_the_same_values_through_resets_and_gaps,
)

from lab.prometheus_server import PrometheusServer

# Where it was never built, that takes minutes.
pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


@pytest.fixture
async def prometheus(tmp_path: Path, service: ScrapedService) -> AsyncIterator[PrometheusServer]:  # noqa: F811
    directory = tmp_path / "prometheus"
    async with PrometheusServer(directory, service.targets, 0.2, service.paths, program="prometheus-2") as server:
        yield server
