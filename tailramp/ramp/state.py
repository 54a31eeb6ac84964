"""What a ramp knows of itself: everything that must survive a crash or a continue-as-new."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, field_serializer

from tailramp.assignment import Assignment
from tailramp.forms import SlotName
from tailramp.ramp.causes import Cause, with_found
from tailramp.ramp.words import Block, Phase, Reason


class Interval(BaseModel):
    """A stretch of time in which the hold's clock ran; ``end`` None means that it is running."""

    model_config = ConfigDict(frozen=True)

    start: datetime
    end: datetime | None = None


def clock(held: tuple[Interval, ...], at: datetime) -> timedelta:
    """How much of a hold had passed at ``at``."""
    return sum((max(min(i.end or at, at) - i.start, timedelta()) for i in held), timedelta())


class Stretch(BaseModel):
    """A stretch of time in which one assignment was served and watched: from the whole second ``anchor``, on which its
    time grid starts, to ``until``.  ``settling``: traffic was still on its way and caches were cold.
    """

    model_config = ConfigDict(frozen=True)

    anchor: int
    until: int
    assignment: Assignment
    settling: bool = False


class Began(BaseModel):
    """When a ramp's first time grid started, and what was served then: before that all were on the baseline."""

    model_config = ConfigDict(frozen=True)

    at: int
    assignment: Assignment


class RampState(BaseModel):
    """Everything that must survive a crash or a continue-as-new.

    ``causes`` are those of its blocks that have been told, and the failed checks of a pause; see ``Cause``.
    ``anchor`` is the whole second on which the time grid of the present step (or of the bake) starts.
    ``watched`` is the assignment that was served when it started, ``began`` is when the first grid of all started,
    ``users`` what was known of the first users before that (see ``WatchRequest``): one answer of Prometheus' for all,
    ``evidence_since`` is when the present day of evidence began, and ``stretches`` are those of it that are over: what
    was learnt in them goes on counting.
    ``promoted_step`` is the step that a person promoted; at any other step it means nothing.  ``tolerated`` are the
    candidates whose failed check is waiting for a person (``autoRollback: false``) and must not be reported again;
    ``acknowledged`` that a person has seen it.  ``alerted``: the approval that it waits for is because of somebody
    else's alert.  ``withdrawn`` are the candidates that left a ramp which goes on with others, and why; all others are
    ACTIVE.  ``room`` is the assignment for which there are servers enough.
    """

    model_config = ConfigDict(frozen=True)

    phase: Phase = Phase.PREFLIGHT
    step: int = 1
    paused: bool = False
    blocked_by: frozenset[Block] = frozenset()
    causes: tuple[Cause, ...] = ()
    stop: Reason | None = None
    stop_detail: str = ""
    epoch: int = 0
    applied: Assignment | None = None
    anchor: int | None = None
    watched: Assignment | None = None
    evidence_since: int | None = None
    began: Began | None = None
    users: str | None = None
    stretches: tuple[Stretch, ...] = ()
    held: tuple[Interval, ...] = ()
    promoted_step: int | None = None
    full: bool = False
    shrink_to: Assignment | None = None
    tolerated: frozenset[SlotName] = frozenset()
    acknowledged: bool = False
    alerted: bool = False
    withdrawn: dict[SlotName, Reason] = {}
    default_moved: bool = False
    baked: bool = False
    room: Assignment | None = None

    def with_blocks(self, blocks: frozenset[Block], found: Iterable[Cause] = (), **update: Any) -> "RampState":
        """Blocked by ``blocks`` from now on, and told of what was ``found``.  What was told of others is forgotten."""
        kept = tuple(cause for cause in self.causes if cause.block is None or cause.block in blocks)
        return self.model_copy(update={"blocked_by": blocks, "causes": with_found(kept, found), **update})

    @field_serializer("blocked_by", "tolerated")
    def _in_order(self, members: frozenset[str]) -> list[str]:
        """A set has no order of its own, and what goes into history must not depend on one."""
        return sorted(members)
