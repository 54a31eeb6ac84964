"""What activities report to a ramp: each function returns the state after the report."""

import math
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from tailramp.assignment import Assignment
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.ramp.actions import is_final
from tailramp.ramp.causes import Cause, frozen, news, with_found
from tailramp.ramp.messages import paused, withdrawn
from tailramp.ramp.state import Began, Interval, RampState, Stretch
from tailramp.ramp.words import STANDING_BLOCKS, WATCHED_BLOCKS, Block, Phase, Reason, WatchOutcome


def preflight_passed(state: RampState, *, epoch: int, applied: Assignment, users: str | None = None) -> RampState:
    return state.model_copy(update={"phase": Phase.SHIFTING, "epoch": epoch, "applied": applied, "users": users})


def preflight_refused(state: RampState) -> RampState:
    return state.model_copy(update={"phase": Phase.REFUSED})


def shifted(state: RampState, applied: Assignment, now: datetime) -> RampState:
    """The step is served.  Its time grid starts on the next whole second, and anew when traffic has settled."""
    return state.with_blocks(
        state.blocked_by & STANDING_BLOCKS,
        phase=Phase.SETTLING,
        applied=applied,
        **_anchored(state, _next_second(now), applied),
        held=(),
    )


def shrink_wanted(state: RampState, assignment: Assignment) -> RampState:
    return state.model_copy(update={"shrink_to": assignment})


def shrunk(plan: Plan, state: RampState, applied: Assignment, now: datetime) -> RampState:
    """Users were taken back: the hold of what is left starts anew, or, if nobody is left, the next step is due."""
    done = state.model_copy(update={"shrink_to": None, "promoted_step": None, "room": None})
    if applied.rules:
        return shifted(done, applied, now)
    step = min(done.step, len(plan.steps))
    update = {"phase": Phase.SHIFTING, "step": step, "applied": applied, "held": ()}
    return done.model_copy(update=update)


def watched(
    plan: Plan,
    state: RampState,
    outcome: WatchOutcome,
    at: datetime,
    *,
    next_step: int | None = None,
    causes: Iterable[Cause] = (),
) -> RampState:
    """A watch ended with ``outcome`` on the tick at ``at``.  FAILED and BLIND are ``check_failed`` and ``stopped``.

    A hold that PASSED goes on to ``next_step``, by default the next one.  ``causes`` are those of an INCONCLUSIVE one.
    """
    if outcome is WatchOutcome.SETTLED and state.phase is Phase.SETTLING:
        held = () if state.paused else (Interval(start=at),)
        anchor = _next_second(at)
        return state.with_blocks(
            state.blocked_by & STANDING_BLOCKS,
            phase=Phase.HOLDING,
            held=held,
            **_anchored(state, anchor, state.applied),
        )
    if outcome is WatchOutcome.PASSED and state.phase is Phase.HOLDING:
        if plan.step(state.step).approval and state.promoted_step != state.step:
            return state.with_blocks(state.blocked_by & STANDING_BLOCKS | {Block.APPROVAL})
        return advanced(plan, state, next_step)
    if outcome is WatchOutcome.PASSED and state.phase is Phase.BAKING:
        return state.with_blocks(frozenset(), baked=True)
    if outcome is WatchOutcome.INCONCLUSIVE:
        return state.with_blocks(state.blocked_by | {Block.INCONCLUSIVE}, causes)
    return state


def blinded(state: RampState, causes: Iterable[Cause] = ()) -> RampState:
    """Nobody could look for too long, and the spec says to hold."""
    return state.with_blocks(state.blocked_by | {Block.BLIND}, causes)


def blocks_changed(state: RampState, blocks: frozenset[Block], causes: Iterable[Cause] = ()) -> RampState:
    """A watch saw ``blocks``, of those that a watch can see, and their ``causes``.

    After a freeze servers are asked for anew.
    """
    after = state.blocked_by - WATCHED_BLOCKS | blocks
    room = None if Block.FREEZE in state.blocked_by - after else state.room
    return state.with_blocks(after, causes, room=room)


def advanced(plan: Plan, state: RampState, next_step: int | None = None) -> RampState:
    """Leave the hold of the present step for ``next_step``, by default the next one, or for the promotion."""
    kept = state.blocked_by & {Block.FREEZE, Block.BUDGET}
    told = tuple(cause for cause in state.causes if cause.block in kept)
    cleared: dict[str, object] = {"held": (), "blocked_by": kept, "causes": told, "promoted_step": None}
    cleared |= {"tolerated": frozenset(), "acknowledged": False, "alerted": False}
    if state.tolerated:  # a person has decided to go on in spite of the evidence: it must not decide again
        cleared |= {"stretches": (), "evidence_since": None}
    if is_final(plan, state):
        return state
    if state.step == len(plan.steps):
        return state.model_copy(update={**cleared, "phase": Phase.PROMOTING})
    return state.model_copy(update={**cleared, "phase": Phase.SHIFTING, "step": next_step or state.step + 1})


def default_moved(state: RampState, applied: Assignment) -> RampState:
    return state.model_copy(update={"default_moved": True, "applied": applied})


def rules_removed(state: RampState, applied: Assignment, now: datetime) -> RampState:
    """The candidate is the default.  The bake starts, on a grid of its own."""
    anchor = _next_second(now)
    held = () if state.paused else (Interval(start=now),)
    update = {"phase": Phase.BAKING, "applied": applied, "held": held, **_anchored(state, anchor, applied)}
    return state.model_copy(update=update)


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
    causes: Collection[Cause] = (),
) -> RampState:
    """Checks of the candidates ``failed`` failed; ``causes`` says which.

    Those in ``automatic`` are taken out: withdrawn, or the ramp stops with the last of them.  For any other the ramp
    pauses and waits for a person, who has not seen a check that fails later.
    """
    slots = list(failed)
    state = withdrawn(plan, state, [slot for slot in slots if slot in automatic], Reason.UNHEALTHY, detail)
    waiting = {slot for slot in slots if slot not in automatic}
    if state.stop is not None or not (waiting - state.tolerated or (waiting and news(state.causes, causes))):
        return state
    known = with_found(state.causes, causes)
    update = {"tolerated": state.tolerated | waiting, "acknowledged": False, "causes": known}
    return paused(state, now).model_copy(update=update)


def taken_back(state: RampState, applied: Assignment) -> RampState:
    """A withdrawn candidate serves nobody any more.  Phase, hold and evidence of the others go on."""
    return state.model_copy(update={"applied": applied})


def rolling_back(state: RampState, epoch: int) -> RampState:
    update = {"phase": Phase.ROLLING_BACK, "epoch": epoch, "paused": False, "blocked_by": frozenset(), "causes": ()}
    return state.model_copy(update=update)


def rolled_back(state: RampState, applied: Assignment) -> RampState:
    return state.model_copy(update={"phase": Phase.ROLLED_BACK, "applied": applied})


def with_next_epoch(state: RampState) -> RampState:
    """Every write is decided at an epoch of its own, raised before it is scheduled."""
    return state.model_copy(update={"epoch": state.epoch + 1})


def room_made(state: RampState, assignment: Assignment) -> RampState:
    """There are servers enough for ``assignment``."""
    return state.with_blocks(state.blocked_by - {Block.CAPACITY}, room=assignment)


def room_missing(state: RampState, why: str) -> RampState:
    """The servers that the next step needs did not come in time: whoever is served stays, and they are waited for."""
    return state.with_blocks(state.blocked_by | {Block.CAPACITY}, [Cause.of(Block.CAPACITY, why)])


def freeze_met(state: RampState, why: str) -> RampState:
    """A shift was refused because the route is frozen: nothing has moved.  Nobody keeps its servers meanwhile."""
    return state.with_blocks(state.blocked_by | {Block.FREEZE}, [frozen(why)], room=None)


def freeze_looked_at(state: RampState) -> RampState:
    """Nobody says when a freeze is lifted: the shift is tried again, and what was told of the freeze stays told."""
    return blocks_changed(state, frozenset()).model_copy(update={"causes": state.causes})


def tries_again(state: RampState) -> bool:
    """Whether the next shift is one that met a freeze before, and is only to find out whether it still stands."""
    return Block.FREEZE not in state.blocked_by and any(cause.block is Block.FREEZE for cause in state.causes)


DAY = 86_400


def _anchored(state: RampState, anchor: int, served: Assignment | None) -> dict[str, Any]:
    """A new time grid starts at ``anchor``; the stretch of the one before is over, and with it perhaps a day."""
    if state.anchor is None or state.watched is None or state.evidence_since is None:
        first = state.anchor is None and served is not None
        began = Began(at=anchor, assignment=served) if first and served is not None else state.began
        return {"anchor": anchor, "watched": served, "evidence_since": anchor, "stretches": (), "began": began}
    settling = state.phase is Phase.SETTLING
    over = Stretch(anchor=state.anchor, until=anchor, assignment=state.watched, settling=settling)
    since = state.evidence_since + (anchor - state.evidence_since) // DAY * DAY
    return {
        "anchor": anchor,
        "watched": served,
        "evidence_since": since,
        "stretches": tuple(stretch for stretch in (*state.stretches, over) if stretch.until > since),
    }


def _next_second(now: datetime) -> int:
    return math.ceil(now.timestamp())
