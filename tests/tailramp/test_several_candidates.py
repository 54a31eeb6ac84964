"""Two candidates on one route: the record, the plan and the target keep them apart."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from route_record_samples import NEVER_RAMPED, RAMP, on_green
from spec_samples import plan_of

from tailramp import ramp
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.errors import Fenced, Refused
from tailramp.lease import LeaseObserver
from tailramp.plan import Plan
from tailramp.ramp import Phase, RampState
from tailramp.route_record import Lease, RouteRecord, SlotRecord, refusal, served, shortened, taken_over, without
from tailramp.spec import RampPolicy, RampSpec, StepPolicy
from tailramp.target import change_of_target

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
GREEN, RED = SlotRecord(model="chat-70b", digest="g"), SlotRecord(model="chat-13b", digest="r")
BOTH = Assignment(
    default="blue",
    rules=(
        Rule(slot="green", buckets=BucketSet.parse("00-04")),
        Rule(slot="red", buckets=BucketSet.parse("05-09")),
    ),
)


def serving() -> RouteRecord:
    """Both are served, at epoch 5."""
    record = taken_over(NEVER_RAMPED, ramp=RAMP, baseline="blue", candidates={"green": GREEN, "red": RED})
    return served(record, ramp=RAMP, epoch=5, assignment=BOTH)


def lowered(record: RouteRecord, *, epoch: int = 6) -> RouteRecord:
    reasons = {"red": "unhealthy"}
    return without(record, ramp=RAMP, epoch=epoch, assignment=on_green("00-04"), reasons=reasons)


def test_each_candidate_has_a_lease_of_its_own() -> None:
    record = shortened(serving(), ramp=RAMP, epoch=5, slot="red", reason="unhealthy")
    assert record.leases["green"] == Lease(renewals=1)
    assert (record.leases["red"].seconds, record.leases["red"].reason) == (5.0, "unhealthy")


def test_one_that_is_withdrawn_loses_its_rule_and_its_lease_and_is_refused_from_then_on() -> None:
    record = lowered(serving())
    assert record.assignment == on_green("00-04")
    assert set(record.leases) == {"green"}
    assert refusal(record, model="chat-13b", digest="r") == "unhealthy"
    assert refusal(record, model="chat-70b", digest="g") is None


def test_a_withdrawal_may_be_repeated_and_is_fenced_like_every_write() -> None:
    record = lowered(serving())
    assert lowered(record) == record
    with pytest.raises(Fenced):
        lowered(record.model_copy(update={"epoch": 9}))


def test_a_short_lease_that_lapses_clears_the_route_and_blames_its_own_candidate() -> None:
    record = shortened(serving(), ramp=RAMP, epoch=5, slot="red", reason="unhealthy")
    observer = LeaseObserver()
    assert observer.observe(record, 0) is None
    lapse = observer.observe(record, 5)
    assert lapse is not None
    cleared = lapse.clear(record)
    assert cleared is not None
    assert cleared.assignment == Assignment(default="blue")
    assert cleared.refused == {"model:chat-13b": "unhealthy"}


def test_when_nobody_looks_any_more_every_candidate_is_to_blame() -> None:
    observer = LeaseObserver()
    assert observer.observe(serving(), 0) is None
    lapse = observer.observe(serving(), 90)
    assert lapse is not None
    cleared = lapse.clear(serving())
    assert cleared is not None
    assert set(cleared.refused) == {"model:chat-70b", "model:chat-13b"}


def test_a_refused_model_keeps_the_whole_ramp_from_starting() -> None:
    refused = NEVER_RAMPED.model_copy(update={"refused": {"model:chat-13b": "unhealthy"}})
    with pytest.raises(Refused, match="chat-13b was taken out of demo/chat before"):
        taken_over(refused, ramp=RAMP, baseline="blue", candidates={"green": GREEN, "red": RED})


def test_a_step_has_a_rule_for_each_and_its_label_says_whose(two: Plan) -> None:
    assert two.step(2).label == "10 % (green 00-04 + red 20-24)"
    assert two.steps[-1].label == "40 % (green 00-19 + red 20-39)"
    assert not two.promotes


def test_the_plan_without_one_has_the_same_steps_for_the_other(two: Plan) -> None:
    alone = two.without(["red"])
    assert alone.slots == ("green",)
    assert [str(step.buckets) for step in alone.steps] == [
        str(step.assignment.buckets_of("green")) for step in two.steps
    ]


def at_step(plan: Plan, index: int, phase: Phase) -> RampState:
    """Step ``index`` is held, or its write may be under way while the step before it is known to be served."""
    reached = index if phase is Phase.HOLDING else index - 1
    return RampState(phase=phase, step=index, applied=plan.step(reached).assignment, anchor=0)


def test_who_comes_in_a_shift_that_is_under_way_is_not_moved_back_by_a_later_step(two_spec: RampSpec) -> None:
    policy = RampPolicy(steps=tuple(StepPolicy(share=share) for share in (0.1, 0.4, 0.5, 1.0)))
    spec = two_spec.model_copy(update={"platform": two_spec.platform.model_copy(update={"ramp": policy})})
    plan = plan_of(spec)
    state = at_step(plan, 3, Phase.SHIFTING)  # half of both is being written, 40 % is served
    green, red = spec.candidates
    wider = spec.of([green, red.model_copy(update={"buckets": BucketSet.parse("20-99")})])
    change = change_of_target(spec, wider, plan, state)
    assert change is not None
    assert change.shrink_to is None
    steps = change.plan.steps[2:]
    assert [str(step.assignment.buckets_of("red")) for step in steps] == ["20-29", "20-51", "20-59", "20-99"]
    for before, after in itertools.pairwise(steps):
        assert after.assignment.grows_from(before.assignment)


def test_emptying_one_leaves_the_other_and_emptying_both_ends_the_ramp(two: Plan, two_spec: RampSpec) -> None:
    state = at_step(two, 2, Phase.HOLDING)
    one = change_of_target(two_spec, two_spec.of(two_spec.candidates[1:]), two, state)
    assert one is not None
    assert (one.emptied, one.plan.slots) == (("green",), ("red",))
    assert one.shrink_to == two.step(2).assignment.without(["green"])
    left = ramp.withdrawn(two, state, one.emptied, ramp.Reason.TARGET_EMPTIED, "")
    assert left.stop is None
    gone = ramp.withdrawn(one.plan, left, one.plan.slots, ramp.Reason.TARGET_EMPTIED, "")
    assert gone.stop is ramp.Reason.TARGET_EMPTIED


def test_with_two_bad_ones_the_automatic_one_goes_and_the_other_waits_for_a_person(two: Plan) -> None:
    state = at_step(two, 2, Phase.HOLDING)
    after = ramp.check_failed(two, state, ["green", "red"], "bad", automatic=["red"], now=NOON)
    assert after.withdrawn == {"red": ramp.Reason.UNHEALTHY}
    assert (after.paused, after.tolerated) == (True, {"green"})
    assert isinstance(ramp.next_action(two.without(["red"]), after), ramp.Withdraw), "a pause delays no withdrawal"
