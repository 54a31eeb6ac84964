"""All counts of a source on one time grid from beginning to end, whatever any policy decides on the way."""

from collections.abc import Mapping
from dataclasses import dataclass

from tailramp.checks import checks_by_slot, slot_match
from tailramp.evidence import RUN_UP, CheckBook, Grid
from tailramp.evidence.checks import Check
from tailramp.evidence.judge import CheckTick, JudgeName
from tailramp.evidence.shelf import Shelf
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.replay.source import Source
from tailramp.spec import RampSpec


@dataclass(frozen=True)
class Counted:
    """What one check saw of one candidate, tick after tick, the blind ones left out."""

    slot: SlotName
    check: Check
    ticks: tuple[CheckTick, ...]


def counted(spec: RampSpec, plan: Plan, source: Source) -> list[Counted]:
    """The counts of every check of every candidate of the plan."""
    grid = Grid(anchor=source.first, tick=int(spec.platform.checks.tick.total_seconds()))
    seen: dict[tuple[SlotName, str], list[CheckTick]] = {}
    checks: Mapping[SlotName, list[Check]] = {
        slot: [_unjudged(check) for check in own] for slot, own in checks_by_slot(spec, plan).items()
    }
    baseline = slot_match(spec.platform, plan.baseline)

    def take(slot: str, check: str, tick: CheckTick) -> None:
        if not tick.blind:
            seen.setdefault((slot, check), []).append(tick)

    shelf = Shelf(
        [CheckBook(own, [slot_match(spec.platform, slot)], baseline, grid, told=take) for slot, own in checks.items()]
    )
    shelf.speak_briefly(True)
    for index in range(-grid.ticks_in(RUN_UP), (source.last - grid.anchor) // grid.tick + 1):
        source.show(shelf, grid, index)
    return [
        Counted(slot, check, tuple(seen.get((slot, check.name), ()))) for slot, own in checks.items() for check in own
    ]


def _unjudged(check: Check) -> Check:
    """With a judge that never fails: one that has failed is shown nothing more."""
    rule = check.rule.model_copy(update={"consecutive": 1_000_000_000})
    return check.model_copy(update={"judges": (JudgeName.THRESHOLD,), "sequential": None, "rule": rule})
