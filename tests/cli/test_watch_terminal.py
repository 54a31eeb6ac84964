"""The live picture on a real terminal: drawn, resized, left by Ctrl-C and by a signal, and the terminal given back."""

import asyncio
import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from impatient_command import command_line
from project_folder import Folder
from scripted_world import ScriptedWorld
from test_look_and_act import phase_is, start

from lab.process import wait_until
from tailramp.ramp import WatchOutcome

ENTER, LEAVE, SHOW_CURSOR = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"


class Terminal:
    """A command on a pseudo terminal; ``shown`` is everything that it has written."""

    def __init__(self, descriptor: int, process: asyncio.subprocess.Process) -> None:
        self._descriptor = descriptor
        self.process = process
        self.shown = ""
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def _read(self) -> None:
        try:
            self.shown += os.read(self._descriptor, 65536).decode(errors="replace")
        except OSError:  # the other side is closed
            asyncio.get_running_loop().remove_reader(self._descriptor)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    async def shows(self, words: str) -> None:
        async def seen() -> bool:
            return words in self.shown

        await wait_until(seen, 30, f"{words!r} on the terminal")

    async def ended(self) -> int:
        code = await asyncio.wait_for(self.process.wait(), 30)
        await asyncio.sleep(0)
        self._read()
        return code


@asynccontextmanager
async def watching(folder: Folder, **environment: str) -> AsyncIterator[Terminal]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(theirs)
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("TAILRAMP_", "LC_", "LANG"))}
    process = await asyncio.create_subprocess_exec(
        *command_line(folder.limits, "watch"),
        cwd=folder.path,
        env={**plain, "TEMPORAL_ADDRESS": folder.temporal, "TERM": "xterm", "LANG": "C.UTF-8", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    terminal = Terminal(ours, process)
    try:
        yield terminal
        assert termios.tcgetattr(theirs) == before
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_whoever_leaves_gets_the_terminal_back(
    ramp_folder: Folder, world: ScriptedWorld, number: signal.Signals
) -> None:
    await start(ramp_folder)
    await phase_is(ramp_folder, world, "HOLDING")
    async with watching(ramp_folder) as terminal:
        await terminal.shows("hold 10m")
        terminal.resize(120, 40)
        await terminal.shows("blue → green")
        terminal.process.send_signal(number)
        assert await terminal.ended() == 1
        assert terminal.shown.index(ENTER) < terminal.shown.index(LEAVE)
        after = terminal.shown[terminal.shown.rindex(LEAVE) :]
        assert SHOW_CURSOR in terminal.shown
        assert "HOLDING" in after  # where the ramp stands stays on the terminal
        assert "Traceback" not in terminal.shown


async def test_it_ends_with_the_ramp_and_its_exit_code(ramp_folder: Folder, world: ScriptedWorld) -> None:
    await start(ramp_folder)
    async with watching(ramp_folder, NO_COLOR="1") as terminal:
        await terminal.shows("hold 10m")
        world.script.hold = WatchOutcome.FAILED
        assert await terminal.ended() == 3
        after = terminal.shown[terminal.shown.rindex(LEAVE) :]
        assert "ROLLED_BACK (unhealthy)" in after
        assert "\x1b[3" not in terminal.shown  # no colour


async def test_a_missing_worker_is_told(ramp_folder: Folder, world: ScriptedWorld) -> None:
    await start(ramp_folder)
    await phase_is(ramp_folder, world, "HOLDING")
    await world.stop()
    async with watching(ramp_folder.impatient) as terminal:
        await terminal.shows("none answers: this is what Temporal knows")
        terminal.process.send_signal(signal.SIGINT)
        assert await terminal.ended() == 1
    await world.start()


async def test_a_dumb_terminal_gets_a_line_per_change(ramp_folder: Folder, world: ScriptedWorld) -> None:
    await start(ramp_folder)
    world.script.hold = WatchOutcome.FAILED
    async with watching(ramp_folder, TERM="dumb") as terminal:
        assert await terminal.ended() == 3
        assert "\x1b" not in terminal.shown
        assert "rolled back: unhealthy" in terminal.shown
