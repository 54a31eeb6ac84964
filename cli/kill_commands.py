"""``tailramp kill`` and ``tailramp lift``: what works when Temporal, the workers and Prometheus are gone.

Both need the route record and nothing else.  A kill raises the record's epoch and leaves a mark, so that no worker that
wakes up later can give a candidate traffic.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import click

from cli import files
from cli.actor import asserted_actor
from cli.console import Console, output_option
from cli.exit_codes import ExitCode
from cli.namespaces import failures_as_data, in_namespaces, namespaces_options, no_route, tell_failures
from cli.where import Where, router_of, run, where_options, written_or_told
from cli.written_workloads import platform_of, workloads_of
from tailramp.errors import Refused

if TYPE_CHECKING:
    from activities.routers import Router
    from activities.routers.kube.namespace_freeze import Marking
    from activities.workloads import Kept
    from tailramp.route_record import Mark, RouteRecord


@click.command("kill")
@files.route_argument
@where_options
@click.option("--to-previous", is_flag=True, help="Back to the default before the last promotion, also after its end.")
@click.option("--off", is_flag=True, help="Serve nobody: the whole route gives the configured answer until `lift`.")
@click.option("--force", is_flag=True, help="Go back even if nobody there is ready to answer.")
@click.option("--reason", type=files.TextType(), default="", help="Why, in your words; it stands in the route record.")
@output_option
@click.pass_obj
def kill_command(
    console: Console,
    route: str | None,
    where: Where,
    to_previous: bool,
    off: bool,
    force: bool,
    reason: str,
) -> ExitCode:
    """Take the candidates out at once, without Temporal or any worker.

    Everyone is put back on the slot that was the default when the ramp began, whatever the ramp is doing, and the route
    is marked: nothing starts or grows on it until `tailramp lift`. Running it again renews the mark and raises the
    epoch, and moves nobody.

    Once a promotion has moved everyone, and nobody they would go back to is ready to answer, nothing is changed and the
    exit code is 5: --force goes back all the same, --off answers everyone with the configured message.

    Needs write access to the route record and the route, and nothing else. A live ramp notices and ends as rolled back.
    """
    if off and to_previous:
        raise click.UsageError("--off serves nobody and --to-previous somebody: choose one")
    router = router_of(console, where, route)
    how = _How.OFF if off else _How.TO_PREVIOUS if to_previous else _How.TO_BASELINE
    kept: list[Kept] = []

    async def kill() -> "tuple[RouteRecord, RouteRecord]":
        before, after = await _kill(router, route, how, reason, force=force)
        if to_previous and after.previous_servers is not None:
            kept.extend(await _keep(where, after))
        return before, after

    with written_or_told():
        before, after = run(router, kill())
    default, taken_out = after.assignment.default, _taken_out(before, after)
    servers = _told_servers(console, default, after.previous_servers, kept) if to_previous else None
    data: dict[str, Any] = {
        "route": before.route,
        "taken_out": taken_out,
        "default": default,
        "epoch": after.epoch,
        "kill": mark_as_data(after.kill),
        "previous_servers": servers,
    }
    console.answer(_killed_said(before, after, taken_out), data)
    return ExitCode.DONE


def _taken_out(before: "RouteRecord", after: "RouteRecord") -> dict[str, str]:
    """Whom each slot served that serves nobody now: buckets, or ``everyone``."""
    served = dict.fromkeys([before.assignment.default, *(rule.slot for rule in before.assignment.rules)])
    return {
        slot: str(before.assignment.buckets_of(slot)) or "everyone"
        for slot in served
        if slot != after.assignment.default
    }


def _killed_said(before: "RouteRecord", after: "RouteRecord", taken_out: dict[str, str]) -> str:
    default = after.assignment.default
    if after.off:
        text = f"{before.route} is off: everyone gets {after.off_answer.status} and its message, epoch {after.epoch}."
    elif taken_out:
        out = "; ".join(f"{slot} is out (it served {whom})" for slot, whom in taken_out.items())
        text = f"{before.route}: {out}. The route sends everyone to {default}, epoch {after.epoch}."
    else:
        text = f"{before.route}: nobody was on a candidate; everyone stays on {default}, epoch {after.epoch}."
    if after.kill is None:
        missing = "The mark could not be written: run this again once the disk takes writes, or a new ramp may start."
        return f"{text}\n{missing}"
    return f"{text}\nMarked: nothing starts on this route until `tailramp lift {before.route} --reason ...`."


def _told_servers(console: Console, slot: str, least: int | None, kept: "list[Kept]") -> int | None:
    """How many servers ``slot`` has to take everyone back with, which is also told; None if nobody knows.

    ``least`` are those that it keeps after a bake, ``kept`` what was done to keep those that there are.
    """
    held = [each.servers for each in kept if each.servers is not None]
    if least is not None and held:
        console.aside(f"{slot} asks for {sum(held)} servers, and no worker takes any of them away now.")
    elif least is not None:
        console.aside(f"{slot} keeps at least {least} servers (replicas.idle): scale it up.")
    for each in kept:
        if each.trouble:
            console.aside(
                f"{each.name} could not be held, and a worker may still bring it down to that: {each.trouble}"
            )
    return sum(held) if least is not None and held else least


@click.command("lift")
@files.route_argument
@where_options
@namespaces_options
@click.option("--reason", type=files.TextType(), required=True, help="Why ramps may start again.")
@output_option
@click.pass_obj
def lift_command(
    console: Console, route: str | None, where: Where, namespaces: tuple[str, ...], every: bool, reason: str
) -> ExitCode:
    """Remove the mark of a kill or a freeze, so that ramps may start again.

    Nobody's traffic moves by it. With --namespace or --all-namespaces, the freeze of a namespace; a route that was
    killed, or frozen by itself, stays so.
    """
    if namespaces or every:
        return _lift_namespaces(console, route, where, namespaces, every, reason)
    router = router_of(console, where, route)
    with written_or_told():
        before, after = run(router, _lift(router, route))
    marks = [(word, mark) for word, mark in (("kill", before.kill), ("freeze", before.freeze)) if mark is not None]
    lines = [_lifted_said(before.route, word, mark, reason) for word, mark in marks]
    data = {
        "route": before.route,
        "lifted": {word: mark_as_data(mark) for word, mark in marks},
        "by": asserted_actor(),
        "reason": reason,
        "epoch": after.epoch,
    }
    console.answer("\n".join(lines) or f"{before.route}: there was no mark to lift.", data)
    return ExitCode.DONE


def _lift_namespaces(
    console: Console, route: str | None, where: Where, namespaces: tuple[str, ...], every: bool, reason: str
) -> ExitCode:
    from activities.routers.kube.namespace_freeze import lift_namespace

    no_route(route, where)
    done = in_namespaces(where, namespaces, every, lift_namespace)
    data = {
        namespace: {"freeze": mark_as_data(marking.mark), "routes": [str(found) for found in marking.routes]}
        for namespace, marking in done.items()
    }
    lines = [_namespace_lifted_said(namespace, marking, reason) for namespace, marking in done.items()]
    answer = {"lifted": data, "failed": failures_as_data(done), "reason": reason}
    console.answer("\n".join(lines) or "no namespace has a route record", answer)
    return tell_failures(console, done)


def _lifted_said(where: str, word: str, mark: "Mark", reason: str) -> str:
    why = mark.reason or "no reason given"
    return f"{where}: the {word} by {mark.by}, {mark.at:%Y-%m-%d %H:%M:%S %Z} ({why}), is lifted: {reason}"


def _namespace_lifted_said(namespace: str, marking: "Marking", reason: str) -> str:
    if marking.mark is not None:
        return _lifted_said(namespace, "freeze", marking.mark, reason)
    if marking.failures:
        return f"{namespace} is frozen still, and {len(marking.routes)} of its routes are free."
    return f"{namespace}: there was no mark to lift."


class _How(StrEnum):
    """Where everyone goes."""

    TO_BASELINE = "baseline"
    TO_PREVIOUS = "previous"
    OFF = "off"


async def _kill(
    router: "Router", route: str | None, how: _How, reason: str, *, force: bool
) -> "tuple[RouteRecord, RouteRecord]":
    """The record as it was when it was killed, and as it stands."""
    from activities.routers.way_back import NoWayBack, clear_if_ready
    from tailramp.route_record import Mark, killed, sent_to_previous, switched_off

    mark = Mark(at=datetime.now(UTC), by=asserted_actor(), reason=reason)
    expect(await router.record(), route)
    seen: list[RouteRecord] = []

    def kill(record: "RouteRecord") -> "RouteRecord":
        seen.append(record)
        match how:
            case _How.TO_BASELINE:
                return killed(record, mark)
            case _How.TO_PREVIOUS:
                return sent_to_previous(record, mark, force=force)
            case _How.OFF:
                return switched_off(record, mark)

    if how is not _How.OFF and not force:
        try:
            after = await clear_if_ready(router, kill)
        except NoWayBack as blocked:
            raise Refused(
                f"{blocked}, so nobody was moved. --force goes back all the same, --off answers everyone with the "
                "configured message"
            ) from blocked
    else:
        after = await router.clear(kill)
    # A clear that was overwritten repeats itself: what it took out is what the first look that found anybody saw.
    return next((record for record in seen if record.candidates), seen[-1]), after


async def _keep(where: Where, record: "RouteRecord") -> "list[Kept]":
    """A ramp was letting servers go of the slot that everyone is back on: nobody may go on with it."""
    from activities.workloads import RESOURCES, keep_servers

    async with workloads_of(where, platform_of(where), record) as (workloads, client_of):
        return await keep_servers(record, workloads, RESOURCES, client_of)


async def _lift(router: "Router", route: str | None) -> "tuple[RouteRecord, RouteRecord]":
    from tailramp.route_record import lifted

    before = await router.record()
    expect(before, route)
    return before, await router.apply(lifted)


def expect(record: "RouteRecord", route: str | None) -> None:
    if route is not None and record.route != route:
        raise Refused(f"this is the record of {record.route}, not of {route}: check --route-file or --platform")


def mark_as_data(mark: "Mark | None") -> dict[str, Any] | None:
    return None if mark is None else mark.model_dump(mode="json")
