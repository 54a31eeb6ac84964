"""What every judge is: something that is shown one tick after the other and has an opinion after each.

A judge never asks for anything and knows no clock, so that showing it the same ticks again gives the same verdicts
again. A worker that comes back after a crash uses just that: it builds a new judge and shows it every tick from the
anchor.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from tailramp.evidence.counts import NO_EDGES, NOTHING, ArmCounts, EdgeCounts
from tailramp.evidence.verdicts import Saying, Verdict


@dataclass(frozen=True, slots=True)
class CheckTick:
    """What one check saw of one candidate and of the baseline since the last tick at which it could see.

    With `blind` (a reason) nothing could be seen and the counts are empty; what was missed is in a later tick.

    A check on a histogram with a `ladder` also brings the counts above each of its edges. `baseline_before` is the
    baseline's whole distribution up to the anchor, the same in every tick that could see: what its quantiles are read
    from. The three are empty for other checks. An edge that one arm has and the other has not says nothing.
    """

    index: int
    at: int  # unix time
    candidate: ArmCounts = NOTHING
    baseline: ArmCounts = NOTHING
    blind: str = ""
    candidate_edges: EdgeCounts = NO_EDGES
    baseline_edges: EdgeCounts = NO_EDGES
    baseline_before: EdgeCounts = NO_EDGES


class JudgeName(StrEnum):
    """The judges that a check may have, as the platform file names them."""

    THRESHOLD = "threshold"
    RELATIVE = "relative"
    SEQUENTIAL = "sequential"


class Judge(Protocol):
    """A judge of one check of one candidate."""

    @property
    def name(self) -> str:
        """What verdicts call it."""

    def consider(self, tick: CheckTick) -> Saying:
        """Take the next tick into account and say what follows from it. Ticks come in rising order, each once.

        FAIL is final: every later tick gets the same FAIL. A blind tick changes nothing but the verdict returned for
        it.
        """

    def observe(self, tick: CheckTick) -> Verdict:
        """The same, told at once."""

    def restate(self) -> Verdict:
        """Return the verdict after the last tick again, in full. Only after a tick."""
