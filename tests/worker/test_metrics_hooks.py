"""What counts as a tick, a renewal and a failure, and that a scrape always finds every series."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from activities import telemetry
from tailramp.errors import Fenced, Unreachable
from tailramp.evidence import Verdict, VerdictKind
from tailramp.route_record import Clearer
from worker.metrics import exposition


def sample(name: str, **labels: str) -> float:
    value = telemetry.REGISTRY.get_sample_value(name, labels)
    assert value is not None, f"{name}{labels} is not there"
    return value


def verdict(kind: VerdictKind) -> Verdict:
    return Verdict(check="latency", slot="green", kind=kind, judge="threshold", reason="told by the test")


def test_a_completed_tick_counts_once_with_the_verdicts_that_stand_after_it() -> None:
    ticks, passes = sample("tailramp_ticks_total"), sample("tailramp_verdicts_total", kind="PASS")
    verdicts: list[Verdict] = []
    with telemetry.tick(lambda: verdicts):
        verdicts += [verdict(VerdictKind.PASS), verdict(VerdictKind.PASS)]
    assert sample("tailramp_ticks_total") == ticks + 1
    assert sample("tailramp_verdicts_total", kind="PASS") == passes + 2


@pytest.mark.parametrize("error", [asyncio.CancelledError(), Unreachable("gone")])
def test_a_tick_that_is_cut_off_counts_nothing(error: BaseException) -> None:
    before = sample("tailramp_ticks_total"), sample("tailramp_tick_seconds_count")
    with pytest.raises(type(error)), telemetry.tick(lambda: [verdict(VerdictKind.FAIL)]):
        raise error
    assert (sample("tailramp_ticks_total"), sample("tailramp_tick_seconds_count")) == before


def test_a_renewal_is_counted_when_it_is_stored_and_a_failure_goes_through() -> None:
    renewals, failures = sample("tailramp_lease_renewals_total"), sample("tailramp_lease_failures_total")
    with telemetry.lease_write(renewals=1):
        pass
    with pytest.raises(Unreachable), telemetry.lease_write(renewals=1):
        raise Unreachable("the route file")
    with pytest.raises(asyncio.CancelledError), telemetry.lease_write(renewals=1):
        raise asyncio.CancelledError
    with pytest.raises(Fenced), telemetry.lease_write(renewals=1):
        raise Fenced("the route was cleared")
    assert sample("tailramp_lease_renewals_total") == renewals + 1
    assert sample("tailramp_lease_failures_total") == failures + 1


def test_a_clock_behind_the_servers_gives_a_rollback_of_no_time_and_not_a_negative_one() -> None:
    before = sample("tailramp_rollback_seconds_sum", stage="clear")
    telemetry.stage_ended(telemetry.RollbackStage.CLEAR, datetime.now(UTC) + timedelta(hours=1))
    assert sample("tailramp_rollback_seconds_sum", stage="clear") == before


@pytest.mark.parametrize("accept", ["", "text/plain", "application/openmetrics-text; version=1.0.0"])
def test_every_series_is_there_before_its_first_event(accept: str) -> None:
    body, content_type = exposition(accept)
    assert content_type.startswith("application/openmetrics-text" if "openmetrics" in accept else "text/plain")
    text = body.decode()
    for kind in VerdictKind:
        assert f'tailramp_verdicts_total{{kind="{kind}"}}' in text
    for clearer in Clearer:
        assert f'tailramp_clears_total{{clearer="{clearer}"}}' in text
    if "openmetrics" not in accept:
        names = {family.name for family in text_string_to_metric_families(text)}
        assert {"tailramp_loop_lag_seconds", "tailramp_ramps_watched", "process_open_fds"} <= names
