"""``tailramp status`` and ``tailramp watch``: where a ramp is, now and from now on."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import files
from cli.console import Console, one_line, output_option
from cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from cli.ramps import Sighting


@click.command("status")
@files.route_argument
@files.platform_option
@output_option
@click.pass_obj
def status_command(console: Console, route: str | None, platform: Path | None) -> ExitCode:
    """Show where a ramp is, why, and what comes next.

    ROUTE is <namespace>/<name> or a name in the namespace default; without it, the route of the platform file. Exits
    with 0 whatever the phase. Without a worker it shows what Temporal itself knows, which may be a little older.
    """
    route = files.resolve_route(route, platform)
    sighting = asyncio.run(_look(route))
    console.answer("\n".join(_lines(sighting, console.say)), as_data(sighting), said=True)
    return ExitCode.DONE


@click.command("watch")
@files.route_argument
@files.platform_option
@click.option(
    "--timeout", "limit", type=files.DurationType(), help="How long to follow it, such as 30m; else to its end."
)
@click.option("--lines", is_flag=True, help="A line per change on a terminal too.")
@output_option
@click.pass_obj
def watch_command(
    console: Console, route: str | None, platform: Path | None, limit: timedelta | None, lines: bool
) -> ExitCode:
    """Follow a ramp until it ends.

    On a terminal it draws a picture that renews itself: the steps, each check with its numbers and the evidence that is
    gathered, what comes next and when. Ctrl-C leaves it; the ramp goes on.

    Elsewhere it prints one line per change, the first being where the ramp stands. A change is a decision, a check
    whose verdict changes, or whatever keeps the ramp from being carried out (marked with !). With -o json each line is
    one JSON object.

    Exits with 0 when it succeeded, 3 when it was rolled back, 5 when it was refused or superseded, 6 when Temporal is
    gone for 30 seconds. At --timeout: 7, or 8 if it waits for a person, 4 while a rollback is not proven yet, 0 if it
    holds its target.
    """
    route = files.resolve_route(route, platform)
    return asyncio.run(_watch(console, route, limit, lines))


async def _look(route: str) -> "Sighting":
    from cli.ramps import Ramp

    return await (await Ramp.find(route)).look()


async def _watch(console: Console, route: str, limit: timedelta | None, lines: bool) -> ExitCode:
    from cli.ramps import Ramp
    from cli.watch.until import show_until

    return await show_until(console, await Ramp.find(route), limit, lines=lines)


def _lines(sighting: "Sighting", say: Callable[[str], str]) -> list[str]:
    from cli.tables import facts

    said = [(say(label), say(one_line(text))) for label, text in _rows(sighting) if text]
    return [f"{sighting.name}: {say(_place(sighting))}", *facts(said)]


def _rows(sighting: "Sighting") -> list[tuple[str, str]]:
    from cli.holds import told_beside

    status = sighting.status
    rows: list[tuple[str, str]] = []
    if not sighting.is_open:
        rows.append(("ended", _ended(sighting)))
    elif status is None:
        rows.append(("worker", "NONE ANSWERS: this is what Temporal knows. `tailramp worker` runs one"))
    rows += [("ramp", sighting.summary), ("last", sighting.last), ("next", sighting.next)]
    if status is not None:
        paused = "paused" if status.paused else ""
        rows.append(("waits", ", ".join(filter(None, [paused, *status.blocked_by]))))
        shown = {name for pending in sighting.pending for name in pending.checks}
        rows += [("because", sentence) for sentence in told_beside(status.causes, shown)]
        rows.append(("started", f"{status.started_at.astimezone():%Y-%m-%d %H:%M:%S}"))
        rows.append(("epoch", f"{status.epoch}, one more with every write to the route"))
    if sighting.result is not None:
        rows += [("problem", problem) for problem in sighting.result.problems]
    rows += [("servers", f"{slot}: {said}") for p in sighting.pending for slot, said in p.servers.items()]
    rows += [("check", f"{name} {said}") for pending in sighting.pending for name, said in pending.checks.items()]
    rows += [
        ("trouble", f"{pending.name} is tried again (attempt {pending.attempt}): {pending.failure}")
        for pending in sighting.pending
        if pending.failure
    ]
    rows += [("trouble", f"Temporal reports {problem}") for problem in sighting.reported]
    return rows


def _place(sighting: "Sighting") -> str:
    from tailramp.units import format_share

    parts: list[str] = [str(sighting.phase)]
    if sighting.status is not None and sighting.status.steps:
        parts.append(f"step {sighting.status.step} of {sighting.status.steps}")
    parts.append(f"{format_share(sighting.share)} of identified users on the candidate")
    return ", ".join(parts)


def _ended(sighting: "Sighting") -> str:
    if sighting.result is not None:
        return str(sighting.result.reason)
    how = sighting.execution.name.lower().replace("_", " ")
    return f"{how} from outside: nobody takes the candidate out. `tailramp kill {sighting.route}` does"


def as_data(sighting: "Sighting") -> dict[str, Any]:
    """The sighting for programs.  ``status`` and ``result`` are null where there is none."""
    return {
        "route": sighting.route,
        "ramp": sighting.ramp,
        "run": sighting.run_id,
        "execution": sighting.execution.name,
        "worker": None if not sighting.is_open else sighting.status is not None,
        "phase": str(sighting.phase),
        "share": sighting.share,
        "reason": sighting.reason or None,
        "last": sighting.last,
        "next": sighting.next,
        "problems_reported": list(sighting.reported),
        "pending": [
            {"activity": p.name, "attempt": p.attempt, "failure": p.failure or None, "details": p.details}
            for p in sighting.pending
        ],
        "status": None if sighting.status is None else sighting.status.model_dump(mode="json"),
        "result": None if sighting.result is None else sighting.result.model_dump(mode="json"),
    }
