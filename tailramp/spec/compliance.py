"""What the rules for generative services want to be on file before the public is served by a new version."""

from collections.abc import Iterator
from enum import StrEnum

from pydantic import Field

from tailramp.spec.fields import FileModel


class LabelMode(StrEnum):
    """How generated content is labelled."""

    EXPLICIT = "explicit"
    IMPLICIT = "implicit"
    BOTH = "both"
    NONE = "none"


class Require(StrEnum):
    """What happens to a ramp for which something is missing."""

    WARN = "warn"
    REFUSE = "refuse"


class Compliance(FileModel):
    """Papers of the service; what a ramp without them may do is the platform team's decision."""

    filing_no: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="of the service's filing (备案号)",
        examples=["Beijing-LLM-20260001"],
    )
    assessment_ref: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="where the security assessment of this version is kept (安全评估)",
        examples=["SEC-2026-017"],
    )
    label_mode: LabelMode | None = Field(
        default=None, description="how generated content is labelled (标识); the rules want both since September 2025"
    )
    require: Require = Field(default=Require.WARN, description="warn: say what is missing; refuse: start no ramp")

    def missing(self) -> Iterator[tuple[str, str, str]]:
        """The field, what is wrong with it, and what to write."""
        if self.filing_no is None:
            yield "filingNo", "a service for the public has a filing number", "Write compliance.filingNo"
        if self.assessment_ref is None:
            yield "assessmentRef", "a new version has a security assessment", "Write compliance.assessmentRef"
        if self.label_mode is not LabelMode.BOTH:
            reason = "content for the public is labelled both visibly and in its metadata"
            yield "labelMode", reason, "Label it so, and write compliance.labelMode: both"
