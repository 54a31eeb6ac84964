"""What goes into a ramp: its input and its signals."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from tailramp.decision import Decision
from tailramp.evidence import Verdict
from tailramp.forms import SlotName
from tailramp.plan import Plan, Variant
from tailramp.ramp import RampState, SpendWord
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
