"""``tailramp list``: every ramp of a namespace, or every route record of a machine."""

import asyncio
import glob
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli.console import Console, output_option
from cli.exit_codes import ExitCode
from tailramp.errors import Unreachable

if TYPE_CHECKING:
    from tailramp.route_record import RouteRecord

_ROUTES_VARIABLE: Final = "TAILRAMP_ROUTES"
_SORTS: Final = ("started", "route", "phase", "share")


@click.command("list")
@click.option("--phase", "phases", multiple=True, help="Only ramps in this phase, such as HOLDING; may be repeated.")
@click.option("--route", "pattern", metavar="TEXT", help="Only routes whose name begins so, such as team/.")
@click.option("--ended", is_flag=True, help="Also ramps that are over, and earlier ones of the same route.")
@click.option("--sort", type=click.Choice(_SORTS), default="started", show_default=True, help="In which order.")
@click.option("--limit", type=click.IntRange(min=1), default=500, show_default=True, help="At most so many.")
@click.option(
    "--records",
    "files",
    metavar="FILE|kubernetes:NAMESPACE",
    multiple=True,
    help="Read route files (or globs), or the Leases of a namespace, not Temporal.",
)
@click.option("--context", metavar="NAME", help="Of the kubeconfig, for --records kubernetes:NAMESPACE.")
@output_option
@click.pass_obj
def list_command(
    console: Console,
    phases: tuple[str, ...],
    pattern: str | None,
    ended: bool,
    sort: str,
    limit: int,
    files: tuple[str, ...],
    context: str | None,
) -> ExitCode:
    """List the ramps of a namespace.

    Live ramps by default, from Temporal. Where Temporal does not answer, or with --records, the route records say who
    is served by what: those of --records, else of $TAILRAMP_ROUTES.
    """
    from activities.routers.kube.record_lease import place_patterns

    chosen = files or tuple(place_patterns(os.environ.get(_ROUTES_VARIABLE, "")))
    _check_phases(phases)
    if files:
        return _show_records(console, chosen, context)
    try:
        found = asyncio.run(_ramps(phases, pattern, ended, limit + 1))
    except Unreachable as error:
        if not chosen:
            raise
        console.aside(f"{error}. The route records say:")
        return _show_records(console, chosen, context)
    more = len(found) > limit
    rows = sorted(found[:limit], key=_order(sort), reverse=sort in {"started", "share"})
    console.answer("\n".join(_lines(console, rows)), {"ramps": rows, "more": more}, said=True)
    if more:
        console.aside(f"there are more than {limit}: --limit, --phase and --route choose")
    return ExitCode.DONE


def _check_phases(phases: tuple[str, ...]) -> None:
    from tailramp.ramp import Phase

    for phase in phases:
        if phase.upper() not in set(Phase):
            raise click.UsageError(f"There is no phase {phase}. Known: {', '.join(Phase)}")


async def _ramps(phases: tuple[str, ...], pattern: str | None, ended: bool, limit: int) -> list[dict[str, Any]]:
    from cli.ramps import ramp_name
    from cli.temporal import connect, in_words
    from workflows import search_attributes

    client = await connect()
    clauses = ['WorkflowType="Ramp"'] + ([] if ended else ['ExecutionStatus="Running"'])
    if phases:
        clauses.append(f"RampPhase IN ({', '.join(repr(phase.upper()) for phase in phases)})")
    if pattern:
        clauses.append(f"RampRoute STARTS_WITH {_quoted(pattern)}")
    rows: list[dict[str, Any]] = []
    with in_words(client, pattern or "any route"):
        async for execution in client.list_workflows(" AND ".join(clauses), limit=limit):
            seen = execution.typed_search_attributes
            route = execution.id.removeprefix("ramp/")
            first_run = execution.raw_info.first_run_id or execution.run_id
            started = execution.start_time
            rows.append(
                {
                    "route": route,
                    "ramp": first_run,
                    "name": ramp_name(route, first_run),
                    "phase": seen.get(search_attributes.PHASE) or "",
                    "share": (seen.get(search_attributes.SHARE) or 0) / 100,
                    "reason": seen.get(search_attributes.REASON) or None,
                    "execution": execution.status.name if execution.status is not None else "",
                    "started": started.isoformat(),
                    "ended": execution.close_time.isoformat() if execution.close_time else None,
                }
            )
    return rows


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _order(sort: str) -> Any:
    return lambda row: (row[sort], row["route"])


def _lines(console: Console, rows: list[dict[str, Any]]) -> list[str]:
    from cli.tables import table
    from cli.watch.screen import clock_text
    from tailramp.units import format_share

    if not rows:
        return [console.say("no ramp")]
    say, now = console.say, datetime.now(UTC)
    header = [say("ramp"), say("phase"), say("share"), say("running for"), say("reason")]
    cells = [header]
    for row in rows:
        end = now if row["ended"] is None else datetime.fromisoformat(row["ended"])
        elapsed = clock_text(end - datetime.fromisoformat(row["started"]))
        cells.append([row["name"], say(row["phase"]), format_share(row["share"]), elapsed, say(row["reason"] or "")])
    return table(cells, right=frozenset({2, 3}))


def _show_records(console: Console, patterns: tuple[str, ...], context: str | None) -> ExitCode:
    from cli.tables import table

    say = console.say
    rows = [[say("route"), say("default"), say("candidates"), say("ramp"), say("marks")]]
    data = []
    for path, record in _records(patterns, context):
        if isinstance(record, str):
            rows.append([str(path), "", "", "", say(record)])
            data.append({"file": str(path), "error": record})
            continue
        served = ", ".join(f"{slot} {record.assignment.buckets_of(slot)}".strip() for slot in record.candidates)
        rows.append([record.route, record.assignment.default, served, (record.ramp or "")[:8], _marks(record, say)])
        data.append({"file": str(path), **record.model_dump(mode="json")})
    text = "\n".join(table(rows)) if len(rows) > 1 else say("no route record")
    console.answer(text, {"records": data}, said=True)
    return ExitCode.DONE


def _records(patterns: tuple[str, ...], context: str | None) -> "Iterator[tuple[str, RouteRecord | str]]":
    """Where each record is, and the record or why there is none."""
    from activities.routers.kube.record_lease import IN_CLUSTER

    namespaces = [pattern.removeprefix(IN_CLUSTER) for pattern in patterns if pattern.startswith(IN_CLUSTER)]
    yield from _records_in_files([pattern for pattern in patterns if not pattern.startswith(IN_CLUSTER)])
    if namespaces:
        yield from asyncio.run(_records_in_cluster(namespaces, context))


def _records_in_files(patterns: list[str]) -> "Iterator[tuple[str, RouteRecord | str]]":
    from gateway.route_document import RouteDocument
    from tailramp.errors import TailrampError

    for pattern in patterns:
        for name in sorted(glob.glob(pattern)) or [pattern]:  # noqa: PTH207 - absolute patterns too
            try:
                yield name, RouteDocument.parse(Path(name).read_text(encoding="utf-8")).record
            except (OSError, UnicodeDecodeError) as error:
                yield name, f"cannot be read: {getattr(error, 'strerror', None) or error}"
            except TailrampError as error:
                yield name, str(error)


async def _records_in_cluster(namespaces: list[str], context: str | None) -> "list[tuple[str, RouteRecord | str]]":
    from activities.kube import KubeClient
    from activities.routers.kube.record_lease import IN_CLUSTER, lease_records
    from tailramp.errors import Refused, TailrampError

    found: list[tuple[str, RouteRecord | str]] = []
    async with KubeClient(context=context) as client:
        for namespace in namespaces:
            try:
                records = await lease_records(client, namespace)
            except TailrampError as error:
                found.append((f"{IN_CLUSTER}{namespace}", str(error)))
                continue
            found += [
                (route.place, str(record) if isinstance(record, Refused) else record) for route, record in records
            ]
    return found


def _marks(record: "RouteRecord", say: Any) -> str:
    words = [
        say(f"{word} by {mark.by}")
        for word, mark in (("killed", record.kill), ("frozen", record.freeze))
        if mark is not None
    ]
    return ", ".join([*words, *([say("off")] if record.off else []), *([say("closed")] if record.closed else [])])
