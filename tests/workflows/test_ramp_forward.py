"""The way forward: what the workflow asks for, in which order, at which epoch, and what people can change about it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from ramp_specs import TWO_STEPS, ramp_spec
from scripted import Ramp, ScriptedWorld, new_route
from scripted_activities import FIRST_EPOCH, answers, as_usual, ends, fails, waits

from tailramp import activity_contract as contract
from tailramp import activity_names as names
from tailramp.decision import DecisionKind
from tailramp.ramp import Block, Phase, Reason, WatchMode, WatchOutcome, clock

STEP_1 = ["apply 1", "verify 1", "settle 1", "hold 1"]
STEP_2 = ["apply 2", "verify 2", "settle 2", "hold 2"]
PROMOTION = ["apply default", "verify default", "apply rules", "verify rules", "bake", "conclude"]


async def test_a_healthy_ramp_asks_for_everything_in_order_and_closes_the_record_last(world: ScriptedWorld) -> None:
    ramp = await world.start(ramp_spec(new_route(), steps=TWO_STEPS))
    result = await ramp.result()
    assert (result.phase, result.reason) == (Phase.SUCCEEDED, Reason.SUCCEEDED)
    assert world.deeds == ["preflight", *STEP_1, *STEP_2, *PROMOTION]
    assert result.assignment is not None
    assert result.assignment.describe() == "default green"


async def test_the_epoch_rises_before_every_write(world: ScriptedWorld) -> None:
    ramp = await world.start()
    await ramp.result()
    writes = [*world.all("apply "), *world.all("conclude")]
    assert [call.epoch for call in writes] == list(range(FIRST_EPOCH + 1, FIRST_EPOCH + 5))


async def test_a_retry_of_a_write_keeps_the_epoch_that_it_was_decided_at(world: ScriptedWorld) -> None:
    world.on("apply 1", fails("Unreachable", "the disk is away"))
    await world.start()
    await world.reached("verify 1")
    assert [(call.attempt, call.epoch) for call in world.all("apply 1")] == [(1, FIRST_EPOCH + 1), (2, FIRST_EPOCH + 1)]


async def test_who_is_held_back_follows_only_after_the_bake(world: ScriptedWorld) -> None:
    ramp = await world.start(ramp_spec(new_route(), holdBack="98-99"))
    result = await ramp.result()
    assert result.phase is Phase.SUCCEEDED
    promotion = ["apply default", "verify default", "apply rules", "verify rules", "bake"]
    assert world.deeds == ["preflight", *STEP_1, *promotion, "apply everyone", "verify everyone", "conclude"]
    assert world.all("bake")[0].request.assignment.describe() == "default green, blue 98-99 (2 %)"


async def test_every_decision_of_a_healthy_ramp_is_written_down_before_it_ends(world: ScriptedWorld) -> None:
    ramp = await world.start()
    await ramp.result()
    kind = DecisionKind
    step = [kind.SHIFT_INTENDED, kind.SHIFTED, kind.SETTLED, kind.PASSED]
    promotion = [kind.PROMOTION_INTENDED, kind.DEFAULT_MOVED, kind.RULES_REMOVED, kind.PASSED, kind.ENDED]
    assert [decision.kind for decision in world.decisions] == [kind.STARTED, kind.PREFLIGHT_PASSED, *step, *promotion]


async def test_what_preflight_finds_is_the_result_of_a_refused_ramp(world: ScriptedWorld) -> None:
    problems = ("canary.model: no free slot serves it", "prometheus.url: cannot be reached")
    world.on("preflight", answers(contract.PreflightReport(problems=problems)))
    ramp = await world.start()
    result = await ramp.result()
    assert (result.phase, result.reason, result.problems) == (Phase.REFUSED, Reason.REFUSED, problems)
    assert world.deeds == ["preflight"]
    assert [decision.kind for decision in world.decisions] == [DecisionKind.STARTED, DecisionKind.REFUSED]


async def test_a_refusal_with_many_problems_still_ends_the_ramp(world: ScriptedWorld) -> None:
    problems = tuple(
        f"slots.green.url: 探针 {number} 没有回答, which must be mended before a user is moved" * 3
        for number in range(40)
    )
    world.on("preflight", answers(contract.PreflightReport(problems=problems)))
    ramp = await world.start()
    assert (await ramp.result()).problems == problems


async def test_a_target_below_everyone_holds_without_end(world: ScriptedWorld) -> None:
    ramp = await world.start(ramp_spec(new_route(), buckets="00-04", steps=("20%", "100%")))
    call = await world.reached("hold 2")
    assert call.request.hold is None
    status = await ramp.status()
    assert (status.phase, status.step, status.share) == (Phase.HOLDING, 2, 0.05)
    await ramp.promote(2)
    await world.reached("hold 2", times=2)
    assert world.deeds[-1] == "hold 2"


# Pause and resume.


async def test_a_pause_keeps_the_guards_on_and_stops_the_holds_clock(world: ScriptedWorld) -> None:
    world.on("hold 1", waits())
    ramp = await world.start()
    await world.reached("hold 1")
    await ramp.pause()
    guard = await world.reached("guard 1")
    assert (await ramp.status()).paused
    held = guard.request.held
    assert len(held) == 1
    assert held[0].end is not None


async def test_a_resumed_hold_carries_what_was_held_before_the_pause(world: ScriptedWorld) -> None:
    world.on("hold 1", waits(), waits())
    ramp = await world.start()
    await world.reached("hold 1")
    await ramp.pause()
    guard = (await world.reached("guard 1")).request
    await ramp.resume()
    hold = (await world.reached("hold 1", times=2)).request
    assert hold.held[:-1] == guard.held
    assert hold.held[-1].end is None
    assert hold.anchor == guard.anchor
    at = hold.held[-1].start
    assert clock(hold.held, at + timedelta(seconds=5)) == clock(guard.held, at) + timedelta(seconds=5)


async def test_a_pause_in_preflight_serves_nobody_until_it_is_resumed(world: ScriptedWorld) -> None:
    checked = asyncio.Event()
    world.on("preflight", waits(checked, then=as_usual))
    ramp = await world.start()
    await world.reached("preflight")
    await ramp.pause()
    await ramp.until(lambda status: status.paused, "the pause")
    checked.set()
    await ramp.until(lambda status: status.phase is Phase.SHIFTING, "the end of preflight")
    assert world.deeds == ["preflight"]
    await ramp.resume()
    await world.reached("apply 1")


async def test_a_pause_in_a_shift_lets_the_write_finish_and_settles_without_a_clock(world: ScriptedWorld) -> None:
    written = asyncio.Event()
    world.on("apply 1", waits(written))
    ramp = await world.start()
    await world.reached("apply 1")
    await ramp.pause()
    await ramp.until(lambda status: status.paused, "the pause")
    written.set()
    guard = await world.reached("guard 1")
    assert world.deeds == ["preflight", "apply 1", "verify 1", "guard 1"]
    assert guard.request.held == ()
    await ramp.resume()
    await world.reached("settle 1")


async def test_a_pause_after_the_hold_shifts_nobody_further(world: ScriptedWorld) -> None:
    """The pause arrives while the next shift is refused by a freeze, so that no write has begun."""
    world.on("apply 2", fails(names.FROZEN, "frozen by ops"))
    ramp = await world.start(ramp_spec(new_route(), steps=TWO_STEPS))
    await world.reached("guard 1")
    await ramp.pause()
    await world.reached("guard 1", times=2)
    status = await ramp.status()
    assert (status.phase, status.step, status.share) == (Phase.SHIFTING, 2, 0.1)
    assert world.deeds.count("apply 2") == 1


async def test_a_paused_bake_is_guarded_and_concluded_only_after_it_is_resumed(world: ScriptedWorld) -> None:
    world.on("bake", waits())
    ramp = await world.start()
    await world.reached("bake")
    await ramp.pause()
    await world.reached("guard bake")
    assert "conclude" not in world.deeds
    await ramp.resume()
    assert (await ramp.result()).phase is Phase.SUCCEEDED
    assert world.deeds[-3:] == ["guard bake", "bake", "conclude"]


# Promote.


async def test_promote_skips_the_rest_of_the_hold_of_the_step_that_the_person_saw(world: ScriptedWorld) -> None:
    world.on("hold 1", waits())
    world.on("hold 2", waits())
    ramp = await world.start(ramp_spec(new_route(), steps=TWO_STEPS))
    await world.reached("hold 1")
    await ramp.promote(1)
    await world.reached("hold 2")
    assert world.deeds == ["preflight", *STEP_1, *STEP_2]


async def test_promote_at_another_step_is_ignored_and_not_written_down(world: ScriptedWorld) -> None:
    world.on("hold 1", waits())
    ramp = await world.start()
    await world.reached("hold 1")
    await ramp.promote(2)
    await ramp.promote(0)
    await ramp.pause()
    await world.reached("guard 1")
    await world.reached("record paused")
    assert world.all("record promoted") == []
    assert (await ramp.status()).step == 1


async def test_a_step_that_was_promoted_before_its_hold_still_settles(world: ScriptedWorld) -> None:
    world.on("settle 1", waits(), ends(WatchOutcome.SETTLED))
    ramp = await world.start()
    await world.reached("settle 1")
    await ramp.promote(1)
    await world.reached("apply default")
    assert world.deeds == ["preflight", "apply 1", "verify 1", "settle 1", "settle 1", "apply default"]


async def test_promote_full_skips_every_hold_but_no_settling_and_no_bake(world: ScriptedWorld) -> None:
    world.on("hold 1", waits())
    ramp = await world.start(ramp_spec(new_route(), steps=TWO_STEPS))
    await world.reached("hold 1")
    await ramp.promote(1, full=True)
    await ramp.result()
    assert world.deeds == ["preflight", *STEP_1, "apply 2", "verify 2", "settle 2", *PROMOTION]


async def test_a_pause_outlasts_a_promote(world: ScriptedWorld) -> None:
    world.on("hold 1", waits())
    ramp = await world.start()
    await world.reached("hold 1")
    await ramp.pause()
    await world.reached("guard 1")
    await ramp.promote(1)
    await world.reached("guard 1", times=2)
    assert (await ramp.status()).step == 1
    await ramp.resume()
    await world.reached("apply default")
    assert world.deeds.count("hold 1") == 1


async def test_a_step_with_an_approval_waits_for_a_person_with_its_guards_on(world: ScriptedWorld) -> None:
    ramp = await world.start(ramp_spec(new_route(), steps=({"share": "10%", "approval": True}, "100%")))
    await world.reached("guard 1")
    status = await ramp.status()
    assert (status.phase, status.blocked_by) == (Phase.HOLDING, (Block.APPROVAL,))
    assert (
        status.last == "step 1, 10 % (00-09) PASS: 640 answers; bad ones: latency 0.5 % → waits for `tailramp promote`"
    )
    await ramp.promote(1)
    await world.reached("apply default")
    assert world.deeds == ["preflight", *STEP_1, "guard 1", "apply default"]


async def test_an_approval_that_was_given_in_time_costs_no_wait(world: ScriptedWorld) -> None:
    world.on("settle 1", waits(), ends(WatchOutcome.SETTLED))
    ramp = await world.start(ramp_spec(new_route(), steps=({"share": "10%", "approval": True}, "100%")))
    await world.reached("settle 1")
    await ramp.promote(1)
    await world.reached("apply default")
    assert "guard 1" not in world.deeds


# What holds a ramp without ending it.


async def _tolerating(world: ScriptedWorld) -> Ramp:
    world.on("hold 1", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"))
    ramp = await world.start(ramp_spec(new_route(), auto_rollback=False))
    guard = await world.reached("guard 1")
    assert guard.request.tolerated
    return ramp


async def test_without_automatic_rollback_a_failed_check_pauses_and_waits(world: ScriptedWorld) -> None:
    ramp = await _tolerating(world)
    status = await ramp.status()
    assert (status.phase, status.paused, status.reason) == (Phase.HOLDING, True, None)
    assert "clear" not in world.deeds
    assert "paused, waiting for a person" in status.last


async def test_after_a_resume_a_check_that_still_fails_is_reported_again(world: ScriptedWorld) -> None:
    ramp = await _tolerating(world)
    world.on("hold 1", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"))
    await ramp.resume()
    await world.reached("guard 1", times=2)
    await world.reached("record failed", times=2)
    assert not world.all("hold 1")[1].request.tolerated


async def test_an_inconclusive_hold_goes_on_and_is_overdue(world: ScriptedWorld) -> None:
    world.on("hold 1", ends(WatchOutcome.INCONCLUSIVE, "180 of 500 answers"), waits())
    ramp = await world.start()
    again = await world.reached("hold 1", times=2)
    assert again.request.overdue
    assert (await ramp.status()).blocked_by == (Block.INCONCLUSIVE,)


async def test_a_ramp_that_may_be_blind_holds_and_goes_on_when_it_sees_again(world: ScriptedWorld) -> None:
    world.on("hold 1", ends(WatchOutcome.BLIND, "no answer for 5m"), ends(WatchOutcome.BLOCKS_CHANGED, "it answers"))
    await world.start(ramp_spec(new_route(), onBlind="hold"))
    await world.reached("apply default")
    assert [call.request.blocks for call in world.all("hold 1")] == [(), (Block.BLIND,), ()]


async def test_a_watch_is_asked_again_with_the_blocks_that_it_saw(world: ScriptedWorld) -> None:
    shared = (Block.SHARED_INCIDENT,)
    world.on("hold 1", ends(WatchOutcome.BLOCKS_CHANGED, blocks=shared), ends(WatchOutcome.BLOCKS_CHANGED))
    await world.start()
    await world.reached("apply default")
    assert [call.request.blocks for call in world.all("hold 1")] == [(), shared, ()]


async def test_a_segment_that_ends_undecided_is_followed_by_the_same_question(world: ScriptedWorld) -> None:
    world.on("hold 1", ends(WatchOutcome.SEGMENT_OVER))
    await world.start()
    await world.reached("hold 1", times=2)
    first, second = (call.request for call in world.all("hold 1"))
    assert first == second


async def test_a_freeze_that_a_shift_meets_is_guarded_and_goes_on_when_it_is_lifted(world: ScriptedWorld) -> None:
    world.on("apply 2", fails(names.FROZEN, "frozen by ops: holidays"))
    world.on("guard 1", ends(WatchOutcome.BLOCKS_CHANGED, "blocked by nothing any more"))
    await world.start(ramp_spec(new_route(), steps=TWO_STEPS))
    await world.reached("hold 2")
    assert world.deeds == ["preflight", *STEP_1, "apply 2", "guard 1", *STEP_2]
    assert world.all("guard 1")[0].request.blocks == (Block.FREEZE,)
    assert world.all("apply 2")[0].attempt == 1


async def test_a_freeze_that_the_promotion_meets_is_guarded_and_goes_on_when_it_is_lifted(world: ScriptedWorld) -> None:
    world.on("apply default", fails(names.FROZEN, "frozen by ops: holidays"))
    world.on("guard 1", ends(WatchOutcome.BLOCKS_CHANGED, "blocked by nothing any more"))
    ramp = await world.start()
    assert (await ramp.result()).phase is Phase.SUCCEEDED
    assert world.deeds == ["preflight", *STEP_1, "apply default", "guard 1", *PROMOTION]


async def test_promoting_the_last_step_of_a_frozen_route_waits_for_the_freeze(world: ScriptedWorld) -> None:
    world.on("hold 1", ends(WatchOutcome.BLOCKS_CHANGED, blocks=(Block.FREEZE,)), waits())
    ramp = await world.start()
    await world.reached("hold 1", times=2)
    await ramp.promote(1)
    await world.reached("guard 1")
    assert "apply default" not in world.deeds
    assert (await ramp.status()).blocked_by == (Block.FREEZE,)


@pytest.mark.parametrize("label", ["settle 1", "hold 1"])
async def test_a_foreign_alert_holds_the_ramp_until_a_person_promotes(world: ScriptedWorld, label: str) -> None:
    world.on(label, waits())
    ramp = await world.start()
    await world.reached(label)
    await ramp.alert(attributed=False)
    guard = await world.reached("guard 1")
    assert guard.request.mode is WatchMode.GUARD
    assert (await ramp.status()).blocked_by == (Block.APPROVAL,)
    await ramp.promote(1)
    await world.reached("apply default")


async def test_a_foreign_alert_in_a_shift_holds_at_that_step(world: ScriptedWorld) -> None:
    written = asyncio.Event()
    world.on("apply 1", waits(written))
    ramp = await world.start()
    await world.reached("apply 1")
    await ramp.alert(attributed=False)
    await ramp.until(lambda status: Block.APPROVAL in status.blocked_by, "the alert's block")
    written.set()
    await world.reached("guard 1")
    assert "apply default" not in world.deeds
