"""Raw counters as a source: a recording, or Prometheus' own answers, read tick by tick as a live watch reads them."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tailramp.assignment import Assignment
from tailramp.errors import InvalidFile, Problem, Refused
from tailramp.evidence.book import RUN_UP
from tailramp.evidence.checks import Check, HangingCheck, HistogramCheck, SlotMatch, queries_of
from tailramp.evidence.columns import Column, Readings
from tailramp.evidence.counters import SeriesCounter
from tailramp.evidence.grid import Grid
from tailramp.evidence.kept import TimeBefore
from tailramp.evidence.reading import Answer, Reading
from tailramp.evidence.shelf import Shelf
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.replay.recording import Header, Recorded, Series, Span
from tailramp.replay.selector import Selector
from tailramp.replay.source import given_shares

Answers = Sequence[Sequence[Series]]
"""The series of one query, by span."""

Finder = Callable[[str], Answers | None]
"""The answers to a query; None if it was not asked."""

_NO_SAMPLES = Answer()

_AT_ONCE: Final = 480
"""Ticks that are made ready in one go: two hours of 15 s."""


class Counters:
    """See ``Source``.  A time between two ticks sees the tick before it, as a scrape that is a little late."""

    def __init__(
        self,
        header: Header,
        answers: Mapping[str, Answers],
        served: Callable[[str], Answers],
        plan: Plan,
        share: float | None,
    ) -> None:
        """``answers`` by the text of the queries that will be asked; ``served`` finds what a slot's answers count."""
        self._header, self._answers, self._share = header, answers, share
        spans = header.spans
        self.step = header.step
        self.first = spans[0].anchor
        self.last = max(span.end for span in spans)
        self._starts = sorted((span.start, number) for number, span in enumerate(spans))
        self._asking: Shelf | None = None
        self._asked: tuple[str, ...] = ()
        self._read: Readings | None = None
        self._measured = {slot: sum(map(_growth, _flat(served(slot)))) for slot in (plan.baseline, *plan.slots)}

    def show(self, shelf: Shelf, grid: Grid, index: int) -> None:
        """See ``Source``."""
        at = grid.time(index)
        if shelf is not self._asking:
            self._asking, self._asked, self._read = shelf, queries_of(shelf.checks, shelf.slots), None
        if self._read is None or at not in self._read.times:
            self._read = self._readings(at, grid.tick)
        if self._read is None:
            shelf.take(Reading(at, dict.fromkeys(self._asked, _NO_SAMPLES)))
        else:
            shelf.take(self._read[self._read.times.index(at)])

    def _readings(self, at: int, step: int) -> Readings | None:
        """What was answered every ``step`` seconds from ``at`` on, as far as one span tells it; None if none does."""
        places: list[tuple[int, int]] = []
        for time in range(at, at + _AT_ONCE * step, step):
            place = self._place(time)
            if place is None or (places and place[0] != places[0][0]):
                break
            places.append(place)
        if not places:
            return None
        number, ticks = places[0][0], [tick for _, tick in places]
        columns = {
            query: [Column(one.labels, self._values(one, ticks)) for one in self._answers[query][number]]
            for query in self._asked
        }
        return Readings(range(at, at + len(ticks) * step, step), columns)

    def _place(self, at: int) -> tuple[int, int] | None:
        """The span that has a tick at ``at``, or else the latest one shortly before; and that tick's time."""
        best: tuple[int, int] | None = None
        for number in self._spans_before(at):
            span = self._header.spans[number]
            tick = min(span.end, at - (at - span.start) % self.step)
            if tick == at:
                return number, at
            if at - tick < self.step and (best is None or tick > best[1]):
                best = number, tick
        return best

    def _spans_before(self, at: int) -> Iterable[int]:
        return (number for _, number in self._starts[: bisect_right(self._starts, (at, len(self._starts)))])

    def _values(self, series: Series, ticks: Sequence[int]) -> list[float | None]:
        many = len(series.values)
        places = [(tick - series.start) // self.step for tick in ticks]
        return [series.values[place] if 0 <= place < many else None for place in places]

    def shares(self, plan: Plan, at: int) -> Mapping[SlotName, float]:
        """As they were given or recorded; else the slots' parts of all answers."""
        slots = (plan.baseline, *plan.slots)
        if self._share is not None:
            return given_shares(plan, self._share)
        served = [span.served for span in self._header.spans if span.served is not None and span.anchor <= at]
        if served:
            return {slot: served[-1].share_of(slot) for slot in slots}
        total = sum(self._measured.values())
        if total <= 0:
            raise Refused("the file counts no answers at all: there is nothing to judge")
        return {slot: self._measured[slot] / total for slot in slots}

    def before(self, served: Assignment) -> TimeBefore | None:
        """See ``Source``."""
        return self._header.earlier_of(served)

    def served_from(self, assignment: Assignment, at: int) -> int | None:
        """See ``Source``."""
        spans = (span for span in self._header.spans if span.served == assignment and span.anchor >= at)
        return next((span.anchor for span in spans), None)


def of_recording(
    recorded: Recorded,
    plan: Plan,
    checks: Mapping[SlotName, tuple[Check, ...]],
    matches: Mapping[SlotName, SlotMatch],
    share: float | None,
) -> Counters:
    """The recording as the checks of a policy read it.  Raises InvalidFile for a check that it cannot answer."""
    return _counters(recorded.file, recorded.header, recorded_answers(recorded), plan, checks, matches, share)


def recorded_answers(recorded: Recorded) -> Finder:
    """The answers of a recording."""
    spans = range(len(recorded.header.spans))

    def by_query(query: str) -> Answers | None:
        if query not in recorded.header.queries:
            return None
        return [recorded.answers.get((query, number), ()) for number in spans]

    return by_query


def of_series(
    file: Path,
    named: Mapping[str, Sequence[Series]],
    series: Sequence[Series],
    span: Span,
    step: int,
    plan: Plan,
    checks: Mapping[SlotName, tuple[Check, ...]],
    matches: Mapping[SlotName, SlotMatch],
    share: float | None,
) -> Counters:
    """Series of one time grid: ``named`` by the query that returned them, ``series`` by their own labels."""
    header = header_of_series(plan, span, step)
    return _counters(file, header, selected_answers(named, series), plan, checks, matches, share)


def header_of_series(plan: Plan, span: Span, step: int) -> Header:
    """What a recording of such series would begin with."""
    return Header(
        route=plan.route,
        spec="",
        baseline=plan.baseline,
        candidates={variant.slot: variant.model for variant in plan.candidates},
        step=step,
        spans=(span,),
        queries=("*",),
    )


def selected_answers(named: Mapping[str, Sequence[Series]], series: Sequence[Series]) -> Finder:
    """The answers of one time grid: those ``named`` so, else the ``series`` that a plain selector selects."""

    def by_query(query: str) -> Answers | None:
        if query in named:
            return [named[query]]
        selector = Selector.parse(query)
        found = [] if selector is None else [one for one in series if selector.selects(one.by_name)]
        return [found] if found else None

    return by_query


def _counters(
    file: Path,
    header: Header,
    by_query: Finder,
    plan: Plan,
    checks: Mapping[SlotName, tuple[Check, ...]],
    matches: Mapping[SlotName, SlotMatch],
    share: float | None,
) -> Counters:
    answers: dict[str, Answers] = {}
    problems = []
    wanted = [
        (check, slot) for candidate, own in checks.items() for check in own for slot in (candidate, plan.baseline)
    ]
    for check, slot in wanted:
        match, queries = matches[slot], check.queries(matches[slot])
        for part, query in queries.items():
            found = answers_to(check, part, query, match, by_query, header)
            if found is None:
                mend = f"Record it with these files, or leave it out: --without {check.name}"
                problems.append(
                    Problem(f"checks.{check.name}", f"there are no counts of {slot} for it", mend, query, file)
                )
                break
            answers[query] = found
    if problems:
        raise InvalidFile(problems[:4])
    own = next(iter(checks.values()))
    counted = next((check for check in own if not isinstance(check, HangingCheck)), own[0])

    def served(slot: str) -> Answers:
        queries = counted.queries(matches[slot])
        query = queries.get("ended") or next(iter(queries.values()))
        return [
            [one for one in span if one.by_name.get("le", "+Inf").lower() in {"+inf", "inf"}] for span in answers[query]
        ]

    return Counters(header, answers, served, plan, share)


def answers_to(
    check: Check, part: str, query: str, match: SlotMatch, by_query: Finder, header: Header
) -> Answers | None:
    """What the ``query`` for a part of a check returned, or would have; None if nothing tells it."""
    found = by_query(query)
    if found is None:
        found = _derived(check, part, match, by_query, header)
    if found is None and part == "bad" and getattr(check, "bad_absent_is_zero", False):
        found = [()] * len(header.spans)
    return found


def _derived(check: Check, part: str, match: SlotMatch, by_query: Finder, header: Header) -> Answers | None:
    """What a query would have returned, from another one that tells it."""
    if isinstance(check, HistogramCheck):
        return by_query(check.all_edges_query(match))  # the arm takes of these edges what it wants
    if not isinstance(check, HangingCheck):
        return None
    raw = by_query(check.ended_query(match) if part.startswith("ended") else check.active_query(match))
    if raw is None:
        return None
    ago = max(1, round(check.seconds / header.step))
    if part == "least":
        return [[_least(one, ago) for one in span] for span in raw]
    return [[_earlier(one, ago) for one in span] for span in raw]


def _earlier(series: Series, ago: int) -> Series:
    """The values as they were ``ago`` ticks before."""
    many = len(series.values)
    return Series(series.labels, series.start, [None] * min(ago, many) + list(series.values[: max(0, many - ago)]))


def _least(series: Series, ago: int) -> Series:
    """The least value of the last ``ago`` ticks, the present one with them."""
    values = []
    for index, value in enumerate(series.values):
        known = [one for one in series.values[max(0, index - ago + 1) : index + 1] if one is not None]
        values.append(min(known, default=None) if value is not None else None)
    return Series(series.labels, series.start, values)


def _flat(answers: Answers) -> Iterable[Series]:
    return (one for span in answers for one in span)


def _growth(series: Series) -> float:
    """How much a counter grew, its restarts with it."""
    counter = SeriesCounter()
    known = [value for value in series.values if value is not None and value >= 0]
    for place, value in enumerate(known):
        counter.take(series.labels, {0.0: value}, starting=place == 0)
    return counter.growth.get(0.0, 0.0)


def run_up(step: int) -> int:
    """Seconds before an anchor from which a recording begins, on its grid."""
    return -(-RUN_UP // step) * step
