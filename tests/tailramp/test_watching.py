"""From the verdicts of one tick to the outcome of a watch."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asked_watch import (
    ANCHOR,
    BLIND,
    CALM,
    FAIL,
    HOLD,
    LITTLE,
    PASS,
    SHARED,
    TICK,
    WINDOW,
    Ask,
    moment,
    verdict,
    verdicts,
)

from tailramp.assignment import Assignment
from tailramp.evidence import Verdict, VerdictKind
from tailramp.plan import Plan
from tailramp.ramp import (
    MOST_CAUSES,
    Block,
    Cause,
    Interval,
    Phase,
    RampState,
    WatchMode,
    WatchOutcome,
    blocks_changed,
)
from tailramp.spec import RampSpec
from tailramp.watching import SETTLED_SHARE, Outcome, Watching

NO_SERVER = Cause.of(Block.SHARED_INCIDENT, "the baseline blue has no ready server")


# Settling.


def test_traffic_has_settled_once_a_window_has_passed_and_the_share_is_there(ask: Ask) -> None:
    assert ask(WatchMode.SETTLE).until_decided(PASS) == (WatchOutcome.SETTLED, WINDOW)


def test_few_answers_settle_as_well_as_many_if_they_are_the_right_share(ask: Ask) -> None:
    tiny = [verdict(VerdictKind.INCONCLUSIVE, seen=1, baseline=19)]
    assert ask(WatchMode.SETTLE).until_decided(tiny) == (WatchOutcome.SETTLED, WINDOW)


@pytest.mark.parametrize(("seen", "settles"), [(12, False), (13, True), (0, False)])
def test_a_quarter_of_the_expected_share_is_enough_and_less_is_not(ask: Ask, seen: int, settles: bool) -> None:
    """Step 2 expects 5 % of 1000 answers."""
    assert SETTLED_SHARE == 0.25
    said = [verdict(VerdictKind.INCONCLUSIVE, seen=seen, baseline=1000 - seen)]
    outcome = ask(WatchMode.SETTLE).tick(WINDOW, said)
    assert (outcome is not None) is settles


def test_no_traffic_at_all_never_settles(ask: Ask) -> None:
    silence = [verdict(VerdictKind.INCONCLUSIVE, seen=0, baseline=0)]
    asked = ask(WatchMode.SETTLE)
    assert asked.until_decided(silence) == (WatchOutcome.INCONCLUSIVE, 600)
    assert asked.tick(615, []) is not None


def test_what_does_not_settle_is_said_once_and_may_settle_later(ask: Ask) -> None:
    silence = [verdict(VerdictKind.INCONCLUSIVE, seen=0, baseline=500)]
    overdue = ask(WatchMode.SETTLE, overdue=True, causes=ask(WatchMode.SETTLE).decided(silence).causes)
    assert overdue.until_decided(silence) is None
    assert overdue.tick(4015, PASS) == Outcome(WatchOutcome.SETTLED, "50 of 1,000 answers are the candidate's (5.0 %)")


def test_the_sentence_of_an_unsettled_step_names_what_was_seen_and_expected(ask: Ask) -> None:
    outcome = ask(WatchMode.SETTLE).tick(600, [verdict(VerdictKind.INCONCLUSIVE, seen=3, baseline=1497)])
    assert outcome is not None
    assert "3 of 1,500 answers are the candidate's (0.2 %), 5.0 % were expected" in outcome.sentence


def test_latency_of_cold_caches_does_not_fail_a_step_that_settles_but_errors_do(ask: Ask) -> None:
    slow, broken = (
        verdicts(VerdictKind.PASS, latency=VerdictKind.FAIL),
        verdicts(VerdictKind.PASS, errors=VerdictKind.FAIL),
    )
    assert ask(WatchMode.SETTLE).until_decided(slow) == (WatchOutcome.SETTLED, WINDOW)
    assert ask(WatchMode.SETTLE).until_decided(broken) == (WatchOutcome.FAILED, 0)


# Holding.


def test_a_hold_is_over_when_its_clock_and_its_ticks_say_so(ask: Ask) -> None:
    assert ask(WatchMode.HOLD).until_decided(PASS) == (WatchOutcome.PASSED, HOLD)


def test_a_hold_whose_clock_is_over_waits_for_the_ticks_that_were_not_answered(ask: Ask) -> None:
    asked = ask(WatchMode.HOLD)
    assert asked.until_decided(BLIND, last=150) is None
    missing = 150 // TICK + 1
    assert asked.until_decided(PASS, first=165) == (WatchOutcome.PASSED, HOLD + (missing - 1) * TICK)
    assert asked.watching.answered == HOLD // TICK


def test_ticks_of_a_pause_count_against_the_candidate_but_never_towards_the_hold(ask: Ask) -> None:
    paused = (Interval(start=moment(0), end=moment(150)), Interval(start=moment(450)))
    assert ask(WatchMode.HOLD, held=paused).until_decided(PASS) == (WatchOutcome.PASSED, HOLD + 300)
    asked = ask(WatchMode.HOLD, held=paused)
    assert asked.until_decided(PASS, last=300) is None
    failed = asked.tick(300, FAIL)
    assert failed is not None
    assert (failed.kind, failed.sentence, failed.failed) == (WatchOutcome.FAILED, "latency says fail", ("green",))


def test_a_hold_that_has_not_begun_counts_nothing(ask: Ask) -> None:
    asked = ask(WatchMode.HOLD, held=())
    assert asked.until_decided(PASS) is None
    assert asked.watching.answered == 0


def test_a_hold_without_evidence_is_said_to_be_inconclusive_once_and_passes_when_it_comes(ask: Ask) -> None:
    assert ask(WatchMode.HOLD).until_decided(LITTLE) == (WatchOutcome.INCONCLUSIVE, HOLD)
    overdue = ask(WatchMode.HOLD, overdue=True, causes=ask(WatchMode.HOLD).decided(LITTLE).causes)
    assert overdue.until_decided(LITTLE) is None
    outcome = overdue.tick(4005, PASS)
    assert outcome is not None
    assert outcome.kind is WatchOutcome.PASSED


def test_one_check_without_evidence_is_enough_to_wait(ask: Ask) -> None:
    one = verdicts(VerdictKind.PASS, toxicity=VerdictKind.INCONCLUSIVE)
    outcome = ask(WatchMode.HOLD).until_decided(one)
    assert outcome == (WatchOutcome.INCONCLUSIVE, HOLD)


def test_a_hold_without_end_is_guarded_and_never_passes(ask: Ask) -> None:
    endless = ask(WatchMode.HOLD, hold=None)
    assert endless.until_decided(PASS) is None
    assert endless.watching.left(ANCHOR + 4000) is None
    assert endless.until_decided(FAIL, first=4005, last=4005) == (WatchOutcome.FAILED, 4005)


def test_no_verdict_at_all_never_passes_a_hold(ask: Ask) -> None:
    assert ask(WatchMode.HOLD).until_decided([]) == (WatchOutcome.INCONCLUSIVE, HOLD)


def test_what_is_left_of_a_hold_never_runs_below_zero(ask: Ask) -> None:
    watching = ask(WatchMode.HOLD).watching
    assert [watching.left(ANCHOR + at) for at in (0, 150, HOLD, 9999)] == [
        timedelta(seconds=left) for left in (HOLD, HOLD - 150, 0, 0)
    ]


# Guards, failures, tolerance.


@pytest.mark.parametrize("mode", list(WatchMode))
def test_a_failed_check_decides_in_every_mode(ask: Ask, mode: WatchMode) -> None:
    assert ask(mode).until_decided(verdicts(VerdictKind.PASS, errors=VerdictKind.FAIL)) == (WatchOutcome.FAILED, 0)


@pytest.mark.parametrize("mode", list(WatchMode))
def test_a_failure_weighs_more_than_blindness_and_a_shared_incident(ask: Ask, mode: WatchMode) -> None:
    said = [
        verdict(VerdictKind.FAIL),
        verdict(VerdictKind.BLIND, "latency"),
        verdict(VerdictKind.INCONCLUSIVE, "toxicity", shared=True),
    ]
    outcome = ask(mode).tick(0, said, frozenset({Block.DRIFT}))
    assert outcome is not None
    assert (outcome.kind, outcome.sentence, outcome.failed) == (WatchOutcome.FAILED, "errors says fail", ("green",))


def test_a_guard_never_passes_and_never_settles(ask: Ask) -> None:
    assert ask(WatchMode.GUARD).until_decided(PASS) is None


def test_a_failure_that_waits_for_a_person_is_not_reported_again_and_lets_nothing_pass(ask: Ask) -> None:
    for mode in (WatchMode.HOLD, WatchMode.GUARD, WatchMode.BAKE):
        asked = ask(mode, tolerated=("green",), causes=ask(mode).decided(FAIL).causes)
        assert asked.until_decided(FAIL) is None
        assert asked.watching.fails(FAIL) is None


def test_a_tolerated_failure_does_not_hide_blindness(ask: Ask) -> None:
    both = [verdict(VerdictKind.FAIL), verdict(VerdictKind.BLIND, "latency")]
    known = ask(WatchMode.GUARD).decided(both).causes
    assert ask(WatchMode.GUARD, tolerated=("green",), causes=known).until_decided(both) == (WatchOutcome.BLIND, 300)


# Blindness.


@pytest.mark.parametrize("mode", list(WatchMode))
def test_blindness_is_borne_for_as_long_as_the_platform_says(ask: Ask, mode: WatchMode) -> None:
    assert ask(mode).until_decided(BLIND) == (WatchOutcome.BLIND, 300)


def test_one_answered_tick_starts_the_patience_anew(ask: Ask) -> None:
    asked = ask(WatchMode.GUARD)
    assert asked.until_decided(BLIND, last=285) is None
    assert asked.tick(300, PASS) is None
    assert asked.until_decided(BLIND, first=315) == (WatchOutcome.BLIND, 600)


def test_a_watch_that_takes_over_counts_from_where_the_earlier_one_was_answered_last(ask: Ask) -> None:
    asked = ask(WatchMode.HOLD)
    asked.watching.goes_on(moment(-200), moment(0))
    assert asked.watching.blind_since(BLIND) == moment(-200)
    assert asked.watching.blind_since(PASS) is None
    assert asked.until_decided(BLIND) == (WatchOutcome.BLIND, 105)


def test_a_watch_that_takes_over_from_one_that_saw_is_not_blind_for_as_long_as_it_was_watched(ask: Ask) -> None:
    """A worker died two hours into the watch, and Prometheus does not answer at the moment at which another begins."""
    asked = ask(WatchMode.HOLD)
    asked.watching.goes_on(None, moment(7200))
    assert all(asked.tick(at, BLIND, None) is None for at in range(0, 7200, TICK))
    assert asked.until_decided(BLIND, first=7200, last=9000) == (WatchOutcome.BLIND, 7500)


def test_one_blind_check_among_seeing_ones_is_blindness(ask: Ask) -> None:
    one = verdicts(VerdictKind.PASS, toxicity=VerdictKind.BLIND)
    assert ask(WatchMode.HOLD).until_decided(one) == (WatchOutcome.BLIND, 300)


def test_a_blind_tick_neither_settles_nor_passes(ask: Ask) -> None:
    settling, baking = ask(WatchMode.SETTLE), ask(WatchMode.BAKE)
    one = verdicts(VerdictKind.PASS, toxicity=VerdictKind.BLIND)
    assert settling.tick(WINDOW, one) is None
    assert baking.until_decided(PASS, last=HOLD - TICK) is None
    assert baking.tick(HOLD, one) is None


def test_a_watch_that_catches_up_on_the_past_is_not_blind_from_before_it_was_asked(
    full_spec: RampSpec, promoting: Plan, ask: Ask
) -> None:
    """A new watch reads the whole grid again; the ticks before it began cannot end it by their age alone."""
    request = ask(WatchMode.HOLD).watching._request
    late = Watching(request, since=moment(1000))
    assert [late.observe(ANCHOR + at, BLIND, None) for at in range(0, 1290, TICK)] == [None] * 86
    outcome = late.observe(ANCHOR + 1305, BLIND, CALM)
    assert outcome is not None
    assert outcome.kind is WatchOutcome.BLIND


def test_answers_of_the_past_do_not_use_up_the_patience_of_a_watch_that_has_just_begun(
    promoting: Plan, ask: Ask
) -> None:
    late = Watching(ask(WatchMode.HOLD).watching._request, since=moment(1000))
    assert late.observe(ANCHOR + 15, PASS, None) is None
    assert [late.observe(ANCHOR + at, BLIND, None) for at in range(30, 1290, TICK)] == [None] * 84
    outcome = late.observe(ANCHOR + 1305, BLIND, CALM)
    assert outcome is not None
    assert outcome.kind is WatchOutcome.BLIND


@pytest.mark.parametrize("mode", list(WatchMode))
def test_blindness_that_a_person_is_waited_for_is_not_reported_again_and_ends_with_the_first_answer(
    ask: Ask, mode: WatchMode
) -> None:
    asked = ask(mode, blocks=(Block.BLIND,), causes=ask(mode).decided(BLIND).causes)
    assert asked.until_decided(BLIND, last=900) is None
    outcome = asked.tick(915, PASS)
    assert outcome is not None
    assert (outcome.kind, outcome.blocks) == (WatchOutcome.BLOCKS_CHANGED, CALM)


# Shared incidents, drift and freeze.


@pytest.mark.parametrize("mode", list(WatchMode))
def test_a_shared_incident_is_reported_once(ask: Ask, mode: WatchMode) -> None:
    outcome = ask(mode).tick(0, SHARED)
    assert outcome is not None
    assert (outcome.kind, outcome.blocks) == (WatchOutcome.BLOCKS_CHANGED, frozenset({Block.SHARED_INCIDENT}))
    assert "errors says inconclusive" in outcome.sentence
    assert ask(mode, blocks=(Block.SHARED_INCIDENT,), causes=outcome.causes).until_decided(SHARED) is None


def test_a_shared_incident_that_is_over_is_reported_too(ask: Ask) -> None:
    outcome = ask(WatchMode.HOLD, blocks=(Block.SHARED_INCIDENT,)).tick(HOLD, PASS)
    assert outcome == Outcome(WatchOutcome.BLOCKS_CHANGED, "blocked by nothing any more", frozenset())


@pytest.mark.parametrize("block", [Block.DRIFT, Block.FREEZE])
def test_what_the_route_shows_blocks_and_is_reported_when_it_comes_and_when_it_goes(ask: Ask, block: Block) -> None:
    came = ask(WatchMode.HOLD).tick(0, PASS, frozenset({block}))
    assert came is not None
    assert (came.kind, came.blocks) == (WatchOutcome.BLOCKS_CHANGED, frozenset({block}))
    known = ask(WatchMode.HOLD, blocks=(block,))
    assert known.until_decided(PASS, route=frozenset({block})) is None
    gone = known.tick(4005, PASS, CALM)
    assert gone is not None
    assert (gone.kind, gone.blocks) == (WatchOutcome.BLOCKS_CHANGED, frozenset())


def test_the_past_cannot_change_what_the_ramp_is_blocked_by(ask: Ask) -> None:
    assert ask(WatchMode.HOLD).until_decided(SHARED, route=None, last=HOLD) is None
    assert ask(WatchMode.HOLD, blocks=(Block.DRIFT,)).until_decided(PASS, route=None) is None


def test_a_shared_incident_in_the_past_does_not_pass_the_hold(ask: Ask) -> None:
    asked = ask(WatchMode.HOLD)
    assert asked.until_decided(PASS, route=None, last=HOLD - TICK) is None
    assert asked.tick(HOLD, SHARED, None) is None


# Baking, and segments.


def test_a_bake_ends_with_its_clock_even_without_a_baseline_to_compare_with(ask: Ask) -> None:
    assert ask(WatchMode.BAKE).until_decided(LITTLE) == (WatchOutcome.PASSED, HOLD)


def test_a_bake_fails_on_its_last_tick_as_on_any_other(ask: Ask) -> None:
    asked = ask(WatchMode.BAKE)
    assert asked.until_decided(PASS, last=HOLD - TICK) is None
    assert asked.until_decided(FAIL, first=HOLD) == (WatchOutcome.FAILED, HOLD)


def test_a_segment_is_over_by_the_time_since_the_watch_was_first_asked_for(ask: Ask) -> None:
    watching = ask(WatchMode.HOLD).watching
    assert not watching.segment_over(moment(6 * 3600 - 1))
    assert watching.segment_over(moment(6 * 3600))


def test_the_same_ticks_decide_the_same_with_and_without_a_crash_between(ask: Ask) -> None:
    """A rebuild observes the whole grid again: the past without the route, the present with it."""
    straight = ask(WatchMode.HOLD).until_decided(PASS)
    for crash in range(0, HOLD, 75):
        rebuilt = ask(WatchMode.HOLD)
        assert rebuilt.until_decided(PASS, last=crash, route=None) is None
        first = crash - crash % TICK + TICK
        assert rebuilt.until_decided(PASS, first=first) == straight


def test_an_assignment_of_everyone_expects_everyone(ask: Ask) -> None:
    settled = ask(WatchMode.SETTLE, assignment=Assignment(default="green"))
    assert settled.tick(WINDOW, [verdict(VerdictKind.PASS, seen=200, baseline=800)]) is None
    assert settled.tick(WINDOW + TICK, [verdict(VerdictKind.PASS, seen=260, baseline=740)]) is not None


def test_what_blocks_on_the_route_itself_is_said_with_its_reason(ask: Ask) -> None:
    outcome = ask(WatchMode.HOLD).tick(0, PASS, frozenset({Block.SHARED_INCIDENT}), (NO_SERVER,))
    assert outcome is not None
    assert outcome.kind is WatchOutcome.BLOCKS_CHANGED
    assert outcome.sentence == "blocked by shared_incident: the baseline blue has no ready server"


# What else holds a ramp that is held.


def test_another_cause_of_the_same_block_is_told_once(ask: Ask) -> None:
    said = ask(WatchMode.HOLD).decided(SHARED)
    known = ask(WatchMode.HOLD, blocks=(Block.SHARED_INCIDENT,), causes=said.causes)
    also = known.tick(0, SHARED, frozenset({Block.SHARED_INCIDENT}), (NO_SERVER,))
    assert also is not None
    assert (also.kind, also.blocks) == (WatchOutcome.BLOCKS_CHANGED, said.blocks)
    assert also.sentence == (
        "still blocked by shared_incident: errors says inconclusive; the baseline blue has no ready server"
    )
    both = ask(WatchMode.HOLD, blocks=(Block.SHARED_INCIDENT,), causes=also.causes)
    assert both.tick(0, SHARED, frozenset({Block.SHARED_INCIDENT}), (NO_SERVER,)) is None


def test_two_causes_that_take_turns_are_told_once_each(ask: Ask) -> None:
    state = RampState(phase=Phase.HOLDING)
    errors, latency = SHARED, [verdict(VerdictKind.INCONCLUSIVE, "latency", shared=True)]
    told = 0
    for tick in range(100):
        asked = ask(WatchMode.HOLD, blocks=tuple(state.blocked_by), causes=state.causes)
        if outcome := asked.tick(tick * TICK, (errors, latency)[tick % 2]):
            state = blocks_changed(state, outcome.blocks, outcome.causes)
            told += 1
    assert told == 2


def test_a_hold_that_waits_for_other_evidence_than_before_says_so(ask: Ask) -> None:
    errors = verdicts(VerdictKind.PASS, errors=VerdictKind.INCONCLUSIVE)
    toxicity = verdicts(VerdictKind.PASS, toxicity=VerdictKind.INCONCLUSIVE)
    said = ask(WatchMode.HOLD).decided(errors)
    overdue = ask(WatchMode.HOLD, overdue=True, causes=said.causes)
    assert overdue.until_decided(errors) is None
    also = overdue.tick(4005, toxicity)
    assert also is not None
    assert (also.kind, also.sentence) == (WatchOutcome.INCONCLUSIVE, "toxicity says inconclusive")
    assert ask(WatchMode.HOLD, overdue=True, causes=(*said.causes, *also.causes)).until_decided(toxicity) is None


@pytest.mark.parametrize("mode", list(WatchMode))
def test_a_second_check_that_fails_is_told_to_the_person_who_is_waited_for(ask: Ask, mode: WatchMode) -> None:
    first = verdicts(VerdictKind.PASS, errors=VerdictKind.FAIL)
    both = verdicts(VerdictKind.FAIL, latency=VerdictKind.PASS)
    known = ask(mode, tolerated=("green",), causes=ask(mode).decided(first).causes)
    assert known.until_decided(first) is None
    found = known.watching.fails(both)
    if mode is WatchMode.SETTLE and found is None:
        return  # toxicity does not count yet
    assert found is not None
    assert found.sentence == "errors says fail; toxicity says fail"
    again = ask(mode, tolerated=("green",), causes=found.causes)
    assert again.watching.fails(both) is None


def test_blindness_for_another_reason_is_told_and_other_numbers_are_none(ask: Ask) -> None:
    def blind(why: str) -> list[Verdict]:
        one = verdict(VerdictKind.BLIND)
        return [one.model_copy(update={"reason": f"errors could not be judged: {why}"})]

    said = ask(WatchMode.HOLD).decided(blind("no answer within 10 s"))
    known = ask(WatchMode.HOLD, blocks=(Block.BLIND,), causes=said.causes)
    assert known.until_decided(blind("no answer within 12 s")) is None
    also = known.tick(4005, blind("HTTP 401, no password"))
    assert also is not None
    assert also.sentence == "still blocked by blind: errors could not be judged: HTTP 401, no password"


def test_a_route_that_changes_at_every_look_is_told_of_a_bounded_number_of_times(ask: Ask) -> None:
    """A controller that fights for a route writes something else every time."""
    state, told = RampState(phase=Phase.HOLDING), 0
    for tick in range(200):
        asked = ask(WatchMode.HOLD, blocks=tuple(state.blocked_by), causes=state.causes)
        drift = Cause.of(Block.DRIFT, f"changed by {chr(65 + tick % 50) * 3}")
        if outcome := asked.tick(0, PASS, frozenset({Block.DRIFT}), (drift,)):
            state = blocks_changed(state, outcome.blocks, outcome.causes)
            told += 1
    assert told == MOST_CAUSES
