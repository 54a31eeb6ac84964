"""What a replay reads: counts with their times, whatever file they come from."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from tailramp.assignment import Assignment
from tailramp.evidence.grid import Grid
from tailramp.evidence.kept import TimeBefore
from tailramp.evidence.shelf import Shelf
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.spec import RampSpec

LATEST: Final = 32_503_680_000
"""The year 3000, in unix seconds: larger numbers are milliseconds."""


class Wrong(Exception):
    """What is wrong at one place of a file: the field, why, what to write instead, and what stands there."""

    def __init__(self, field: str, reason: str, mend: str, value: str | None = None) -> None:
        super().__init__(reason)
        self.field, self.reason, self.mend, self.value = field, reason, mend, value


class Source(Protocol):
    """Counts of all arms from unix time ``first`` to ``last``, one every ``step`` seconds."""

    first: int
    last: int
    step: int

    def show(self, shelf: Shelf, grid: Grid, index: int) -> None:
        """Show the books what was counted up to tick ``index`` of ``grid``, after the tick before it."""

    def shares(self, plan: Plan, at: int) -> Mapping[SlotName, float]:
        """The part of the users, 0 to 1, that each slot of the plan served in the stretch that begins at ``at``."""

    def before(self, served: Assignment) -> TimeBefore | None:
        """What was known of the users before the recorded ramp, if ``served`` is what it began with."""

    def served_from(self, assignment: Assignment, at: int) -> int | None:
        """When the recorded ramp began to serve ``assignment``, not before ``at``; None if it is not known to have."""


def given_shares(plan: Plan, share: float) -> dict[SlotName, float]:
    """The part of the users of every slot if ``share``, 0 to 1, is that of all candidates together."""
    return {**dict.fromkeys(plan.slots, share / len(plan.slots)), plan.baseline: 1.0 - share}


def seats_of(
    spec: RampSpec, baseline: SlotName | None, tried: Sequence[SlotName] = ()
) -> tuple[SlotName, tuple[SlotName, ...]]:
    """The slot of the baseline, by default the first, and those of the candidates: the ``tried`` ones, then others."""
    slots = list(spec.platform.slots)
    default = baseline or slots[0]
    others = [slot for slot in dict.fromkeys([*tried, *slots]) if slot != default]
    return default, tuple(others[: len(spec.candidates)])
