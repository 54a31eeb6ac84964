"""What to do next: from a plan and a state to one action."""

from dataclasses import dataclass

from tailramp.assignment import Assignment
from tailramp.forms import SlotName
from tailramp.plan import Plan, Step
from tailramp.ramp.state import RampState
from tailramp.ramp.words import STANDING_BLOCKS, Block, Phase, Reason, WatchMode


@dataclass(frozen=True)
class RunPreflight:
    """Check everything, take the route over, make the plan."""


@dataclass(frozen=True)
class Shift:
    """Apply the step's assignment and prove by responses that the gateway serves it."""

    step: Step


@dataclass(frozen=True)
class MakeRoom:
    """Have the servers that ``assignment`` needs before it is served; whoever is served meanwhile is watched on."""

    assignment: Assignment
    watched: bool


@dataclass(frozen=True)
class Shrink:
    """Take users back whom the target no longer names, paused or not."""

    assignment: Assignment


@dataclass(frozen=True)
class Withdraw:
    """Take back the users of candidates that left the ramp; the others go on as if nothing had been."""

    slots: tuple[SlotName, ...]
    assignment: Assignment


@dataclass(frozen=True)
class Watch:
    """Look at all checks until there is something to decide."""

    mode: WatchMode


@dataclass(frozen=True)
class Advance:
    """Leave the hold: nothing has to be done in the world for that."""


@dataclass(frozen=True)
class MoveDefault:
    """Make the candidate's slot the default while its rule stands."""


@dataclass(frozen=True)
class RemoveRules:
    """The default serves everyone: the rule has nothing left to do."""


@dataclass(frozen=True)
class EndHoldBack:
    """The bake is over: whoever was held back follows."""


@dataclass(frozen=True)
class Conclude:
    """The bake is over: what is the default now is the baseline of the next ramp."""


@dataclass(frozen=True)
class AwaitPerson:
    """Paused or frozen before anybody is served: there is nothing to watch."""


@dataclass(frozen=True)
class RollBack:
    reason: Reason


@dataclass(frozen=True)
class Finish:
    phase: Phase


Action = (
    RunPreflight
    | Shift
    | MakeRoom
    | Shrink
    | Withdraw
    | Watch
    | Advance
    | MoveDefault
    | RemoveRules
    | EndHoldBack
    | Conclude
    | AwaitPerson
    | RollBack
    | Finish
)


_INCIDENTS = frozenset({Block.BLIND, Block.SHARED_INCIDENT, Block.DRIFT})


def next_action(plan: Plan | None, state: RampState) -> Action:
    """What to do now.  ``plan`` is None only before preflight has made it."""
    if state.phase.is_terminal:
        return Finish(state.phase)
    if state.stop is not None:
        return RollBack(state.stop)
    if plan is None:
        return RunPreflight()
    if state.shrink_to is not None:
        return Shrink(state.shrink_to)
    if state.applied is not None and (leaving := _still_served(state)):
        return Withdraw(leaving, state.applied.without(leaving))
    match state.phase:
        case Phase.SHIFTING:
            return _shifting(plan, state)
        case Phase.SETTLING:
            return Watch(WatchMode.GUARD if state.paused else WatchMode.SETTLE)
        case Phase.HOLDING:
            return _holding(plan, state)
        case Phase.PROMOTING if state.default_moved:
            return RemoveRules()
        case Phase.PROMOTING:
            held = _may_not_grow(state) or state.blocked_by & {Block.APPROVAL, *_INCIDENTS}
            if held:
                return Watch(WatchMode.GUARD)
            return MoveDefault() if has_room(plan, state, plan.promoting) else MakeRoom(plan.promoting, watched=True)
        case Phase.BAKING if state.baked:
            return EndHoldBack() if state.applied != plan.promoted else Conclude()
        case Phase.BAKING:
            return Watch(WatchMode.GUARD if state.paused else WatchMode.BAKE)
    raise AssertionError(f"no action is defined in {state.phase}")


def _shifting(plan: Plan, state: RampState) -> Action:
    watched = _somebody_is_served(plan, state)
    if _may_not_grow(state):
        return Watch(WatchMode.GUARD) if watched else AwaitPerson()
    step = plan.step(state.step)
    if watched and state.blocked_by & _INCIDENTS:  # seen while servers were waited for
        return Watch(WatchMode.GUARD)
    return Shift(step) if has_room(plan, state, step.assignment) else MakeRoom(step.assignment, watched)


def _holding(plan: Plan, state: RampState) -> Action:
    if state.paused:
        return Watch(WatchMode.GUARD)
    skipped = state.promoted_step == state.step or (state.full and not plan.step(state.step).approval)
    if skipped and not is_final(plan, state):
        return Advance()
    return Watch(WatchMode.GUARD if state.blocked_by & STANDING_BLOCKS else WatchMode.HOLD)


def _still_served(state: RampState) -> tuple[SlotName, ...]:
    """Withdrawn candidates whose rules still stand."""
    rules = state.applied.rules if state.applied is not None else ()
    return tuple(rule.slot for rule in rules if rule.slot in state.withdrawn)


def has_room(plan: Plan, state: RampState, assignment: Assignment) -> bool:
    """Whether ``assignment`` may be served as far as servers go: they were found to be there, or are none of ours."""
    return not plan.needs_room or state.room == assignment


def _may_not_grow(state: RampState) -> bool:
    return state.paused or bool(state.blocked_by & {Block.FREEZE, Block.BUDGET})


def _somebody_is_served(plan: Plan, state: RampState) -> bool:
    return state.applied is not None and plan.share_in(state.applied) > 0


def is_final(plan: Plan, state: RampState) -> bool:
    """True at the last step of a ramp that does not promote: it holds until somebody changes the target."""
    return state.step == len(plan.steps) and not plan.promotes
