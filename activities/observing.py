"""Prometheus as it goes on, as a source of counts: what `start --observe` judges by.

A recording has every tick already; here the next one has to be waited for. Everything else, from the judges to the
planner, is what a replay of the same counts would go through.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from activities.clock import Wall
from activities.metrics import PrometheusMetrics
from activities.surroundings import measured_rates
from activities.time_before import read_time_before
from tailramp.assignment import Assignment
from tailramp.errors import Refused, Unreachable
from tailramp.evidence import Grid, Reading, Verdict
from tailramp.evidence.kept import TimeBefore
from tailramp.evidence.shelf import Shelf
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.ramp import Began
from tailramp.spec import RampSpec
from tailramp.time_before import asked_before

_AT_ONCE: Final = 500
"""Ticks of the past that are asked for together at most."""


async def shares_served(spec: RampSpec, plan: Plan) -> dict[SlotName, float]:
    """Each slot's part, 0 to 1, of the answers of the last five minutes.

    Raises Unreachable if Prometheus does not tell, Refused while one of the slots serves nobody.
    """
    slots = (plan.baseline, *plan.slots)
    measured = [await measured_rates(spec, slot) for slot in slots]
    for check in measured[0].rates:
        rates = [of_slot.rates[check] for of_slot in measured]
        if any(rate is None for rate in rates):
            continue
        known = {slot: rate or 0.0 for slot, rate in zip(slots, rates, strict=True)}
        if idle := [slot for slot in slots if known[slot] <= 0]:
            raise Refused(
                f"{', '.join(idle)} answered nobody in the last 5 minutes: observing needs somebody to send users there"
            )
        total = sum(known.values())
        return {slot: rate / total for slot, rate in known.items()}
    faults = next((of_slot.faults for of_slot in measured if of_slot.faults), {})
    raise Unreachable(next(iter(faults.values()), "no check can be asked"))


async def users_before(metrics: PrometheusMetrics, spec: RampSpec, plan: Plan, at: int) -> TimeBefore | None:
    """What a ramp that began at unix time ``at`` would know of its users; None if nothing.

    Somebody else has moved the users, and may have moved others than the first step would: a check tells of them only
    if the candidate now answers the users of the first step, and nobody else whom it counts.
    """
    began = Began(at=at, assignment=plan.steps[0].assignment)
    asked, earlier = asked_before(spec, plan, began), await read_time_before(metrics, spec, plan, began)
    if asked is None or earlier is None:
        return None
    kept = {}
    for slot, known in earlier.kept.items():
        everyone = await measured_rates(spec, slot)
        others = await measured_rates(spec, slot, matcher=asked.matchers[slot].replace("=~", "!~", 1))
        sure = {name for name in known if everyone.rates.get(name) and others.rates.get(name) == 0}
        kept[slot] = {name: counts for name, counts in known.items() if name in sure}
    return earlier.model_copy(update={"kept": {slot: known for slot, known in kept.items() if known}})


class LiveCounts:
    """See ``Source``: from now on until ``last``, each tick as soon as it can be asked for.

    ``run`` carries a coroutine out and blocks; ``told`` hears every verdict at the time of its tick.
    """

    def __init__(
        self,
        metrics: PrometheusMetrics,
        spec: RampSpec,
        shares: Mapping[SlotName, float],
        *,
        first: int,
        last: int,
        wall: Wall,
        run: Callable[..., None],
        told: Callable[[int, Sequence[Verdict]], None],
    ) -> None:
        self.first, self.last = first, last
        self.step = int(spec.platform.checks.tick.total_seconds())
        self._metrics, self._lag, self._shares = metrics, spec.platform.prometheus.lag, shares
        self._wall, self._run, self._told = wall, run, told
        self._ahead: dict[int, Reading] = {}
        self._asking: Shelf | None = None

    def show(self, shelf: Shelf, grid: Grid, index: int) -> None:
        """See ``Source``."""
        if shelf is not self._asking:
            self._asking, self._ahead = shelf, {}
        self._run(self._show(shelf, grid, index))
        self._told(grid.time(index), shelf.verdicts)

    def shares(self, plan: Plan, at: int) -> Mapping[SlotName, float]:  # noqa: ARG002 - as they were measured once
        """See ``Source``."""
        return self._shares

    def before(self, served: Assignment) -> TimeBefore | None:  # noqa: ARG002
        """See ``Source``: nothing was recorded; what Prometheus knows is asked for by ``users_before``."""
        return None

    def served_from(self, assignment: Assignment, at: int) -> int | None:
        """See ``Source``: nobody serves what this ramp would."""

    async def _show(self, shelf: Shelf, grid: Grid, index: int) -> None:
        at = grid.time(index)
        due = grid.last_due(self._wall(), self._lag)
        if due > index and at not in self._ahead:
            self._ahead = await self._range(shelf, grid, index, min(due, index + _AT_ONCE))
        if (known := self._ahead.pop(at, None)) is not None:
            shelf.take(known)
            return
        await asyncio.sleep(max(0.0, grid.askable_at(index, self._lag) - self._wall()))
        reading = await self._metrics.read(shelf.checks, shelf.slots, at)
        first = shelf.behind(reading)
        if first is not None:
            for missed in (await self._range(shelf, grid, first, index - 1)).values():
                shelf.take(missed)
        shelf.take(reading)

    async def _range(self, shelf: Shelf, grid: Grid, first: int, last: int) -> dict[int, Reading]:
        start, end = grid.time(first), grid.time(last)
        readings = await self._metrics.read_range(shelf.checks, shelf.slots, start, end, grid.tick)
        return {reading.at: reading for reading in readings}
