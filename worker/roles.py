"""What each worker process runs: its queues, and the limits that bound what a fault can cost."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import kubernetes.aio.client
import kubernetes.aio.config  # noqa: F401 - see below
from temporalio.client import Client
from temporalio.worker import Worker

import activities.kube.patience  # noqa: F401 - clients import these when they need them; no rollback is to wait for that
from activities.capacity import CapacityActivities, LeavingActivities
from activities.clients import Clients
from activities.preflight import PreflightActivities
from activities.record import RecordActivities
from activities.traffic import RollbackActivities, TrafficActivities
from activities.watch import WatchActivities
from tailramp.activity_names import ROLLBACK_QUEUE, WATCH_QUEUE, WORKFLOW_QUEUE
from worker.ramp_lines import NamesRamp
from worker.settings import Role, WorkerSettings
from workflows.ramp import RampWorkflow

FatalError = Callable[[BaseException], Awaitable[None]]


def make_workers(
    role: Role, client: Client, settings: WorkerSettings, clients: Clients, fatal: FatalError
) -> list[Worker]:
    """The workers of one process.  ``fatal`` is told when one of them cannot go on."""
    match role:
        case Role.CONTROL:
            rollback, traffic = RollbackActivities(clients), TrafficActivities(clients)
            leaving = LeavingActivities(clients)
            return [
                _worker(client, WORKFLOW_QUEUE, settings, fatal, workflows=[RampWorkflow]),
                _worker(
                    client,
                    ROLLBACK_QUEUE,
                    settings,
                    fatal,
                    activities=[
                        rollback.clear_route,
                        rollback.withdraw_candidates,
                        rollback.prove_zero,
                        rollback.restore,
                        traffic.apply_assignment,
                        leaving.leave_workloads,
                        leaving.retire_old_slot,
                    ],
                ),
            ]
        case Role.WATCH:
            traffic, capacity = TrafficActivities(clients), CapacityActivities(clients)
            return [
                _worker(
                    client,
                    WATCH_QUEUE,
                    settings,
                    fatal,
                    activities=[
                        capacity.prepare_candidates,
                        PreflightActivities(clients).preflight,
                        capacity.make_room,
                        traffic.apply_assignment,
                        traffic.verify_assignment,
                        traffic.conclude,
                        WatchActivities(clients).watch,
                        RecordActivities(settings.records).record,
                    ],
                )
            ]


def _worker(
    client: Client,
    queue: str,
    settings: WorkerSettings,
    fatal: FatalError,
    *,
    workflows: Sequence[type] = (),
    activities: Sequence[Any] = (),
) -> Worker:
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
