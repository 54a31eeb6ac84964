"""What tailramp counts about itself, as Prometheus metrics.

A ramp that nobody watches any more, a lease that is renewed late, a rollback that takes longer than it used to: these
show here before users notice.  The activities count where the thing happens; the process that runs them exposes
``REGISTRY``.  Nothing is labelled by route or ramp, so the number of series does not grow with them; the log lines name
them.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tailramp.errors import Fenced
from tailramp.evidence import Verdict, VerdictKind
from tailramp.route_record import Clearer

REGISTRY = CollectorRegistry()


class RollbackStage(StrEnum):
    """Clearing and its proof follow each other: together they are the rollback, as far as users can tell."""

    CLEAR = "clear"
    PROVE = "prove"


RAMPS_WATCHED = Gauge("tailramp_ramps_watched", "Ramps that this process watches now", registry=REGISTRY)
TICKS = Counter("tailramp_ticks", "Ticks completed: every check asked, the lease dealt with", registry=REGISTRY)
TICK_SECONDS = Histogram(
    "tailramp_tick_seconds",
    "How long a completed tick took",
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
VERDICTS = Counter(
    "tailramp_verdicts", "Verdicts of completed ticks, one per check and slot", ["kind"], registry=REGISTRY
)
LEASE_RENEWALS = Counter("tailramp_lease_renewals", "Leases renewed", registry=REGISTRY)
LEASE_FAILURES = Counter(
    "tailramp_lease_failures", "Leases of a live ramp that could not be renewed or shortened", registry=REGISTRY
)
CLEARS = Counter(
    "tailramp_clears",
    "Clears that this process was asked for, by who had taken the candidates out first",
    ["clearer"],
    registry=REGISTRY,
)
ROLLBACK_SECONDS = Histogram(
    "tailramp_rollback_seconds",
    "From the decision to each stage's end, retries and waiting included; prove begins where clear ends",
    ["stage"],
    registry=REGISTRY,
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
)
ESCALATIONS = Counter(
    "tailramp_escalations",
    "Canaries that could not be deleted and were taken out in a second way: sent back, disarmed, or none",
    ["way"],
    registry=REGISTRY,
)
LOOKS = Counter("tailramp_sentinel_looks", "Looks of the sentinel at all its routes", registry=REGISTRY)

# A series that appears with its first event has no increase to alert on: begin each at zero.
for _way in ("sent back", "disarmed", "none"):
    ESCALATIONS.labels(_way)
for _kind in VerdictKind:
    VERDICTS.labels(_kind)
for _clearer in Clearer:
    CLEARS.labels(_clearer)
for _stage in RollbackStage:
    ROLLBACK_SECONDS.labels(_stage)


@contextmanager
def tick(verdicts: Callable[[], Iterable[Verdict]]) -> Iterator[None]:
    """A tick and the ``verdicts`` that stand after it; one that fails or is cut off counts nothing."""
    began = time.perf_counter()
    yield
    TICK_SECONDS.observe(time.perf_counter() - began)
    TICKS.inc()
    for verdict in verdicts():
        VERDICTS.labels(verdict.kind).inc()


@contextmanager
def lease_write(renewals: int = 0) -> Iterator[None]:
    """A write of the lease, worth ``renewals`` if it succeeds.

    Neither success nor failure is one that is cancelled, and one of a watch that has not heard yet that its ramp no
    longer holds the route.
    """
    try:
        yield
    except Fenced:
        raise
    except Exception:
        LEASE_FAILURES.inc()
        raise
    LEASE_RENEWALS.inc(renewals)


def stage_ended(stage: RollbackStage, asked_at: datetime) -> None:
    """``asked_at`` is when Temporal was first asked for the stage.  Clocks that disagree give zero, never less."""
    ROLLBACK_SECONDS.labels(stage).observe(max(0.0, time.time() - asked_at.timestamp()))
