"""How to bring a ramp to each of its ends, and to the places where a new version of the code may find it.

Each scenario scripts the world, drives one ramp and returns when its history is worth keeping.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ramp_specs import TWO_STEPS, ramp_spec
from scripted import Ramp, ScriptedWorld
from scripted_activities import answers, clear_finds, ends, fails, waits

from tailramp import activity_contract as contract
from tailramp import activity_names as names
from tailramp.ramp import Block, Cause, Reason, SpendWord, WatchOutcome
from tailramp.route_record import Clearer
from workflows.messages import Spend
from workflows.ramp import RampWorkflow

Scenario = Callable[[ScriptedWorld], Awaitable[Ramp]]

MANY = 6
"""More watches than one run has room for where continue-as-new is suggested after 50 events."""


async def succeeded(world: ScriptedWorld) -> Ramp:
    ramp = await world.start(ramp_spec(steps=TWO_STEPS))
    await ramp.result()
    return ramp


async def refused(world: ScriptedWorld) -> Ramp:
    world.on("preflight", answers(contract.PreflightReport(problems=("canary.model: no free slot serves it",))))
    return await _to_its_end(world)


async def target_emptied(world: ScriptedWorld) -> Ramp:
    ramp = await _holding(world)
    await ramp.empty_target()
    await ramp.result()
    return ramp


async def operator_abort(world: ScriptedWorld) -> Ramp:
    """With a pause, a resume and a promote on the way, and in a shift."""
    world.on("hold 1", waits(), waits())
    world.on("apply 2", waits())
    ramp = await world.start(ramp_spec(steps=TWO_STEPS))
    await world.reached("hold 1")
    await ramp.pause()
    await world.reached("guard 1")
    await ramp.resume()
    await world.reached("hold 1", times=2)
    await ramp.promote(1)
    await world.reached("apply 2")
    await ramp.abort("smells wrong")
    await ramp.result()
    return ramp


async def cancelled(world: ScriptedWorld) -> Ramp:
    ramp = await _holding(world)
    await ramp.cancel()
    await ramp.result()
    return ramp


async def unhealthy(world: ScriptedWorld) -> Ramp:
    world.on("bake", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"))
    world.on("prove", fails(names.NOT_PROVEN, "3 new requests"))
    return await _to_its_end(world)


async def budget_exhausted(world: ScriptedWorld) -> Ramp:
    """Nobody can tell the spend at first, which holds; then it is over the cap."""
    world.on("hold 1", waits())
    ramp = await world.start(ramp_spec())
    await world.reached("hold 1")
    await ramp.handle.signal(RampWorkflow.spend, Spend(actor="meter", word=SpendWord.UNKNOWN, reason="no price"))
    await world.reached("guard 1")
    over = Spend(actor="meter", word=SpendWord.EXHAUSTED, reason="5,012 of 5,000 CNY")
    await ramp.handle.signal(RampWorkflow.spend, over)
    await ramp.result()
    return ramp


async def alert(world: ScriptedWorld) -> Ramp:
    """A foreign one first, which a person looks at, then one that is the candidate's fault."""
    world.on("hold 1", waits())
    world.on("bake", waits())
    ramp = await world.start(ramp_spec())
    await world.reached("hold 1")
    await ramp.alert(attributed=False)
    await world.reached("guard 1")
    await ramp.promote(1)
    await world.reached("bake")
    await ramp.alert(attributed=True)
    await ramp.result()
    return ramp


async def blind(world: ScriptedWorld) -> Ramp:
    world.on(
        "hold 1", ends(WatchOutcome.INCONCLUSIVE, "180 of 500 answers"), ends(WatchOutcome.BLIND, "no answer for 5m")
    )
    return await _to_its_end(world)


async def lease_lapsed(world: ScriptedWorld) -> Ramp:
    world.on("hold 1", fails(names.FENCED, "was cleared by sentinel"))
    world.on("clear", clear_finds(cleared_by=Clearer.SENTINEL, reason="lease_lapsed"))
    return await _to_its_end(world)


async def killed(world: ScriptedWorld) -> Ramp:
    world.on("apply default", fails(names.FENCED, "was shut off by wang"))
    world.on("clear", clear_finds(cleared_by=Clearer.KILL, reason="incident 7", held=False))
    return await _to_its_end(world)


async def fenced(world: ScriptedWorld) -> Ramp:
    world.on("apply 1", fails(names.FENCED, "is at epoch 99"))
    return await _to_its_end(world)


async def superseded(world: ScriptedWorld) -> Ramp:
    world.on("hold 1", fails(names.FENCED, "is held by another"))
    world.on("clear", clear_finds(held=False, superseded_by="9f3c"))
    return await _to_its_end(world)


async def activity_failed(world: ScriptedWorld) -> Ramp:
    world.on("verify 1", fails(names.REFUSED, "the gateway knows no such route"))
    return await _to_its_end(world)


async def mid_hold(world: ScriptedWorld) -> Ramp:
    """After a freeze in a shift, a failed check that is tolerated, and a resume: a hold that is still going on."""
    world.on("apply 2", fails(names.FROZEN, "frozen by ops: holidays"))
    world.on("guard 1", ends(WatchOutcome.BLOCKS_CHANGED, "blocked by nothing any more"))
    world.on("hold 2", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"), waits())
    ramp = await world.start(ramp_spec(steps=TWO_STEPS, auto_rollback=False))
    await world.reached("guard 2")
    await ramp.resume()
    await world.reached("hold 2", times=2)
    await ramp.quiet(running=1)
    return ramp


async def before_continue_as_new(world: ScriptedWorld) -> Ramp:
    world.times("hold 1", MANY, ends(WatchOutcome.SEGMENT_OVER))
    world.on("hold 1", waits())
    ramp = await world.start(ramp_spec())
    await world.reached("hold 1", times=MANY + 1)
    return ramp


async def workloads_promoted(world: ScriptedWorld) -> Ramp:
    """Servers of the second step come only at the second attempt."""
    world.on("room 2", fails(names.NO_ROOM, "green: 1 of 4 pods ready"))
    ramp = await world.start(ramp_spec(steps=TWO_STEPS, sized=True))
    await ramp.result()
    return ramp


async def workloads_put_back(world: ScriptedWorld) -> Ramp:
    """A candidate that fails while servers of the next step are waited for."""
    world.on("room 2", waits())
    world.on("guard 1", ends(WatchOutcome.FAILED, "p99 3 s > 2 s"))
    ramp = await world.start(ramp_spec(steps=TWO_STEPS, sized=True))
    await ramp.result()
    return ramp


async def held(world: ScriptedWorld) -> Ramp:
    """By one cause and then by another of the same block, and by an alert that fires twice."""
    shared = (Block.SHARED_INCIDENT,)
    no_server = Cause.of(Block.SHARED_INCIDENT, "the baseline blue has no ready server")
    short = Cause.of(Block.SHARED_INCIDENT, "the baseline blue could not take everyone back: 1 of 4 pods ready")
    both = f"{no_server.sentence}; {short.sentence}"
    world.on(
        "hold 1",
        ends(
            WatchOutcome.BLOCKS_CHANGED,
            f"blocked by shared_incident: {no_server.sentence}",
            blocks=shared,
            causes=[no_server],
        ),
        ends(
            WatchOutcome.BLOCKS_CHANGED,
            f"still blocked by shared_incident: {both}",
            blocks=shared,
            causes=[no_server, short],
        ),
        waits(),
    )
    ramp = await world.start(ramp_spec())
    await world.reached("hold 1", times=3)
    await ramp.alert(attributed=False)
    await ramp.alert(attributed=False)
    await world.reached("guard 1")
    await ramp.quiet(running=1)
    return ramp


OTHERS: dict[str, Scenario] = {
    "held": held,
    "mid_hold": mid_hold,
    "workloads_promoted": workloads_promoted,
    "workloads_put_back": workloads_put_back,
}
"""Where else a new version of the code may find a ramp."""

ENDS: dict[Reason, Scenario] = {
    Reason.SUCCEEDED: succeeded,
    Reason.REFUSED: refused,
    Reason.TARGET_EMPTIED: target_emptied,
    Reason.OPERATOR_ABORT: operator_abort,
    Reason.CANCELLED: cancelled,
    Reason.UNHEALTHY: unhealthy,
    Reason.ALERT: alert,
    Reason.BUDGET_EXHAUSTED: budget_exhausted,
    Reason.BLIND: blind,
    Reason.LEASE_LAPSED: lease_lapsed,
    Reason.KILLED: killed,
    Reason.FENCED: fenced,
    Reason.SUPERSEDED: superseded,
    Reason.ACTIVITY_FAILED: activity_failed,
}
"""How each reachable reason of an end is reached."""


async def _holding(world: ScriptedWorld) -> Ramp:
    world.on("hold 1", waits())
    ramp = await world.start(ramp_spec())
    await world.reached("hold 1")
    return ramp


async def _to_its_end(world: ScriptedWorld) -> Ramp:
    ramp = await world.start(ramp_spec())
    await ramp.result()
    return ramp
