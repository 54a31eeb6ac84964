"""One scenario of the demo: a ramp under live users, a fault if it asks for one, and the facts from the users' own log.

The facts do not trust the ramp.  What users saw comes from their log, what was allowed from the route file, and when
the trigger of a rollback was there to be seen from a recount of the raw counters that Prometheus stored.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from activities.metrics import PrometheusMetrics
from activities.time_before import read_time_before
from lab.acts import ACTS, MOST_SECONDS, Act, Scenario, UnforeseenError, UserRun, status_of, until
from lab.client_log import (
    Violations,
    failed_requests,
    last_candidate_request_sent,
    read_log,
    responses_per_variant,
    served_without_admission,
    users_seen_on_both,
    violations,
)
from lab.process import wait_until
from lab.route_history import RouteHistory
from lab.user_population import CORE_MINIMUM
from lab.world import SALT, World
from tailramp.buckets import BucketFunction
from tailramp.checks import checks_of, slot_match
from tailramp.dossiers import begin_stretch, dossiers_of, filing_shelf_of
from tailramp.evidence import RUN_UP, Grid, recount
from tailramp.evidence.raw_series import file_scrapes
from tailramp.evidence.sequential.dossier import teach
from tailramp.ramp import Block, Phase, Reason
from tailramp.spec import RampSpec
from workflows.answers import RampResult, RampStatus
from workflows.handles import RampHandle
from workflows.starting import start_ramp


class Facts(BaseModel):
    """What happened, from the clients' log.  Times in seconds; None where there is nothing to measure."""

    model_config = ConfigDict(frozen=True)

    scenario: Scenario
    seed: int
    outcome: Phase
    reason: Reason
    blocked_by: Block | None = Field(default=None, description="why the ramp said that it waited, where it had to")
    grew_in_incident: bool = Field(
        default=False, description="the share grew after the ramp was blocked and before the incident was over"
    )
    seconds_fault_to_trigger: float | None = None
    seconds_trigger_to_last_candidate_request: float | None = Field(
        default=None, description="by send time; negative if the last one was sent before the trigger"
    )
    seconds_fault_to_last_candidate_request: float | None = None
    responses: dict[str, int]
    users_seen_on_both: int
    failed_requests: int
    violations: dict[str, int]
    served_without_admission: int = Field(description="candidate answers that no assignment of their time allowed")
    foreign_assignments: int = Field(description="assignments that stood in the route file and are not in the plan")
    client_was_behind: int = Field(description="moments at which the users' own process could not keep up")
    fewest_requests_of_a_core_user: int
    workflow_id: str
    seconds: float

    @property
    def as_promised(self) -> bool:
        """Whether the ramp ended as its scenario should, and no promise to a user was broken."""
        act = ACTS[self.scenario]
        return (
            (self.outcome, self.reason) == (act.outcome, act.reason)
            and not self.grew_in_incident
            and not any(self.violations.values())
            and not self.served_without_admission
            and not self.failed_requests
            and not self.foreign_assignments
        )


OnRamp = Callable[[RampHandle], Awaitable[None]]


async def play(
    world: World,
    scenario: Scenario,
    *,
    candidate: str = "green",
    fault_step: int = 4,
    log: Path | None = None,
    on_ramp: OnRamp | None = None,
    users: UserRun | None = None,
    linger: float | None = None,
    most_seconds: float = MOST_SECONDS,
) -> Facts:
    """Ramp to the model in slot ``candidate`` with users on the route; a fault strikes in the hold of ``fault_step``.

    The world's worker must run.  ``on_ramp`` is run beside it, for a live view; ``users`` are others than the act's,
    and with ``linger`` they stay so many seconds after the ramp's end; that comes within ``most_seconds``.  Raises
    UnforeseenError if the ramp goes another way than the scenario does.
    """
    began = time.monotonic()
    act = ACTS[scenario]
    log = log or world.directory / f"clients-{scenario}.jsonl"
    history = RouteHistory(world.route_file)
    run = users or act.users
    view: asyncio.Future[None] | None = None
    driver = world.start_users(log, **asdict(run))
    async with history.observed():
        try:
            await driver.wait_ready(lambda: log.exists() and read_log(log).started, 60, "the users")
            spec = world.spec(world.models[candidate])
            await world.counted(spec, next(slot for slot in world.models if slot != candidate))
            handle = await start_ramp(world.client, spec, actor="demo")
            view = asyncio.ensure_future(on_ramp(handle)) if on_ramp else None
            incident = await _unfold(act, world, handle, candidate, fault_step)
            result = await _end_of(handle, most_seconds)
            if view is not None:
                await view
            ended = time.time()
            status = await status_of(handle)
            if linger is not None:
                await asyncio.sleep(linger)
            elif run.core_rate is not None:
                await _until_all_have_asked(log, run)
            else:
                await driver.wait_exit(run.seconds + 40)
        finally:
            if view is not None:
                view.cancel()
            await driver.terminate()
    return _facts(
        scenario=scenario,
        world=world,
        log=log,
        history=history,
        result=result,
        status=status,
        candidate=candidate,
        incident=incident,
        trigger=await trigger_of(spec, status, until=ended) if act.strike and act.blames_candidate else None,
        workflow_id=handle.id,
        seconds=time.monotonic() - began,
        core_users=run.core_users,
    )


async def _until_all_have_asked(log: Path, run: UserRun) -> None:
    asked: Counter[str | None] = Counter()
    read = 0

    def enough() -> bool:
        nonlocal read
        found = read_log(log, read)
        asked.update(request.user for request in found.requests)
        read = found.end
        return _fewest(asked, run.core_users) >= CORE_MINIMUM

    await wait_until(enough, run.seconds, f"{CORE_MINIMUM} requests of each core user", interval=0.2)


def _fewest(asked: Counter[str | None], core_users: int) -> int:
    """How often the laziest core user has asked: nobody else comes as often as one of them."""
    often = [count for user, count in asked.most_common(core_users + 1) if user is not None]
    return often[:core_users][-1] if often else 0


async def _end_of(handle: RampHandle, most_seconds: float) -> RampResult:
    try:
        async with asyncio.timeout(most_seconds):
            return await handle.result()
    except TimeoutError:
        status = await status_of(handle)
        raise UnforeseenError(f"the ramp did not end within {most_seconds:g} s: {status.last}") from None


@dataclass(frozen=True)
class _Incident:
    """Unix seconds; None for what did not happen."""

    began: float | None
    blocked: float | None
    answered: float | None


async def _unfold(act: Act, world: World, handle: RampHandle, candidate: str, step: int) -> _Incident:
    """Let the act's fault strike in the hold of ``step``, wait until the ramp has named it, and answer it."""
    began = blocked = answered = None
    if act.strike is not None:
        await until(handle, lambda status: _holds(status, step), f"the hold of step {step}")
        began = await act.strike(world, handle, candidate)
    if (block := act.block) is not None:
        await until(handle, lambda status: block in status.blocked_by, f"the ramp to be blocked by {block}")
        blocked = time.time()
    if act.answer is not None:
        answered = await act.answer(world, handle, candidate)
    return _Incident(began, blocked, answered)


def _holds(status: RampStatus, step: int) -> bool:
    return status.phase is Phase.HOLDING and status.step == step


async def trigger_of(spec: RampSpec, status: RampStatus, *, until: float) -> float | None:
    """When the first scrape was stored at which an offline recount of the raw counters fails."""
    plan, platform = status.plan, spec.platform
    if plan is None or status.anchor is None or status.watched is None:
        return None
    checks = checks_of(platform, spec.candidate)
    grid = Grid(anchor=status.anchor, tick=int(platform.checks.tick.total_seconds()))
    baseline, candidate = slot_match(platform, plan.baseline), slot_match(platform, plan.candidate)
    last = grid.last_due(until, 0)
    dossiers = dossiers_of(spec, plan, status.evidence_since or status.anchor)
    metrics = PrometheusMetrics(platform.prometheus.url, timeout=20)
    try:
        teach(dossiers, await read_time_before(metrics, spec, plan, status.began))
        for stretch in status.stretches:
            begin_stretch(dossiers, stretch.assignment, plan.baseline, stretch.anchor)
            earlier = grid.model_copy(update={"anchor": stretch.anchor})
            if (shelf := filing_shelf_of(spec, plan, earlier, dossiers, settling=stretch.settling)) is None:
                continue
            known = await metrics.read_scrapes(shelf.checks, shelf.slots, stretch.anchor - 2 * RUN_UP, stretch.until)
            file_scrapes(shelf, earlier, known, earlier.last_due(stretch.until, 0))
        begin_stretch(dossiers, status.watched, plan.baseline, status.anchor)
        start, end = status.anchor - 2 * RUN_UP, grid.time(last)
        scrapes = await metrics.read_scrapes(checks, [candidate, baseline], start, end)
    finally:
        metrics.close()
    return recount(checks, [candidate], baseline, grid, scrapes, last, dossiers=dossiers).trigger


def _facts(
    *,
    scenario: Scenario,
    world: World,
    log: Path,
    history: RouteHistory,
    result: RampResult,
    status: RampStatus,
    candidate: str,
    incident: _Incident,
    trigger: float | None,
    workflow_id: str,
    seconds: float,
    core_users: int,
) -> Facts:
    act = ACTS[scenario]
    baseline = next(slot for slot in world.models if slot != candidate)
    fault_at = incident.began if act.blames_candidate else None
    client_log = read_log(log)
    requests = client_log.requests
    bucket_of = BucketFunction(SALT)

    def admitted(user: str | None, sent: float, answered: float) -> bool:
        return history.may_serve(candidate, user, sent, answered, bucket_of)

    found: Violations = violations(
        requests,
        baseline=baseline,
        candidate=candidate,
        admitted=admitted,
        # A recount may find its trigger later than the ramp did, if a scrape failed on a busy machine.
        growth_ended=min((at for at in (trigger, history.first_shrink(candidate)) if at is not None), default=None),
    )
    last = last_candidate_request_sent(requests, candidate, 0, admitted)

    def between(start: float | None, end: float | None) -> float | None:
        return None if start is None or end is None else round(end - start, 3)

    plan = status.plan
    planned = (
        []
        if plan is None
        else [plan.baseline_only, plan.promoting, plan.baking, plan.promoted, *(s.assignment for s in plan.steps)]
    )
    return Facts(
        scenario=scenario,
        seed=world.seed,
        outcome=result.phase,
        reason=result.reason,
        blocked_by=act.block if incident.blocked is not None else None,
        grew_in_incident=history.grew(candidate, incident.blocked, incident.answered),
        seconds_fault_to_trigger=between(fault_at, trigger),
        seconds_trigger_to_last_candidate_request=between(trigger, last),
        seconds_fault_to_last_candidate_request=between(fault_at, last),
        responses={str(variant): count for variant, count in sorted(responses_per_variant(requests).items(), key=str)},
        users_seen_on_both=len(users_seen_on_both(requests, baseline, candidate)),
        failed_requests=len(failed_requests(requests, candidate, fault_at, admitted)),
        violations={"forged": found.forged, "no_id": found.no_id, "moved_back_and_forth": found.moved_back_and_forth},
        served_without_admission=len(served_without_admission(requests, candidate, admitted)),
        foreign_assignments=sum(version.assignment not in planned for version in history.versions),
        client_was_behind=len(client_log.behind),
        fewest_requests_of_a_core_user=_fewest(Counter(request.user for request in requests), core_users),
        workflow_id=workflow_id,
        seconds=round(seconds, 1),
    )
