"""Every part broken in every way in every phase: where the ramp ends, and what nobody may ever see.

Each cell is a world of its own.  The part is broken at the moment named, comes back after a bound that is far below the
candidate's lease (servers of the two variants that are broken for good excepted), and the ramp must end where the table
says.  The cells of ``REPRESENTATIVE`` run with every ``make test``; all others with ``make test-faults``.

Every phase in which anything runs is a column, and so is the pause, in which only guards run.  The phases that are not,
SUCCEEDED, ROLLED_BACK, REFUSED and SUPERSEDED, are ends: the workflow is over, and what must hold then, that nobody
writes the route any more, is looked at after every rollback.
"""

import asyncio
import itertools
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest
from fault_trial import (
    LEASE,
    Injection,
    Trial,
    in_baking,
    in_holding,
    in_pause,
    in_preflight,
    in_promoting,
    in_rolling_back,
    in_settling,
    in_shifting,
    in_unverified,
    lasting,
)

from lab.process import ManagedProcess
from tailramp.ramp import Phase
from workflows.messages import Message
from workflows.ramp import RampWorkflow

DOWN_SECONDS = 3.0
"""How long a part is gone or frozen."""


class Fault(StrEnum):
    KILLED = "killed"
    FROZEN = "frozen"
    STOPPED = "stopped"


class Part(StrEnum):
    CONTROL = "control"
    WATCH = "watch"
    SENTINEL = "sentinel"
    TEMPORAL = "temporal"
    PROMETHEUS = "prometheus"
    ENVOY = "envoy"
    CANDIDATE = "candidate"
    BASELINE = "baseline"


PHASES: dict[str, Injection] = {
    "preflight": in_preflight,
    "shifting": in_shifting,
    "settling": in_settling,
    "holding": in_holding,
    "promoting": in_promoting,
    "baking": in_baking,
    "rolling back": in_rolling_back,
    "unverified": in_unverified,
    "paused": in_pause,
}


@dataclass(frozen=True)
class End:
    """Where a ramp may end: the phase, and the reasons that fit it."""

    phase: Phase
    reasons: frozenset[str]

    def __str__(self) -> str:
        return f"{self.phase} ({' or '.join(sorted(self.reasons))})"


SUCCEEDED = End(Phase.SUCCEEDED, frozenset({"succeeded"}))
REFUSED = End(Phase.REFUSED, frozenset({"refused"}))
ABORTED = End(Phase.ROLLED_BACK, frozenset({"operator_abort"}))
UNHEALTHY = End(Phase.ROLLED_BACK, frozenset({"unhealthy"}))
BAD_OR_BLIND = End(Phase.ROLLED_BACK, frozenset({"unhealthy", "blind"}))
UNPROVEN = End(Phase.ROLLED_BACK, frozenset({"unhealthy", "blind", "lease_lapsed"}))
"""A candidate that hangs while a shift is proven: if the proof was not over yet, nobody watches it but the lease."""


EXAMINED = {Part.PROMETHEUS, Part.ENVOY, Part.CANDIDATE, Part.BASELINE}
"""What preflight asks: a ramp whose surroundings do not answer is refused, and says so."""


def expected(part: Part, fault: Fault, phase: str) -> End:
    """An outage of a part that comes back costs time and nothing else; a broken candidate goes, in any phase."""
    if phase in {"rolling back", "unverified"}:
        return ABORTED
    if phase == "preflight":
        return REFUSED if part in EXAMINED else SUCCEEDED
    if part is Part.CANDIDATE:
        if fault is Fault.FROZEN:
            return UNPROVEN if phase in {"shifting", "promoting"} else BAD_OR_BLIND
        return UNHEALTHY
    return SUCCEEDED


LAPSES_SOON = "30s"
"""The lease of a candidate whom nothing else may be watching."""

UNHURRIED = {"steps": [{"share": "25%", "hold": "1s"}, {"share": "50%", "hold": "4s"}, "100%"], "bake": "4s"}

REPRESENTATIVE = {
    (Fault.KILLED, Part.WATCH, "shifting"),
    (Fault.FROZEN, Part.CONTROL, "promoting"),
    (Fault.KILLED, Part.ENVOY, "rolling back"),
    (Fault.KILLED, Part.CANDIDATE, "baking"),
}
CELLS = [
    pytest.param(
        fault,
        part,
        phase,
        id=f"{part}-{fault}-{phase.replace(' ', '-')}",
        marks=() if (fault, part, phase) in REPRESENTATIVE else pytest.mark.faults,
    )
    for part, fault, phase in itertools.product(Part, Fault, PHASES)
]


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("fault", "part", "phase"), CELLS)
async def test_a_broken_part_ends_the_ramp_as_the_table_says(
    tmp_path: Path, fault: Fault, part: Part, phase: str
) -> None:
    end = expected(part, fault, phase)
    lease = LAPSES_SOON if end == UNPROVEN else LEASE
    # Whoever goes on to its end by itself has a few seconds in each phase.
    ramp = UNHURRIED if end in {SUCCEEDED, REFUSED} else lasting(PHASES[phase])
    async with Trial(tmp_path / "world", lease=lease, ramp=ramp).running() as trial:
        if phase == "preflight":
            trial.roles["watch"].suspend()
        await trial.start()
        await PHASES[phase](trial)
        await _break(trial, fault, part)
        if phase == "preflight" and part is not Part.WATCH:
            trial.roles["watch"].thaw()
        if phase == "preflight" and part in EXAMINED:
            await trial.result()  # it stays broken for as long as it is asked
        elif part is not Part.CANDIDATE:
            await asyncio.sleep(DOWN_SECONDS)  # the length of the outage is the trial's parameter
            await _mend(trial, fault, part)
        if phase == "unverified":
            trial.world.envoy.thaw()  # it hung, or runs anew by now
        if phase == "paused":
            await trial.handle.signal(RampWorkflow.resume, Message(actor="test"))
        result = await trial.result(within=120)
        assert (result.phase, str(result.reason)) in {(end.phase, reason) for reason in end.reasons}, result.detail
        await trial.assert_quiet_after_a_rollback(result)
        await trial.assert_promises()


_SLOT = {Part.CANDIDATE: "green", Part.BASELINE: "blue"}


def _process(trial: Trial, part: Part) -> ManagedProcess:
    world = trial.world
    match part:
        case Part.CONTROL | Part.WATCH | Part.SENTINEL:
            return trial.roles[part]
        case Part.TEMPORAL | Part.PROMETHEUS | Part.ENVOY:
            return {server.name: server for server in (world.temporal, world.prometheus, world.envoy)}[part].process
        case Part.CANDIDATE | Part.BASELINE:
            return world.servers[_SLOT[part]]


async def _break(trial: Trial, fault: Fault, part: Part) -> None:
    process = _process(trial, part)
    match fault:
        case Fault.KILLED:
            await process.kill()
        case Fault.FROZEN:
            process.suspend()
        case Fault.STOPPED:
            await process.terminate()


async def _mend(trial: Trial, fault: Fault, part: Part) -> None:
    world = trial.world
    if fault is Fault.FROZEN:
        _process(trial, part).thaw()
        return
    match part:
        case Part.CONTROL | Part.WATCH | Part.SENTINEL:
            trial.start_role(part)
        case Part.TEMPORAL | Part.PROMETHEUS | Part.ENVOY:
            await {server.name: server for server in (world.temporal, world.prometheus, world.envoy)}[part].start()
        case Part.CANDIDATE | Part.BASELINE:
            await world.deploy(_SLOT[part], world.models[_SLOT[part]])
