"""A ramp that is held for one reason, and then for another: each is one decision, whatever block it belongs to."""

from __future__ import annotations

from ramp_specs import ramp_spec
from scripted import Ramp, ScriptedWorld, new_route
from scripted_activities import Reaction, ends, waits

from tailramp.decision import Decision, DecisionKind
from tailramp.ramp import Block, Cause, SpendWord, WatchOutcome
from workflows.messages import Alert, Spend
from workflows.ramp import RampWorkflow

NO_SERVER = Cause.of(Block.SHARED_INCIDENT, "the baseline blue has no ready server")
DIVIDED = Cause.of(Block.SHARED_INCIDENT, "users are not divided as their buckets are")
NO_TOXICITY = Cause.of(Block.INCONCLUSIVE, "180 of the 500 answers that a verdict needs", key="green toxicity")


def blocked(cause: Cause, *others: Cause) -> Reaction:
    causes, blocks = (cause, *others), (Block.SHARED_INCIDENT,)
    return ends(WatchOutcome.BLOCKS_CHANGED, f"blocked by {cause.sentence}", blocks=blocks, causes=causes)


def holds(world: ScriptedWorld) -> list[Decision]:
    return [decision for decision in world.decisions if decision.kind is DecisionKind.BLOCKED]


async def fire(ramp: Ramp, name: str) -> None:
    await ramp.handle.signal(RampWorkflow.alert, Alert(actor="alertmanager", name=name))


async def test_another_cause_of_the_block_it_is_held_by_is_a_decision(world: ScriptedWorld) -> None:
    world.on("hold 1", blocked(NO_SERVER), blocked(DIVIDED), waits())
    ramp = await world.start()
    third = await world.reached("hold 1", times=3)
    await world.reached("record blocked", times=2)
    assert [decision.sentence.rpartition(": ")[2] for decision in holds(world)] == [
        f"blocked by {NO_SERVER.sentence}",
        f"blocked by {DIVIDED.sentence}",
    ]
    assert third.request.causes == (NO_SERVER, DIVIDED)
    status = await ramp.status()
    assert (status.blocked_by, status.causes) == ((Block.SHARED_INCIDENT,), (NO_SERVER, DIVIDED))
    assert status.last.endswith(DIVIDED.sentence)


async def test_what_holds_it_is_seen_without_a_worker(world: ScriptedWorld) -> None:
    world.on("hold 1", blocked(NO_SERVER), blocked(DIVIDED), waits())
    ramp = await world.start()
    await world.reached("hold 1", times=3)
    memo = await (await ramp.handle.describe()).memo()
    assert str(memo["last"]).endswith(DIVIDED.sentence)
    assert "shared_incident" in str(memo["next"])
    await ramp.pause()
    await world.reached("guard 1")
    memo = await (await ramp.handle.describe()).memo()
    assert (memo["last"], memo["next"]) == ("paused by mei", "waits for `tailramp resume`; guards go on")


async def test_what_is_over_is_forgotten_by_the_next_watch(world: ScriptedWorld) -> None:
    world.on("hold 1", blocked(NO_SERVER), ends(WatchOutcome.BLOCKS_CHANGED, "blocked by nothing any more"), waits())
    ramp = await world.start()
    third = await world.reached("hold 1", times=3)
    assert third.request.causes == ()
    assert (await ramp.status()).causes == ()


async def test_an_alert_that_comes_while_evidence_is_missing_is_told_beside_it(world: ScriptedWorld) -> None:
    late = ends(WatchOutcome.INCONCLUSIVE, NO_TOXICITY.sentence, causes=[NO_TOXICITY])
    world.on("hold 1", late, waits())
    ramp = await world.start()
    await world.reached("hold 1", times=2)
    await fire(ramp, "DiskFull")
    guard = await world.reached("guard 1")
    assert guard.request.causes == (NO_TOXICITY, Cause.of(Block.APPROVAL, "alert DiskFull"))
    status = await ramp.status()
    assert status.blocked_by == (Block.APPROVAL, Block.INCONCLUSIVE)
    assert [cause.sentence for cause in status.causes] == [NO_TOXICITY.sentence, "alert DiskFull"]
    assert status.last == "alert DiskFull from alertmanager"


async def test_an_alert_that_is_sent_again_and_again_is_one_decision(world: ScriptedWorld) -> None:
    world.on("hold 1", waits())
    ramp = await world.start()
    await world.reached("hold 1")
    for name in ["DiskFull", "DiskFull", "GpuLost", "DiskFull", "GpuLost"]:
        await fire(ramp, name)
    await world.reached("record alerted", times=2)
    await ramp.quiet(running=1)
    alerts = [decision.sentence for decision in world.decisions if decision.kind is DecisionKind.ALERTED]
    assert alerts == ["alert DiskFull from alertmanager", "alert GpuLost from alertmanager"]


async def test_a_spend_that_stays_unknown_is_told_once_for_each_reason(world: ScriptedWorld) -> None:
    world.on("hold 1", waits())
    ramp = await world.start()
    await world.reached("hold 1")
    for minutes, why in [(10, "no price"), (20, "no price"), (30, "the bill cannot be read"), (40, "no price")]:
        spend = Spend(actor="meter", word=SpendWord.UNKNOWN, reason=f"{why} for {minutes} min")
        await ramp.handle.signal(RampWorkflow.spend, spend)
    await world.reached("record spent", times=2)
    await ramp.quiet(running=1)
    told = [decision.reason for decision in world.decisions if decision.kind is DecisionKind.SPENT]
    assert told == ["no price for 10 min", "the bill cannot be read for 30 min"]


async def test_a_second_check_that_fails_in_a_pause_is_told_to_the_person_who_is_waited_for(
    world: ScriptedWorld,
) -> None:
    latency, toxicity = (Cause.of(None, f"{check} fails", key=f"green {check}") for check in ("latency", "toxicity"))
    world.on("hold 1", ends(WatchOutcome.FAILED, latency.sentence, causes=[latency]))
    world.on("guard 1", ends(WatchOutcome.FAILED, toxicity.sentence, causes=[latency, toxicity]), waits())
    ramp = await world.start(ramp_spec(new_route(), auto_rollback=False))
    again = await world.reached("guard 1", times=2)
    assert again.request.causes == (latency, toxicity)
    status = await ramp.status()
    assert (status.paused, status.acknowledgeable) == (True, True)
    assert status.last.endswith("FAIL: toxicity fails → still paused, waiting for a person")
