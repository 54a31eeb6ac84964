"""The schedule of a ramp and its bounds."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, field_validator, model_validator

from tailramp.buckets import BucketSet
from tailramp.errors import WrongValue
from tailramp.spec.fields import FileModel, Flag
from tailramp.units import Duration, Share, format_share, parse_duration

Harm = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
UpperRatio = Annotated[float, Field(gt=1, le=10, allow_inf_nan=False)]


class StepPolicy(FileModel):
    """One step of the schedule; in the file also as a bare share, ``5%``."""

    share: Share = Field(gt=0, description="of the target's buckets, cumulative", examples=["5%"])
    hold: Duration | None = Field(default=None, description="instead of ramp.hold", examples=["20m"])
    approval: Flag = Field(default=False, description="true: a person must promote it after its hold")


class EvidencePolicy(FileModel):
    """How a ramp grows by evidence: as far as the harm that is still possible stays within its budget."""

    dwell: Duration = Field(default=parse_duration("5m"), description="shortest time at a step")
    reaction: Duration = Field(default=parse_duration("60s"), description="until a rollback takes effect")
    harm: Harm = Field(
        default=0.3,
        description="extra bad answers within the reaction, per answer per second of the route: 0.3 are 30 at 100/s",
    )
    promote_below: UpperRatio = Field(
        default=1.5, description="largest ratio to the baseline still possible, of every check, before a promotion"
    )
    max_hold: Duration = Field(default=parse_duration("6h"), description="at one step, before a person is asked")

    @model_validator(mode="after")
    def _may_end_before_a_person_is_asked(self) -> Self:
        if self.max_hold < self.dwell:
            reason = "is shorter than dwell: no step could ever end by itself"
            raise WrongValue(reason, "Let maxHold be dwell or longer", ("maxHold",))
        return self


def _also_bare_shares(schema: dict[str, Any]) -> None:
    share = TypeAdapter(Share).json_schema()
    schema["items"] = {"anyOf": [share, schema["items"]]}
    schema["default"] = [format_share(step["share"]) for step in schema["default"]]


class RampPolicy(FileModel):
    """The schedule of a ramp and its bounds."""

    steps: tuple[StepPolicy, ...] = Field(
        default=tuple(StepPolicy(share=share) for share in (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)),
        min_length=1,
        description="cumulative shares of the target; the last one is the whole of it",
        examples=[["1%", "5%", "25%", "100%"]],
        json_schema_extra=_also_bare_shares,
    )
    advance: Literal["schedule", "evidence"] = Field(
        default="schedule", description="evidence: a step ends when the next one risks little enough, not by hold"
    )
    evidence: EvidencePolicy = Field(default=EvidencePolicy(), description="for advance: evidence")
    hold: Duration = Field(default=parse_duration("10m"), description="how long a step is watched")
    bake: Duration = Field(default=parse_duration("30m"), description="how long the old slot stays warm at the end")
    hold_back: BucketSet = Field(
        default=BucketSet(),
        description="buckets that stay on the old slot until the bake ends",
        examples=["98-99"],
        json_schema_extra={"default": ""},
    )
    max_settle: Duration = Field(default=parse_duration("10m"), description="until traffic has reached a step")
    max_blind: Duration = Field(default=parse_duration("5m"), description="without an answer, before onBlind is done")
    on_blind: Literal["rollback", "hold"] = Field(
        default="rollback", description="hold keeps users where they are until a person acts or Prometheus answers"
    )
    lease: Duration = Field(
        default=parse_duration("90s"),
        ge=parse_duration("1s"),
        description="how long a candidate is served without a completed look; a shift may need 75s without one",
    )

    @property
    def by_evidence(self) -> bool:
        return self.advance == "evidence"

    @field_validator("steps", mode="before")
    @classmethod
    def _accept_bare_shares(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [item if isinstance(item, dict | StepPolicy) else {"share": item} for item in value]
        return value

    @model_validator(mode="after")
    def _steps_grow(self) -> Self:
        shares = [step.share for step in self.steps]
        if shares != sorted(set(shares)):
            index = next(i for i in range(1, len(shares)) if shares[i] <= shares[i - 1])
            mend = "Write growing shares, such as [1%, 5%, 25%, 100%]"
            raise WrongValue("each share must be larger than the one before", mend, ("steps", index))
        if shares[-1] != 1:
            mend = "Add 100%, which is the whole target"
            raise WrongValue("the last share must be 100%", mend, ("steps",))
        return self
