"""Who may write the route, row by row: forward changes against every holder, every clear and marks."""

from datetime import UTC, datetime

import pytest
from route_record_samples import (
    BASELINE_ONLY,
    MARK,
    NEVER_RAMPED,
    OTHER,
    RAMP,
    at_epoch,
    five_percent,
    on_green,
    promoted_record,
    serving,
    taken,
)

from tailramp.assignment import Assignment
from tailramp.errors import Fenced, Frozen, Refused
from tailramp.route_record import (
    BEYOND_ANY_RAMP,
    LEASE_SECONDS,
    Clearer,
    Lease,
    RouteRecord,
    SlotRecord,
    WorkloadReference,
    cleared,
    concluded,
    fence,
    frozen,
    killed,
    lifted,
    naming_workloads,
    prepared,
    renewed,
    retiring,
    sent_to_previous,
    served,
    shortened,
    taken_over,
)

# The fence.

CLEARED = {by: at_epoch(cleared(serving(), by=by, reason="why"), 10) for by in Clearer}


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (killed(serving(), MARK), "shut off by ada"),
        (killed(at_epoch(NEVER_RAMPED, 0), MARK), "shut off by ada"),
        (at_epoch(NEVER_RAMPED, 3), "held by nobody"),
        (serving(OTHER), f"held by {OTHER}"),
        (CLEARED[Clearer.ROLLBACK], "cleared by rollback"),
        (CLEARED[Clearer.SENTINEL], "cleared by sentinel"),
        (CLEARED[Clearer.KILL], "cleared by kill"),
        (promoted_record(), "the ramp is over"),
        (at_epoch(serving(), 11), "is at epoch 11, this write was decided at 10"),
    ],
)
def test_a_write_that_came_too_late_is_fenced_and_told_by_whom(record: RouteRecord, words: str) -> None:
    with pytest.raises(Fenced, match=words):
        fence(record, ramp=RAMP, epoch=10)


@pytest.mark.parametrize("stored", [0, 9, 10])
def test_the_holder_passes_the_fence_at_its_own_epoch_and_below(stored: int) -> None:
    fence(at_epoch(serving(), stored), ramp=RAMP, epoch=10)


@pytest.mark.parametrize("by", list(Clearer))
def test_every_forward_change_of_a_cleared_ramp_is_fenced_whatever_epoch_it_names(by: Clearer) -> None:
    record = CLEARED[by]
    for epoch in (1, record.epoch, record.epoch + 1, 10**9):
        with pytest.raises(Fenced):
            served(record, ramp=RAMP, epoch=epoch, assignment=on_green("00-09"))
        with pytest.raises(Fenced):
            renewed(record, ramp=RAMP, epoch=epoch)
        with pytest.raises(Fenced):
            shortened(record, ramp=RAMP, epoch=epoch, slot="green", reason="unhealthy")
        with pytest.raises(Fenced):
            concluded(record, ramp=RAMP, epoch=epoch)
        with pytest.raises(Fenced):
            taken(record, RAMP)


# Taking over.


def test_taking_over_raises_the_epoch_and_serves_nobody() -> None:
    record = taken(at_epoch(NEVER_RAMPED, 41))
    assert (record.ramp, record.epoch, record.closed) == (RAMP, 42, False)
    assert (record.assignment, record.leases, record.candidates) == (BASELINE_ONLY, {}, ())
    assert record.slots["green"] == SlotRecord(model="chat-v2", digest="d2")
    assert record.slots["blue"] == NEVER_RAMPED.slots["blue"]


def test_taking_over_twice_is_one_take_over() -> None:
    once = taken(NEVER_RAMPED)
    assert taken(once) is once


def test_a_second_ramp_cannot_have_a_route_that_still_serves_the_first_one() -> None:
    with pytest.raises(Refused, match=f"still serves green for ramp {RAMP}"):
        taken(serving(), OTHER)


def test_after_a_clear_another_ramp_starts_above_the_epoch_of_the_first() -> None:
    record = taken(CLEARED[Clearer.SENTINEL], OTHER)
    assert record.epoch == CLEARED[Clearer.SENTINEL].epoch + 1
    assert (record.closed, record.cleared_by, record.cleared_reason) == (False, None, "")
    with pytest.raises(Fenced, match=f"held by {OTHER}"):
        served(record, ramp=RAMP, epoch=10**6, assignment=five_percent())


@pytest.mark.parametrize(("mark", "refusal"), [(killed, Refused), (frozen, Frozen)])
def test_a_marked_route_is_not_taken_over_until_it_is_lifted(mark: type, refusal: type[Refused]) -> None:
    marked = mark(NEVER_RAMPED, MARK)
    with pytest.raises(refusal, match=r"ada: because.*`tailramp lift`"):
        taken(marked)
    assert taken(lifted(marked)).ramp == RAMP


@pytest.mark.parametrize("reason", ["unhealthy", "alert", "blind", "lease_lapsed"])
def test_what_a_ramp_took_out_is_refused_whatever_else_its_file_says_until_it_is_overridden(reason: str) -> None:
    out = cleared(serving(), by=Clearer.ROLLBACK, reason=reason, ramp=RAMP)
    assert out is not None
    again = {"green": SlotRecord(model="chat-v2", digest="another file")}
    with pytest.raises(Refused, match=rf"chat-v2 was taken out of demo/chat before \({reason}\).*--override"):
        taken_over(out, ramp=OTHER, baseline="blue", candidates=again)
    assert taken_over(out, ramp=OTHER, baseline="blue", candidates=again, override="mended").refused == {}
    other = {"green": SlotRecord(model="chat-v3", digest="d2")}
    assert taken_over(out, ramp=OTHER, baseline="blue", candidates=other).ramp == OTHER


@pytest.mark.parametrize("reason", ["operator_abort", "cancelled"])
def test_what_a_person_ended_is_refused_until_the_canary_file_changes(reason: str) -> None:
    out = cleared(serving(), by=Clearer.ROLLBACK, reason=reason, ramp=RAMP)
    assert out is not None
    with pytest.raises(Refused, match=reason):
        taken_over(out, ramp=OTHER, baseline="blue", candidates={"green": SlotRecord(model="chat-v2", digest="d2")})
    changed = {"green": SlotRecord(model="chat-v2", digest="d3")}
    assert taken_over(out, ramp=OTHER, baseline="blue", candidates=changed).ramp == OTHER


@pytest.mark.parametrize("reason", ["target_emptied", "activity_failed"])
def test_what_nobody_held_against_the_candidate_may_be_tried_again(reason: str) -> None:
    out = cleared(serving(), by=Clearer.ROLLBACK, reason=reason, ramp=RAMP)
    assert out is not None
    same = {"green": SlotRecord(model="chat-v2", digest="d2")}
    assert taken_over(out, ramp=OTHER, baseline="blue", candidates=same).ramp == OTHER


def test_a_kill_is_held_against_the_candidate_whatever_words_were_given() -> None:
    out = lifted(killed(serving(), MARK))
    with pytest.raises(Refused, match=r"chat-v2 was taken out .*\(killed\)"):
        taken_over(out, ramp=OTHER, baseline="blue", candidates={"green": SlotRecord(model="chat-v2", digest="d3")})


def test_a_lease_of_an_earlier_ramp_serves_nobody_of_the_next_one() -> None:
    left = NEVER_RAMPED.model_copy(update={"leases": {"green": Lease(renewals=5)}})
    assert taken(left).leases == {}


def test_preparing_a_slot_forgets_that_it_was_the_default() -> None:
    after = taken_over(
        promoted_record(), ramp=OTHER, baseline="green", candidates={"blue": SlotRecord(model="chat-v3", digest="d3")}
    )
    assert (after.previous_default, after.previous_digest) == (None, None)
    with pytest.raises(Refused, match="no earlier default"):
        sent_to_previous(after, MARK)


# Serving.


def test_serving_gives_every_candidate_a_lease_of_the_length_asked_for() -> None:
    record = served(taken(), ramp=RAMP, epoch=7, assignment=five_percent(), lease_seconds=12)
    assert (record.epoch, record.assignment) == (7, five_percent())
    assert record.leases == {"green": Lease(seconds=12, renewals=1)}
    assert served(taken(), ramp=RAMP, epoch=7, assignment=five_percent()).leases["green"].seconds == LEASE_SECONDS


def test_a_retry_of_a_write_that_was_done_changes_nothing() -> None:
    once = serving(epoch=7)
    assert served(once, ramp=RAMP, epoch=7, assignment=five_percent()) is once


def test_another_assignment_at_the_same_epoch_is_written_and_renews_the_lease() -> None:
    once = serving(epoch=7)
    twice = served(once, ramp=RAMP, epoch=7, assignment=on_green("00-09"))
    assert twice.leases["green"].renewals == once.leases["green"].renewals + 1


def test_a_write_that_takes_everyone_back_leaves_no_lease() -> None:
    assert served(serving(epoch=7), ramp=RAMP, epoch=8, assignment=BASELINE_ONLY).leases == {}


def test_a_promotion_remembers_what_the_default_was_and_by_which_digest() -> None:
    record = promoted_record()
    assert (record.previous_default, record.previous_digest) == ("blue", "d1")
    assert (record.original_default, record.assignment, record.leases) == ("green", Assignment(default="green"), {})


def test_a_moved_default_has_a_lease_like_a_rule() -> None:
    record = served(serving(epoch=7), ramp=RAMP, epoch=8, assignment=Assignment(default="green"))
    assert record.candidates == ("green",)
    assert record.leases["green"].renewals == 2


FROZEN = frozen(serving(epoch=7), MARK)


@pytest.mark.parametrize(
    "assignment", [on_green("00-05"), on_green("05-09"), Assignment(default="green"), on_green("00-04", slot="red")]
)
def test_a_frozen_route_lets_nobody_else_onto_a_candidate(assignment: Assignment) -> None:
    with pytest.raises(Frozen, match="frozen by ada: because"):
        served(FROZEN, ramp=RAMP, epoch=8, assignment=assignment)


@pytest.mark.parametrize("assignment", [on_green("00-03"), BASELINE_ONLY])
def test_a_frozen_route_may_take_users_back(assignment: Assignment) -> None:
    assert served(FROZEN, ramp=RAMP, epoch=8, assignment=assignment).assignment == assignment


# Clears.


@pytest.mark.parametrize("by", list(Clearer))
@pytest.mark.parametrize("record", [NEVER_RAMPED, serving(), promoted_record(), killed(serving(), MARK)])
def test_no_clear_without_a_ramp_is_ever_a_no_op(record: RouteRecord, by: Clearer) -> None:
    after = cleared(record, by=by, reason="why")
    assert after is not None
    assert after.epoch > record.epoch
    assert after.closed
    assert after.candidates == ()
    assert after.leases == {}
    assert after.assignment == Assignment(default=record.original_default)


@pytest.mark.parametrize(("stored", "asked", "becomes"), [(7, 0, 8), (7, 7, 8), (7, 9, 9), (7, 8, 8)])
def test_a_clear_takes_an_epoch_above_the_stored_one(stored: int, asked: int, becomes: int) -> None:
    after = cleared(serving(epoch=stored), by=Clearer.ROLLBACK, ramp=RAMP, epoch=asked)
    assert after is not None
    assert after.epoch == becomes


def test_whoever_cleared_first_stays_named_with_the_reason() -> None:
    first = cleared(serving(), by=Clearer.SENTINEL, reason="lease_lapsed")
    assert first is not None
    second = cleared(first, by=Clearer.ROLLBACK, reason="operator_abort", ramp=RAMP)
    assert second is not None
    assert (second.cleared_by, second.cleared_reason) == (Clearer.SENTINEL, "lease_lapsed")
    assert second.epoch > first.epoch


def test_a_rollback_leaves_alone_what_a_newer_ramp_or_a_kill_holds() -> None:
    assert cleared(serving(OTHER), by=Clearer.ROLLBACK, ramp=RAMP) is None
    assert cleared(killed(serving(), MARK), by=Clearer.ROLLBACK, ramp=RAMP) is None
    assert cleared(NEVER_RAMPED, by=Clearer.ROLLBACK, ramp=RAMP) is not None


def test_a_clear_after_the_default_has_moved_goes_back_to_the_original_one() -> None:
    moved = served(serving(epoch=7), ramp=RAMP, epoch=8, assignment=Assignment(default="green"))
    for by in Clearer:
        after = cleared(moved, by=by)
        assert after is not None
        assert after.assignment == BASELINE_ONLY


def test_a_kill_leaves_its_mark_and_only_lift_takes_it_away() -> None:
    record = killed(serving(), MARK)
    assert (record.kill, record.cleared_by, record.assignment) == (MARK, Clearer.KILL, BASELINE_ONLY)
    assert lifted(record).kill is None
    with pytest.raises(Fenced, match="cleared by kill"):
        served(lifted(record), ramp=RAMP, epoch=10**6, assignment=five_percent())


def test_a_second_kill_renews_the_mark_and_raises_the_epoch() -> None:
    later = MARK.model_copy(update={"at": datetime(2026, 1, 2, tzinfo=UTC), "by": "grace"})
    once = killed(serving(), MARK)
    twice = killed(once, later)
    assert twice.kill == later
    assert twice.epoch == once.epoch + 1


def test_after_a_promotion_kill_takes_nobody_out_and_to_previous_goes_back() -> None:
    record = promoted_record()
    assert killed(record, MARK).assignment == Assignment(default="green")
    back = sent_to_previous(record, MARK)
    assert (back.assignment, back.original_default, back.kill) == (BASELINE_ONLY, "blue", MARK)


def test_there_is_no_way_back_to_a_slot_that_holds_something_else_now() -> None:
    record = promoted_record()
    changed = record.model_copy(update={"slots": {**record.slots, "blue": SlotRecord(model="chat-v1", digest="d9")}})
    with pytest.raises(Refused, match="no longer holds"):
        sent_to_previous(changed, MARK)
    with pytest.raises(Refused, match="no earlier default"):
        sent_to_previous(NEVER_RAMPED, MARK)


def test_a_slot_that_keeps_no_server_is_no_way_back_unless_somebody_insists() -> None:
    record = retiring(promoted_record(), ramp=RAMP, new="green", servers=0)
    with pytest.raises(Refused, match=r"blue keeps no server .*--force"):
        sent_to_previous(record, MARK)
    assert sent_to_previous(record, MARK, force=True).assignment.default == "blue"
    assert sent_to_previous(retiring(record, ramp=RAMP, new="green", servers=2), MARK).previous_servers == 2


def test_servers_stay_where_somebody_has_sent_everyone_before_they_were_to_go() -> None:
    back = sent_to_previous(promoted_record(), MARK)
    with pytest.raises(Fenced, match="shut off by ada"):
        retiring(back, ramp=RAMP, new="green", servers=0)
    with pytest.raises(Fenced, match="green does not serve everyone"):
        retiring(lifted(back), ramp=RAMP, new="green", servers=0)


def test_a_workload_that_was_named_stays_named_once_whatever_slot_it_is_of_now() -> None:
    blue, green = (WorkloadReference(slot=slot, kind="deployment", name=f"chat-{slot}") for slot in ("blue", "green"))
    named = naming_workloads(NEVER_RAMPED, [blue, green])
    assert naming_workloads(named, [blue, green]) == named
    moved = green.model_copy(update={"slot": "red", "sized": True})
    assert naming_workloads(named, [moved]).workloads == (blue, moved)
    assert killed(taken(named), MARK).workloads == (blue, green)


def test_a_record_of_before_workloads_were_named_is_read() -> None:
    data = NEVER_RAMPED.model_dump(mode="json")
    del data["workloads"]
    assert RouteRecord.model_validate(data) == NEVER_RAMPED


def test_the_prepared_record_is_closed_far_above_any_epoch_of_its_ramp() -> None:
    record = prepared(taken())
    assert record.closed
    assert record.epoch >= taken().epoch + BEYOND_ANY_RAMP
    assert record.assignment == BASELINE_ONLY
    with pytest.raises(Fenced):
        served(record, ramp=RAMP, epoch=taken().epoch + BEYOND_ANY_RAMP - 1, assignment=five_percent())


def test_a_conclusion_is_written_once_and_its_retry_changes_nothing() -> None:
    record = promoted_record()
    assert record.closed
    assert record.cleared_by is None
    assert concluded(record, ramp=RAMP, epoch=record.epoch) is record
