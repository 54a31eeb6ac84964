"""The role that gathers evidence, and lets shares grow."""

from temporalio.client import Client
from temporalio.worker import Worker

from activities.capacity import CapacityActivities
from activities.clients import Clients
from activities.preflight import PreflightActivities
from activities.record import RecordActivities
from activities.traffic import TrafficActivities
from activities.watch import WatchActivities
from tailramp.activity_names import WATCH_QUEUE
from worker.roles import FatalError, queue_worker
from worker.settings import WorkerSettings


def make_workers(client: Client, settings: WorkerSettings, clients: Clients, fatal: FatalError) -> list[Worker]:
    """One, for everything that may wait."""
    traffic, capacity = TrafficActivities(clients), CapacityActivities(clients)
    activities = [
        capacity.prepare_candidates,
        PreflightActivities(clients).preflight,
        capacity.make_room,
        traffic.apply_assignment,
        traffic.verify_assignment,
        traffic.conclude,
        WatchActivities(clients).watch,
        RecordActivities(settings.records).record,
    ]
    return [queue_worker(client, WATCH_QUEUE, settings, fatal, activities=activities)]
