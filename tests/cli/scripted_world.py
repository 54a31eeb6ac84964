"""A worker that runs the real ramp workflow over activities that say what a test tells them to.

The command line meets Temporal and the workflow, both real here; what lies behind the activities is the business of
other tests.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from temporalio import activity
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from tailramp import activity_contract as contract
from tailramp import activity_names as names
from tailramp.assignment import Assignment
from tailramp.decision import Decision
from tailramp.evidence import Verdict, VerdictKind
from tailramp.planning import make_plan
from tailramp.proof import Answer, Evidence, Finding
from tailramp.ramp import WatchMode, WatchOutcome
from workflows.ramp import RampWorkflow

_LOOK_SECONDS = 0.02


@dataclass
class Script:
    """What the activities say.  Holds last until ``hold`` says how they end."""

    problems: tuple[str, ...] = ()
    preflight_waits: bool = False
    hold: WatchOutcome | None = None
    sentence: str = "412 answers, p99 1.2 s"
    checks: dict[str, str] = field(default_factory=dict)
    zero_is_proven: bool = True
    clear_fails: str = ""


class ScriptedActivities:
    """The activities of the contract, under its names."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.decisions: list[str] = []

    @activity.defn(name=names.PREFLIGHT)
    async def preflight(self, request: contract.PreflightRequest) -> contract.PreflightReport:
        while self.script.preflight_waits:
            activity.heartbeat("checking")
            await asyncio.sleep(_LOOK_SECONDS)
        if self.script.problems:
            return contract.PreflightReport(problems=self.script.problems)
        plan = make_plan(request.spec, default="blue", candidates=["green", "red"][: len(request.spec.candidates)])
        return contract.PreflightReport(plan=plan, epoch=1, applied=plan.baseline_only, snapshot="as it was")

    @activity.defn(name=names.APPLY)
    async def apply(self, request: contract.WriteRequest) -> None:
        pass

    @activity.defn(name=names.VERIFY)
    async def verify(self, request: contract.VerifyRequest) -> Evidence:
        return _evidence()

    @activity.defn(name=names.WATCH)
    async def watch(self, request: contract.WatchRequest) -> contract.WatchResult:
        while True:
            activity.heartbeat({"checks": self.script.checks, "left": "5m"})
            outcome = self.script.hold
            if request.mode is WatchMode.SETTLE:
                return self._result(WatchOutcome.SETTLED, "traffic has reached the step")
            if request.mode is WatchMode.BAKE:
                return self._result(WatchOutcome.PASSED, "baked")
            if request.mode is WatchMode.HOLD and outcome is not None and not request.tolerated:
                return self._result(outcome, self.script.sentence)
            await asyncio.sleep(_LOOK_SECONDS)

    def _result(self, outcome: WatchOutcome, sentence: str) -> contract.WatchResult:
        kind = VerdictKind.FAIL if outcome is WatchOutcome.FAILED else VerdictKind.PASS
        verdict = Verdict(kind=kind, check="latency", slot="green", judge="threshold", reason=sentence)
        return contract.WatchResult(
            outcome=outcome,
            at=datetime.now(UTC),
            sentence=sentence,
            verdicts=(verdict,),
            failed=("green",) if outcome is WatchOutcome.FAILED else (),
            ticks=1,
        )

    @activity.defn(name=names.CONCLUDE)
    async def conclude(self, request: contract.ConcludeRequest) -> None:
        pass

    @activity.defn(name=names.RECORD)
    async def record(self, decision: Decision) -> None:
        self.decisions.append(decision.id)

    @activity.defn(name=names.CLEAR)
    async def clear(self, request: contract.ClearRequest) -> contract.ClearReport:
        if self.script.clear_fails:
            raise ApplicationError(self.script.clear_fails)
        return contract.ClearReport(held=True, epoch=request.epoch, assignment=Assignment(default="blue"))

    @activity.defn(name=names.PROVE_ZERO)
    async def prove_zero(self, request: contract.ZeroRequest) -> Evidence:
        if not self.script.zero_is_proven:
            raise ApplicationError("3 new requests", type=names.NOT_PROVEN)
        return _evidence()

    @activity.defn(name=names.RESTORE)
    async def restore(self, request: contract.RestoreRequest) -> contract.RestoreReport:
        return contract.RestoreReport(equal=True)


def _evidence() -> Evidence:
    return Evidence(findings=(Finding(question="user u1 is served by green", answer=Answer.YES),))


class ScriptedWorld:
    """The worker, started when entered; ``stop`` and ``start`` take it away and bring it back."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.script = Script()
        self._activities = ScriptedActivities(self.script)
        self._running = AsyncExitStack()
        self.client: Client

    @property
    def decisions(self) -> list[str]:
        """The ids of all decisions that were recorded."""
        return self._activities.decisions

    async def start(self) -> None:
        scripted = self._activities
        rollback: list[Any] = [scripted.clear, scripted.prove_zero, scripted.restore]
        watch: list[Any] = [scripted.preflight, scripted.apply, scripted.verify, scripted.watch]
        watch += [scripted.conclude, scripted.record]
        # As the product's own workers: heartbeats and the next attempt of a ramp without its worker come soon.
        soon: dict[str, Any] = {
            "sticky_queue_schedule_to_start_timeout": timedelta(seconds=2),
            "max_heartbeat_throttle_interval": timedelta(seconds=0.2),
        }
        workers = [
            Worker(self.client, task_queue=names.WORKFLOW_QUEUE, workflows=[RampWorkflow], **soon),
            Worker(self.client, task_queue=names.ROLLBACK_QUEUE, activities=rollback, **soon),
            Worker(self.client, task_queue=names.WATCH_QUEUE, activities=watch, **soon),
        ]
        for worker in workers:
            await self._running.enter_async_context(worker)

    async def stop(self) -> None:
        await self._running.aclose()

    async def __aenter__(self) -> Self:
        self.client = await Client.connect(self._address, data_converter=pydantic_data_converter)
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
