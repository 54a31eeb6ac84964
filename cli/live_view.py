"""A followed ramp on the terminal: one line per change, or one line of JSON per change."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

from cli.console import Console, one_line
from cli.exit_codes import ExitCode
from cli.following import Change, ChangeKind, follow
from cli.ramps import Ramp, exit_code_of


async def show_until(
    console: Console, ramp: Ramp, limit: timedelta | None, *, until_target: bool = False, from_start: bool = False
) -> ExitCode:
    """Print the changes until the ramp ends, ``limit`` is over or, with ``until_target``, it holds its target.

    Returns what that means.  Raises NoRamp, Unreachable.
    """
    try:
        async with asyncio.timeout(limit.total_seconds() if limit is not None else None) as clock:
            async with contextlib.aclosing(follow(ramp, from_start=from_start)) as changes:
                async for change in changes:
                    console.answer(as_line(change), as_data(change))
                    if change.kind is ChangeKind.END:
                        return exit_code_of(change.result)
                    if until_target and change.reached_target:
                        return ExitCode.DONE
    except TimeoutError:
        if not clock.expired():
            raise
    sighting = await ramp.look()
    console.aside(f"the wait ended; {sighting.name} goes on: {sighting.next}")
    return sighting.exit_code


def as_line(change: Change) -> str:
    """``12:00:15  HOLDING       step 2/6    5 %  step 2 PASS: ...``, in local time."""
    step = f"step {change.step}/{change.steps}" if change.steps else "step -"
    where = f"{change.at.astimezone():%H:%M:%S}  {change.phase:<13} {step:<9} {change.share * 100:>5.4g} %"
    mark = "! " if change.kind is ChangeKind.TROUBLE else ""
    return f"{where}  {mark}{one_line(change.sentence)}"


def as_data(change: Change) -> dict[str, Any]:
    """The change for programs.  ``event`` is decision, check, trouble or end."""
    data: dict[str, Any] = {
        "event": str(change.kind),
        "at": change.at.isoformat(),
        "route": change.route,
        "ramp": change.ramp,
        "phase": str(change.phase),
        "step": change.step,
        "steps": change.steps,
        "share": change.share,
        "sentence": change.sentence,
    }
    if change.decision is not None:
        decision = change.decision
        data |= {"decision": str(decision.kind), "actor": decision.actor, "reason": decision.reason, "id": decision.id}
    if change.kind is ChangeKind.CHECK:
        data |= {"check": change.check, "verdict": change.verdict}
    if change.kind is ChangeKind.END:
        data["result"] = None if change.result is None else change.result.model_dump(mode="json")
    return data
