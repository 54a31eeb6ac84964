"""What the workflow asks of the activities: one request and one answer per activity.

The workflow must not import the code that touches the world, and the code that touches the world must not import the
workflow; both import this.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from tailramp.assignment import Assignment
from tailramp.buckets import BucketSet
from tailramp.evidence import Verdict
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.ramp import Began, Block, Cause, Interval, Reason, Stretch, WatchMode, WatchOutcome
from tailramp.route_record import Clearer
from tailramp.spec import RampSpec
from tailramp.units import Duration


class Request(BaseModel):
    """What every request carries: the spec, and who asks."""

    model_config = ConfigDict(frozen=True)

    spec: RampSpec
    ramp: str = Field(description="first run id of the workflow: survives continue-as-new")


class PreflightRequest(Request):
    """``override`` is a person's reason to try a candidate that was taken out before."""

    override: str | None = None


class PreflightReport(BaseModel):
    """Either ``problems``, in words that say what to mend, or a plan and the epoch of the take-over."""

    model_config = ConfigDict(frozen=True)

    problems: tuple[str, ...] = ()
    plan: Plan | None = None
    epoch: int = 0
    applied: Assignment | None = None
    snapshot: str = Field(default="", description="digest of everything in the route that is not tailramp's record")
    users: str | None = Field(default=None, description="what is known of the users from before, as watches are told")


class PrepareRequest(PreflightRequest):
    """Have every candidate's model served by a free slot, before anything else is done."""


class PrepareReport(BaseModel):
    """``problems``, in words that say what to mend, or the slots whose workloads hold something else than before."""

    model_config = ConfigDict(frozen=True)

    problems: tuple[str, ...] = ()
    written: tuple[SlotName, ...] = ()


class RoomRequest(Request):
    """Have the servers that ``assignment`` needs while ``serving`` is served.

    ``waits``: until they are ready.  Otherwise they are only asked for, and what is no longer needed goes.  ``epoch``
    is the ramp's when this was decided; None: of a ramp that an older worker began, whose writes have no order.
    """

    plan: Plan
    epoch: int | None = None
    serving: Assignment
    assignment: Assignment
    waits: bool = True


class RoomReport(BaseModel):
    """``sentence`` says what there is, such as ``green: 2 of 2 pods ready``."""

    model_config = ConfigDict(frozen=True)

    sentence: str


class LeaveRequest(Request):
    """Put back whatever this ramp wrote into workloads: nobody is served by its candidates any more."""


class LeaveReport(BaseModel):
    """``restored`` are the slots whose workloads are as before; ``left`` says what could not be put back, and why."""

    model_config = ConfigDict(frozen=True)

    restored: tuple[SlotName, ...] = ()
    left: tuple[str, ...] = ()


class RetireRequest(Request):
    """The candidate has baked: what runs in its slot is the new normal, and ``old`` may keep fewer servers."""

    old: SlotName
    new: SlotName


class WriteRequest(Request):
    """Make the route serve ``assignment``; decided at ``epoch``."""

    plan: Plan
    epoch: int
    assignment: Assignment


class ConcludeRequest(Request):
    """The promoted ramp is over; what it made the default is the next ramp's baseline."""

    epoch: int


class WithdrawRequest(WriteRequest):
    """Take the users of ``slots`` back, and only theirs; each is refused from now on for ``reasons[slot]``."""

    reasons: dict[SlotName, Reason]


class VerifyRequest(Request):
    """Prove by responses that the gateway serves ``assignment``."""

    plan: Plan
    assignment: Assignment


class ClearRequest(Request):
    """Put everyone back on the slot that was default when the ramp began.  ``epoch`` 0: it never held the route."""

    epoch: int
    reason: str


class ClearReport(BaseModel):
    """What stands after a clear.

    ``held`` is false if the record was not the ramp's to write: under a kill mark, or held by a newer ramp, whose id is
    then ``superseded_by``.  ``cleared_by`` and ``reason`` are those of whoever took the candidates out first.
    """

    model_config = ConfigDict(frozen=True)

    held: bool
    epoch: int
    assignment: Assignment
    cleared_by: Clearer | None = None
    reason: str = ""
    superseded_by: str | None = None


class ZeroRequest(Request):
    """Prove that no new request reaches ``slots``, that the gateway serves ``assignment``, and that the users in
    ``returned`` are back on its default."""

    slots: tuple[SlotName, ...]
    assignment: Assignment
    returned: BucketSet


class RestoreRequest(Request):
    snapshot: str


class RestoreReport(BaseModel):
    """``equal`` if what tailramp wrote is as before; ``foreign`` names what somebody else changed meanwhile."""

    model_config = ConfigDict(frozen=True)

    equal: bool
    foreign: tuple[str, ...] = ()


class WatchRequest(Request):
    """Look at all checks on the grid that starts at ``anchor`` until there is something to decide.

    ``held`` are the stretches in which the hold's clock ran before; ``hold`` is how much it needs, None without end.
    ``overdue``: the ramp knows that the clock is over and the evidence is not.  ``blocks``: what it knows of those that
    a watch can see.  ``tolerated``: candidates of which it knows a failed check, and waits for a person.  ``causes``:
    what it has told of what holds it; only others are worth a decision.  ``earlier`` are stretches of time whose
    evidence still counts, oldest first, and ``since`` is when the day of evidence began, ``began`` when the ramp did.
    ``users`` is what is known of its users from before, as ``TimeBefore`` writes it: "" if nothing is, None if nobody
    has asked yet.
    """

    plan: Plan
    epoch: int
    mode: WatchMode
    assignment: Assignment
    anchor: int
    earlier: tuple[Stretch, ...] = ()
    since: int | None = None
    began: Began | None = None
    users: str | None = None
    held: tuple[Interval, ...] = ()
    hold: Duration | None = None
    overdue: bool = False
    blocks: tuple[Block, ...] = ()
    tolerated: tuple[SlotName, ...] = ()
    causes: tuple[Cause, ...] = ()
    segment: Duration


class WatchResult(BaseModel):
    """``at`` is the grid time of the deciding tick; ``sentence`` is the decision's reason in words; ``failed`` are the
    candidates whose checks failed, ``causes`` what holds the ramp now."""

    model_config = ConfigDict(frozen=True)

    outcome: WatchOutcome
    at: datetime
    sentence: str
    verdicts: tuple[Verdict, ...] = ()
    blocks: tuple[Block, ...] = ()
    causes: tuple[Cause, ...] = ()
    failed: tuple[SlotName, ...] = ()
    next_step: int | None = Field(default=None, description="that a passed hold goes on to, if not the next one")
    ticks: int = 0
    counts: str = Field(default="", description="what the verdicts rest on, as tailramp.evidence.ledger writes it")
