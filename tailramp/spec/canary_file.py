"""``deploy/canary.yaml``, the researcher's file: what to try, on whom, and what it must not exceed."""

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from tailramp.assignment import Segment
from tailramp.buckets import BucketSet
from tailramp.spec.digest import digest_of
from tailramp.spec.fields import FileModel, ModelName
from tailramp.units import Duration, Share


class Candidate(FileModel):
    """One model version to try, on whom, and what it must not exceed."""

    model: ModelName = Field(description="the model version to ramp to")
    buckets: BucketSet = Field(description='the users it may reach in the end, such as "00-04"; "" takes it back')
    segments: tuple[Segment, ...] = Field(default=(), description="user tags; empty means everyone in the buckets")
    auto_rollback: bool = Field(default=True, description="false: a failed check pauses and waits for a person")
    max_latency: Duration | None = Field(default=None, description="limit of the p99, such as 2000ms")
    max_toxicity: Share | None = Field(
        default=None, lt=1, description="limit of the share of toxic answers, such as 0.05"
    )

    @field_validator("max_latency")
    @classmethod
    def _latency_is_positive(cls, value: Any) -> Any:
        if value is not None and value.total_seconds() <= 0:
            raise ValueError("a latency limit is longer than nothing")
        return value

    @property
    def digest(self) -> str:
        """Identifies what was tried, so that the same thing is not started again after it was rolled back."""
        return digest_of(self.model_dump(mode="json"))


class CanaryFile(FileModel):
    """``deploy/canary.yaml``: ``canary:`` for one candidate, ``canaries:`` for several."""

    canary: Candidate | None = None
    canaries: tuple[Candidate, ...] = ()

    @model_validator(mode="after")
    def _one_form_and_no_overlap(self) -> Self:
        if (self.canary is None) == (not self.canaries):
            raise ValueError("write either canary: with one candidate, or canaries: with a list of them")
        for index, candidate in enumerate(self.canaries):
            for other in self.canaries[:index]:
                if candidate.model == other.model:
                    raise ValueError(f"{candidate.model} is listed twice")
                if len(shared := candidate.buckets.overlap(other.buckets)):
                    raise ValueError(f"buckets {shared} are given to both {other.model} and {candidate.model}")
        return self

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return (self.canary,) if self.canary is not None else self.canaries
