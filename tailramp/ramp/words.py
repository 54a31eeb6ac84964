"""The closed sets in which a ramp is described: phases, reasons, blocks, and how it is watched.

They stand in histories, search attributes and records: a member may be added, never renamed.
"""

from enum import StrEnum


class Phase(StrEnum):
    PREFLIGHT = "PREFLIGHT"
    SHIFTING = "SHIFTING"
    SETTLING = "SETTLING"
    HOLDING = "HOLDING"
    PROMOTING = "PROMOTING"
    BAKING = "BAKING"
    SUCCEEDED = "SUCCEEDED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLBACK_UNVERIFIED = "ROLLBACK_UNVERIFIED"
    ROLLED_BACK = "ROLLED_BACK"
    REFUSED = "REFUSED"
    SUPERSEDED = "SUPERSEDED"

    @property
    def is_terminal(self) -> bool:
        return self in {Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.REFUSED, Phase.SUPERSEDED}

    @property
    def is_rollback(self) -> bool:
        return self in {Phase.ROLLING_BACK, Phase.ROLLBACK_UNVERIFIED, Phase.ROLLED_BACK}


class Reason(StrEnum):
    """Why a ramp ended.  Closed: a new way to end is a new member, never free text."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    TARGET_EMPTIED = "target_emptied"
    OPERATOR_ABORT = "operator_abort"
    CANCELLED = "cancelled"
    UNHEALTHY = "unhealthy"
    ALERT = "alert"
    BLIND = "blind"
    BUDGET_EXHAUSTED = "budget_exhausted"
    DRIFT = "drift"
    LEASE_LAPSED = "lease_lapsed"
    KILLED = "killed"
    FENCED = "fenced"
    SUPERSEDED = "superseded"
    ACTIVITY_FAILED = "activity_failed"


class Block(StrEnum):
    """Why a ramp that is not paused does not advance."""

    APPROVAL = "approval"
    INCONCLUSIVE = "inconclusive"
    BLIND = "blind"
    SHARED_INCIDENT = "shared_incident"
    BUDGET = "budget"
    DRIFT = "drift"
    FREEZE = "freeze"
    CAPACITY = "capacity"


class SpendWord(StrEnum):
    """How the day's spend stands against its cap."""

    WITHIN = "within"
    UNKNOWN = "unknown"
    EXHAUSTED = "exhausted"


WATCHED_BLOCKS = frozenset({Block.BLIND, Block.SHARED_INCIDENT, Block.DRIFT, Block.FREEZE})
"""The blocks that a watch sees come and go; the others end by a person, or with the step."""


STANDING_BLOCKS = frozenset({Block.APPROVAL, Block.BUDGET})
"""The blocks that neither a watch nor a new step ends, only somebody's word."""


class WatchMode(StrEnum):
    SETTLE = "settle"
    HOLD = "hold"
    GUARD = "guard"
    BAKE = "bake"


class WatchOutcome(StrEnum):
    """Why a watch came back."""

    SETTLED = "settled"
    PASSED = "passed"
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"
    BLIND = "blind"
    BLOCKS_CHANGED = "blocks_changed"
    SEGMENT_OVER = "segment_over"
