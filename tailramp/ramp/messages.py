"""What people, alerts and meters say to a ramp: each function returns the state after the word.

A word that means nothing now returns the very same state.
"""

from collections.abc import Collection
from datetime import datetime

from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.ramp.causes import Cause, news
from tailramp.ramp.state import Interval, RampState
from tailramp.ramp.words import Block, Phase, Reason, SpendWord


def stopped(state: RampState, reason: Reason, detail: str = "") -> RampState:
    """The first reason stays: whatever comes later did not cause the stop."""
    if state.stop is not None or state.phase.is_terminal:
        return state
    return state.model_copy(update={"stop": reason, "stop_detail": detail})


def paused(state: RampState, now: datetime) -> RampState:
    """Refused in a rollback, where there is nothing to hold back, and after the end."""
    if state.phase.is_terminal or state.phase.is_rollback or state.stop is not None or state.paused:
        return state
    held = tuple(i if i.end is not None else Interval(start=i.start, end=max(i.start, now)) for i in state.held)
    return state.model_copy(update={"paused": True, "held": held})


def resumed(state: RampState, now: datetime) -> RampState:
    """Servers that were there before a pause may be gone: they are asked for anew."""
    if not state.paused or state.phase.is_terminal:
        return state
    held = state.held
    if state.phase in {Phase.HOLDING, Phase.BAKING}:
        held = (*held, Interval(start=now))
    known = tuple(cause for cause in state.causes if cause.block is not None)
    update = {"paused": False, "held": held, "tolerated": frozenset(), "causes": known, "room": None}
    return state.model_copy(update=update)


def promoted(state: RampState, step: int, *, full: bool = False) -> RampState:
    """Skips the rest of the hold of ``step``, the one that the person saw; at any other it is ignored.

    ``full`` skips the holds of all steps up to the target, but for those that want an approval of their own.  Settling
    is not skipped, and guards still apply.
    """
    if step != state.step or state.stop is not None:
        return state
    if state.phase is Phase.PROMOTING and Block.APPROVAL in state.blocked_by:
        return state.with_blocks(state.blocked_by - {Block.APPROVAL}, alerted=False)
    if state.phase not in {Phase.SHIFTING, Phase.SETTLING, Phase.HOLDING}:
        return state
    return state.model_copy(update={"promoted_step": step, "full": state.full or full})


def alerted(plan: Plan | None, state: RampState, name: str, *, attributed: bool, slot: SlotName | None) -> RampState:
    """A firing alert.  One that is a candidate's fault takes that one out, or all if it names none; any other holds the
    ramp until a person looks.  While it does so, the same alert again is no news."""
    if attributed and plan is not None and slot in plan.slots:
        return withdrawn(plan, state, (slot,), Reason.ALERT, f"alert {name}")
    if attributed:
        return stopped(state, Reason.ALERT, f"alert {name}")
    if state.phase.is_terminal or state.phase.is_rollback:
        return state
    gate = Block.APPROVAL in state.blocked_by and not state.alerted
    cause = Cause.of(Block.APPROVAL, f"alert {name}", key=f"alert {name}")
    after = state.with_blocks(
        state.blocked_by | {Block.APPROVAL}, [cause], promoted_step=None, full=False, alerted=not gate
    )
    return state if after == state else after


def withdrawn(plan: Plan, state: RampState, slots: Collection[SlotName], reason: Reason, detail: str) -> RampState:
    """The candidates ``slots`` leave the ramp, for ``reason``; with the last active one the ramp stops."""
    leaving = [slot for slot in plan.slots if slot in slots]
    if not leaving or state.stop is not None or state.phase.is_terminal:
        return state
    if len(leaving) == len(plan.slots):
        return stopped(state, reason, detail)
    return state.model_copy(update={"withdrawn": {**state.withdrawn, **dict.fromkeys(leaving, reason)}})


def spent(state: RampState, word: SpendWord, detail: str) -> RampState:
    """Over the cap everyone goes back.  A spend that nobody knows is not zero: the ramp holds until it is known, and
    says so once for each reason for which it is not.

    Servers that were there before that may be gone: they are asked for anew.
    """
    if word is SpendWord.EXHAUSTED:
        return stopped(state, Reason.BUDGET_EXHAUSTED, detail)
    if state.phase.is_terminal or state.phase.is_rollback or state.stop is not None:
        return state
    unknown = word is SpendWord.UNKNOWN
    blocked = state.blocked_by | {Block.BUDGET} if unknown else state.blocked_by - {Block.BUDGET}
    found = [Cause.of(Block.BUDGET, detail)] if unknown and detail else []
    if blocked == state.blocked_by and not news(state.causes, found):
        return state
    room = state.room if blocked == state.blocked_by else None
    return state.with_blocks(blocked, found, room=room)


def acknowledged(state: RampState) -> RampState:
    """A person has seen what holds the ramp: an alert holds it no longer, a failed check is known.

    Neither skips anything: the hold goes on with its checks, and a pause lasts until it is resumed.
    """
    if state.alerted and Block.APPROVAL in state.blocked_by:
        return state.with_blocks(state.blocked_by - {Block.APPROVAL}, alerted=False)
    if state.tolerated and not state.acknowledged:
        return state.model_copy(update={"acknowledged": True})
    return state
