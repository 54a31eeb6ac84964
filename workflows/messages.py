"""What goes into a ramp and comes out of it: its input, its signals, its status and its result."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from tailramp.assignment import Assignment
from tailramp.decision import Decision
from tailramp.evidence import Verdict
from tailramp.forms import SlotName
from tailramp.plan import Plan, Variant
from tailramp.ramp import Began, Block, Interval, Phase, RampState, Reason, SpendWord, Stretch
from tailramp.spec import RampSpec


class Carried(BaseModel):
    """What a run hands to the next one when it continues as new.  Whatever is missing here would be asked again."""

    model_config = ConfigDict(frozen=True)

    spec: RampSpec
    state: RampState
    plan: Plan
    variants: tuple[Variant, ...] = Field(description="all candidates that the ramp began with")
    snapshot: str
    started_at: datetime
    last: str
    verdicts: tuple[Verdict, ...] = ()
    unwritten: tuple[Decision, ...] = Field(
        default=(), description="decisions still to be written down: a run takes its pending activities with it"
    )


class RampStart(BaseModel):
    """The input of a ramp.  ``actor`` is asserted: the name that the caller gave."""

    model_config = ConfigDict(frozen=True)

    spec: RampSpec
    actor: str
    override: str | None = Field(default=None, description="why a candidate that was taken out before is tried again")
    carried: Carried | None = None


class Message(BaseModel):
    """A signal from a person.  ``actor`` is asserted; ``reason`` is in their own words."""

    model_config = ConfigDict(frozen=True)

    actor: str
    reason: str = ""


class Promote(Message):
    """Skips the rest of the hold of ``step``, the one that the person saw; ignored at any other.

    ``full`` skips all holds up to the target.  At a step that waits for an approval, this is the approval.
    """

    step: int
    full: bool = False


class Alert(Message):
    """A firing alert with the action ``rollback``.

    ``attributed`` says that it compares a candidate with the baseline: it takes out the one in ``slot``, or all if it
    names none.  Any other holds the ramp, unless the platform file trusts all alerts.
    """

    name: str
    attributed: bool = False
    slot: SlotName | None = None


class Spend(Message):
    """How the day's spend stands, by whoever watches it; ``reason`` has the numbers."""

    word: SpendWord


class SetTarget(Message):
    """The canary file has changed: ``spec`` is what both files say now."""

    spec: RampSpec


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
