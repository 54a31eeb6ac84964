"""Several candidates in one ramp: what befalls one of them is not the others' fate."""

from __future__ import annotations

import pytest
from ramp_specs import ramp_spec
from scripted import Ramp, ScriptedWorld, new_route
from scripted_activities import ends, fails, waits
from temporalio.client import WorkflowUpdateFailedError

from tailramp import activity_names as names
from tailramp.decision import DecisionKind
from tailramp.ramp import Phase, Reason, WatchOutcome
from tailramp.spec import RampSpec
from workflows.messages import Alert
from workflows.ramp import RampWorkflow

BAD = "p99 3 s > 2 s"


def two(route: str, green: str = "00-19", red: str = "20-39") -> RampSpec:
    """chat-v2 in green and chat-13b in red: a step of half of each target, then both whole."""
    return ramp_spec(route, buckets=green, second=red, steps=("50%", "100%"))


async def _holding(world: ScriptedWorld, route: str, step: int = 1) -> Ramp:
    world.on(f"hold {step}", waits())
    ramp = await world.start(two(route))
    await world.reached(f"hold {step}")
    return ramp


def shares(world: ScriptedWorld, label: str) -> dict[str, str]:
    """What the last call of ``label`` gave to whom."""
    rules = world.all(label)[-1].request.assignment.rules
    return {rule.slot: str(rule.buckets) for rule in rules}


async def test_a_step_gives_each_candidate_its_part_of_its_own_target(world: ScriptedWorld) -> None:
    await _holding(world, new_route())
    assert shares(world, "apply 1") == {"green": "00-09", "red": "20-29"}


async def test_one_that_fails_is_taken_back_with_proof_and_the_other_holds_on(world: ScriptedWorld) -> None:
    world.on("hold 1", ends(WatchOutcome.FAILED, BAD, slot="red"), waits())
    ramp = await world.start(two(new_route()))
    await world.reached("hold 1", times=2)
    first, second = (call.request for call in world.all("hold 1"))
    assert (second.anchor, second.held) == (first.anchor, first.held), "the other's evidence and clock go on"
    assert second.plan.slots == ("green",)
    (write,) = world.all("withdraw 1")
    assert write.request.reasons == {"red": Reason.UNHEALTHY}
    assert shares(world, "withdraw 1") == {"green": "00-09"}
    (proof,) = world.all("prove")
    assert (proof.request.slots, str(proof.request.returned)) == (("red",), "20-29")
    status = await ramp.status()
    assert status.phase is Phase.HOLDING
    assert [(c.slot, c.withdrawn, c.share) for c in status.candidates] == [
        ("green", None, 0.1),
        ("red", Reason.UNHEALTHY, 0.0),
    ]
    assert DecisionKind.WITHDRAWN in [call.request.kind for call in world.all("record ")]


async def test_the_other_goes_on_to_its_target_alone(world: ScriptedWorld) -> None:
    world.on("hold 1", ends(WatchOutcome.FAILED, BAD, slot="red"))
    await world.start(two(new_route()))
    await world.reached("hold 2")
    assert shares(world, "apply 2") == {"green": "00-19"}


async def test_with_the_last_one_the_ramp_rolls_back(world: ScriptedWorld) -> None:
    world.on("hold 1", ends(WatchOutcome.FAILED, BAD, slot="red"), ends(WatchOutcome.FAILED, BAD, slot="green"))
    ramp = await world.start(two(new_route()))
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, Reason.UNHEALTHY)
    assert {c.slot: c.withdrawn for c in result.candidates} == {"green": None, "red": Reason.UNHEALTHY}
    assert world.all("prove")[-1].request.slots == ("green", "red"), "zero is proven for everyone who ever served"


async def test_an_alert_about_one_takes_out_that_one(world: ScriptedWorld) -> None:
    ramp = await _holding(world, new_route())
    world.on("hold 1", waits())
    await ramp.handle.signal(
        RampWorkflow.alert, Alert(actor="alertmanager", name="Toxic", attributed=True, slot="green")
    )
    await world.reached("hold 1", times=2)
    assert world.all("withdraw 1")[0].request.reasons == {"green": Reason.ALERT}


async def test_one_that_is_missing_from_the_file_is_emptied(world: ScriptedWorld) -> None:
    route = new_route()
    ramp = await _holding(world, route)
    spec = two(route)
    told = await ramp.set_target(spec.of(spec.candidates[:1]))
    assert told == "new target green 00-19 + red nobody: 20-29 go back to blue at once"
    await world.reached("settle 1", times=2)
    assert shares(world, "apply ") == {"green": "00-09"}
    status = await ramp.status()
    assert [c.withdrawn for c in status.candidates] == [None, Reason.TARGET_EMPTIED]


async def test_buckets_do_not_pass_from_one_to_another(world: ScriptedWorld) -> None:
    route = new_route()
    ramp = await _holding(world, route)
    with pytest.raises(WorkflowUpdateFailedError) as refusal:
        await ramp.set_target(two(route, green="00-24", red="25-39"))
    assert "20-24 would pass from chat-13b to chat-v2" in str(refusal.value.cause)


async def test_a_withdrawal_that_cannot_be_proven_takes_everyone_back(world: ScriptedWorld) -> None:
    world.on("hold 1", ends(WatchOutcome.FAILED, BAD, slot="red"))
    world.on("withdraw 1", fails(names.FENCED))
    ramp = await world.start(two(new_route()))
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, Reason.FENCED)
