"""What an examination says: good, a finding with its mend, or that it could not be looked at."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    GOOD = "good"
    FINDING = "finding"
    UNSEEN = "unseen"


@dataclass(frozen=True)
class Result:
    """``area`` groups results; ``mend`` is there for a finding."""

    area: str
    state: State
    text: str
    mend: str = ""


def good(area: str, text: str) -> Result:
    return Result(area, State.GOOD, text)


def finding(area: str, text: str, mend: str) -> Result:
    return Result(area, State.FINDING, text, mend)


def unseen(area: str, text: str) -> Result:
    return Result(area, State.UNSEEN, text)
