"""From a target and what is served already to the steps of a ramp."""

from __future__ import annotations

import math
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spec_samples import CANARY, PLATFORM, plan_of, spec_of

from tailramp.buckets import BucketSet
from tailramp.errors import Refused
from tailramp.plan import Plan
from tailramp.planning import make_plan
from tailramp.spec import RampPolicy, RampSpec, StepPolicy


def with_target(spec: RampSpec, target: BucketSet, shares: list[str] | None = None) -> RampSpec:
    candidate = spec.candidate.model_copy(update={"buckets": target})
    policy = spec.platform.ramp
    if shares is not None:
        policy = RampPolicy.model_validate({"steps": [{"share": share} for share in shares]})
    return RampSpec(
        canary=spec.canary.model_copy(update={"canary": candidate}),
        platform=spec.platform.model_copy(update={"ramp": policy}),
    )


def served_at(plan: Plan) -> list[str]:
    return [str(step.buckets) for step in plan.steps]


def test_the_default_schedule_to_everyone_ends_with_a_promotion(tmp_path: Path) -> None:
    spec = spec_of(
        tmp_path,
        CANARY.replace("00-04", "00-99"),
        PLATFORM.replace("  steps: [1%, 5%, {share: 25%, hold: 20m}, 100%]\n", ""),
    )
    plan = plan_of(spec)
    assert served_at(plan) == ["00", "00-04", "00-09", "00-24", "00-49"]
    assert plan.promotes
    assert plan.shares == "1/5/10/25/50/100 %"
    assert plan.shortest == 5 * timedelta(minutes=10) + timedelta(minutes=30)


def test_no_step_ever_lists_every_bucket(promoting: Plan) -> None:
    assert all(not step.buckets.is_everyone for step in promoting.steps)
    assert promoting.promoted.rules == ()
    assert promoting.promoted.default == "green"
    assert promoting.promoting.rules == promoting.steps[-1].assignment.rules
    assert promoting.baseline_only.slot_for("00") == "blue"


def test_a_target_below_everyone_is_the_last_step_and_is_held(held: Plan) -> None:
    assert served_at(held) == ["00", "00-01", "00-04"]
    assert not held.promotes
    assert [step.hold for step in held.steps] == [timedelta(minutes=10), timedelta(minutes=20), timedelta(minutes=10)]


def test_steps_that_change_nothing_are_dropped_and_the_rest_counted_from_one(spec: RampSpec) -> None:
    plan = plan_of(with_target(spec, BucketSet.parse("37")))
    assert served_at(plan) == ["37"]
    assert [step.index for step in plan.steps] == [1]
    assert plan.step(1).label == "1 % (37)"


def test_buckets_come_in_the_order_in_which_they_were_written(spec: RampSpec) -> None:
    plan = plan_of(with_target(spec, BucketSet.parse("90,10,50,30"), ["25%", "50%", "100%"]))
    assert served_at(plan) == ["90", "90,10", "90,10,50,30"]


def test_whoever_is_served_already_stays_served(spec: RampSpec) -> None:
    target = with_target(spec, BucketSet.parse("00-09"), ["10%", "50%", "100%"])
    plan = make_plan(target, default="blue", candidates=["green"], served={"green": BucketSet.parse("05-06")})
    assert served_at(plan) == ["05-06,00", "05-06,00-04", "05-06,00-04,07-09"]


@pytest.mark.parametrize("percent", [7, 14, 28, 55, 56, *range(1, 100, 9)])
def test_a_share_that_no_binary_fraction_holds_gives_exactly_its_buckets(full_spec: RampSpec, percent: int) -> None:
    plan = plan_of(with_target(full_spec, BucketSet.parse("00-99"), [f"{percent}%", "100%"]))
    assert len(plan.steps[0].buckets) == percent


def test_a_share_of_tenths_of_a_percent_is_exact_at_the_fine_resolution(full_spec: RampSpec) -> None:
    everyone = BucketSet.parse("0000-9999")
    for tenths in range(1, 1000, 7):
        plan = plan_of(with_target(full_spec, everyone, [f"{tenths / 10}%", "100%"]))
        assert len(plan.steps[0].buckets) == 10 * tenths


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    target=st.lists(st.integers(0, 99), unique=True, min_size=1, max_size=100),
    cents=st.lists(st.integers(1, 9999), unique=True, max_size=6).map(sorted),
    served=st.lists(st.integers(0, 99), unique=True, max_size=20),
)
def test_every_plan_follows_the_step_rule(
    spec: RampSpec, target: list[int], cents: list[int], served: list[int]
) -> None:
    wanted, already = BucketSet(tuple(target)), BucketSet(tuple(served))
    ramp = with_target(spec, wanted, [*(f"{cent / 100}%" for cent in cents), "100%"])
    expected: list[set[str]] = []
    for share in (*(Fraction(cent, 10000) for cent in cents), Fraction(1)):
        buckets = set(already) | set(wanted.first(math.ceil(share * len(target))))
        if (not expected or expected[-1] != buckets) and not (wanted.is_everyone and len(buckets) == 100):
            expected.append(buckets)
    if not expected:
        with pytest.raises(Refused):
            make_plan(ramp, default="blue", candidates=["green"], served={"green": already})
        return
    plan = make_plan(ramp, default="blue", candidates=["green"], served={"green": already})
    assert [set(step.buckets) for step in plan.steps] == expected
    assert plan.promotes == wanted.is_everyone
    for before, after in zip(plan.steps, plan.steps[1:], strict=False):
        assert after.assignment.grows_from(before.assignment)
    assert all(step.assignment.default == "blue" for step in plan.steps)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_an_empty_target_is_nothing_to_ramp(spec: RampSpec) -> None:
    with pytest.raises(Refused, match="the target is empty"):
        plan_of(with_target(spec, BucketSet()))


def test_a_ramp_to_everyone_in_one_leap_is_refused(full_spec: RampSpec) -> None:
    with pytest.raises(Refused, match="needs a smaller one to gather evidence in"):
        plan_of(with_target(full_spec, BucketSet.parse("00-99"), ["100%"]))


def test_a_step_that_rounds_up_to_everyone_is_no_step(full_spec: RampSpec) -> None:
    plan = plan_of(with_target(full_spec, BucketSet.parse("00-99"), ["99%", "99.5%", "100%"]))
    assert served_at(plan) == ["00-98"]


def test_everyone_of_a_segment_is_held_and_never_promoted(full_spec: RampSpec) -> None:
    candidate = full_spec.candidate.model_copy(update={"segments": ("VIP",)})
    spec = full_spec.model_copy(update={"canary": full_spec.canary.model_copy(update={"canary": candidate})})
    plan = plan_of(spec)
    assert not plan.promotes
    assert plan.steps[-1].assignment.slot_for("99", "VIP") == "green"
    assert plan.steps[-1].assignment.slot_for("99") == "blue"


def test_a_step_may_ask_for_an_approval_and_a_hold_of_its_own(full_spec: RampSpec) -> None:
    steps = (
        StepPolicy(share=0.05, approval=True),
        StepPolicy(share=0.25, hold=timedelta(hours=1)),
        StepPolicy(share=1),
    )
    policy = full_spec.platform.ramp.model_copy(update={"steps": steps})
    plan = plan_of(full_spec.model_copy(update={"platform": full_spec.platform.model_copy(update={"ramp": policy})}))
    assert [(step.approval, step.hold) for step in plan.steps] == [
        (True, timedelta(minutes=10)),
        (False, timedelta(hours=1)),
    ]


def holding_back(spec: RampSpec, buckets: str) -> RampSpec:
    policy = spec.platform.ramp.model_copy(update={"hold_back": BucketSet.parse(buckets)})
    return spec.model_copy(update={"platform": spec.platform.model_copy(update={"ramp": policy})})


def test_whoever_is_held_back_stays_on_the_old_slot_until_the_bake_ends(full_spec: RampSpec) -> None:
    plan = plan_of(holding_back(full_spec, "98-99"))
    for stage in (plan.promoting, plan.baking):
        assert [stage.slot_for(bucket) for bucket in ("00", "97", "98", "99", None)] == [
            "green",
            "green",
            "blue",
            "blue",
            "green",
        ]
    assert plan.promoted.slot_for("99") == "green"


def test_nobody_is_moved_to_the_candidate_and_back_to_be_held_back(full_spec: RampSpec) -> None:
    with pytest.raises(Refused, match=r"ramp\.holdBack: 24 would be moved"):
        plan_of(holding_back(full_spec, "24,99"))


def test_a_ramp_that_does_not_promote_holds_nobody_back(spec: RampSpec) -> None:
    assert not len(plan_of(holding_back(spec, "98-99")).hold_back)


def test_the_table_for_people_has_a_row_per_step_and_one_for_the_promotion(promoting: Plan) -> None:
    table = promoting.as_markdown()
    assert "| 2 | 5 % | 00-04 | 10m |" in table
    assert "| 4 | 100 % | everyone: green becomes default | bake 30m |" in table
