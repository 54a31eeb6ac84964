"""Continue-as-new: what one run hands to the next is neither applied nor asked a second time, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from ramp_specs import ramp_spec
from running_temporal import running_server
from scripted import Ramp, ScriptedWorld, new_route
from scripted_activities import Call, as_usual, ends, fails, waits

from tailramp import activity_contract as contract
from tailramp import activity_names as names
from tailramp.decision import DecisionKind
from tailramp.ramp import Block, Phase, Reason, WatchOutcome
from workflows import search_attributes

ROLLBACK = ["clear", "prove", "restore"]
PAIRS = 20
PAIRS_PER_SECOND = 20
MANY = 6
"""More watches than one run has room for."""


@pytest.fixture(scope="module")
def temporal_address() -> Iterator[str]:
    """A server that suggests to continue as new after 50 events instead of 4,096."""
    with running_server(continue_as_new_after=50) as address:
        yield address


async def _has_continued(ramp: Ramp) -> bool:
    return (await ramp.handle.describe()).run_id != ramp.handle.first_execution_run_id


async def test_a_ramp_that_continues_as_new_in_a_hold_writes_nothing_again(world: ScriptedWorld) -> None:
    world.times("hold 1", MANY, ends(WatchOutcome.SEGMENT_OVER))
    world.on("hold 1", waits())
    ramp = await world.start()
    last = (await world.reached("hold 1", times=MANY + 1)).request
    assert await _has_continued(ramp)
    assert world.deeds == ["preflight", "apply 1", "verify 1", "settle 1", *["hold 1"] * (MANY + 1)]
    first = world.all("hold 1")[0].request
    assert (last.held, last.anchor, last.epoch, last.ramp) == (first.held, first.anchor, first.epoch, first.ramp)
    assert last == first


async def test_a_ramp_that_has_continued_goes_on_to_its_end_at_rising_epochs(world: ScriptedWorld) -> None:
    world.times("hold 1", MANY, ends(WatchOutcome.SEGMENT_OVER))
    ramp = await world.start()
    result = await ramp.result()
    assert result.phase is Phase.SUCCEEDED
    epochs = [call.epoch for call in (*world.all("apply "), *world.all("conclude"))]
    assert epochs == sorted(set(epochs))
    assert [decision.kind for decision in world.decisions].count(DecisionKind.STARTED) == 1


async def test_a_pause_is_carried_over_with_what_was_held_before_it(world: ScriptedWorld) -> None:
    world.on("hold 1", waits(), waits())
    world.times("guard 1", MANY, ends(WatchOutcome.SEGMENT_OVER))
    world.on("guard 1", waits())
    ramp = await world.start()
    await world.reached("hold 1")
    await ramp.pause()
    guard = (await world.reached("guard 1", times=MANY + 1)).request
    assert await _has_continued(ramp)
    assert (await ramp.status()).paused
    await ramp.resume()
    hold = (await world.reached("hold 1", times=2)).request
    assert guard.held[0].end is not None
    assert hold.held[:-1] == guard.held == world.all("guard 1")[0].request.held


async def test_a_tolerated_failure_and_a_promote_to_the_target_are_carried_over(world: ScriptedWorld) -> None:
    world.on("hold 1", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"))
    world.times("guard 1", MANY, ends(WatchOutcome.SEGMENT_OVER))
    world.on("guard 1", waits())
    ramp = await world.start(ramp_spec(new_route(), auto_rollback=False))
    await world.reached("guard 1")
    await ramp.promote(1, full=True)
    await world.reached("guard 1", times=MANY + 1)
    assert await _has_continued(ramp)
    assert all(call.request.tolerated for call in world.all("guard 1"))
    assert len(world.all("record failed")) == 1
    await ramp.resume()
    await world.reached("apply default")
    assert world.deeds.count("hold 1") == 1


async def test_what_people_see_of_a_ramp_survives(world: ScriptedWorld) -> None:
    world.times("hold 1", MANY, ends(WatchOutcome.SEGMENT_OVER))
    world.on("hold 1", waits())
    ramp = await world.start()
    began = (await ramp.status()).started_at
    await world.reached("hold 1", times=MANY + 1)
    assert await _has_continued(ramp)
    status, shown = await ramp.status(), await ramp.handle.describe()
    assert (status.started_at, status.ramp) == (began, ramp.handle.first_execution_run_id)
    assert status.verdicts
    assert shown.typed_search_attributes[search_attributes.PHASE] == Phase.HOLDING
    assert shown.typed_search_attributes[search_attributes.ROUTE] == status.route
    assert await shown.memo_value("last") == status.last


async def test_a_decision_that_is_not_yet_written_is_written_by_the_next_run(world: ScriptedWorld) -> None:
    world.on("record preflight_passed", waits())
    world.times("hold 1", MANY, ends(WatchOutcome.SEGMENT_OVER))
    world.on("hold 1", waits())
    ramp = await world.start()
    await world.reached("hold 1", times=MANY + 1)
    assert await _has_continued(ramp)
    dropped, again = await world.reached("record preflight_passed"), await world.reached("record preflight_passed", 2)
    assert again.request == dropped.request


async def test_a_ramp_that_serves_nobody_yet_continues_as_new_too(world: ScriptedWorld) -> None:
    """A freeze that is looked at every 15 seconds would else fill the history within hours, and the server kills it."""
    world.always("apply 1", fails(names.FROZEN, "frozen by ops: holidays"))
    ramp = await world.start()
    await ramp.until(lambda status: Block.FREEZE in status.blocked_by, "the freeze")
    for number in range(1, 1 + MANY):
        await ramp.pause()
        await world.reached("record paused", number)
        await ramp.resume()
        await world.reached("record resumed", number)
    assert await _has_continued(ramp)
    assert (await ramp.status()).phase is Phase.SHIFTING
    assert set(world.deeds) == {"preflight", "apply 1"}
    await ramp.abort()
    assert (await ramp.result()).reason is Reason.OPERATOR_ABORT


async def test_a_storm_of_messages_loses_none_and_the_abort_after_it_is_honoured(world: ScriptedWorld) -> None:
    world.always("hold 1", waits())
    ramp = await world.start()
    await world.reached("hold 1")
    for _ in range(PAIRS):
        await ramp.pause()
        await ramp.resume()
        await asyncio.sleep(1 / PAIRS_PER_SECOND)
    await ramp.abort()
    result = await ramp.result()
    assert await _has_continued(ramp)
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, Reason.OPERATOR_ABORT)
    assert [deed for deed in world.deeds if not deed.startswith(("hold", "guard"))] == [
        *("preflight", "apply 1", "verify 1", "settle 1"),
        *ROLLBACK,
    ]
    kinds = [decision.kind for decision in world.decisions]
    assert (kinds.count(DecisionKind.PAUSED), kinds.count(DecisionKind.RESUMED)) == (PAIRS, PAIRS)


async def test_what_is_known_of_the_users_is_asked_once_and_told_to_every_watch(world: ScriptedWorld) -> None:
    async def knowing(call: Call) -> contract.PreflightReport:
        report = await as_usual(call)
        assert isinstance(report, contract.PreflightReport)
        return report.model_copy(update={"users": "as it was yesterday"})

    world.on("preflight", knowing)
    world.times("hold 1", MANY, ends(WatchOutcome.SEGMENT_OVER))
    ramp = await world.start()
    await ramp.result()
    assert await _has_continued(ramp)
    watches = [call.request for call in world.calls if isinstance(call.request, contract.WatchRequest)]
    assert len(watches) > MANY
    assert {request.users for request in watches} == {"as it was yesterday"}
    assert await ramp.handle.query("users") == "as it was yesterday"
