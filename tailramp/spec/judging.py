"""Who judges the checks, and the numbers of the sequential test."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, field_validator

from tailramp.errors import WrongValue
from tailramp.evidence.judge import JudgeName
from tailramp.forms import LabelName, Name
from tailramp.spec.fields import FileModel
from tailramp.units import Duration, Share

Spread = Annotated[float, Field(ge=0, le=3, allow_inf_nan=False)]
Carry = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Sessions = Annotated[float, Field(ge=1, le=10_000, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=1, le=5, allow_inf_nan=False)]
Edge = Annotated[float, Field(gt=0, allow_inf_nan=False)]


_EDGES = 6


class NoiseSettings(FileModel):
    """How much two groups of users and servers differ although nothing is wrong, as ``tailramp calibrate`` finds it.

    One number each, or for a histogram six: of the edges nearest to the p50, p75, p90, p95 and p99, and of the limit.
    What is left out is taken to be 1.5 times the usual, and carry to be 0.5.
    """

    tau: tuple[Spread, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=_EDGES,
        description="standard deviation of the log-rate between buckets of 1 % of the users",
        examples=[[0.17]],
    )
    phi0: tuple[Sessions, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=_EDGES,
        description="bad answers of one session: sum of squares over sum",
        examples=[[1.0]],
    )
    sigma0: tuple[Spread, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=_EDGES,
        description="standard deviation of the log-ratio of two groups of servers over five minutes",
        examples=[[0.1]],
    )
    carry: tuple[Carry, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=_EDGES,
        description="how much of the difference between buckets is the same a day later; matters with history alone",
        examples=[[0.85]],
    )

    @field_validator("tau", "phi0", "sigma0", "carry")
    @classmethod
    def _one_or_of_all_edges(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        """With fewer the outer edges, whose noise is the largest, would have the last one's."""
        if value is not None and len(value) not in {1, _EDGES}:
            mend = f"Write one number, or {_EDGES}: of p50, p75, p90, p95, p99 and the limit"
            raise WrongValue(f"has {len(value)} numbers, which is neither one for all edges nor one for each", mend)
        return value


class HistorySettings(FileModel):
    """What the time before a ramp, in which everyone was on the baseline, tells of the first step's users."""

    bucket_label: LabelName = Field(
        default="bucket",
        description="label of the server's counters that names the user's bucket, two digits or four, as for "
        "tailramp calibrate",
    )
    period: Duration = Field(
        default=timedelta(days=1),
        ge=timedelta(hours=2),
        le=timedelta(days=7),
        description="how far back is read: a whole day has all of its hours in it",
    )
    carry: Share | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="how much of the difference between users is the same a day later, of every check; by default what "
        "tailramp calibrate has measured, and 0.5 where it has not",
        examples=[0.9],
    )


class SequentialSettings(FileModel):
    """The sequential test of candidate against baseline, which may be looked at after every tick."""

    alpha: Share = Field(
        default=0.01,
        gt=0,
        le=0.2,
        description="false rollbacks per ramp and 24 h, of all judges, checks and candidates",
    )
    tolerance: Ratio = Field(default=1.1, description="ratio of the two rates up to which nothing is wrong")
    edges: tuple[Edge, ...] | None = Field(
        default=None,
        description="histogram edges that are read, in its own unit; by default all that it has",
        examples=[[0.5, 1.0, 2.0]],
    )
    history: HistorySettings | None = Field(
        default=None,
        description="learn from the time before a ramp how its first users differ from others; by default nothing is "
        "learnt",
        examples=[{"bucketLabel": "bucket"}],
    )
    noise: dict[Name, NoiseSettings] = Field(
        default={}, description="by check, from tailramp calibrate; by default cautious values, 1.5 times the usual"
    )


DEFAULT_JUDGES = (JudgeName.THRESHOLD, JudgeName.SEQUENTIAL)


def judges_differ(value: tuple[JudgeName, ...]) -> tuple[JudgeName, ...]:
    """Raises WrongValue for a judge that is named twice."""
    if len(set(value)) < len(value):
        raise WrongValue("a judge is named twice", "Name each once")
    return value
