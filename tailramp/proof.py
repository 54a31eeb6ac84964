"""Evidence that the data plane does what was asked: answers to questions, never a bare bool.

An accepted write proves nothing; a response does.  A question that could not be asked is UNKNOWN, and UNKNOWN is never
counted as a yes.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Answer(StrEnum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Finding(BaseModel):
    """One question, such as ``user tailramp-probe-7 in bucket 03 is served by green``, and what was seen."""

    model_config = ConfigDict(frozen=True)

    question: str
    answer: Answer
    seen: str = ""


class Evidence(BaseModel):
    """All findings of one look.  ``proof`` says what they rest on: ``counters`` and probes, or ``probes`` alone."""

    model_config = ConfigDict(frozen=True)

    findings: tuple[Finding, ...]
    proof: str = "counters"

    @property
    def answer(self) -> Answer:
        """YES only if every finding is yes; a NO weighs more than an UNKNOWN."""
        answers = {finding.answer for finding in self.findings}
        if Answer.NO in answers:
            return Answer.NO
        if Answer.UNKNOWN in answers or not answers:
            return Answer.UNKNOWN
        return Answer.YES

    def missing(self) -> str:
        """What is not a yes, in one line."""
        return "; ".join(
            f"{f.question}: {f.answer}{f' ({f.seen})' if f.seen else ''}"
            for f in self.findings
            if f.answer != Answer.YES
        )
