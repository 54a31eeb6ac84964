"""What comes out of a ramp: its status, which a query asks for, and its result."""

from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from tailramp.assignment import Assignment
from tailramp.evidence import Verdict
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.ramp import Began, Block, Cause, Interval, Phase, Reason, Stretch

STATUS_QUERY: Final = "status"
USERS_QUERY: Final = "users"


class CandidateStatus(BaseModel):
    """One candidate of a ramp.  ``share`` is 0 to 1, of identified users; ``withdrawn`` is None while it is ACTIVE."""

    model_config = ConfigDict(frozen=True)

    slot: SlotName
    model: str
    target: str
    share: float
    withdrawn: Reason | None = None


class RampStatus(BaseModel):
    """Where a ramp is and why: the answer of the ``status`` query.  ``share`` is 0 to 1, of identified users."""

    model_config = ConfigDict(frozen=True)

    route: str
    ramp: str
    model: str
    candidates: tuple[CandidateStatus, ...] = ()
    phase: Phase
    step: int
    steps: int
    share: float
    paused: bool
    blocked_by: tuple[Block, ...]
    causes: tuple[Cause, ...] = Field(default=(), description="what each of them was for, since it began; oldest first")
    reason: Reason | None
    last: str = Field(description="the latest decision, in words")
    next: str = Field(description="what happens next, and when, as seen at the ramp's latest change")
    epoch: int
    anchor: int | None = Field(default=None, description="whole second at which the present time grid starts")
    watched: Assignment | None = Field(default=None, description="what was served when it started")
    evidence_since: int | None = Field(default=None, description="when the present day of evidence began")
    began: Began | None = Field(default=None, description="when the first one did, and with what")
    stretches: tuple[Stretch, ...] = Field(default=(), description="of that day, those that are over")
    held: tuple[Interval, ...] = Field(default=(), description="the stretches in which the present hold's clock ran")
    default_moved: bool = False
    room: Assignment | None = Field(default=None, description="for which there are servers enough")
    acknowledgeable: bool = Field(default=False, description="an alert or a failed check waits to be acknowledged")
    started_at: datetime
    assignment: Assignment | None
    plan: Plan | None
    verdicts: tuple[Verdict, ...] = ()


class RampResult(BaseModel):
    """How a ramp ended.  A rollback is a result, not a failure of the workflow."""

    model_config = ConfigDict(frozen=True)

    route: str
    ramp: str
    phase: Phase
    reason: Reason
    detail: str
    assignment: Assignment | None
    candidates: tuple[CandidateStatus, ...] = ()
    problems: tuple[str, ...] = ()
