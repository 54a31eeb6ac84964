"""``tailramp start --observe``: a ramp that looks and decides, and touches nothing.

Whoever moves the users, by hand or with another tool, learns what tailramp would have decided, and when, before they
trust it with a route. No worker is needed: the judges run here, on what Prometheus says now.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from cli import files
from cli.console import Console, one_line
from cli.exit_codes import ExitCode
from cli.failures import RefusedRamp
from cli.moments import clock, iso
from tailramp.errors import Unreachable

if TYPE_CHECKING:
    from activities.metrics import PrometheusMetrics
    from tailramp.evidence import Verdict
    from tailramp.plan import Plan
    from tailramp.replay.course import Course, Decided
    from tailramp.spec import RampSpec

_TO_THE_SECOND: Final = "%H:%M:%S"


def observe(
    console: Console, spec: "RampSpec", baseline: str | None, share: float | None, wait: timedelta | None
) -> ExitCode:
    """Watch until the ramp would be over, or ``wait``.  Raises UsageError, Refused, Unreachable."""
    from activities.metrics import PrometheusMetrics
    from activities.observing import LiveCounts, shares_served, users_before
    from tailramp.planning import make_plan
    from tailramp.replay.course import play
    from tailramp.replay.source import LATEST, given_shares, seats_of

    if baseline is not None:
        files.known_slot("--baseline", baseline, spec.platform.slots)
    default, candidates = seats_of(spec, baseline)
    plan = make_plan(spec, default=default, candidates=candidates)
    metrics = PrometheusMetrics.of(spec.platform.prometheus)
    with asyncio.Runner() as runner:
        try:
            runner.run(_check(metrics, spec, plan))
            shares = given_shares(plan, share) if share is not None else runner.run(shares_served(spec, plan))
            began = int(time.time())
            last = LATEST if wait is None else began + round(wait.total_seconds())
            account = _Account(console, plan, began)
            account.begins(shares)
            counts = LiveCounts(
                metrics, spec, shares, first=began, last=last, wall=time.time, run=runner.run, told=account.told
            )
            earlier = runner.run(users_before(metrics, spec, plan, began))
            course = play(spec, plan, counts, heard=account.heard, earlier=earlier)
        finally:
            metrics.close()
    return account.ends(course)


async def _check(metrics: "PrometheusMetrics", spec: "RampSpec", plan: "Plan") -> None:
    """Raises RefusedRamp with all that keeps the checks from being asked; Unreachable if that is Prometheus itself."""
    from tailramp.checks import all_checks, slot_match

    at = int(time.time() - spec.platform.prometheus.lag)
    problems = await metrics.preflight(all_checks(spec), slot_match(spec.platform, plan.baseline), at)
    if [problem.field for problem in problems] == ["prometheus.url"]:
        raise Unreachable(str(problems[0]))
    if problems:
        raise RefusedRamp(f"{plan.route} cannot be observed", tuple(str(problem) for problem in problems))


class _Account:
    """What the person, or the program, hears of it: each decision, each verdict that changes its kind, the end."""

    def __init__(self, console: Console, plan: "Plan", began: int) -> None:
        self._console, self._plan, self._began = console, plan, began
        self._kinds: dict[tuple[str, str], str] = {}
        self._latest = began  # a new step reads some ticks of the past anew

    def begins(self, shares: dict[str, float]) -> None:
        from tailramp.units import format_share

        on = ", ".join(f"{slot} {format_share(round(share, 4))}" for slot, share in shares.items())
        text = f"observes {self._plan.route}, {self._plan.journey}; users: {on}. Nothing is written"
        data = {"event": "observing", "route": self._plan.route, "shares": shares}
        self._console.answer(text, data)

    def heard(self, decided: "Decided") -> None:
        from cli.replay_command import sentence_of

        say = self._console.say
        data = {
            "event": "decision",
            "at": iso(decided.at),
            "phase": decided.after.phase,
            "step": decided.after.step,
            "sentence": sentence_of(decided),
            "verdicts": [verdict.model_dump(mode="json") for verdict in decided.verdicts],
        }
        self._console.answer(
            f"{clock(decided.at, _TO_THE_SECOND)}  {say(one_line(sentence_of(decided)))}", data, said=True
        )

    def told(self, at: int, verdicts: "Sequence[Verdict]") -> None:
        if at <= self._latest:
            return
        self._latest, say = at, self._console.say
        for verdict in verdicts:
            key = verdict.slot, verdict.check
            if self._kinds.get(key) == verdict.kind:
                continue
            self._kinds[key] = verdict.kind
            data = {"event": "check", "at": iso(at), **verdict.model_dump(mode="json", exclude={"at"})}
            line = f"{clock(at, _TO_THE_SECOND)}  {verdict.check} {verdict.kind}: {say(one_line(verdict.reason))}"
            self._console.answer(line, data, said=True)

    def ends(self, course: "Course") -> ExitCode:
        from tailramp.ramp import Phase
        from tailramp.units import format_duration
        from workflows import wording

        def after(at: int) -> str:
            return format_duration(timedelta(seconds=at - self._began))

        place = wording.place(course.plan, course.state)
        if (at := course.rolled_back_at) is not None:
            code, text = ExitCode.ROLLED_BACK, f"would have rolled back after {after(at)}: {course.state.stop}"
        elif course.state.phase is Phase.SUCCEEDED:
            code, text = ExitCode.DONE, f"would have succeeded after {after(course.decided[-1].at)}"
        elif course.state.paused or course.state.blocked_by:
            code, text = ExitCode.WAITING_FOR_PERSON, f"the wait is over at {place}, which waits for a person"
        else:
            code, text = ExitCode.STILL_RUNNING, f"the wait is over at {place}: neither promoted nor rolled back"
        data: dict[str, Any] = {
            "event": "end",
            "phase": course.state.phase,
            "reason": course.state.stop,
            "step": course.state.step,
            "promoted_at": iso(course.promoted_at),
            "rolled_back_at": iso(course.rolled_back_at),
            "failed_checks": list(course.failed_checks),
        }
        self._console.answer(f"{text}. Nothing was written", data)
        return code
