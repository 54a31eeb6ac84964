"""The record of one decision: what was intended or done, by whom, why, and on what evidence."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class DecisionKind(StrEnum):
    """What happened.  ``*_INTENDED`` is written before the world is touched, its counterpart after."""

    STARTED = "started"
    REFUSED = "refused"
    PREPARED = "prepared"
    PREFLIGHT_PASSED = "preflight_passed"
    ROOM_MADE = "room_made"
    SHIFT_INTENDED = "shift_intended"
    SHIFTED = "shifted"
    SETTLED = "settled"
    PASSED = "passed"
    BLOCKED = "blocked"
    FAILED = "failed"
    PAUSED = "paused"
    RESUMED = "resumed"
    PROMOTED = "promoted"
    WITHDRAWN = "withdrawn"
    TARGET_CHANGED = "target_changed"
    ALERTED = "alerted"
    SPENT = "spent"
    ACKNOWLEDGED = "acknowledged"
    ABORTED = "aborted"
    PROMOTION_INTENDED = "promotion_intended"
    DEFAULT_MOVED = "default_moved"
    RULES_REMOVED = "rules_removed"
    ROLLBACK_INTENDED = "rollback_intended"
    CLEARED = "cleared"
    ZERO_PROVEN = "zero_proven"
    RESTORED = "restored"
    ENDED = "ended"


class Decision(BaseModel):
    """One line of the decision log.

    ``actor`` is ``tailramp`` for the machine's own decisions and an *asserted* name for a person's.  ``evidence`` holds
    the numbers, so that the decision can be checked by somebody who was not there.
    """

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="the same on every retry: the log may hold a line twice, a decision only once")
    at: datetime
    route: str
    ramp: str
    epoch: int
    kind: DecisionKind
    sentence: str = Field(description="the decision in words, as Temporal's UI shows it")
    phase: str
    step: int
    actor: str = "tailramp"
    reason: str = ""
    evidence: dict[str, Any] = Field(default_factory=dict)
    spec_digest: str = ""
