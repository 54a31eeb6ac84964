"""What the live picture shows, gathered from everything that is known of a ramp at one moment.

A running worker's own answer is the fullest source, but the picture must stand without it: then history tells the plan
and the decisions, and the heartbeat of the running watch tells the verdicts.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from tailramp.checks import checks_by_slot
from tailramp.ramp import Block, Phase, WatchMode, clock

if TYPE_CHECKING:
    from cli.following import Follower
    from tailramp.decision import Decision
    from tailramp.evidence import Check, Verdict
    from tailramp.plan import Plan, Variant
    from tailramp.ramp import Cause
    from workflows.answers import RampResult, RampStatus


class Standing(StrEnum):
    DONE = "done"
    CURRENT = "current"
    NEXT = "next"


@dataclass(frozen=True)
class Rung:
    """One row of the ladder.  ``share`` is 0 to 1; ``buckets`` is "" for everyone."""

    index: int
    share: float
    buckets: str
    hold: timedelta | None
    approval: bool
    standing: Standing


@dataclass(frozen=True)
class Progress:
    """How much of the present hold or bake is over.  ``needed`` None: it has no end; ``running``: its clock runs."""

    over: timedelta
    needed: timedelta | None
    running: bool


@dataclass(frozen=True)
class CheckRow:
    """One check of one candidate, and its present verdict.  ``check`` is None if the files do not know it any more."""

    slot: str
    name: str
    verdict: "Verdict"
    check: "Check | None"

    @property
    def bad_is(self) -> str:
        """What a bad answer is, such as ``slower than 2 s``; "" if that is not known."""
        return "" if self.check is None else self.check.bad_is

    @property
    def floor(self) -> int:
        """How many answers a PASS needs."""
        return 0 if self.check is None else self.check.rule.floor


@dataclass(frozen=True)
class Scene:
    """``started_at`` is when the ramp began, ``renewed`` when the candidates' leases were; ``servers`` say how far
    those are that are waited for, ``causes`` why it waits; ``lost`` is for how long the server has been silent."""

    name: str
    model: str
    baseline: str
    candidates: "tuple[Variant, ...]"
    phase: Phase
    share: float
    started_at: datetime | None
    ended_at: datetime | None
    rungs: tuple[Rung, ...]
    progress: Progress | None
    checks: tuple[CheckRow, ...]
    next: str
    waits: tuple[str, ...]
    causes: "tuple[Cause, ...]"
    lease: timedelta | None
    renewed: datetime | None
    servers: tuple[str, ...]
    troubles: tuple[str, ...]
    decisions: "tuple[Decision, ...]"
    result: "RampResult | None"
    unanswered: bool
    lost: float | None


def scene_of(
    follower: "Follower", status: "RampStatus | None", now: datetime, *, unanswered: bool, lost: float | None
) -> Scene | None:
    """The scene at ``now``; None before anything is known.

    ``status`` is a worker's latest answer, if one answers; ``unanswered``: it was asked for in vain.
    """
    from cli.ramps import next_now, ramp_name

    stands, sighting = follower.stands, follower.sighting
    if stands is None or sighting is None:
        return None
    plan = (status.plan if status is not None else None) or stands.plan
    phase = stands.phase if stands.result is not None or status is None else status.phase
    over = phase.is_terminal
    spec = follower.spec
    return Scene(
        name=ramp_name(stands.route, stands.ramp),
        model=" + ".join(candidate.model for candidate in spec.candidates) if spec is not None else "",
        baseline=plan.baseline if plan is not None else "",
        candidates=plan.candidates if plan is not None else (),
        phase=phase,
        share=stands.share if status is None or over else status.share,
        started_at=follower.started_at,
        ended_at=stands.at if over else None,
        rungs=_rungs(plan, phase, stands.step if status is None else status.step),
        progress=None if over else _progress(follower, phase, now),
        checks=_checks(follower, status),
        next="" if over else (next_now(status, now) if status is not None else sighting.next),
        waits=() if over else _waits(follower, status),
        causes=() if over else _causes(follower, status),
        lease=spec.platform.ramp.lease if spec is not None and not over else None,
        renewed=next((pending.renewed for pending in sighting.pending if pending.renewed), None),
        servers=tuple(f"{slot}: {said}" for p in sighting.pending for slot, said in p.servers.items()),
        troubles=() if over else follower.troubles,
        decisions=follower.decisions,
        result=stands.result,
        unanswered=unanswered and not over,
        lost=lost,
    )


def _rungs(plan: "Plan | None", phase: Phase, at: int) -> tuple[Rung, ...]:
    if plan is None:
        return ()
    goes_back = phase.is_rollback or phase in {Phase.REFUSED, Phase.SUPERSEDED}
    last = len(plan.steps) + 1
    current = last if phase in {Phase.PROMOTING, Phase.BAKING} else last + 1 if phase is Phase.SUCCEEDED else at

    def standing(index: int) -> Standing:
        if index == current and not goes_back:
            return Standing.CURRENT
        return Standing.DONE if index < current else Standing.NEXT

    rungs = [Rung(s.index, s.share, str(s.buckets), s.hold, s.approval, standing(s.index)) for s in plan.steps]
    if plan.promotes:
        rungs.append(Rung(last, 1.0, "", plan.bake, False, standing(last)))
    return tuple(rungs)


def _progress(follower: "Follower", phase: Phase, now: datetime) -> Progress | None:
    watch = follower.watch
    if watch is None or phase not in {Phase.HOLDING, Phase.BAKING} or watch.mode is WatchMode.SETTLE:
        return None
    running = any(interval.end is None for interval in watch.held)
    over = clock(watch.held, now)
    return Progress(over if watch.hold is None else min(over, watch.hold), watch.hold, running)


def _checks(follower: "Follower", status: "RampStatus | None") -> tuple[CheckRow, ...]:
    spec, sighting = follower.spec, follower.sighting
    if spec is None or sighting is None:
        return ()
    plan = (status.plan if status is not None else None) or (follower.stands.plan if follower.stands else None)
    by_slot = checks_by_slot(spec, plan) if plan is not None else {}
    known = {(slot, check.name): check for slot, checks in by_slot.items() for check in checks}
    live = next((pending.verdicts for pending in sighting.pending if pending.verdicts), ())
    verdicts = live or (status.verdicts if status is not None else ()) or _decided(follower)
    return tuple(
        CheckRow(verdict.slot, verdict.check, verdict, known.get((verdict.slot, verdict.check))) for verdict in verdicts
    )


def _decided(follower: "Follower") -> "tuple[Verdict, ...]":
    """The verdicts that the latest decision about checks rests on."""
    from tailramp.evidence import Verdict

    for decision in reversed(follower.decisions):
        if verdicts := decision.evidence.get("verdicts"):
            return tuple(Verdict.model_validate(verdict) for verdict in verdicts)
    return ()


def _waits(follower: "Follower", status: "RampStatus | None") -> tuple[str, ...]:
    if status is not None:
        return (*(("paused",) if status.paused else ()), *status.blocked_by)
    watch = follower.watch
    if watch is None:
        return ()
    return tuple(watch.blocks) or ((Block.INCONCLUSIVE,) if watch.overdue else ())


def _causes(follower: "Follower", status: "RampStatus | None") -> "tuple[Cause, ...]":
    if status is not None:
        return status.causes
    return follower.watch.causes if follower.watch is not None else ()
