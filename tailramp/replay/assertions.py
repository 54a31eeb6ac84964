"""What a pipeline may demand of a replay: ``promoted``, ``rolled-back before 10m``, ``not rolled-back by latency``."""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from tailramp.errors import WrongValue
from tailramp.replay.course import Course
from tailramp.units import format_duration, parse_duration

_FORM = re.compile(
    r"(?P<no>not\s+)?(?P<what>[a-z-]+)(?:\s+by\s+(?P<check>\S+))?(?:\s+(?P<when>before|after)\s+(?P<time>.+))?"
)
_MEND = "Write promoted, rolled-back or blocked, such as `rolled-back before 10m` or `not rolled-back by latency`"


class Event(StrEnum):
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled-back"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class Assertion:
    """``event`` must happen (or not), if given by the failure of ``check``, and ``before`` or after ``time``."""

    text: str
    event: Event
    denied: bool = False
    check: str | None = None
    before: bool = True
    time: timedelta | None = None

    @classmethod
    def parse(cls, text: str) -> "Assertion":
        """Raises WrongValue."""
        match = _FORM.fullmatch(" ".join(text.split()))
        if match is None or match["what"] not in set(Event):
            raise WrongValue("this says nothing about a ramp", _MEND)
        event, check = Event(match["what"]), match["check"]
        if check is not None and event is not Event.ROLLED_BACK:
            raise WrongValue("only a rollback is by a check", _MEND)
        time = parse_duration(match["time"].strip()) if match["time"] else None
        return cls(text, event, bool(match["no"]), check, match["when"] != "after", time)

    def failure(self, course: Course) -> str | None:
        """Why it does not hold, as a sentence; None if it does."""
        at, checks = _happened(course, self.event)
        after = None if at is None else timedelta(seconds=at - course.first)
        holds = after is not None and (self.check is None or self.check in checks)
        if after is not None and self.time is not None:
            holds = holds and (after < self.time if self.before else after > self.time)
        if holds is not self.denied:
            return None
        if after is None:
            return f"assertion {self.text!r} failed: the ramp was never {self.event}"
        by = f" by {', '.join(checks)}" if checks else ""
        return f"assertion {self.text!r} failed: the ramp was {self.event}{by} after {format_duration(after)}"


def _happened(course: Course, event: Event) -> tuple[int | None, tuple[str, ...]]:
    """When, and for a rollback by which checks."""
    match event:
        case Event.PROMOTED:
            return course.promoted_at, ()
        case Event.BLOCKED:
            return course.blocked_at, ()
        case Event.ROLLED_BACK:
            return course.rolled_back_at, course.failed_checks
