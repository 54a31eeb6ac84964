"""Why a ramp is held: each cause is told once for as long as its block lasts."""

from __future__ import annotations

import pytest
from ramp_states import NOON, in_phase

from tailramp import ramp
from tailramp.plan import Plan
from tailramp.ramp import MOST_CAUSES, Block, Cause, Phase, RampState, SpendWord, WatchOutcome


def shared(sentence: str) -> Cause:
    return Cause.of(Block.SHARED_INCIDENT, sentence)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("37 of 112 answers (33.0 %, limit 1 %)", "4 of 1,210 answers (0.33 %, limit 1 %)"),
        ("changed by kubectl at 2026-03-01T10:00:00Z", "changed by kubectl at 2026-03-02T09:15:07Z"),
        ("3 of 8 pods ready", "7 of 8 pods ready"),
    ],
)
def test_the_same_cause_with_other_numbers_is_the_same(one: str, other: str) -> None:
    assert shared(one).key == shared(other).key
    assert ramp.news([shared(one)], [shared(other)]) == ()


def test_other_words_are_another_cause() -> None:
    told, found = [shared("the baseline has no ready server")], shared("users are not divided as their buckets are")
    assert ramp.news(told, [found, found]) == (found,)


def test_a_block_that_is_over_is_forgotten_and_told_anew_when_it_comes_again() -> None:
    state = RampState(phase=Phase.HOLDING)
    held = ramp.blocks_changed(state, frozenset({Block.SHARED_INCIDENT}), [shared("no server")])
    assert held.causes == (shared("no server"),)
    over = ramp.blocks_changed(held, frozenset())
    assert over.causes == ()
    assert ramp.news(over.causes, [shared("no server")])


def test_causes_of_one_block_do_not_use_up_the_room_of_another() -> None:
    told = [Cause.of(Block.DRIFT, "x" * number) for number in range(1, MOST_CAUSES + 1)]
    assert ramp.news(told, [Cause.of(Block.DRIFT, "one more")]) == ()
    assert ramp.news(told, [shared("no server")])


def test_an_alert_that_fires_on_is_told_once_and_another_one_too(promoting: Plan) -> None:
    state = in_phase(Phase.HOLDING, promoting)
    first = ramp.alerted(promoting, state, "DiskFull", attributed=False, slot=None)
    assert ramp.alerted(promoting, first, "DiskFull", attributed=False, slot=None) is first
    second = ramp.alerted(promoting, first, "GpuLost", attributed=False, slot=None)
    assert [cause.sentence for cause in second.causes] == ["alert DiskFull", "alert GpuLost"]
    seen = ramp.acknowledged(second)
    assert seen.causes == ()
    assert ramp.alerted(promoting, seen, "DiskFull", attributed=False, slot=None).blocked_by == {Block.APPROVAL}


def test_an_alert_takes_back_a_promotion_also_when_it_is_known(promoting: Plan) -> None:
    known = ramp.alerted(promoting, in_phase(Phase.SHIFTING, promoting), "DiskFull", attributed=False, slot=None)
    promoted = ramp.promoted(known, known.step)
    again = ramp.alerted(promoting, promoted, "DiskFull", attributed=False, slot=None)
    assert (again.promoted_step, again.blocked_by) == (None, {Block.APPROVAL})


def test_a_spend_that_is_unknown_for_another_reason_is_told_and_a_repetition_is_not(promoting: Plan) -> None:
    state = in_phase(Phase.HOLDING, promoting)
    first = ramp.spent(state, SpendWord.UNKNOWN, "no price for chat-70b since 10 min")
    assert ramp.spent(first, SpendWord.UNKNOWN, "no price for chat-70b since 20 min") is first
    second = ramp.spent(first, SpendWord.UNKNOWN, "the bill cannot be read")
    assert [cause.sentence for cause in second.causes] == [
        "no price for chat-70b since 10 min",
        "the bill cannot be read",
    ]
    assert second.blocked_by == {Block.BUDGET}
    assert ramp.spent(second, SpendWord.WITHIN, "").causes == ()


def test_a_second_failed_check_has_to_be_seen_again(promoting: Plan) -> None:
    def failed(state: RampState, check: str) -> RampState:
        cause = Cause.of(None, f"{check} above its limit", key=f"green {check}")
        return ramp.check_failed(promoting, state, ["green"], "bad", automatic=[], now=NOON, causes=[cause])

    first = ramp.acknowledged(failed(in_phase(Phase.HOLDING, promoting), "latency"))
    assert (first.paused, first.acknowledged) == (True, True)
    assert failed(first, "latency") is first
    second = failed(first, "toxicity")
    assert (second.paused, second.acknowledged, len(second.causes)) == (True, False, 2)
    assert ramp.resumed(second, NOON).causes == ()


def test_evidence_that_is_missing_and_an_alert_are_told_beside_each_other(promoting: Plan) -> None:
    missing = Cause.of(Block.INCONCLUSIVE, "180 of the 500 answers that a verdict needs", key="green toxicity")
    late = ramp.watched(
        promoting, in_phase(Phase.HOLDING, promoting), WatchOutcome.INCONCLUSIVE, NOON, causes=[missing]
    )
    both = ramp.alerted(promoting, late, "DiskFull", attributed=False, slot=None)
    assert [cause.block for cause in both.causes] == [Block.INCONCLUSIVE, Block.APPROVAL]
    assert [cause.block for cause in ramp.acknowledged(both).causes] == [Block.INCONCLUSIVE]


def test_a_freeze_that_is_looked_at_again_is_known_until_the_step_is_served(promoting: Plan) -> None:
    met = ramp.freeze_met(in_phase(Phase.SHIFTING, promoting), "default/chat is frozen by ops: holidays")
    assert not ramp.tries_again(met)
    looked = ramp.freeze_looked_at(met)
    assert (looked.blocked_by, looked.causes) == (frozenset(), met.causes)
    assert ramp.tries_again(looked)
    assert ramp.freeze_met(looked, "default/chat is frozen by ops: holidays").causes == met.causes
    assert ramp.frozen("frozen by ops: holidays").key == met.causes[0].key
    served = ramp.shifted(looked, promoting.step(1).assignment, NOON)
    assert (ramp.tries_again(served), served.causes) == (False, ())
