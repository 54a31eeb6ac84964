"""One worker process: it serves its role until it is told to stop."""

import asyncio
import contextlib
import logging
import os
import signal
import sys

import aiohttp

from tailramp.errors import Unreachable
from worker.connection import connect
from worker.roles import Role, make_workers
from worker.settings import WorkerSettings

log = logging.getLogger("tailramp.worker")

_CONNECT_SECONDS = 1.0


async def serve(role: Role, settings: WorkerSettings, *, parent_pipe: int | None = None) -> int:
    """Run until SIGTERM, SIGINT, or the end of the process that holds ``parent_pipe``.  Returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if parent_pipe is not None:
        loop.add_reader(parent_pipe, stop.set)
    client = None
    while client is None and not stop.is_set():
        try:
            client = await connect()
        except Unreachable as error:
            log.warning("%s; trying again", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _CONNECT_SECONDS)
    if client is None:
        return 0
    async with aiohttp.ClientSession() as http, contextlib.AsyncExitStack() as running:
        failed: list[BaseException] = []

        async def fatal(error: BaseException) -> None:
            failed.append(error)
            stop.set()

        workers = make_workers(role, client, settings, http, fatal)
        for worker in workers:
            await running.enter_async_context(worker)
        log.info("%s serves %s", role, ", ".join(worker.task_queue for worker in workers))
        await stop.wait()
        log.info("%s shuts down", role)
    for cause in failed:
        log.error("%s stopped by a fatal error: %s", role, cause)
    return 1 if failed else 0


def configure_logging(level: str) -> None:
    """Log lines on standard error, with time, process and level."""
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s[%(process)d] %(message)s", force=True
    )


def leave(code: int) -> None:
    """End the process with exactly this code.

    A process that used Temporal's client can crash while the interpreter shuts down, after its work is done; exit codes
    would not be a contract.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
