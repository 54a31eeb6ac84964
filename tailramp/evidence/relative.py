"""The candidate beside the concurrent baseline, window by window, without a limit of its own.

It is the threshold rule with another question: not whether too many answers are bad, but whether clearly more are
than on the baseline in the same window. A baseline that is bad itself explains it; without one there is no answer.
"""

from tailramp.evidence.comparison import WORSE_BY, clearly_worse
from tailramp.evidence.counts import ArmCounts
from tailramp.evidence.judge import JudgeName
from tailramp.evidence.threshold import Counted, Doubt, Standing, ThresholdJudge
from tailramp.evidence.wording import count, percent, rate


class RelativeJudge(ThresholdJudge):
    """FAIL when the candidate is clearly worse than the baseline in `consecutive` closed windows in a row.

    Windows close as the threshold judge's do; one beside fewer than half of `min_sample` answers of the baseline says
    nothing, and neither does PASS without answers of the baseline since the anchor.
    """

    name = JudgeName.RELATIVE

    def _standing_of(self, candidate: ArmCounts, baseline: ArmCounts) -> Standing:
        comparable = 2 * baseline.n >= self._min_sample
        return Standing.BAD if comparable and clearly_worse(candidate, baseline) else Standing.GOOD

    def _clearly_worse(self, counted: Counted) -> bool:  # noqa: ARG002
        return True

    def _breaks(self, counts: ArmCounts) -> bool:
        """The open window is not judged before it closes."""
        return counts.n < 0

    def _breach(self) -> str:
        return f"{self._words.bad} more than {WORSE_BY:g} times as often as on the baseline"

    def _share_of(self, counts: ArmCounts) -> str:
        share = rate(counts)
        told = "none" if share is None else percent(share)
        return f"{count(counts.bad)} of {count(counts.n)} {self._words.unit} ({told})"

    def _doubt(self, counted: Counted) -> Doubt | None:
        if (doubt := super()._doubt(counted)) is not None:
            return doubt
        return None if counted.all[1].n > 0 else Doubt.NO_BASELINE
