"""``tailramp history``: the decisions of a route's ramps, the present one and earlier ones."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import files
from cli.console import Console, one_line, output_option
from cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowExecution

    from tailramp.decision import Decision


@click.command("history")
@files.route_argument
@files.platform_option
@click.option("--ramps", type=click.IntRange(min=1), default=3, show_default=True, help="How many ramps, latest first.")
@click.option("--verbose", "-v", is_flag=True, help="With who decided, the reason given and the epoch.")
@output_option
@click.pass_obj
def history_command(console: Console, route: str | None, platform: Path | None, ramps: int, verbose: bool) -> ExitCode:
    """Show every decision of a route's ramps.

    As far back as Temporal keeps them; the decision log of the worker keeps them longer.
    """
    name = files.resolve_route(route, platform)
    found = asyncio.run(_ramps(name, ramps))
    lines: list[str] = []
    for ramp in found:
        lines += [""] * bool(lines)
        phase = console.say(ramp["phase"])
        how = f"{phase} ({console.say(ramp['reason'])})" if ramp["reason"] else phase
        lines.append(f"{ramp['name']}  {how}")
        for decision in ramp["decisions"]:
            at = datetime.fromisoformat(decision["at"]).astimezone()
            lines.append(f"  {at:%m-%d %H:%M:%S}  {console.say(one_line(decision['sentence']))}")
            if verbose:
                said = f" · {decision['reason']}" if decision["reason"] else ""
                epoch = console.say(f"epoch {decision['epoch']}")
                lines.append(f"                  {decision['actor']} · {epoch}{said}")
    console.answer("\n".join(lines), {"route": name, "ramps": found}, said=True)
    return ExitCode.DONE


async def _ramps(route: str, most: int) -> list[dict[str, Any]]:
    """The latest ``most`` ramps, latest first, each with its decisions, oldest first.  Raises NoRamp, Unreachable."""
    from cli.ramps import ramp_name
    from cli.temporal import NoRamp, connect, in_words
    from workflows import search_attributes
    from workflows.handles import workflow_id

    client = await connect()
    ramps: dict[str, dict[str, Any]] = {}
    with in_words(client, route):
        async for run in client.list_workflows(f'WorkflowId="{workflow_id(route)}"'):
            first = run.raw_info.first_run_id or run.run_id
            if first not in ramps:
                if len(ramps) == most:
                    break
                seen = run.typed_search_attributes
                ramps[first] = {
                    "name": ramp_name(route, first),
                    "ramp": first,
                    "phase": seen.get(search_attributes.PHASE) or "",
                    "reason": seen.get(search_attributes.REASON) or None,
                    "execution": run.status.name if run.status is not None else "",
                    "decisions": [],
                }
            decided = [decision.model_dump(mode="json") for decision in await _decisions(client, run)]
            told = {decision["id"] for decision in decided}
            later = [decision for decision in ramps[first]["decisions"] if decision["id"] not in told]
            ramps[first]["decisions"] = decided + later
    if not ramps:
        raise NoRamp(f"Temporal knows no ramp of {route}: `tailramp start` starts one")
    return list(ramps.values())


async def _decisions(client: "Client", run: "WorkflowExecution") -> "list[Decision]":
    from temporalio.api.enums.v1 import EventType

    from tailramp.activity_names import RECORD
    from tailramp.decision import Decision

    handle = client.get_workflow_handle(run.id, run_id=run.run_id)
    decisions = []
    async for event in handle.fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            scheduled = event.activity_task_scheduled_event_attributes
            if scheduled.activity_type.name == RECORD:
                decisions += await client.data_converter.decode(scheduled.input.payloads, [Decision])
    return decisions
