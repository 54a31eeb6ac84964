"""How each activity is run: time limits, heartbeats, retries and what a cancellation does, with the reason for each.

Forward writers are awaited until they have settled, so that no write is in flight when a rollback starts; readers are
left at once.  What takes traffic away retries for ever.  Forward writes have an overall limit, so that an outage
becomes a decision.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

from tailramp.activity_names import (
    FENCED,
    FROZEN,
    NO_ROOM,
    REFUSED,
    ROLLBACK_QUEUE,
    WATCH_QUEUE,
)

_FINAL = [FENCED, REFUSED, FROZEN, NO_ROOM]


@dataclass(frozen=True)
class Options:
    """The arguments of ``start_activity`` that do not change from call to call."""

    task_queue: str
    start_to_close: timedelta
    heartbeat: timedelta
    retry: RetryPolicy
    cancellation: ActivityCancellationType
    schedule_to_close: timedelta | None = None


def _retry(first: float, longest: float, attempts: int = 0, *, final: Sequence[str] = _FINAL) -> RetryPolicy:
    """``attempts`` 0 is without end.  Intervals below a second would be rounded up by the server."""
    return RetryPolicy(
        initial_interval=timedelta(seconds=first),
        maximum_interval=timedelta(seconds=longest),
        backoff_coefficient=1.0 if first == longest else 2.0,
        maximum_attempts=attempts,
        non_retryable_error_types=final,
    )


SHIFT_LIMIT: Final = timedelta(seconds=75)
"""Apply and verify together: no watch runs meanwhile, and the candidate's lease must outlast it."""


def left_of_shift(since: datetime, now: datetime) -> timedelta:
    """What is left of the limit of a shift that was decided at ``since``; Temporal takes none that is over already."""
    return max(SHIFT_LIMIT - (now - since), timedelta(seconds=1))


PREFLIGHT: Final = Options(
    task_queue=WATCH_QUEUE,
    start_to_close=timedelta(seconds=60),
    heartbeat=timedelta(seconds=2),
    retry=_retry(1, 5, attempts=3),
    cancellation=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
WORKLOAD_GRACE: Final = timedelta(minutes=2)
"""How much longer than the spec says an activity may take that waits for servers, so that it can say why itself."""


def waiting_for_servers(ready: timedelta) -> Options:
    """Of an activity that waits up to ``ready`` for servers, which is the spec's own limit."""
    return Options(
        task_queue=WATCH_QUEUE,
        start_to_close=ready + WORKLOAD_GRACE,
        heartbeat=timedelta(seconds=5),
        retry=_retry(1, 10),
        cancellation=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        schedule_to_close=ready + 2 * WORKLOAD_GRACE,
    )


LEAVE_WORKLOADS: Final = Options(
    task_queue=ROLLBACK_QUEUE,
    start_to_close=timedelta(seconds=20),
    heartbeat=timedelta(seconds=5),
    retry=_retry(1, 10),
    cancellation=ActivityCancellationType.ABANDON,
    schedule_to_close=timedelta(minutes=2),
)
"""Traffic is gone by then: a cluster that does not answer must not keep the ramp from its end."""
LOWER: Final = Options(
    task_queue=WATCH_QUEUE,
    start_to_close=timedelta(seconds=10),
    heartbeat=timedelta(seconds=5),
    retry=_retry(1, 5),
    cancellation=ActivityCancellationType.TRY_CANCEL,
    schedule_to_close=timedelta(seconds=20),
)
"""No watch runs meanwhile: what does not succeed at once waits for the next step.  A rollback waits for none of it: it
closes the record that every write here asks."""
APPLY: Final = Options(
    task_queue=WATCH_QUEUE,
    start_to_close=timedelta(seconds=10),
    heartbeat=timedelta(seconds=2),
    retry=_retry(1, 10, attempts=5),
    cancellation=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    schedule_to_close=timedelta(seconds=65),
)
SHRINK: Final = Options(
    task_queue=ROLLBACK_QUEUE,
    start_to_close=timedelta(seconds=5),
    heartbeat=timedelta(seconds=2),
    retry=_retry(1, 1),
    cancellation=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
VERIFY: Final = Options(
    task_queue=WATCH_QUEUE,
    start_to_close=timedelta(seconds=30),
    heartbeat=timedelta(seconds=2),
    retry=_retry(1, 5, attempts=10),
    cancellation=ActivityCancellationType.TRY_CANCEL,
    schedule_to_close=SHIFT_LIMIT,
)
CONCLUDE: Final = Options(
    task_queue=WATCH_QUEUE,
    start_to_close=timedelta(seconds=10),
    heartbeat=timedelta(seconds=2),
    retry=_retry(1, 10),
    cancellation=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
WATCH_ATTEMPTS: Final = 20
WATCH_SEGMENT: Final = timedelta(hours=6)
WATCH: Final = Options(
    task_queue=WATCH_QUEUE,
    start_to_close=WATCH_SEGMENT + timedelta(minutes=1),
    heartbeat=timedelta(seconds=10),
    retry=_retry(1, 1, attempts=WATCH_ATTEMPTS),
    cancellation=ActivityCancellationType.TRY_CANCEL,
)
RECORD: Final = Options(
    task_queue=WATCH_QUEUE,
    start_to_close=timedelta(seconds=10),
    heartbeat=timedelta(seconds=5),
    retry=_retry(1, 30),
    cancellation=ActivityCancellationType.TRY_CANCEL,
)
CLEAR: Final = Options(
    task_queue=ROLLBACK_QUEUE,
    start_to_close=timedelta(seconds=5),
    heartbeat=timedelta(seconds=2),
    retry=_retry(1, 1, final=()),
    cancellation=ActivityCancellationType.ABANDON,
)
PROVE_ZERO: Final = Options(
    task_queue=ROLLBACK_QUEUE,
    start_to_close=timedelta(seconds=15),
    heartbeat=timedelta(seconds=2),
    retry=_retry(1, 10, final=()),
    cancellation=ActivityCancellationType.ABANDON,
)
RESTORE: Final = Options(
    task_queue=ROLLBACK_QUEUE,
    start_to_close=timedelta(seconds=15),
    heartbeat=timedelta(seconds=2),
    retry=_retry(1, 10, final=()),
    cancellation=ActivityCancellationType.ABANDON,
)
PROOF_PATIENCE: Final = timedelta(seconds=30)
"""How long the proof of zero may be missing before the ramp says ROLLBACK_UNVERIFIED.  It goes on trying."""
FREEZE_LOOK: Final = timedelta(seconds=15)
"""How often a ramp that met a freeze before anybody was served looks whether it is lifted."""
