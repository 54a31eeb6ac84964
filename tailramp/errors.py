"""The errors that tailramp raises on purpose, as one tree.

::

    TailrampError
    ├── InvalidFile        one of the two files cannot be accepted; carries every problem found
    ├── Refused            a wish that is understood and not granted: lock, preflight, policy
    │   ├── Fenced         a write came too late: somebody with a higher epoch has written since
    │   └── Frozen         nothing may start or grow on this route until somebody lifts the freeze
    └── Unreachable        a service that is needed does not answer

The command line maps them to DESIGN's exit codes: 5 for what is invalid or refused, 6 for what cannot be reached.

Beside the tree stands WrongValue, which a validator raises: whoever asked for the value turns it into a Problem.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, in words that say what to mend.

    ``field`` is a dotted path such as ``canary.buckets``; ``line`` counts from 1 and is None where no file is involved.
    """

    field: str
    reason: str
    mend: str
    value: str | None = None
    file: Path | None = None
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}. {self.mend}"

    @property
    def where(self) -> str:
        """File and line, field and value, as far as they are known."""
        place = ""
        if self.file is not None:
            place = f"{self.file}:{self.line}: " if self.line is not None else f"{self.file}: "
        value = f" = {self.value}" if self.value is not None else ""
        return f"{place}{self.field}{value}"


class WrongValue(ValueError):
    """A value that cannot be accepted, and what to write instead; both are sentences without a full stop.

    ``at`` leads from what was validated to the part of it that is wrong, such as ``("steps", 1)``.
    """

    def __init__(self, reason: str, mend: str, at: tuple[str | int, ...] = ()) -> None:
        super().__init__(f"{reason}. {mend}")
        self.reason = reason
        self.mend = mend
        self.at = at


class TailrampError(Exception):
    """Base of all errors below."""


class InvalidFile(TailrampError):
    """A file cannot be accepted.  ``problems`` holds all of them, in the order of their lines."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class Refused(TailrampError):
    """What was asked is understood and not done; the text says why and what would help."""

    for_good: bool = True
    """Whether whoever asks again in a few seconds would certainly hear the same."""


class Fenced(Refused):
    """A write was refused because the route record has moved on."""


class Frozen(Refused):
    """A write would have moved users to a candidate while the route is frozen."""


class Unreachable(TailrampError):
    """A needed service does not answer.  The text names the service, its address and what was tried."""
