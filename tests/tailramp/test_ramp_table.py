"""The decision logic row by row: every report, every message, every outcome."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ramp_states import BLUE, FORWARD, NOON, ROLLBACK, TERMINAL, at, in_phase

from tailramp import ramp
from tailramp.plan import Plan
from tailramp.ramp import Block, Interval, Phase, RampState, Reason, SpendWord, WatchMode, WatchOutcome

# What activities report.


def test_a_ramp_goes_through_its_phases_in_order(promoting: Plan) -> None:
    state = ramp.preflight_passed(RampState(), epoch=8, applied=BLUE)
    seen = [state.phase]
    for step in promoting.steps:
        assert ramp.next_action(promoting, state) == ramp.Shift(step)
        state = ramp.shifted(state, step.assignment, at(1))
        seen.append(state.phase)
        state = ramp.watched(promoting, state, WatchOutcome.SETTLED, at(2))
        seen.append(state.phase)
        state = ramp.watched(promoting, state, WatchOutcome.PASSED, at(3))
        seen.append(state.phase)
    state = ramp.rules_removed(ramp.default_moved(state, promoting.promoting), promoting.promoted, at(4))
    seen.append(state.phase)
    state = ramp.concluded(ramp.watched(promoting, state, WatchOutcome.PASSED, at(5)))
    per_step = [Phase.SETTLING, Phase.HOLDING]
    between = [*per_step, Phase.SHIFTING, *per_step, Phase.SHIFTING, *per_step]
    assert seen == [Phase.SHIFTING, *between, Phase.PROMOTING, Phase.BAKING]
    assert state.phase is Phase.SUCCEEDED
    assert state.applied == promoting.promoted


def test_a_refused_preflight_is_the_end() -> None:
    assert ramp.preflight_refused(RampState()).phase is Phase.REFUSED


@pytest.mark.parametrize("outcome", list(WatchOutcome))
@pytest.mark.parametrize("phase", list(Phase))
def test_an_outcome_moves_only_the_phase_that_it_belongs_to(
    promoting: Plan, phase: Phase, outcome: WatchOutcome
) -> None:
    state = in_phase(phase, promoting)
    after = ramp.watched(promoting, state, outcome, at(60))
    moves = {
        (Phase.SETTLING, WatchOutcome.SETTLED): Phase.HOLDING,
        (Phase.HOLDING, WatchOutcome.PASSED): Phase.SHIFTING,
        (Phase.BAKING, WatchOutcome.PASSED): Phase.BAKING,
    }
    assert after.phase is moves.get((phase, outcome), phase)
    assert after.baked == ((phase, outcome) == (Phase.BAKING, WatchOutcome.PASSED))
    if (phase, outcome) not in moves and outcome is not WatchOutcome.INCONCLUSIVE:
        assert after == state


def test_an_inconclusive_watch_blocks_until_the_step_is_left(promoting: Plan) -> None:
    state = ramp.watched(promoting, in_phase(Phase.HOLDING, promoting), WatchOutcome.INCONCLUSIVE, at(60))
    assert state.blocked_by == {Block.INCONCLUSIVE}
    assert ramp.watched(promoting, state, WatchOutcome.PASSED, at(90)).blocked_by == frozenset()


def test_a_step_with_a_gate_waits_for_its_approval_and_for_no_other(promoting: Plan) -> None:
    gated = promoting.step(2).model_copy(update={"approval": True})
    plan = promoting.model_copy(update={"steps": (promoting.step(1), gated, promoting.step(3))})
    state = ramp.watched(plan, in_phase(Phase.HOLDING, plan), WatchOutcome.PASSED, at(600))
    assert (state.phase, state.blocked_by) == (Phase.HOLDING, frozenset({Block.APPROVAL}))
    assert ramp.promoted(state, 1) == state
    assert ramp.next_action(plan, state) == ramp.Watch(WatchMode.GUARD)
    approved = ramp.promoted(state, 2)
    assert ramp.next_action(plan, approved) == ramp.Advance()
    advanced = ramp.advanced(plan, approved)
    assert (advanced.phase, advanced.step, advanced.blocked_by) == (Phase.SHIFTING, 3, frozenset())


def test_an_approval_given_before_the_gate_opens_the_gate(promoting: Plan) -> None:
    gated = promoting.step(2).model_copy(update={"approval": True})
    plan = promoting.model_copy(update={"steps": (promoting.step(1), gated, promoting.step(3))})
    state = in_phase(Phase.HOLDING, plan, promoted_step=2)
    assert ramp.watched(plan, state, WatchOutcome.PASSED, at(600)).step == 3


def test_a_watch_changes_only_the_blocks_that_a_watch_can_see(promoting: Plan) -> None:
    state = in_phase(Phase.HOLDING, promoting, blocked_by=frozenset({Block.APPROVAL, Block.DRIFT, Block.INCONCLUSIVE}))
    after = ramp.blocks_changed(state, frozenset({Block.FREEZE}))
    assert after.blocked_by == {Block.APPROVAL, Block.INCONCLUSIVE, Block.FREEZE}
    assert ramp.blocks_changed(after, frozenset()).blocked_by == {Block.APPROVAL, Block.INCONCLUSIVE}


def test_a_freeze_that_a_shift_met_waits_until_it_is_lifted(promoting: Plan) -> None:
    state = ramp.freeze_met(in_phase(Phase.SHIFTING, promoting), "frozen by ops: holidays")
    assert ramp.next_action(promoting, state) == ramp.Watch(WatchMode.GUARD)
    assert ramp.next_action(promoting, ramp.blocks_changed(state, frozenset())) == ramp.Shift(promoting.step(2))


def test_a_freeze_outlasts_the_step_in_which_it_came(promoting: Plan) -> None:
    state = in_phase(Phase.HOLDING, promoting, blocked_by=frozenset({Block.FREEZE, Block.INCONCLUSIVE}))
    assert ramp.advanced(promoting, state).blocked_by == {Block.FREEZE}


def test_every_decision_to_write_has_an_epoch_of_its_own(promoting: Plan) -> None:
    state = in_phase(Phase.SHIFTING, promoting)
    assert ramp.with_next_epoch(ramp.with_next_epoch(state)).epoch == state.epoch + 2


# Failed checks and stops.


def test_a_failed_check_stops_the_ramp(promoting: Plan) -> None:
    state = ramp.check_failed(
        promoting, in_phase(Phase.HOLDING, promoting), ["green"], "p99 3 s", automatic=["green"], now=at(60)
    )
    assert (state.stop, state.stop_detail) == (Reason.UNHEALTHY, "p99 3 s")


def test_without_automatic_rollback_a_failed_check_pauses_and_waits_for_a_person(promoting: Plan) -> None:
    state = ramp.check_failed(
        promoting, in_phase(Phase.HOLDING, promoting), ["green"], "p99 3 s", automatic=[], now=at(60)
    )
    assert (state.stop, state.paused, state.tolerated) == (None, True, {"green"})
    assert ramp.clock(state.held, at(999)) == timedelta(seconds=60)
    assert ramp.next_action(promoting, state) == ramp.Watch(WatchMode.GUARD)
    resumed = ramp.resumed(state, at(100))
    assert (resumed.paused, resumed.tolerated) == (False, frozenset())


def test_tolerance_does_not_reach_into_the_next_step(promoting: Plan) -> None:
    state = in_phase(Phase.HOLDING, promoting, tolerated=frozenset({"green"}), promoted_step=2)
    assert ramp.advanced(promoting, state).tolerated == frozenset()


@pytest.mark.parametrize("later", list(Reason))
def test_the_first_reason_stays(promoting: Plan, later: Reason) -> None:
    first = ramp.stopped(in_phase(Phase.HOLDING, promoting), Reason.ALERT, "first")
    assert ramp.stopped(first, later, "later") == first
    assert ramp.check_failed(promoting, first, ["green"], "later", automatic=["green"], now=at(1)) == first
    assert ramp.alerted(promoting, first, "later", attributed=True, slot=None) == first


def test_a_rollback_ends_pause_and_blocks_and_keeps_its_reason(promoting: Plan) -> None:
    stopped = ramp.stopped(
        in_phase(Phase.HOLDING, promoting, paused=True, blocked_by=frozenset({Block.DRIFT})), Reason.BLIND, "no data"
    )
    rolling = ramp.rolling_back(stopped, epoch=9)
    assert (rolling.phase, rolling.epoch, rolling.paused, rolling.blocked_by) == (
        Phase.ROLLING_BACK,
        9,
        False,
        frozenset(),
    )
    done = ramp.rolled_back(rolling, BLUE)
    assert (done.phase, done.stop, done.applied) == (Phase.ROLLED_BACK, Reason.BLIND, BLUE)


# What people say.


@pytest.mark.parametrize("phase", TERMINAL)
def test_nothing_that_anybody_says_changes_a_ramp_that_is_over(promoting: Plan, phase: Phase) -> None:
    for paused in (False, True):
        state = in_phase(phase, promoting, paused=paused)
        assert ramp.paused(state, at(1)) is state
        assert ramp.resumed(state, at(1)) is state
        assert ramp.promoted(state, state.step, full=True) is state
        assert ramp.stopped(state, Reason.OPERATOR_ABORT) is state
        assert ramp.alerted(promoting, state, "Errors", attributed=True, slot=None) is state
        assert ramp.alerted(promoting, state, "Errors", attributed=False, slot=None) is state


@pytest.mark.parametrize("phase", ROLLBACK)
def test_a_rollback_can_be_neither_paused_nor_promoted(promoting: Plan, phase: Phase) -> None:
    state = in_phase(phase, promoting)
    assert ramp.paused(state, at(1)) is state
    assert ramp.resumed(state, at(1)) is state
    assert ramp.promoted(state, state.step, full=True) is state
    assert ramp.stopped(state, Reason.CANCELLED) is state


@pytest.mark.parametrize("phase", FORWARD)
def test_a_pause_holds_any_forward_phase_and_a_resume_lets_it_go(promoting: Plan, phase: Phase) -> None:
    state = in_phase(phase, promoting)
    paused = ramp.paused(state, at(10))
    assert paused.paused
    assert ramp.paused(paused, at(20)) is paused
    assert ramp.resumed(paused, at(30)).paused is False
    assert ramp.resumed(state, at(30)) is state


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_promotion_counts_only_at_the_step_that_the_person_saw(promoting: Plan, phase: Phase, step: int) -> None:
    state = in_phase(phase, promoting)
    after = ramp.promoted(state, step)
    counts = step == state.step and phase in {Phase.SHIFTING, Phase.SETTLING, Phase.HOLDING}
    assert after.promoted_step == (step if counts else None)
    if not counts:
        assert after is state


def test_a_promotion_skips_one_hold_and_no_second_one(promoting: Plan) -> None:
    state = ramp.advanced(promoting, ramp.promoted(in_phase(Phase.HOLDING, promoting), 2))
    assert (state.step, state.promoted_step) == (3, None)
    holding = ramp.watched(
        promoting, ramp.shifted(state, promoting.step(3).assignment, at(1)), WatchOutcome.SETTLED, at(2)
    )
    assert ramp.next_action(promoting, holding) == ramp.Watch(WatchMode.HOLD)


def test_a_full_promotion_skips_every_hold_but_no_settling(promoting: Plan) -> None:
    state = ramp.promoted(in_phase(Phase.HOLDING, promoting), 2, full=True)
    assert ramp.next_action(promoting, state) == ramp.Advance()
    state = ramp.shifted(ramp.advanced(promoting, state), promoting.step(3).assignment, at(1))
    assert ramp.next_action(promoting, state) == ramp.Watch(WatchMode.SETTLE)
    state = ramp.watched(promoting, state, WatchOutcome.SETTLED, at(2))
    assert ramp.next_action(promoting, state) == ramp.Advance()
    assert ramp.advanced(promoting, state).phase is Phase.PROMOTING


@pytest.mark.parametrize("phase", FORWARD)
def test_an_attributed_alert_stops_and_a_foreign_one_holds(promoting: Plan, phase: Phase) -> None:
    state = in_phase(phase, promoting)
    assert ramp.alerted(promoting, state, "TailrampErrors", attributed=True, slot=None).stop is Reason.ALERT
    foreign = ramp.alerted(promoting, state, "DiskFull", attributed=False, slot=None)
    assert (foreign.stop, foreign.blocked_by) == (None, frozenset({Block.APPROVAL}))


@pytest.mark.parametrize("phase", [Phase.SHIFTING, Phase.SETTLING, Phase.HOLDING])
def test_a_foreign_alert_holds_the_step_until_a_person_promotes_it(promoting: Plan, phase: Phase) -> None:
    state = ramp.alerted(promoting, in_phase(phase, promoting), "DiskFull", attributed=False, slot=None)
    if phase is Phase.SHIFTING:
        state = ramp.shifted(state, promoting.step(2).assignment, at(1))
    if state.phase is Phase.SETTLING:
        state = ramp.watched(promoting, state, WatchOutcome.SETTLED, at(2))
    assert ramp.next_action(promoting, state) == ramp.Watch(WatchMode.GUARD)
    assert ramp.next_action(promoting, ramp.promoted(state, 2)) == ramp.Advance()


def test_a_foreign_alert_holds_a_full_promotion_too(promoting: Plan) -> None:
    state = ramp.alerted(
        promoting, in_phase(Phase.HOLDING, promoting, full=True), "DiskFull", attributed=False, slot=None
    )
    assert ramp.next_action(promoting, state) == ramp.Watch(WatchMode.GUARD)


def test_a_foreign_alert_holds_the_promotion_before_the_default_moves(promoting: Plan) -> None:
    state = ramp.alerted(promoting, in_phase(Phase.PROMOTING, promoting), "DiskFull", attributed=False, slot=None)
    assert ramp.next_action(promoting, state) == ramp.Watch(WatchMode.GUARD)


# Clocks and grids.


@pytest.mark.parametrize(
    ("stretches", "now", "seconds"),
    [
        ([], 100, 0),
        ([(0, None)], 100, 100),
        ([(0, None)], 0, 0),
        ([(50, None)], 20, 0),
        ([(0, 30)], 100, 30),
        ([(0, 30)], 20, 20),
        ([(0, 30), (60, None)], 100, 70),
        ([(0, 30), (60, None)], 45, 30),
        ([(0, 0), (0, 0), (5, None)], 10, 5),
    ],
)
def test_the_clock_of_a_hold_is_the_sum_of_its_stretches(
    stretches: list[tuple[float, float | None]], now: float, seconds: float
) -> None:
    held = tuple(Interval(start=at(start), end=None if end is None else at(end)) for start, end in stretches)
    assert ramp.clock(held, at(now)) == timedelta(seconds=seconds)


def test_the_clock_stands_still_in_every_pause(promoting: Plan) -> None:
    state = in_phase(Phase.HOLDING, promoting)
    for start in (10, 40, 70):
        state = ramp.resumed(ramp.paused(state, at(start)), at(start + 20))
    assert ramp.clock(state.held, at(100)) == timedelta(seconds=40)
    assert ramp.clock(ramp.paused(state, at(100)).held, at(500)) == timedelta(seconds=40)


def test_a_clock_that_jumps_back_takes_nothing_from_a_hold(promoting: Plan) -> None:
    """Grid ticks lie a scrape behind the workflow's clock: a hold may start later than the pause that follows it."""
    state = in_phase(Phase.HOLDING, promoting, held=(Interval(start=at(30)),))
    paused = ramp.paused(state, at(29))
    assert ramp.clock(paused.held, at(500)) == timedelta()


def test_a_resume_starts_a_clock_only_where_one_runs(promoting: Plan) -> None:
    for phase in (Phase.SHIFTING, Phase.SETTLING, Phase.PROMOTING):
        assert ramp.resumed(ramp.paused(in_phase(phase, promoting), at(1)), at(2)).held == ()


def test_a_step_that_settles_in_a_pause_waits_for_the_resume_to_start_its_clock(promoting: Plan) -> None:
    paused = in_phase(Phase.SETTLING, promoting, paused=True)
    holding = ramp.watched(promoting, paused, WatchOutcome.SETTLED, at(5))
    assert holding.held == ()
    assert ramp.resumed(holding, at(50)).held == (Interval(start=at(50)),)


def test_every_step_has_a_grid_of_its_own_that_begins_on_a_whole_second(promoting: Plan) -> None:
    whole = int(NOON.timestamp())
    shifted = ramp.shifted(in_phase(Phase.SHIFTING, promoting, held=(Interval(start=NOON),)), BLUE, NOON)
    assert (shifted.anchor, shifted.held) == (whole + 1, ())
    settling = in_phase(Phase.SETTLING, promoting, blocked_by=frozenset({Block.BUDGET}))
    settled = ramp.watched(promoting, settling, WatchOutcome.SETTLED, at(9))
    assert Block.BUDGET in settled.blocked_by


def test_words_about_the_spend_that_change_nothing_change_nothing(promoting: Plan) -> None:
    state = in_phase(Phase.HOLDING, promoting)
    assert ramp.spent(state, SpendWord.WITHIN, "12 CNY") is state
    over = in_phase(Phase.SUCCEEDED, promoting)
    assert ramp.spent(over, SpendWord.EXHAUSTED, "") is over
