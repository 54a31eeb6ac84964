"""What the roles' workers have in common: the limits that bound what a fault can cost.

Each role has a module of its own, since what it needs takes a second to load, and a rollback is not to wait for what
only watching needs.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import kubernetes.aio.client
import kubernetes.aio.config  # noqa: F401 - see below
from temporalio.client import Client
from temporalio.worker import Worker

import activities.kube.patience  # noqa: F401 - clients import these when they need them; no rollback is to wait for that
from activities.clients import Clients
from worker.ramp_lines import NamesRamp
from worker.settings import WorkerSettings

FatalError = Callable[[BaseException], Awaitable[None]]
"""Told when a worker cannot go on."""
MakeWorkers = Callable[[Client, WorkerSettings, Clients, FatalError], list[Worker]]
"""Makes the workers of one process."""


def queue_worker(
    client: Client,
    queue: str,
    settings: WorkerSettings,
    fatal: FatalError,
    *,
    workflows: Sequence[type] = (),
    activities: Sequence[Any] = (),
) -> Worker:
    """One that serves ``queue``."""
    return Worker(
        client,
        task_queue=queue,
        workflows=workflows,
        activities=activities,
        interceptors=[NamesRamp()],
        # A worker that is killed costs a waiting ramp this long; the default would be 10 s.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        # A cancel reaches an activity with its next heartbeat: 0.25-0.41 s.
        max_heartbeat_throttle_interval=timedelta(seconds=0.5),
        # A watch holds its slot for hours, and a ramp without a slot is not watched at all.
        max_concurrent_activities=2 * settings.max_ramps + 20,
        graceful_shutdown_timeout=timedelta(seconds=settings.shutdown_seconds),
        on_fatal_error=fatal,
    )
