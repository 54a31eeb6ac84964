"""Checks in the platform team's own PromQL."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, JsonValue, field_validator

from tailramp.errors import WrongValue
from tailramp.evidence.judge import JudgeName
from tailramp.forms import Name
from tailramp.query_template import checked_template
from tailramp.spec.fields import Count, FileModel, Flag
from tailramp.units import parse_share

_CONDITION = re.compile(r"\s*(>=|>)\s*(.+?)\s*")

_HAS_MATCH: Final[dict[str, JsonValue]] = {"pattern": r"\{match\}"}

Template = Annotated[str, AfterValidator(checked_template)]


class CustomCheck(FileModel):
    """A share of bad ones among all, counted by two raw counters.

    ``failWhen`` is the whole condition, as one would say it: ``"> 2%"`` or ``">= 0.02"``.
    """

    name: Name = Field(description="told apart by it in verdicts and records", examples=["refusals"])
    counted_by: Literal["server", "gateway"] = Field(
        default="server", description="whose metrics it reads, and so which matchers of a slot become {match}"
    )
    total: Template = Field(
        description="PromQL of the counter of all", examples=["my_answers_total{match}"], json_schema_extra=_HAS_MATCH
    )
    bad: Template = Field(
        description="PromQL of the counter of the bad ones",
        examples=["my_refusals_total{match}"],
        json_schema_extra=_HAS_MATCH,
    )
    bad_absent_is_zero: Flag = Field(
        default=False, description="true where the counter of the bad ones is created by the first of them"
    )
    fail_when: str = Field(
        description="the condition on the share of bad ones",
        examples=["> 2%", ">= 0.02"],
        json_schema_extra={"pattern": r"^\s*>=?\s*[0-9.]+\s*%?\s*$"},
    )
    unit: str = Field(default="answers", min_length=1, max_length=60, description="what is counted")
    bad_is: str = Field(min_length=1, max_length=60, description="what a bad one is", examples=["refused"])
    judge: JudgeName | None = Field(default=None, description="instead of checks.judges", examples=["threshold"])
    min_sample: Count | None = Field(default=None, ge=1, description="instead of checks.minSample")
    floor: Count | None = Field(default=None, ge=1, description="instead of checks.floor")
    in_settle: Flag = Field(default=True, description="may fail while a step still settles")

    @field_validator("fail_when")
    @classmethod
    def _is_a_condition(cls, value: str) -> str:
        _parse_condition(value)
        return value

    @property
    def condition(self) -> tuple[Literal[">", ">="], float]:
        """The comparison and the share, 0 to 1."""
        return _parse_condition(self.fail_when)


def _parse_condition(value: str) -> tuple[Literal[">", ">="], float]:
    match = _CONDITION.fullmatch(value)
    if match is None:
        raise WrongValue("a condition is > or >= and a share", 'Write for example "> 2%" or ">= 0.02"')
    sign, share = match.group(1), parse_share(match.group(2))
    if not 0 <= share < 1 or (share == 0 and sign == ">="):
        mend = 'Write a share between 0 and 1, such as "> 2%"'
        raise WrongValue("with this condition the check fails always or never", mend)
    return (">=" if sign == ">=" else ">"), share
