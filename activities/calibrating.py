"""Reads from Prometheus what the noise of a service is estimated from.

It is much more than a watch reads: a day of windows, and the users bucket by bucket.  So it is read in pieces, each
small enough to be answered within the time limit of one query, and only of the bucket edges that the test compares.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from activities.metrics import PrometheusMetrics
from tailramp.calibrating import (
    BucketCounts,
    Division,
    Found,
    GroupCounts,
    Pair,
    PairCounts,
    assumed_of,
    found_of,
    halves_of_buckets,
    halves_of_servers,
    rows_of,
    with_edges,
)
from tailramp.errors import Refused, Unreachable
from tailramp.evidence import RUN_UP, Check, HistogramCheck, Reading, SlotMatch, Source
from tailramp.units import format_duration

COARSE: Final = 900
"""Seconds between two readings where only totals are wanted; a server that restarts loses at most so much of them."""

_POINTS_AT_ONCE: Final = 480
_COARSE_POINTS_AT_ONCE: Final = 16
_SECONDS_BETWEEN_NEWS: Final = 5.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Period:
    """From `start` to `end`, unix seconds, in windows of `window` seconds."""

    start: int
    end: int
    window: int


@dataclass(frozen=True)
class Labels:
    """What names the bucket of a user, and what the server of a series."""

    bucket: str
    server: str


class _Counts(Protocol):
    @property
    def native(self) -> bool: ...

    @property
    def queries(self) -> Sequence[str]: ...

    def take(self, reading: Reading, *, starting: bool) -> object: ...


@dataclass(frozen=True)
class _Survey:
    """What one check has counted in one slot."""

    check: Check
    counts: GroupCounts

    @property
    def answers(self) -> float:
        return float(self.counts.totals(())[0, 0]) if self.check.limit_edge is None else self.counts.edges.n

    @property
    def native(self) -> bool:
        return self.counts.native

    @property
    def queries(self) -> Sequence[str]:
        return list(self.counts.queries.values())

    def take(self, reading: Reading, *, starting: bool) -> object:
        return self.counts.take(reading, starting=starting)


class Calibration:
    """One look at a service, over one period."""

    def __init__(self, metrics: PrometheusMetrics, period: Period, labels: Labels, say: Say) -> None:
        self._metrics = metrics
        self._period = period
        self._labels = labels
        self._say = say

    async def run(
        self, checks: Sequence[Check], slots: Sequence[SlotMatch], same_model: Sequence[str]
    ) -> tuple[tuple[str, ...], list[Found]]:
        """Return the slots that were looked at, the busiest first, and what was found about each check.

        `same_model` names the slots that serve the same model; if it is empty the busiest alone is looked at.  Raises
        Unreachable, and Refused where nobody answered anything.
        """
        surveys = {slot.slot: [_survey(check, slot, self._labels.bucket) for check in checks] for slot in slots}
        await self._read("totals", [one for of_slot in surveys.values() for one in of_slot], COARSE)
        answers = {slot: sum(survey.answers for survey in of_slot) for slot, of_slot in surveys.items()}
        asked = [slot for slot in slots if slot.slot in same_model] or list(slots)
        chosen = sorted(asked, key=lambda slot: -answers[slot.slot])[: len(same_model) or 1]
        if silent := [slot.slot for slot in chosen if not answers[slot.slot]]:
            length = format_duration(timedelta(seconds=self._period.end - self._period.start))
            raise Refused(
                f"nothing was counted of {', '.join(silent)} in the last {length}. Check the matchers of its metrics, "
                "or look further back with --since"
            )
        found = []
        for number, check in enumerate(checks):
            of_slots = [surveys[slot.slot][number].counts for slot in chosen]
            found.append(await self._check(check, chosen, of_slots))
        return tuple(slot.slot for slot in chosen), found

    async def _check(self, check: Check, slots: Sequence[SlotMatch], surveys: Sequence[GroupCounts]) -> Found:
        rungs = rows_of(check, surveys[0].edges)
        rows = [edge for edge, _ in rungs]
        exact = with_edges(check, rows)
        totals = sum((survey.totals(rows) for survey in surveys[1:]), surveys[0].totals(rows))
        if not totals[0].any():
            return Found(check.name, (), dict.fromkeys(assumed_of(check), "nothing was counted"))
        pairs = [
            PairCounts(exact, pair, rows, self._labels.bucket) for pair in self._pairs(check, slots, surveys[0].labels)
        ]
        await self._read(f"{check.name}: windows", pairs, self._period.window)
        buckets = BucketCounts(exact, slots, rows, self._labels.bucket)
        await self._read(f"{check.name}: buckets", [buckets], COARSE)
        return found_of(
            check, rungs, pairs, buckets if buckets.digits else None, totals=totals, window=self._period.window
        )

    def _pairs(self, check: Check, slots: Sequence[SlotMatch], seen: dict[str, set[str]]) -> list[Pair]:
        first, *others = slots
        pairs = [Pair(Division.SLOTS, (other, first)) for other in others]
        # Replicas of a gateway say nothing about the servers behind it.
        servers = sorted(seen.get(self._labels.server, ())) if check.source is Source.SERVER else []
        if (halves := halves_of_servers(first, self._labels.server, servers)) is not None:
            pairs.append(halves)
        return [*pairs, halves_of_buckets(first, self._labels.bucket)]

    async def _read(self, what: str, counts: Sequence[_Counts], step: int) -> None:
        """Show every count all readings of the period, oldest first; the first of them say where the counting begins.

        Raises Unreachable for an answer that Prometheus owes.
        """
        queries = list(dict.fromkeys(query for one in counts for query in one.queries))
        native = {query for one in counts if one.native for query in one.queries}
        points = range(self._period.start - step * -(-RUN_UP // step), self._period.end + 1, step)
        at_once = _COARSE_POINTS_AT_ONCE if step == COARSE else _POINTS_AT_ONCE
        told = time.monotonic()
        self._say(f"reading {what}")
        for first in range(0, len(points), at_once):
            part = points[first : first + at_once]
            for reading in await self._metrics.read_queries_range(queries, part[0], part[-1], step, native):
                if fault := next((answer.fault for answer in reading.answers.values() if answer.fault), ""):
                    raise Unreachable(fault)
                for one in counts:
                    one.take(reading, starting=reading.at <= self._period.start)
            if time.monotonic() - told >= _SECONDS_BETWEEN_NEWS:
                told = time.monotonic()
                self._say(f"reading {what}: {100 * (first + len(part)) // len(points)} %")


def _survey(check: Check, slot: SlotMatch, bucket_label: str) -> _Survey:
    """Of all edges: which of them are compared is read from the distribution."""
    whole = check.model_copy(update={"ladder": None}) if isinstance(check, HistogramCheck) else check
    return _Survey(check, GroupCounts(whole, slot, bucket_label))
