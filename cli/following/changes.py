"""What a ramp that is followed tells: one change at a time, with where the ramp stood after it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tailramp.decision import Decision, DecisionKind
from tailramp.plan import Plan
from tailramp.ramp import Phase
from workflows.answers import RampResult


class ChangeKind(StrEnum):
    """``decision``: the ramp decided something.  ``check``: a verdict changed its kind.  ``progress``: servers that are
    waited for have come nearer, or are stuck.  ``trouble``: what keeps the ramp from being carried out.  ``end``:
    nothing comes after it."""

    DECISION = "decision"
    CHECK = "check"
    PROGRESS = "progress"
    TROUBLE = "trouble"
    END = "end"


@dataclass(frozen=True)
class Change:
    """One change, with where the ramp stood after it.  ``steps`` is 0 before there is a plan; ``share`` is 0 to 1.

    ``decision`` is there for a decision; ``check`` and ``verdict`` for a check.  ``result`` is there at the end, unless
    the workflow was ended from outside.
    """

    kind: ChangeKind
    at: datetime
    route: str
    ramp: str
    phase: Phase
    step: int
    steps: int
    share: float
    sentence: str
    decision: Decision | None = None
    check: str = ""
    verdict: str = ""
    result: RampResult | None = None
    plan: Plan | None = field(default=None, repr=False)

    @property
    def reached_target(self) -> bool:
        """Whether this is the moment at which a ramp that does not promote begins to hold its target."""
        settled = self.decision is not None and self.decision.kind is DecisionKind.SETTLED
        return settled and self.plan is not None and not self.plan.promotes and self.step == self.steps
