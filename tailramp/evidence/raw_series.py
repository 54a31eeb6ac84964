"""The verdict again, from the scrapes themselves.

A worker that says when it saw the trigger is its own witness. Here the same grid, checks and judges are run offline
over every scrape that Prometheus stored, and the answer is the time of the scrape from which on a FAIL was there to
be seen: the moment from which a rollback's delay is honestly measured.

One thing the scrapes do not tell: when Prometheus declared a series gone. A recount sees the last value for
`LOOKBACK` seconds more. It changes no count, only whether a candidate whose series have all vanished is INCONCLUSIVE
or BLIND meanwhile.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tailramp.evidence.book import RUN_UP, CheckBook
from tailramp.evidence.checks import Check, SlotMatch
from tailramp.evidence.grid import Grid
from tailramp.evidence.reading import Answer, Labels, Reading, Sample
from tailramp.evidence.shelf import Shelf
from tailramp.evidence.verdicts import Verdict, VerdictKind

if TYPE_CHECKING:
    from tailramp.evidence.sequential.dossier import Dossier

LOOKBACK = 300.0
"""Seconds for which a value stands when no newer scrape replaces it: Prometheus' default."""


@dataclass(frozen=True)
class RawSeries:
    """All scrapes of one series: unix times, ascending, and the values at them."""

    labels: Labels
    times: Sequence[float]
    values: Sequence[float]

    def scrape_at(self, at: float) -> int | None:
        """Return the position of the scrape that Prometheus would answer with at time `at`; None if it is too old."""
        position = bisect_right(self.times, at) - 1
        return position if position >= 0 and self.times[position] > at - LOOKBACK else None


@dataclass(frozen=True)
class Recount:
    """The first FAIL: when its tick is, the newest scrape that this tick rests on, and what the judges said at it."""

    trigger: float | None  # unix time of that scrape; None if the judges never fail
    tick: int | None
    verdicts: tuple[Verdict, ...]


def recount(
    checks: Sequence[Check],
    candidates: Sequence[SlotMatch],
    baseline: SlotMatch,
    grid: Grid,
    scrapes: Mapping[str, Iterable[RawSeries]],
    until: int,
    *,
    floor: int = 0,
    run_up: int = RUN_UP,
    dossiers: "Mapping[tuple[str, str], Dossier] | None" = None,
) -> Recount:
    """Judge the ticks up to `until`, tick index, from raw scrapes by query text; stop at the first FAIL.

    The other arguments are the CheckBook's. A query without scrapes has no series.
    """
    book = CheckBook(checks, candidates, baseline, grid, floor=floor, run_up=run_up, dossiers=dossiers)
    series = _series_of(book.checks, book.slots, scrapes)
    verdicts: list[Verdict] = book.verdicts
    for index in range(-grid.ticks_in(run_up), until + 1):
        verdicts = book.observe(_reading(series, grid.time(index)))
        at = grid.time(index)
        failed = [verdict for verdict in verdicts if verdict.kind is VerdictKind.FAIL]
        if failed:
            # Of several checks that fail at the same tick, the first that could be seen counts.
            trigger = min(_newest(_behind(verdict, checks, book.slots, series), at) for verdict in failed)
            return Recount(trigger=trigger, tick=index, verdicts=tuple(verdicts))
    return Recount(trigger=None, tick=None, verdicts=tuple(verdicts))


def file_scrapes(shelf: Shelf, grid: Grid, scrapes: Mapping[str, Iterable[RawSeries]], until: int) -> None:
    """Show the shelf the ticks up to `until`, tick index, and the run-up to them, from raw scrapes by query text."""
    series = _series_of(shelf.checks, shelf.slots, scrapes)
    for index in range(-grid.ticks_in(RUN_UP), until + 1):
        shelf.take(_reading(series, grid.time(index)))


def _series_of(
    checks: Sequence[Check], slots: Sequence[SlotMatch], scrapes: Mapping[str, Iterable[RawSeries]]
) -> dict[str, tuple[RawSeries, ...]]:
    queries = {query for check in checks for slot in slots for query in check.queries(slot).values()}
    return {query: tuple(scrapes.get(query, ())) for query in queries}


def _reading(series: Mapping[str, Sequence[RawSeries]], at: int) -> Reading:
    return Reading(at, {query: _answer(found, at) for query, found in series.items()})


def _answer(series: Iterable[RawSeries], at: int) -> Answer:
    found = ((one, one.scrape_at(at)) for one in series)
    return Answer(tuple(Sample(one.labels, one.values[position]) for one, position in found if position is not None))


def _behind(
    verdict: Verdict, checks: Sequence[Check], slots: Sequence[SlotMatch], series: Mapping[str, Sequence[RawSeries]]
) -> list[RawSeries]:
    """Return the series of the check and of the two slots that a verdict compares; the baseline is the last slot."""
    check = next(check for check in checks if check.name == verdict.check)
    compared = [slot for slot in slots if slot.slot == verdict.slot] + [slots[-1]]
    return [one for slot in compared for query in check.queries(slot).values() for one in series[query]]


def _newest(series: Iterable[RawSeries], at: int) -> float:
    return max(one.times[position] for one in series if (position := one.scrape_at(at)) is not None)
