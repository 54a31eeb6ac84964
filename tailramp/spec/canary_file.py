"""``deploy/canary.yaml``, the researcher's file: what to try, on whom, and what it must not exceed."""

from typing import Any, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from tailramp.buckets import BucketSet
from tailramp.errors import WrongValue
from tailramp.forms import ModelName, Segment
from tailramp.spec.digest import digest_of
from tailramp.spec.fields import FileModel, Flag
from tailramp.units import Duration, Share


class Candidate(FileModel):
    """One model version to try, on whom, and what it must not exceed."""

    model: ModelName = Field(description="the model version to ramp to")
    buckets: BucketSet = Field(
        description='the users it may reach in the end, such as "00-04"; "" takes it back', examples=["00-04"]
    )
    segments: tuple[Segment, ...] = Field(
        default=(), description="user tags; empty means everyone in the buckets", examples=[["VIP"]]
    )
    auto_rollback: Flag = Field(default=True, description="false: a failed check pauses and waits for a person")
    max_latency: Duration | None = Field(default=None, description="limit of the p99", examples=["2000ms"])
    max_toxicity: Share | None = Field(
        default=None, lt=1, description="limit of the share of toxic answers", examples=[0.05]
    )

    @field_validator("max_latency")
    @classmethod
    def _latency_is_positive(cls, value: Any) -> Any:
        if value is not None and value.total_seconds() <= 0:
            raise WrongValue("a latency limit is longer than nothing", "Write for example 2000ms")
        return value

    @property
    def digest(self) -> str:
        """Identifies what was tried, so that the same thing is not started again after it was rolled back."""
        return digest_of(self.model_dump(mode="json"))


class CanaryFile(FileModel):
    """``deploy/canary.yaml``: ``canary:`` for one candidate, ``canaries:`` for several."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["canary"]}, {"required": ["canaries"]}]})

    canary: Candidate | None = Field(default=None, description="the one candidate")
    canaries: tuple[Candidate, ...] = Field(default=(), description="several candidates, each with buckets of its own")

    @model_validator(mode="after")
    def _one_form_and_no_overlap(self) -> Self:
        if (self.canary is None) == (not self.canaries):
            raise WrongValue(
                "the file names no candidate, or names them twice",
                "Write either canary: with one candidate, or canaries: with a list of them",
            )
        for index, candidate in enumerate(self.canaries):
            for other in self.canaries[:index]:
                if candidate.model == other.model:
                    mend = "Give each model one entry with all of its buckets"
                    raise WrongValue(f"{candidate.model} is listed twice", mend, ("canaries", index, "model"))
                at = ("canaries", index, "buckets")
                if (
                    len(candidate.buckets)
                    and len(other.buckets)
                    and candidate.buckets.resolution != other.buckets.resolution
                ):
                    reason = f"{candidate.model} has buckets of another width than {other.model}"
                    raise WrongValue(reason, "Write two digits everywhere, or four", at)
                if len(shared := candidate.buckets.overlap(other.buckets)):
                    reason = f"buckets {shared} are given to both {other.model} and {candidate.model}"
                    raise WrongValue(reason, f"Take {shared} away from one of them", at)
        return self

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return (self.canary,) if self.canary is not None else self.canaries
