"""What a replay reads: counts with their times, whatever file they come from."""

from collections.abc import Mapping
from typing import Protocol

from tailramp.assignment import Assignment
from tailramp.evidence.grid import Grid
from tailramp.evidence.shelf import Shelf
from tailramp.forms import SlotName
from tailramp.plan import Plan


class Source(Protocol):
    """Counts of all arms from unix time ``first`` to ``last``, one every ``step`` seconds."""

    first: int
    last: int
    step: int

    def show(self, shelf: Shelf, grid: Grid, index: int) -> None:
        """Show the books what was counted up to tick ``index`` of ``grid``, after the tick before it."""

    def shares(self, plan: Plan, at: int) -> Mapping[SlotName, float]:
        """The part of the users, 0 to 1, that each slot of the plan served in the stretch that begins at ``at``."""

    def served_from(self, assignment: Assignment, at: int) -> int | None:
        """When the recorded ramp began to serve ``assignment``, not before ``at``; None if it is not known to have."""
