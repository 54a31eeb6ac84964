"""What activities, their queues and their failures are called, for whoever only has to know them by name."""

from typing import Final

# Queues.  Rollback has its own queue *and* process: watchers that are busy must not delay it.
WORKFLOW_QUEUE: Final = "tailramp-control"
ROLLBACK_QUEUE: Final = "tailramp-rollback"
WATCH_QUEUE: Final = "tailramp-watch"

# Names of activities, as Temporal's UI shows them.
PREFLIGHT: Final = "preflight"
APPLY: Final = "apply_assignment"
WITHDRAW: Final = "withdraw_candidates"
VERIFY: Final = "verify_assignment"
WATCH: Final = "watch"
CONCLUDE: Final = "conclude"
RECORD: Final = "record"
CLEAR: Final = "clear_route"
PREPARE: Final = "prepare_candidates"
MAKE_ROOM: Final = "make_room"
LEAVE_WORKLOADS: Final = "leave_workloads"
RETIRE: Final = "retire_old_slot"
PROVE_ZERO: Final = "prove_zero"
RESTORE: Final = "restore"

# Types of failures that no retry mends, as Temporal's retry policies match them.
FENCED: Final = "Fenced"
REFUSED: Final = "Refused"
FROZEN: Final = "Frozen"
NOT_PROVEN: Final = "NotProven"
NOT_READY: Final = "NotReady"
NO_ROOM: Final = "NoRoom"
