"""One worker process: it serves its role until it is told to stop."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence
from datetime import timedelta

import aiohttp
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.clients import Clients
from tailramp.errors import Unreachable
from worker.connection import connect
from worker.health import Readiness
from worker.logging_setup import Event
from worker.roles import MakeWorkers
from worker.sdk_metrics import serve_sdk_metrics
from worker.settings import Address, Role, WorkerSettings
from worker.status_server import observed

log = logging.getLogger("tailramp.worker")

_CONNECT_SECONDS = 1.0

_ASK_SECONDS = 2.0
_READY_SECONDS = 3 * _ASK_SECONDS


async def serve(
    role: Role, settings: WorkerSettings, make_workers: MakeWorkers, *, parent_pipe: int | None = None
) -> int:
    """Run until SIGTERM, SIGINT, or the end of the process that holds ``parent_pipe``.  Returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if parent_pipe is not None:
        loop.add_reader(parent_pipe, stop.set)
    http_address, sdk_address = _addresses(role, settings)
    if sdk_address is not None:
        serve_sdk_metrics(sdk_address)
    async with observed(role, http_address, settings, "not connected to Temporal yet") as readiness:
        client = await _connected(stop, readiness)
        code = 0 if client is None else await _work(role, client, settings, make_workers, stop, readiness)
    log.info("%s has ended", role, extra={"event": Event.ENDED})
    return code


def _addresses(role: Role, settings: WorkerSettings) -> tuple[Address | None, Address | None]:
    """Where this role serves its own paths, and where the SDK's metrics."""
    match role:
        case Role.CONTROL:
            return settings.control_http, settings.control_sdk_metrics
        case Role.WATCH:
            return settings.watch_http, settings.watch_sdk_metrics


async def _connected(stop: asyncio.Event, readiness: Readiness) -> Client | None:
    """Try until Temporal answers; None if ``stop`` came first."""
    while not stop.is_set():
        try:
            return await connect()
        except Unreachable as error:
            log.warning("%s; trying again", error)
            readiness.deny(str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _CONNECT_SECONDS)
    return None


async def _work(
    role: Role,
    client: Client,
    settings: WorkerSettings,
    make_workers: MakeWorkers,
    stop: asyncio.Event,
    readiness: Readiness,
) -> int:
    async with aiohttp.ClientSession() as http, contextlib.AsyncExitStack() as running:
        clients = await running.enter_async_context(Clients(http))
        failed: list[BaseException] = []

        async def fatal(error: BaseException) -> None:
            failed.append(error)
            stop.set()

        workers = make_workers(client, settings, clients, fatal)
        for worker in workers:
            await running.enter_async_context(worker)
        queues = ", ".join(worker.task_queue for worker in workers)
        log.info("%s serves %s", role, queues, extra={"event": Event.STARTED})
        telling = asyncio.create_task(_tell_readiness(client, workers, readiness))
        await stop.wait()
        telling.cancel()
        readiness.deny("shutting down")
        log.info("%s shuts down", role)
    for cause in failed:
        log.error("%s stopped by a fatal error: %s", role, cause)
    return 1 if failed else 0


async def _tell_readiness(client: Client, workers: Sequence[Worker], readiness: Readiness) -> None:
    """Ready while every worker polls and Temporal answers."""
    while True:
        try:
            serving = await client.service_client.check_health(timeout=timedelta(seconds=_ASK_SECONDS))
        except RPCError as error:
            readiness.deny(f"Temporal does not answer: {error}")
        else:
            idle = [worker.task_queue for worker in workers if not worker.is_running]
            if serving and not idle:
                readiness.confirm(_READY_SECONDS)
            else:
                readiness.deny(f"nothing polls {', '.join(idle)}" if idle else "Temporal says that it is not serving")
        await asyncio.sleep(_ASK_SECONDS)
