"""The time before a ramp, asked of the baseline's own series: the first step's users to be, and all others.

A label names the bucket of the user whom an answer was for.  Two matchers on it divide the baseline's series as the
first step divides the users, and Prometheus adds each part up, so that a day is read with a few answers however many
buckets there are.  Windows are long and few: only the users are wanted, who are the same in each.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from tailramp.assignment import Assignment
from tailramp.buckets import BucketSet
from tailramp.calibrating import with_matcher, without
from tailramp.checks import checks_by_slot, slot_match
from tailramp.dossiers import shares_in
from tailramp.evidence import Check, CheckBook, Grid, HistogramCheck, RatioCheck, Reading, SlotMatch
from tailramp.evidence.judge import CheckTick, JudgeName
from tailramp.evidence.kept import Kept, TimeBefore, row_of
from tailramp.evidence.shelf import Shelf
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.ramp import Began
from tailramp.spec import RampSpec

WINDOW: Final = 300
"""Seconds of a window."""

_BEFORE_THE_SHIFT: Final = 300
"""Seconds that are left out before the ramp began: its rules were being written."""

_OTHERS: Final = "the others"
_LABELLED: Final = 2
"""Digits of a label's value at least: one digit names a tenth of the users."""


def why_not(plan: Plan, assignment: Assignment) -> dict[SlotName, str]:
    """The candidates whose users cannot be told from others by a label of their bucket, and why; {} if all can."""
    found: dict[SlotName, str] = {}
    for slot in plan.slots:
        rules = [rule for rule in assignment.rules if rule.slot == slot]
        if any(rule.segments for rule in rules):
            found[slot] = "a label of the bucket does not tell users with a tag from others"
        elif not rules:
            found[slot] = "the first step gives it no buckets"
        elif _values(assignment.buckets_of(slot)) is None:
            found[slot] = f"the first step's buckets {assignment.buckets_of(slot)} are a part of a value of the label"
    return found


def users_said(plan: Plan, tested: Iterable[str], known: Collection[str]) -> str:
    """By which of the checks with a sequential test the users are known before the ramp's first step, or why not."""
    for slot, why in why_not(plan, plan.steps[0].assignment).items():
        return f"the users of {slot} cannot be known from before the ramp: {why}"
    names = list(dict.fromkeys(tested))
    if by := ", ".join(name for name in names if name in known):
        told = f"the users are known from before the ramp by {by}"
        others = ", ".join(name for name in names if name not in known)
        return f"{told}, not by {others}" if others else told
    return "the users are not known from before the ramp: too little was counted by bucket"


def asked_before(spec: RampSpec, plan: Plan, began: Began, *, by_bucket: bool = False) -> "Asked | None":
    """What is to be asked about the time before a ramp that ``began`` so; None if nothing is wanted or can be.

    ``by_bucket``: the answers are there bucket by bucket, and nobody adds them up.
    """
    history = spec.platform.checks.sequential.history
    if history is None:
        return None
    refused = why_not(plan, began.assignment)
    sides = {slot: _values(began.assignment.buckets_of(slot)) for slot in plan.slots if slot not in refused}
    every = _values(_all_buckets(began.assignment))
    if every is None:
        return None
    baseline = slot_match(spec.platform, plan.baseline)
    matchers = {_OTHERS: f'{history.bucket_label}!~"{_pattern(every)}"'}
    others = with_matcher(baseline, matchers[_OTHERS], _OTHERS)
    seconds = int(history.period.total_seconds()) // WINDOW * WINDOW
    end = (began.at - _BEFORE_THE_SHIFT) // WINDOW * WINDOW
    grid = Grid(anchor=end - seconds, tick=WINDOW)
    parts = {}
    for slot, checks in checks_by_slot(spec, plan).items():
        values = sides.get(slot)
        tested = [_asked(check, None if by_bucket else history.bucket_label) for check in checks if check.is_sequential]
        if values is not None and tested:
            matchers[slot] = f'{history.bucket_label}=~"{_pattern(values)}"'
            parts[slot] = (with_matcher(baseline, matchers[slot], slot), tuple(tested))
    if not parts:
        return None
    shares = {slot: shares_in(began.assignment, slot, plan.baseline) for slot in parts}
    return Asked(grid, seconds // WINDOW, shares, parts, others, history.bucket_label, matchers)


@dataclass(frozen=True)
class Asked:
    """Of ``windows`` windows of ``grid``: by candidate its users to be and the checks; the baseline's ``others``.

    ``matchers`` on the ``label`` divide the series, by the name of the part.
    """

    grid: Grid
    windows: int
    shares: Mapping[SlotName, tuple[float, float]]
    parts: Mapping[SlotName, tuple[SlotMatch, tuple[Check, ...]]]
    others: SlotMatch
    label: str
    matchers: Mapping[str, str]

    def only(self, names: Collection[str]) -> "Asked":
        """The same without other checks than these."""
        left = {
            slot: (users, tuple(check for check in checks if check.name in names))
            for slot, (users, checks) in self.parts.items()
        }
        return replace(self, parts={slot: part for slot, part in left.items() if part[1]})

    def counting(self) -> "Counting":
        """Books that count what is read."""
        return Counting(self)


class Counting:
    """Counts the windows from readings that are shown to ``shelf``, the run-up to the first of them, too."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._ticks: dict[tuple[str, str], list[CheckTick]] = {}
        self.shelf = Shelf(
            [
                CheckBook(checks, [users], asked.others, asked.grid, run_up=WINDOW, told=self._take)
                for users, checks in asked.parts.values()
            ]
        )
        self.shelf.speak_briefly(True)

    def _take(self, slot: str, check: str, tick: CheckTick) -> None:
        if tick.index > 0:
            self._ticks.setdefault((slot, check), []).append(tick)

    def count(self, readings: Iterable[Reading]) -> TimeBefore:
        """What was counted, of all readings in their order."""
        for reading in readings:
            self.shelf.take(reading)
        return self.counted()

    def counted(self) -> TimeBefore:
        """What was counted; a check without answers of the users to be is left out."""
        asked = self._asked
        kept: dict[SlotName, dict[str, Kept]] = {}
        for (slot, name), ticks in self._ticks.items():
            if any(tick.candidate.n > 0 for tick in ticks):
                edges = tuple(sorted({edge for tick in ticks for edge in tick.baseline_edges.above}))
                rows = tuple(row_of(tick, edges) for tick in ticks)
                kept.setdefault(slot, {})[name] = Kept(edges=edges, rows=rows)
        shares = {slot: asked.shares[slot] for slot in kept}
        return TimeBefore(start=asked.grid.anchor, window=WINDOW, shares=shares, kept=kept)


def _all_buckets(assignment: Assignment) -> BucketSet:
    every = BucketSet()
    for rule in assignment.rules:
        every = every.union(rule.buckets)
    return every


def _values(buckets: BucketSet) -> tuple[str, ...] | None:
    """The values of two digits that these buckets are, whatever their own resolution; None if they are a part of one.

    Whoever writes the label may write a bucket of a hundred although the route has ten thousand.
    """
    numbers = list(buckets)
    whole = sorted({number[:_LABELLED] for number in numbers})
    width = len(numbers[0]) - _LABELLED if numbers else 0
    return tuple(whole) if numbers and width >= 0 and len(numbers) == len(whole) * 10**width else None


def _pattern(values: tuple[str, ...]) -> str:
    """With four digits the first two are the same bucket of a hundred."""
    return f"({'|'.join(values)})([0-9][0-9])?"


def _asked(check: Check, label: str | None) -> Check:
    """The check judged by nobody; added up over the ``label`` as it is asked about many buckets at once."""
    rule = check.rule.model_copy(update={"consecutive": 1_000_000_000})
    update: dict[str, object] = {"judges": (JudgeName.THRESHOLD,), "sequential": None, "rule": rule}
    if label is None:
        return check.model_copy(update=update)
    if isinstance(check, HistogramCheck):
        update["buckets"] = without(label, check.buckets)
    elif isinstance(check, RatioCheck):
        update |= {"total": without(label, check.total), "bad": without(label, check.bad)}
    return check.model_copy(update=update)
