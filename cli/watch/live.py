"""The live picture's loop: follow the ramp, ask a worker now and then, and draw.

Whatever ends it (the ramp's end, Ctrl-C, a signal, an error) the terminal is given back as it was found, and what
happened stays on it in a few lines.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from rich.console import Console as RichConsole
from rich.live import Live

from cli.console import Console, one_line
from cli.following import Change, Follower
from cli.watch.scene import Scene, scene_of
from cli.watch.screen import Screen, clock_text
from tailramp.errors import TailrampError
from tailramp.units import format_share

if TYPE_CHECKING:
    from workflows.answers import RampStatus

_FRAME_SECONDS: Final = 0.25
_ASK_SECONDS: Final = 1.0
_UNANSWERED: Final = 2
"""How many questions in a row must stay without an answer before it is said that no worker answers."""
_KEPT_LINES: Final = 6


class Picture:
    """What is drawn, and the sources that it is drawn from."""

    def __init__(self, console: Console, follower: Follower) -> None:
        self._console = console
        self._follower = follower
        self._status: RampStatus | None = None
        self._unanswered = 0

    def scene(self) -> Scene | None:
        since = self._follower.lost_since
        lost = None if since is None else time.monotonic() - since
        unanswered = self._unanswered >= _UNANSWERED
        return scene_of(self._follower, self._status, datetime.now(UTC), unanswered=unanswered, lost=lost)

    def screen(self) -> Screen | str:
        scene = self.scene()
        if scene is None:
            return self._console.say("looking for the ramp ...")
        return Screen(scene, datetime.now(UTC), self._console.say)

    async def ask_on(self) -> None:
        """Keep the worker's own answer fresh."""
        while True:
            with contextlib.suppress(TailrampError):
                self._status = await self._follower.ramp.ask()
                self._unanswered = 0 if self._status is not None else self._unanswered + 1
            await asyncio.sleep(_ASK_SECONDS)

    async def draw_on(self, live: Live) -> None:
        while True:
            live.update(self.screen(), refresh=True)
            await asyncio.sleep(_FRAME_SECONDS)


async def show(console: Console, follower: Follower, from_start: bool, ends: Callable[[Change], bool]) -> Change | None:
    """Draw until a change ``ends`` it, and return that change; None if the caller's time limit cancelled it.

    Raises NoRamp, Unreachable.
    """
    terminal = RichConsole(highlight=False)
    picture = Picture(console, follower)
    try:
        async with _interrupted_by_signals():
            with Live(picture.screen(), console=terminal, screen=True, auto_refresh=False, transient=True) as live:
                helpers = [asyncio.create_task(picture.ask_on()), asyncio.create_task(picture.draw_on(live))]
                try:
                    async with contextlib.aclosing(follower.changes(from_start=from_start)) as changes:
                        async for change in changes:
                            if ends(change):
                                return change
                finally:
                    for helper in helpers:
                        helper.cancel()
                    await asyncio.gather(*helpers, return_exceptions=True)
    finally:
        _leave_lines(console, picture.scene())
    return None


def _leave_lines(console: Console, scene: Scene | None) -> None:
    """What stays on the terminal: the latest decisions, and where the ramp stands."""
    if scene is None:
        return
    for decision in scene.decisions[-_KEPT_LINES:]:
        console.answer(
            f"{decision.at.astimezone():%H:%M:%S}  {console.say(one_line(decision.sentence))}", None, said=True
        )
    elapsed = "" if scene.started_at is None else clock_text((scene.ended_at or datetime.now(UTC)) - scene.started_at)
    ended = f" ({console.say(scene.result.reason)})" if scene.result is not None else ""
    console.answer(
        f"{scene.name}  {console.say(scene.phase)}{ended}  {format_share(scene.share)}  {elapsed}", None, said=True
    )
    for trouble in scene.troubles:
        console.answer(f"! {console.say(one_line(trouble))}", None, said=True)


@contextlib.asynccontextmanager
async def _interrupted_by_signals() -> AsyncIterator[None]:
    """A signal that would end the process at once ends the picture first, so that the terminal is restored."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    caught: list[int] = []

    def interrupt(number: int) -> None:
        caught.append(number)
        task.cancel()

    numbers = [signal.SIGTERM, signal.SIGHUP]
    for number in numbers:
        loop.add_signal_handler(number, interrupt, number)
    try:
        yield
    except asyncio.CancelledError:
        if caught:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
