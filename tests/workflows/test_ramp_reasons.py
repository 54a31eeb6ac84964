"""Why a ramp goes back: what the machine finds, and what is said by whoever was there first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from ramp_specs import ramp_spec
from rolled_back import assert_rolled_back
from scripted import ScriptedWorld, new_route
from scripted_activities import answers, clear_finds, ends, fails, waits

from tailramp import activity_names as names
from tailramp.activity_contract import RestoreReport
from tailramp.decision import DecisionKind
from tailramp.ramp import Block, Phase, Reason, SpendWord, WatchOutcome
from tailramp.route_record import Clearer
from workflows.messages import Spend
from workflows.ramp import RampWorkflow

# What the machine finds.


async def _failed_check(world: ScriptedWorld) -> str:
    world.on("hold 1", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"))
    return "hold 1"


async def _failed_in_settling(world: ScriptedWorld) -> str:
    world.on("settle 1", ends(WatchOutcome.FAILED, "errors 30 % > 5 %"))
    return "settle 1"


async def _failed_bake(world: ScriptedWorld) -> str:
    world.on("bake", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"))
    return "bake"


async def _blind(world: ScriptedWorld) -> str:
    world.on("hold 1", ends(WatchOutcome.BLIND, "no answer for 5m"))
    return "hold 1"


async def _refused_write(world: ScriptedWorld) -> str:
    world.on("apply default", fails(names.REFUSED, "the route file is not one of tailramp's"))
    return "apply default"


async def _refused_proof(world: ScriptedWorld) -> str:
    world.on("verify rules", fails(names.REFUSED, "the gateway knows no such route"))
    return "verify rules"


async def _fenced_write(world: ScriptedWorld) -> str:
    world.on("apply default", fails(names.FENCED, "is at epoch 99"))
    return "apply default"


async def _fenced_conclude(world: ScriptedWorld) -> str:
    world.on("conclude", fails(names.FENCED, "was cleared by sentinel"))
    return "conclude"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (_failed_check, Reason.UNHEALTHY),
        (_failed_in_settling, Reason.UNHEALTHY),
        (_failed_bake, Reason.UNHEALTHY),
        (_blind, Reason.BLIND),
        (_refused_write, Reason.ACTIVITY_FAILED),
        (_refused_proof, Reason.ACTIVITY_FAILED),
        (_fenced_write, Reason.FENCED),
        (_fenced_conclude, Reason.FENCED),
    ],
)
async def test_what_cannot_go_on_goes_back_and_says_why(
    world: ScriptedWorld, script: Callable[[ScriptedWorld], Awaitable[str]], reason: Reason
) -> None:
    label = await script(world)
    ramp = await world.start()
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, reason)
    assert result.detail.startswith(f"rolled back: {reason}: ")
    assert_rolled_back(world, last_forward=label)


async def test_the_decisions_of_a_rollback_name_its_reason_from_intent_to_end(world: ScriptedWorld) -> None:
    world.on("hold 1", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"))
    ramp = await world.start()
    await ramp.result()
    kind = DecisionKind
    wanted = [kind.FAILED, kind.ROLLBACK_INTENDED, kind.CLEARED, kind.ZERO_PROVEN, kind.RESTORED, kind.ENDED]
    tail = world.decisions[-len(wanted) :]
    assert [decision.kind for decision in tail] == wanted
    assert {decision.reason for decision in tail if decision.reason} == {"unhealthy"}
    assert all("p99 3 s > 2 s" in tail[index].sentence for index in (0, 1, 5))


@pytest.mark.parametrize(
    ("equal", "foreign", "said"),
    [
        (True, (), "the route is as it was before the ramp"),
        (True, ("x", "y"), "the route is as it was before the ramp, but for what others changed: x; y"),
        (False, ("x",), "the route is not as it was before the ramp: x"),
    ],
)
async def test_what_others_changed_is_named_though_all_that_tailramp_wrote_is_back(
    world: ScriptedWorld, equal: bool, foreign: tuple[str, ...], said: str
) -> None:
    world.on("hold 1", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"))
    world.on("restore", answers(RestoreReport(equal=equal, foreign=foreign)))
    ramp = await world.start()
    await ramp.result()
    assert [each.sentence for each in world.decisions if each.kind is DecisionKind.RESTORED] == [said]


@pytest.mark.parametrize("label", ["hold 1", "bake"])
async def test_an_alert_that_is_the_candidates_fault_rolls_back_at_once(world: ScriptedWorld, label: str) -> None:
    world.on(label, waits())
    ramp = await world.start()
    await world.reached(label)
    await ramp.alert(attributed=True)
    assert (await ramp.result()).reason is Reason.ALERT
    assert_rolled_back(world, last_forward=label)


async def test_an_attributed_alert_rolls_back_even_where_a_failed_check_would_only_pause(world: ScriptedWorld) -> None:
    world.on("hold 1", waits())
    ramp = await world.start(ramp_spec(new_route(), auto_rollback=False))
    await world.reached("hold 1")
    await ramp.pause()
    await world.reached("guard 1")
    await ramp.alert(attributed=True)
    assert (await ramp.result()).reason is Reason.ALERT


async def test_a_spent_budget_takes_everyone_back_and_an_unknown_spend_holds(world: ScriptedWorld) -> None:
    world.on("hold 1", waits())
    ramp = await world.start()
    await world.reached("hold 1")
    await ramp.handle.signal(RampWorkflow.spend, Spend(actor="meter", word=SpendWord.UNKNOWN, reason="no price"))
    await world.reached("guard 1")
    assert (await ramp.status()).blocked_by == (Block.BUDGET,)
    over = Spend(actor="meter", word=SpendWord.EXHAUSTED, reason="5,012 of 5,000 CNY")
    await ramp.handle.signal(RampWorkflow.spend, over)
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, Reason.BUDGET_EXHAUSTED)


# Who was there first.


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (clear_finds(cleared_by=Clearer.KILL, reason="incident 7", held=False), Reason.KILLED),
        (clear_finds(cleared_by=Clearer.SENTINEL, reason="lease_lapsed"), Reason.LEASE_LAPSED),
        (clear_finds(cleared_by=Clearer.SENTINEL, reason="unhealthy"), Reason.UNHEALTHY),
        (clear_finds(cleared_by=Clearer.SENTINEL, reason="a word of its own"), Reason.LEASE_LAPSED),
        (clear_finds(), Reason.FENCED),
    ],
)
async def test_a_fenced_ramp_ends_with_the_reason_of_whoever_cleared_it(
    world: ScriptedWorld, found: Callable[..., Awaitable[None]], reason: Reason
) -> None:
    world.on("hold 1", fails(names.FENCED, "was cleared"))
    world.on("clear", found)
    ramp = await world.start()
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, reason)
    assert_rolled_back(world, last_forward="hold 1")


async def test_a_newer_ramp_is_left_alone(world: ScriptedWorld) -> None:
    world.on("hold 1", fails(names.FENCED, "is held by another"))
    world.on("clear", clear_finds(held=False, superseded_by="9f3c"))
    ramp = await world.start()
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.SUPERSEDED, Reason.SUPERSEDED)
    assert world.deeds[-2:] == ["hold 1", "clear"]
