"""Asks Prometheus how the users are divided, beside what the checks ask."""

import logging
from collections.abc import Collection, Sequence

from activities.metrics import PrometheusMetrics
from tailramp.division import Division, baseline_query, queries_of
from tailramp.errors import Problem
from tailramp.evidence import Reading
from tailramp.forms import SlotName
from tailramp.spec import PlatformFile

log = logging.getLogger("tailramp.watch")


class UsersWatch:
    """The users of every candidate of a step, tick after tick; what came before the first tick is read then."""

    def __init__(self, metrics: PrometheusMetrics, divisions: Sequence[Division], window: int) -> None:
        """`window`: seconds, those of the divisions."""
        self._metrics = metrics
        self._divisions = divisions
        self._window = window
        self._caught_up = False

    async def amiss(self, at: int) -> str:
        """Say what is wrong with the division of the users at unix time `at`; "" if nothing is, or nobody can tell.

        What was found once stands until what is counted later outweighs it, also while nothing can be counted.
        """
        queries = queries_of(self._divisions)
        start = min((one.start for one in self._divisions), default=at + 1)
        if at < start:
            return ""
        readings = [await self._metrics.read_queries(queries, at)]
        if faults := _faults_of(readings):
            return self._told(faults)
        if not self._caught_up:
            earlier = await self._metrics.read_queries_range(queries, start, at, self._window)
            if faults := _faults_of(earlier):
                return self._told(faults)
            readings = [*earlier, *readings]
            self._caught_up = True
        for reading in readings:
            for one in self._divisions:
                one.take(reading)
        return self._told()

    def _told(self, faults: Collection[str] = ()) -> str:
        """What is wrong with the users who were counted; that some could not be takes nothing of it back."""
        if faults:
            log.warning("users could not be counted: %s", "; ".join(sorted(faults)))
        return "; ".join(filter(None, (one.amiss for one in self._divisions)))


def _faults_of(readings: Sequence[Reading]) -> set[str]:
    return {answer.fault for reading in readings for answer in reading.answers.values() if answer.fault}


async def users_problems(
    metrics: PrometheusMetrics, platform: PlatformFile, baseline: SlotName, at: int
) -> list[Problem]:
    """Say what keeps the baseline's users from being counted at unix time `at`; nothing if nobody asks for them."""
    query = baseline_query(platform, baseline)
    if query is None:
        return []
    answer = (await metrics.read_queries([query], at)).answers[query]
    if answer.fault:
        return [Problem("checks.users", answer.fault, "Mend the query, and try it in Prometheus' own web page", query)]
    if not answer.samples:
        mend = "Check that Prometheus scrapes this counter of users, or leave checks.users out"
        return [Problem("checks.users", "no series for the baseline", mend, query)]
    return []
