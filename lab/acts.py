"""What each scenario of the demo does to the world, and how a ramp must end in it.

The table stands apart from the play so that it can be read as what it is: a promise.  A scenario says which fault
strikes in the hold of which step, what the ramp must say while it lasts, and the one outcome that is right.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from temporalio.service import RPCError

from lab.process import wait_until
from lab.toy_llm import Fault
from lab.world import World
from tailramp.ramp import Block, Phase, Reason
from workflows.answers import RampStatus
from workflows.handles import RampHandle
from workflows.messages import Message
from workflows.ramp import RampWorkflow

MOST_SECONDS = 120.0
"""No act waits longer for anything."""


class UnforeseenError(Exception):
    """The ramp went another way than its scenario has: the story cannot go on."""


class Scenario(StrEnum):
    HEALTHY = "healthy"
    SLOW = "slow"
    ERRORS = "errors"
    DEAD = "dead"
    TOXIC = "toxic"
    HANGING = "hanging"
    SHARED_INCIDENT = "shared-incident"
    PROMETHEUS_DOWN = "prometheus-down"
    LOW_TRAFFIC = "low-traffic"


@dataclass(frozen=True)
class UserRun:
    """The users of a scenario.  ``rate`` is in requests a second, ``seconds`` how long they talk to the gateway.

    500 core users then send 30 requests each at 300 requests a second.  Where ``core_rate`` says how many requests a
    second are theirs, nobody stays when the ramp is over and each of them has sent 30.  Who has no answer after
    ``patience`` seconds gives up.
    """

    rate: float = 360.0
    seconds: float = 50.0
    core_users: int = 500
    core_rate: float | None = None
    patience: float = 30.0


Blow = Callable[[World, RampHandle, str], Awaitable[float]]
"""Does something to the world of a ramp whose candidate is in the slot named last; returns the unix time of it."""


@dataclass(frozen=True)
class Act:
    """How the ramp must end, and what happens on its way there, in the order of the fields."""

    outcome: Phase
    reason: Reason
    strike: Blow | None = None
    """Comes in the hold of a chosen step."""
    blames_candidate: bool = True
    """Whether the candidate alone is broken by it."""
    block: Block | None = None
    """Why the ramp must then say that it waits."""
    answer: Blow | None = None
    """What is done about it."""
    users: UserRun = field(default_factory=UserRun)


def _breaks_candidate(fault: Fault) -> Blow:
    async def strike(world: World, _: RampHandle, candidate: str) -> float:
        return await world.fault(candidate, fault)

    return strike


def _sets_both(fault: Fault, after: float = 0.0) -> Blow:
    async def strike(world: World, _: RampHandle, __: str) -> float:
        await asyncio.sleep(after)  # the length of an incident is part of its story
        return max([await world.fault(slot, fault) for slot in world.models])

    return strike


async def _kills_prometheus(world: World, _: RampHandle, __: str) -> float:
    await world.prometheus.kill()
    return time.time()


async def _aborts(_: World, handle: RampHandle, __: str) -> float:
    await handle.signal(RampWorkflow.abort, Message(actor="demo", reason="too few requests to judge the candidate by"))
    return time.time()


def _bad(fault: Fault) -> Act:
    return Act(Phase.ROLLED_BACK, Reason.UNHEALTHY, _breaks_candidate(fault))


ACTS: Mapping[Scenario, Act] = {
    Scenario.HEALTHY: Act(Phase.SUCCEEDED, Reason.SUCCEEDED),
    Scenario.SLOW: _bad(Fault.SLOW),
    Scenario.ERRORS: _bad(Fault.ERRORS),
    Scenario.DEAD: _bad(Fault.DEAD),
    Scenario.TOXIC: _bad(Fault.TOXIC),
    Scenario.HANGING: _bad(Fault.HANGING),
    Scenario.SHARED_INCIDENT: Act(
        Phase.SUCCEEDED,
        Reason.SUCCEEDED,
        strike=_sets_both(Fault.SLOW),
        blames_candidate=False,
        block=Block.SHARED_INCIDENT,
        answer=_sets_both(Fault.NONE, after=4.0),
        users=UserRun(seconds=80.0),
    ),
    Scenario.PROMETHEUS_DOWN: Act(
        Phase.ROLLED_BACK,
        Reason.BLIND,
        strike=_kills_prometheus,
        blames_candidate=False,
        users=UserRun(seconds=60.0),
    ),
    Scenario.LOW_TRAFFIC: Act(
        Phase.ROLLED_BACK,
        Reason.OPERATOR_ABORT,
        block=Block.INCONCLUSIVE,
        answer=_aborts,
        users=UserRun(rate=4.0, core_users=4),
    ),
}


async def status_of(handle: RampHandle) -> RampStatus:
    """The ramp's status; its worker is asked again where it was too busy to answer in time."""
    found: list[RampStatus] = []

    async def answers() -> bool:
        with contextlib.suppress(RPCError):
            found.append(await handle.query(RampWorkflow.status))
        return bool(found)

    await wait_until(answers, MOST_SECONDS, "the ramp's worker answers")
    return found[0]


async def until(handle: RampHandle, holds: Callable[[RampStatus], bool], what: str) -> None:
    """Wait for a status of the ramp.  Raises UnforeseenError if the ramp ends before, or stays away too long."""

    async def reached() -> bool:
        status = await status_of(handle)
        if status.phase.is_terminal or status.phase.is_rollback:
            raise UnforeseenError(f"the ramp ended before {what}: {status.last}")
        return holds(status)

    try:
        await wait_until(reached, MOST_SECONDS, what)
    except TimeoutError as error:
        raise UnforeseenError(str(error)) from None
