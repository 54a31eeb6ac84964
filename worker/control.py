"""The role that decides, and takes everyone back: ramps themselves, and the queue of rollbacks."""

from temporalio.client import Client
from temporalio.worker import Worker

from activities.clients import Clients
from activities.leaving import LeavingActivities
from activities.traffic import RollbackActivities, TrafficActivities
from tailramp.activity_names import ROLLBACK_QUEUE, WORKFLOW_QUEUE
from worker.roles import FatalError, queue_worker
from worker.settings import WorkerSettings
from workflows.ramp import RampWorkflow


def make_workers(client: Client, settings: WorkerSettings, clients: Clients, fatal: FatalError) -> list[Worker]:
    """One for the ramps, and one for what moves users without waiting for evidence."""
    rollback, traffic, leaving = RollbackActivities(clients), TrafficActivities(clients), LeavingActivities(clients)
    activities = [
        rollback.clear_route,
        rollback.withdraw_candidates,
        rollback.prove_zero,
        rollback.restore,
        traffic.apply_assignment,
        leaving.leave_workloads,
        leaving.retire_old_slot,
    ]
    return [
        queue_worker(client, WORKFLOW_QUEUE, settings, fatal, workflows=[RampWorkflow]),
        queue_worker(client, ROLLBACK_QUEUE, settings, fatal, activities=activities),
    ]
