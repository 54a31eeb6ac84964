"""One command that starts both worker processes and keeps them running.

They must be two operating-system processes, because watchers that are busy delay whatever shares their interpreter.  A
process that dies is started again, since a ramp without it is a ramp that nobody watches.  The children hold one end
of a pipe: should this process be killed, they see the end of it and shut down instead of living on unseen.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence

from worker.settings import Role

log = logging.getLogger("tailramp.worker")

_RESTART_SECONDS = 1.0


async def supervise(grace: float, *, as_json: bool = False) -> int:
    """Run both roles until SIGTERM or SIGINT; children that do not leave within ``grace`` seconds are killed.

    ``as_json``: children write their lines as JSON on standard output.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    reading, writing = os.pipe()

    def command(role: Role) -> list[str]:
        return [sys.executable, "-m", "worker", role, "--parent-pipe", str(reading), *(["--json"] if as_json else [])]

    try:
        codes = await asyncio.gather(*(_keep_running(role, command(role), reading, stop, grace) for role in Role))
    finally:
        os.close(reading)
        os.close(writing)
    return max(codes)


async def _keep_running(role: Role, command: Sequence[str], parent_pipe: int, stop: asyncio.Event, grace: float) -> int:
    while True:
        process = await asyncio.create_subprocess_exec(*command, pass_fds=(parent_pipe,))
        log.info("%s runs as process %d", role, process.pid)
        ended, stopping = asyncio.create_task(process.wait()), asyncio.create_task(stop.wait())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if stop.is_set():
            return await _end(process, ended, grace)
        log.error("%s (process %d) ended with %d; starting it again", role, process.pid, ended.result())
        try:
            await asyncio.wait_for(stop.wait(), _RESTART_SECONDS)
        except TimeoutError:
            continue
        return 0


async def _end(process: asyncio.subprocess.Process, ended: "asyncio.Task[int]", grace: float) -> int:
    if not ended.done():
        process.terminate()
        done, _ = await asyncio.wait({ended}, timeout=grace)
        if not done:
            process.kill()
    return await ended
