"""What a ramp has learnt so far about its candidates, made ready for the step that it is at."""

from tailramp.assignment import Assignment
from tailramp.checks import checks_by_slot, slot_match
from tailramp.evidence import CheckBook, Grid
from tailramp.evidence.page import Told
from tailramp.evidence.sequential.dossier import Dossier
from tailramp.evidence.sequential.user_sets import UserSets
from tailramp.evidence.shelf import Shelf
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.spec import RampSpec

Dossiers = dict[tuple[SlotName, str], Dossier]
"""By slot and name of the check."""


def filing_shelf_of(
    spec: RampSpec, plan: Plan, grid: Grid, dossiers: Dossiers, *, settling: bool, told: Told | None = None
) -> Shelf | None:
    """Books that fill the dossiers with a stretch of time that is over; None if there is nothing to fill.

    ``told`` hears of every tick that they take.
    """
    baseline = slot_match(spec.platform, plan.baseline)
    books = []
    for slot, checks in checks_by_slot(spec, plan).items():
        filed = [check for check in checks if check.is_sequential and (check.in_settle or not settling)]
        if filed:
            candidate = [slot_match(spec.platform, slot)]
            books.append(CheckBook(filed, candidate, baseline, grid, dossiers=dossiers, filing=True, told=told))
    return Shelf(books) if books else None


def dossiers_of(spec: RampSpec, plan: Plan, since: int) -> Dossiers:
    """New dossiers of all sequential checks; ``since``: unix time at which the first day of evidence began."""
    return {
        (slot, check.name): check.dossier(since)
        for slot, checks in checks_by_slot(spec, plan).items()
        for check in checks
        if check.is_sequential
    }


def begin_stretch(dossiers: Dossiers, assignment: Assignment, baseline: SlotName, at: int) -> None:
    """From unix time ``at`` on ``assignment`` is served."""
    for (candidate, _), dossier in dossiers.items():
        dossier.begin(UserSets(*shares_in(assignment, candidate, baseline)), at)


def shares_in(assignment: Assignment, candidate: SlotName, baseline: SlotName) -> tuple[float, float]:
    """The candidate's and the baseline's part of the users, in %."""
    return 100 * assignment.share_of(candidate), 100 * assignment.share_of(baseline)
