"""``tailramp kill`` and ``tailramp lift``: what works when Temporal, the workers and Prometheus are gone.

Both need the route file and nothing else.  A kill raises the record's epoch and leaves a mark, so that no worker that
wakes up later can give a candidate traffic.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli import files
from cli.actor import asserted_actor
from cli.console import Console, output_option
from cli.exit_codes import ExitCode
from tailramp.errors import InvalidFile, Refused, Unreachable

if TYPE_CHECKING:
    from activities.routers import Router
    from tailramp.route_record import Mark, RouteRecord

T = TypeVar("T")

route_file_option = click.option(
    "--route-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The route file itself; then no platform file is needed.",
)


@click.command("kill")
@files.route_argument
@route_file_option
@files.platform_option
@click.option("--to-previous", is_flag=True, help="Back to the default before the last promotion, also after its end.")
@click.option("--off", is_flag=True, help="Serve nobody: the whole route gives the configured answer until `lift`.")
@click.option("--force", is_flag=True, help="Go back even if nobody there is ready to answer.")
@click.option("--reason", type=files.TextType(), default="", help="Why, in your words; it stands in the route record.")
@output_option
@click.pass_obj
def kill_command(
    console: Console,
    route: str | None,
    route_file: Path | None,
    platform: Path | None,
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

    Needs write access to the route file, and nothing else. A live ramp notices and ends as rolled back.
    """
    if off and to_previous:
        raise click.UsageError("--off serves nobody and --to-previous somebody: choose one")
    router = router_of(console, route_file, platform)
    how = _How.OFF if off else _How.TO_PREVIOUS if to_previous else _How.TO_BASELINE
    with written_or_told():
        before, after = run(router, _kill(router, route, how, reason, force=force))
    default = after.assignment.default
    taken_out = {
        slot: str(before.assignment.buckets_of(slot)) or "everyone"
        for slot in dict.fromkeys([before.assignment.default, *(rule.slot for rule in before.assignment.rules)])
        if slot != default
    }
    if taken_out:
        out = "; ".join(f"{slot} is out (it served {whom})" for slot, whom in taken_out.items())
        text = f"{before.route}: {out}. The route sends everyone to {default}, epoch {after.epoch}."
    else:
        text = f"{before.route}: nobody was on a candidate; everyone stays on {default}, epoch {after.epoch}."
    if after.off:
        text = f"{before.route} is off: everyone gets {after.off_answer.status} and its message, epoch {after.epoch}."
    if after.kill is not None:
        text += f"\nMarked: nothing starts on this route until `tailramp lift {before.route} --reason ...`."
    else:
        text += "\nThe mark could not be written: run this again once the disk takes writes, or a new ramp may start."
    data: dict[str, Any] = {
        "route": before.route,
        "taken_out": taken_out,
        "default": default,
        "epoch": after.epoch,
        "kill": _as_data(after.kill),
    }
    console.answer(text, data)
    return ExitCode.DONE


@click.command("lift")
@files.route_argument
@route_file_option
@files.platform_option
@click.option("--reason", type=files.TextType(), required=True, help="Why ramps may start again.")
@output_option
@click.pass_obj
def lift_command(
    console: Console, route: str | None, route_file: Path | None, platform: Path | None, reason: str
) -> ExitCode:
    """Remove the mark of a kill or a freeze, so that ramps may start again.

    Nobody's traffic moves by it.
    """
    router = router_of(console, route_file, platform)
    with written_or_told():
        before, after = run(router, _lift(router, route))
    marks = [(word, mark) for word, mark in (("kill", before.kill), ("freeze", before.freeze)) if mark is not None]
    lines = [
        f"{before.route}: the {word} by {mark.by}, {mark.at:%Y-%m-%d %H:%M:%S %Z} "
        f"({mark.reason or 'no reason given'}), is lifted: {reason}"
        for word, mark in marks
    ]
    data = {
        "route": before.route,
        "lifted": {word: _as_data(mark) for word, mark in marks},
        "by": asserted_actor(),
        "reason": reason,
        "epoch": after.epoch,
    }
    console.answer("\n".join(lines) or f"{before.route}: there was no mark to lift.", data)
    return ExitCode.DONE


class _How(StrEnum):
    """Where everyone goes."""

    TO_BASELINE = "baseline"
    TO_PREVIOUS = "previous"
    OFF = "off"


async def _kill(
    router: "Router", route: str | None, how: _How, reason: str, *, force: bool
) -> "tuple[RouteRecord, RouteRecord]":
    """The record as it was when it was killed, and as it stands."""
    from activities.routers.way_back import blocked_way_back
    from tailramp.route_record import Mark, killed, sent_to_previous, switched_off

    mark = Mark(at=datetime.now(UTC), by=asserted_actor(), reason=reason)
    expect(await router.record(), route)
    if how is _How.TO_BASELINE and not force and (blocked := await blocked_way_back(router)):
        raise Refused(
            f"{blocked}, so nobody was moved. --force goes back all the same, --off answers everyone with the "
            "configured message"
        )
    seen: list[RouteRecord] = []

    def kill(record: "RouteRecord") -> "RouteRecord":
        seen.append(record)
        change = {_How.TO_BASELINE: killed, _How.TO_PREVIOUS: sent_to_previous, _How.OFF: switched_off}[how]
        return change(record, mark)

    after = await router.clear(kill)
    # A clear that was overwritten repeats itself: what it took out is what the first look that found anybody saw.
    return next((record for record in seen if record.candidates), seen[-1]), after


async def _lift(router: "Router", route: str | None) -> "tuple[RouteRecord, RouteRecord]":
    from tailramp.route_record import lifted

    before = await router.record()
    expect(before, route)
    return before, await router.apply(lifted)


def expect(record: "RouteRecord", route: str | None) -> None:
    if route is not None and record.route != route:
        raise Refused(f"this is the route file of {record.route}, not of {route}: check --route-file or --platform")


def _as_data(mark: "Mark | None") -> dict[str, Any] | None:
    return None if mark is None else mark.model_dump(mode="json")


def router_of(console: Console, route_file: Path | None, platform: Path | None) -> "Router":
    from activities.routers import platform_record_router, record_router
    from tailramp.spec import load_platform

    if route_file is not None:
        return record_router(route_file)
    try:
        return platform_record_router(load_platform(files.find_platform(platform)))
    except InvalidFile:
        console.aside("The platform file cannot be used. With --route-file FILE none is needed.")
        raise
    except click.UsageError as error:
        raise click.UsageError(f"{error.message}, or name the route file with --route-file") from None


def run(router: "Router", work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` with ``router`` to its end, and close what the router has opened."""

    async def to_the_end() -> T:
        try:
            return await work
        finally:
            await router.close()

    return asyncio.run(to_the_end())


@contextlib.contextmanager
def written_or_told() -> Iterator[None]:
    """Turn what the file system refuses into words: a full disk, a missing permission."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Unreachable(
            f"the route file cannot be written: {where}{error.strerror}. Run this where it can be"
        ) from None
