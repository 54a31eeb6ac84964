"""What a ramp does next: the whole decision logic as pure functions.

A ramp is a state that changes by events (a message from a person, the end of an activity) and a function,
``next_action``, that says what to do in a state.  The workflow only carries the two out.  Nothing here waits, so every
combination of phase, message and verdict is a row of a table test.

The phases::

    PREFLIGHT → SHIFTING → SETTLING → HOLDING (per step) → PROMOTING → BAKING → SUCCEEDED
    any of these → ROLLING_BACK (→ ROLLBACK_UNVERIFIED while the proof is missing) → ROLLED_BACK
    REFUSED: preflight found that it cannot work.   SUPERSEDED: a newer ramp holds the route.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, field_serializer

from tailramp.assignment import Assignment, SlotName
from tailramp.plan import Plan, Step


class Phase(StrEnum):
    PREFLIGHT = "PREFLIGHT"
    SHIFTING = "SHIFTING"
    SETTLING = "SETTLING"
    HOLDING = "HOLDING"
    PROMOTING = "PROMOTING"
    BAKING = "BAKING"
    SUCCEEDED = "SUCCEEDED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLBACK_UNVERIFIED = "ROLLBACK_UNVERIFIED"
    ROLLED_BACK = "ROLLED_BACK"
    REFUSED = "REFUSED"
    SUPERSEDED = "SUPERSEDED"

    @property
    def is_terminal(self) -> bool:
        return self in {Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.REFUSED, Phase.SUPERSEDED}

    @property
    def is_rollback(self) -> bool:
        return self in {Phase.ROLLING_BACK, Phase.ROLLBACK_UNVERIFIED, Phase.ROLLED_BACK}


class Reason(StrEnum):
    """Why a ramp ended.  Closed: a new way to end is a new member, never free text."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    TARGET_EMPTIED = "target_emptied"
    OPERATOR_ABORT = "operator_abort"
    CANCELLED = "cancelled"
    UNHEALTHY = "unhealthy"
    ALERT = "alert"
    BLIND = "blind"
    BUDGET_EXHAUSTED = "budget_exhausted"
    DRIFT = "drift"
    LEASE_LAPSED = "lease_lapsed"
    KILLED = "killed"
    FENCED = "fenced"
    SUPERSEDED = "superseded"
    ACTIVITY_FAILED = "activity_failed"


class Block(StrEnum):
    """Why a ramp that is not paused does not advance."""

    APPROVAL = "approval"
    INCONCLUSIVE = "inconclusive"
    BLIND = "blind"
    SHARED_INCIDENT = "shared_incident"
    BUDGET = "budget"
    DRIFT = "drift"
    FREEZE = "freeze"


class SpendWord(StrEnum):
    """How the day's spend stands against its cap."""

    WITHIN = "within"
    UNKNOWN = "unknown"
    EXHAUSTED = "exhausted"


WATCHED_BLOCKS = frozenset({Block.BLIND, Block.SHARED_INCIDENT, Block.DRIFT, Block.FREEZE})
"""The blocks that a watch sees come and go; the others end by a person, or with the step."""


STANDING_BLOCKS = frozenset({Block.APPROVAL, Block.BUDGET})
"""The blocks that neither a watch nor a new step ends, only somebody's word."""


class WatchMode(StrEnum):
    SETTLE = "settle"
    HOLD = "hold"
    GUARD = "guard"
    BAKE = "bake"


class WatchOutcome(StrEnum):
    """Why a watch came back."""

    SETTLED = "settled"
    PASSED = "passed"
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"
    BLIND = "blind"
    BLOCKS_CHANGED = "blocks_changed"
    SEGMENT_OVER = "segment_over"


class Interval(BaseModel):
    """A stretch of time in which the hold's clock ran; ``end`` None means that it is running."""

    model_config = ConfigDict(frozen=True)

    start: datetime
    end: datetime | None = None


def clock(held: tuple[Interval, ...], at: datetime) -> timedelta:
    """How much of a hold had passed at ``at``."""
    return sum((max(min(i.end or at, at) - i.start, timedelta()) for i in held), timedelta())


class RampState(BaseModel):
    """Everything that must survive a crash or a continue-as-new.

    ``anchor`` is the whole second on which the time grid of the present step (or of the bake) starts.
    ``promoted_step`` is the step that a person promoted; at any other step it means nothing.  ``tolerated`` are the
    candidates whose failed check is waiting for a person (``autoRollback: false``) and must not be reported again;
    ``acknowledged`` that a person has seen it.  ``alerted``: the approval that it waits for is because of somebody
    else's alert.  ``withdrawn`` are the candidates that left a ramp which goes on with others, and why; all others are
    ACTIVE.
    """

    model_config = ConfigDict(frozen=True)

    phase: Phase = Phase.PREFLIGHT
    step: int = 1
    paused: bool = False
    blocked_by: frozenset[Block] = frozenset()
    stop: Reason | None = None
    stop_detail: str = ""
    epoch: int = 0
    applied: Assignment | None = None
    anchor: int | None = None
    held: tuple[Interval, ...] = ()
    promoted_step: int | None = None
    full: bool = False
    shrink_to: Assignment | None = None
    tolerated: frozenset[SlotName] = frozenset()
    acknowledged: bool = False
    alerted: bool = False
    withdrawn: dict[SlotName, Reason] = {}
    default_moved: bool = False
    baked: bool = False

    @field_serializer("blocked_by", "tolerated")
    def _in_order(self, members: frozenset[str]) -> list[str]:
        """A set has no order of its own, and what goes into history must not depend on one."""
        return sorted(members)


@dataclass(frozen=True)
class RunPreflight:
    """Check everything, take the route over, make the plan."""


@dataclass(frozen=True)
class Shift:
    """Apply the step's assignment and prove by responses that the gateway serves it."""

    step: Step


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
            held = _may_not_grow(state) or Block.APPROVAL in state.blocked_by
            return Watch(WatchMode.GUARD) if held else MoveDefault()
        case Phase.BAKING if state.baked:
            return EndHoldBack() if state.applied != plan.promoted else Conclude()
        case Phase.BAKING:
            return Watch(WatchMode.GUARD if state.paused else WatchMode.BAKE)
    raise AssertionError(f"no action is defined in {state.phase}")


def _shifting(plan: Plan, state: RampState) -> Action:
    if not _may_not_grow(state):
        return Shift(plan.step(state.step))
    return Watch(WatchMode.GUARD) if _somebody_is_served(plan, state) else AwaitPerson()


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


def _may_not_grow(state: RampState) -> bool:
    return state.paused or bool(state.blocked_by & {Block.FREEZE, Block.BUDGET})


def _somebody_is_served(plan: Plan, state: RampState) -> bool:
    return state.applied is not None and plan.share_in(state.applied) > 0


def is_final(plan: Plan, state: RampState) -> bool:
    """True at the last step of a ramp that does not promote: it holds until somebody changes the target."""
    return state.step == len(plan.steps) and not plan.promotes


# Events: what activities and people report.  Each returns the state after it.


def preflight_passed(state: RampState, *, epoch: int, applied: Assignment) -> RampState:
    return state.model_copy(update={"phase": Phase.SHIFTING, "epoch": epoch, "applied": applied})


def preflight_refused(state: RampState) -> RampState:
    return state.model_copy(update={"phase": Phase.REFUSED})


def shifted(state: RampState, applied: Assignment, now: datetime) -> RampState:
    """The step is served.  Its time grid starts on the next whole second, and anew when traffic has settled."""
    return state.model_copy(
        update={
            "phase": Phase.SETTLING,
            "applied": applied,
            "anchor": _next_second(now),
            "held": (),
            "blocked_by": state.blocked_by & STANDING_BLOCKS,
        }
    )


def shrink_wanted(state: RampState, assignment: Assignment) -> RampState:
    return state.model_copy(update={"shrink_to": assignment})


def shrunk(plan: Plan, state: RampState, applied: Assignment, now: datetime) -> RampState:
    """Users were taken back: the hold of what is left starts anew, or, if nobody is left, the next step is due."""
    done = state.model_copy(update={"shrink_to": None, "promoted_step": None})
    if applied.rules:
        return shifted(done, applied, now)
    step = min(done.step, len(plan.steps))
    update = {"phase": Phase.SHIFTING, "step": step, "applied": applied, "held": ()}
    return done.model_copy(update=update)


def watched(plan: Plan, state: RampState, outcome: WatchOutcome, at: datetime) -> RampState:
    """A watch ended with ``outcome`` on the tick at ``at``.  FAILED and BLIND are ``check_failed`` and ``stopped``."""
    if outcome is WatchOutcome.SETTLED and state.phase is Phase.SETTLING:
        held = () if state.paused else (Interval(start=at),)
        anchor = _next_second(at)
        return state.model_copy(
            update={
                "phase": Phase.HOLDING,
                "held": held,
                "anchor": anchor,
                "blocked_by": state.blocked_by & STANDING_BLOCKS,
            }
        )
    if outcome is WatchOutcome.PASSED and state.phase is Phase.HOLDING:
        if plan.step(state.step).approval and state.promoted_step != state.step:
            return state.model_copy(update={"blocked_by": state.blocked_by & STANDING_BLOCKS | {Block.APPROVAL}})
        return advanced(plan, state)
    if outcome is WatchOutcome.PASSED and state.phase is Phase.BAKING:
        return state.model_copy(update={"baked": True, "blocked_by": frozenset()})
    if outcome is WatchOutcome.INCONCLUSIVE:
        return state.model_copy(update={"blocked_by": state.blocked_by | {Block.INCONCLUSIVE}})
    return state


def blinded(state: RampState) -> RampState:
    """Nobody could look for too long, and the spec says to hold."""
    return state.model_copy(update={"blocked_by": state.blocked_by | {Block.BLIND}})


def blocks_changed(state: RampState, blocks: frozenset[Block]) -> RampState:
    """A watch saw ``blocks``, of those that a watch can see."""
    return state.model_copy(update={"blocked_by": state.blocked_by - WATCHED_BLOCKS | blocks})


def advanced(plan: Plan, state: RampState) -> RampState:
    """Leave the hold of the present step for the next step, or for the promotion."""
    kept = state.blocked_by & {Block.FREEZE, Block.BUDGET}
    cleared: dict[str, object] = {"held": (), "blocked_by": kept, "promoted_step": None}
    cleared |= {"tolerated": frozenset(), "acknowledged": False, "alerted": False}
    if is_final(plan, state):
        return state
    if state.step == len(plan.steps):
        return state.model_copy(update={**cleared, "phase": Phase.PROMOTING})
    return state.model_copy(update={**cleared, "phase": Phase.SHIFTING, "step": state.step + 1})


def default_moved(state: RampState, applied: Assignment) -> RampState:
    return state.model_copy(update={"default_moved": True, "applied": applied})


def rules_removed(state: RampState, applied: Assignment, now: datetime) -> RampState:
    """The candidate is the default.  The bake starts, on a grid of its own."""
    anchor = _next_second(now)
    held = () if state.paused else (Interval(start=now),)
    return state.model_copy(update={"phase": Phase.BAKING, "applied": applied, "anchor": anchor, "held": held})


def hold_back_ended(state: RampState, applied: Assignment) -> RampState:
    return state.model_copy(update={"applied": applied})


def concluded(state: RampState) -> RampState:
    return state.model_copy(update={"phase": Phase.SUCCEEDED})


def check_failed(
    plan: Plan,
    state: RampState,
    failed: Iterable[SlotName],
    detail: str,
    *,
    automatic: Collection[SlotName],
    now: datetime,
) -> RampState:
    """Checks of the candidates ``failed`` failed.

    Those in ``automatic`` are taken out: withdrawn, or the ramp stops with the last of them.  For any other the ramp
    pauses and waits for a person.
    """
    slots = list(failed)
    state = withdrawn(plan, state, [slot for slot in slots if slot in automatic], Reason.UNHEALTHY, detail)
    waiting = {slot for slot in slots if slot not in automatic} - state.tolerated
    if waiting and state.stop is None:
        return paused(state, now).model_copy(update={"tolerated": state.tolerated | waiting, "acknowledged": False})
    return state


def withdrawn(plan: Plan, state: RampState, slots: Collection[SlotName], reason: Reason, detail: str) -> RampState:
    """The candidates ``slots`` leave the ramp, for ``reason``; with the last active one the ramp stops."""
    leaving = [slot for slot in plan.slots if slot in slots]
    if not leaving or state.stop is not None or state.phase.is_terminal:
        return state
    if len(leaving) == len(plan.slots):
        return stopped(state, reason, detail)
    return state.model_copy(update={"withdrawn": {**state.withdrawn, **dict.fromkeys(leaving, reason)}})


def taken_back(state: RampState, applied: Assignment) -> RampState:
    """A withdrawn candidate serves nobody any more.  Phase, hold and evidence of the others go on."""
    return state.model_copy(update={"applied": applied})


def stopped(state: RampState, reason: Reason, detail: str = "") -> RampState:
    """The first reason stays: whatever comes later did not cause the stop."""
    if state.stop is not None or state.phase.is_terminal:
        return state
    return state.model_copy(update={"stop": reason, "stop_detail": detail})


def rolling_back(state: RampState, epoch: int) -> RampState:
    return state.model_copy(
        update={"phase": Phase.ROLLING_BACK, "epoch": epoch, "paused": False, "blocked_by": frozenset()}
    )


def rolled_back(state: RampState, applied: Assignment) -> RampState:
    return state.model_copy(update={"phase": Phase.ROLLED_BACK, "applied": applied})


def with_next_epoch(state: RampState) -> RampState:
    """Every write is decided at an epoch of its own, raised before it is scheduled."""
    return state.model_copy(update={"epoch": state.epoch + 1})


def paused(state: RampState, now: datetime) -> RampState:
    """Refused in a rollback, where there is nothing to hold back, and after the end."""
    if state.phase.is_terminal or state.phase.is_rollback or state.stop is not None or state.paused:
        return state
    held = tuple(i if i.end is not None else Interval(start=i.start, end=max(i.start, now)) for i in state.held)
    return state.model_copy(update={"paused": True, "held": held})


def resumed(state: RampState, now: datetime) -> RampState:
    if not state.paused or state.phase.is_terminal:
        return state
    held = state.held
    if state.phase in {Phase.HOLDING, Phase.BAKING}:
        held = (*held, Interval(start=now))
    return state.model_copy(update={"paused": False, "held": held, "tolerated": frozenset()})


def promoted(state: RampState, step: int, *, full: bool = False) -> RampState:
    """Skips the rest of the hold of ``step``, the one that the person saw; at any other it is ignored.

    ``full`` skips the holds of all steps up to the target, but for those that want an approval of their own.  Settling
    is not skipped, and guards still apply.
    """
    if step != state.step or state.stop is not None:
        return state
    if state.phase is Phase.PROMOTING and Block.APPROVAL in state.blocked_by:
        return state.model_copy(update={"blocked_by": state.blocked_by - {Block.APPROVAL}, "alerted": False})
    if state.phase not in {Phase.SHIFTING, Phase.SETTLING, Phase.HOLDING}:
        return state
    return state.model_copy(update={"promoted_step": step, "full": state.full or full})


def alerted(plan: Plan | None, state: RampState, name: str, *, attributed: bool, slot: SlotName | None) -> RampState:
    """A firing alert.  One that is a candidate's fault takes that one out, or all if it names none; any other holds the
    ramp until a person looks."""
    if attributed and plan is not None and slot in plan.slots:
        return withdrawn(plan, state, (slot,), Reason.ALERT, f"alert {name}")
    if attributed:
        return stopped(state, Reason.ALERT, f"alert {name}")
    if state.phase.is_terminal or state.phase.is_rollback:
        return state
    gate = Block.APPROVAL in state.blocked_by and not state.alerted
    blocked = state.blocked_by | {Block.APPROVAL}
    update = {"blocked_by": blocked, "promoted_step": None, "full": False, "alerted": not gate}
    return state.model_copy(update=update)


def spent(state: RampState, word: SpendWord, detail: str) -> RampState:
    """Over the cap everyone goes back.  A spend that nobody knows is not zero: the ramp holds until it is known."""
    if word is SpendWord.EXHAUSTED:
        return stopped(state, Reason.BUDGET_EXHAUSTED, detail)
    if state.phase.is_terminal or state.phase.is_rollback or state.stop is not None:
        return state
    blocked = state.blocked_by | {Block.BUDGET} if word is SpendWord.UNKNOWN else state.blocked_by - {Block.BUDGET}
    return state if blocked == state.blocked_by else state.model_copy(update={"blocked_by": blocked})


def acknowledged(state: RampState) -> RampState:
    """A person has seen what holds the ramp: an alert holds it no longer, a failed check is known.

    Neither skips anything: the hold goes on with its checks, and a pause lasts until it is resumed.
    """
    if state.alerted and Block.APPROVAL in state.blocked_by:
        return state.model_copy(update={"blocked_by": state.blocked_by - {Block.APPROVAL}, "alerted": False})
    if state.tolerated and not state.acknowledged:
        return state.model_copy(update={"acknowledged": True})
    return state


def freeze_met(state: RampState) -> RampState:
    """A shift was refused because the route is frozen: nothing has moved."""
    return state.model_copy(update={"blocked_by": state.blocked_by | {Block.FREEZE}})


def _next_second(now: datetime) -> int:
    return math.ceil(now.timestamp())
