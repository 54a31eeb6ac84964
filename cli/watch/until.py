"""Following a ramp until there is nothing more to wait for: as a picture, as lines or as JSON."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from datetime import timedelta

from cli.console import Console
from cli.exit_codes import ExitCode
from cli.following import Change, ChangeKind, Follower
from cli.ramps import Ramp, exit_code_of
from cli.watch.lines import as_data, as_line


async def show_until(
    console: Console,
    ramp: Ramp,
    limit: timedelta | None,
    *,
    until_target: bool = False,
    from_start: bool = False,
    lines: bool = False,
) -> ExitCode:
    """Show the ramp until it ends, ``limit`` is over or, with ``until_target``, it holds its target.

    ``lines`` asks for a line per change on a terminal too.  Returns what the end means.  Raises NoRamp, Unreachable.
    """

    def ends(change: Change) -> bool:
        return change.kind is ChangeKind.END or (until_target and change.reached_target)

    follower = Follower(ramp)
    last: Change | None = None
    try:
        async with asyncio.timeout(limit.total_seconds() if limit is not None else None) as clock:
            if not lines and can_draw(console):
                from cli.watch.live import show

                last = await show(console, follower, from_start, ends)
            else:
                last = await _print_changes(console, follower, from_start, ends)
    except TimeoutError:
        if not clock.expired():
            raise
    if last is not None:
        return exit_code_of(last.result) if last.kind is ChangeKind.END else ExitCode.DONE
    sighting = await ramp.look()
    console.aside(f"the wait ended; {sighting.name} goes on: {sighting.next}")
    return sighting.exit_code


async def _print_changes(
    console: Console, follower: Follower, from_start: bool, ends: Callable[[Change], bool]
) -> Change | None:
    async with contextlib.aclosing(follower.changes(from_start=from_start)) as changes:
        async for change in changes:
            console.answer(as_line(change, console.say), as_data(change), said=True)
            if ends(change):
                return change
    return None


def can_draw(console: Console) -> bool:
    """Whether standard output is a terminal on which a picture can be drawn over and over."""
    if console.is_json or sys.stdout is None or not sys.stdout.isatty():
        return False
    return os.environ.get("TERM", "dumb").lower() not in {"dumb", "unknown", ""}
