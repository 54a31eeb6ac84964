"""Reads from Prometheus what is known of a ramp's first users from before it began."""

import asyncio
import logging
import time
from typing import Final

from activities.metrics import PrometheusMetrics
from tailramp.dossiers import dossiers_of
from tailramp.evidence.kept import TimeBefore
from tailramp.evidence.sequential.dossier import teach
from tailramp.plan import Plan
from tailramp.ramp import Began
from tailramp.spec import RampSpec
from tailramp.time_before import WINDOW, asked_before

log = logging.getLogger("tailramp.watch")

_TIMES: Final = 2
_BETWEEN_SECONDS: Final = 1.0


async def known_before(spec: RampSpec, plan: Plan) -> frozenset[str]:
    """The checks that a ramp which begins now would know its users by.  Raises Refused for a secret that is missing."""
    began = Began(at=int(time.time() - spec.platform.prometheus.lag), assignment=plan.steps[0].assignment)
    metrics = PrometheusMetrics.of(spec.platform.prometheus)
    try:
        earlier = await read_time_before(metrics, spec, plan, began)
    finally:
        metrics.close()
    if earlier is None:
        return frozenset()
    dossiers = dossiers_of(spec, plan, began.at)
    teach(dossiers, earlier)
    return frozenset(name for (_, name), dossier in dossiers.items() if dossier.knows_users)


async def read_time_before(
    metrics: PrometheusMetrics, spec: RampSpec, plan: Plan, began: Began | None
) -> TimeBefore | None:
    """The counts of the time before the ramp; None if they are not wanted, or Prometheus does not give them.

    Without them nothing is taken for known of the users, so a ramp does not wait for them any longer.
    """
    asked = asked_before(spec, plan, began) if began is not None else None
    if asked is None:
        return None
    counting = asked.counting()
    first, last = asked.grid.time(-1), asked.grid.time(asked.windows)
    fault = ""
    for _ in range(_TIMES):
        readings = await metrics.read_range(counting.shelf.checks, counting.shelf.slots, first, last, WINDOW)
        answers = (answer for reading in readings for answer in reading.answers.values())
        if not (fault := next((answer.fault for answer in answers if answer.fault), "")):
            return await asyncio.to_thread(counting.count, readings)
        await asyncio.sleep(_BETWEEN_SECONDS)
    log.warning("%s: the time before the ramp is not known: %s", plan.route, fault)
    return None
