"""What a ramp remembers of its earlier steps, so that their evidence still counts, and when it lets go of it."""

from datetime import UTC, datetime, timedelta

from tailramp import ramp
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.ramp import Phase, RampState

START = datetime(2026, 1, 5, tzinfo=UTC)
ONE, FIVE, HALF = (
    Assignment(default="blue", rules=(Rule(slot="green", buckets=BucketSet.parse(text)),))
    for text in ("00", "00-04", "00-49")
)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def unix(hours: float) -> int:
    return int(at(hours).timestamp())


def shifted(state: RampState, to: Assignment, hours: float) -> RampState:
    return ramp.shifted(state, to, at(hours))


def test_the_first_step_begins_a_day_of_evidence() -> None:
    state = shifted(RampState(), ONE, 0)
    assert (state.evidence_since, state.stretches, state.watched) == (unix(0), (), ONE)


def test_every_stretch_keeps_the_users_that_it_began_with() -> None:
    state = shifted(shifted(shifted(RampState(), ONE, 0), FIVE, 1), HALF, 3)
    assert [(s.anchor, s.until, s.assignment) for s in state.stretches] == [
        (unix(0), unix(1), ONE),
        (unix(1), unix(3), FIVE),
    ]
    assert state.evidence_since == unix(0)
    assert state.watched == HALF


def test_a_stretch_that_settled_is_told_from_one_that_held() -> None:
    settling = shifted(RampState(), ONE, 0)
    holding = settling.model_copy(update={"phase": Phase.HOLDING})
    assert shifted(settling, FIVE, 1).stretches[0].settling
    assert not shifted(holding, FIVE, 1).stretches[0].settling


def test_after_a_day_the_stretches_that_ended_before_it_are_forgotten() -> None:
    state = shifted(shifted(shifted(RampState(), ONE, 0), FIVE, 1), HALF, 26)
    assert state.evidence_since == unix(24)
    assert [(s.anchor, s.until) for s in state.stretches] == [(unix(1), unix(26))]
    state = shifted(state, FIVE, 60)
    assert state.evidence_since == unix(48)
    assert [(s.anchor, s.until) for s in state.stretches] == [(unix(26), unix(60))]


def test_it_does_not_grow_with_the_days() -> None:
    state = RampState()
    for day in range(40):
        for step, assignment in enumerate((ONE, FIVE, HALF)):
            state = shifted(state, assignment, 24 * day + 8 * step)
    assert len(state.stretches) <= 4


def test_a_person_who_goes_on_in_spite_of_the_evidence_is_not_asked_again_for_the_same() -> None:
    state = shifted(shifted(RampState(), ONE, 0), FIVE, 1)
    kept = state.model_copy(update={"evidence_since": unix(0), "tolerated": frozenset({"green"})})
    update = {"stretches": (), "evidence_since": None, "tolerated": frozenset()}
    assert shifted(kept.model_copy(update=update), HALF, 2).stretches == ()
    assert shifted(kept.model_copy(update=update), HALF, 2).evidence_since == unix(2)
