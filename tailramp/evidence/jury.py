"""Several judges of one check, as one: the worst of what they say counts, and what the others know is kept with it."""

from collections.abc import Sequence

from tailramp.evidence.judge import CheckTick, Judge
from tailramp.evidence.sequential.judge import SequentialJudge
from tailramp.evidence.verdicts import Verdict, VerdictKind, combine

_OF_THE_EVIDENCE = ("evidence", "evidence_needed", "ratio", "ratio_low", "ratio_high", "risks", "more")


class Jury:
    """Speaks as the judge whose verdict is the worst; of equally bad ones the first, or one that a shared breach marks.

    The numbers of the sequential test are in every verdict, whoever speaks.
    """

    def __init__(self, judges: Sequence[Judge], sequential: SequentialJudge | None = None) -> None:
        """`sequential` is the one of them whose evidence can be added to other checks'. ValueError without a judge."""
        if not judges:
            raise ValueError("a check without a judge judges nothing")
        self._judges = tuple(judges)
        self.sequential = sequential
        self._failed: Verdict | None = None
        self._said: Verdict | None = None

    @property
    def brief(self) -> bool:
        """Whether verdicts come without the ratio, its interval and the risks: finding them takes longer than judging,
        and whoever goes through the ticks of a day looks at few of them. A FAIL always has all of its numbers.
        """
        return self.sequential is not None and self.sequential.brief

    @brief.setter
    def brief(self, brief: bool) -> None:
        if self.sequential is not None:
            self.sequential.brief = brief

    @property
    def name(self) -> str:
        """The judges' names."""
        return " + ".join(judge.name for judge in self._judges)

    def observe(self, tick: CheckTick) -> Verdict:
        """See `Judge.observe`."""
        if self._failed is not None:
            return self._failed
        verdicts = [judge.observe(tick) for judge in self._judges]
        said = _worst(verdicts)
        if said.kind is VerdictKind.FAIL and self.brief:
            self.brief = False
            return self._settle(self._with_evidence(said))
        return self._settle(self._with_evidence(said, verdicts))

    def restate(self) -> Verdict:
        """Return the present verdict with all of its numbers. Before the first tick there is none: AssertionError."""
        if self._failed is not None:
            return self._failed
        if self._said is None:
            raise AssertionError("nothing has been said yet")
        sequential = self.sequential
        if sequential is None or not sequential.brief:
            return self._said
        sequential.brief = False
        try:
            verdicts = [judge.restate() for judge in self._judges]
            return self._with_evidence(_worst(verdicts), verdicts)
        finally:
            sequential.brief = True

    def fail_together(self, evidence: float, at: int) -> Verdict:
        """See `SequentialJudge.fail_together`."""
        if self.sequential is None:
            raise AssertionError("only a sequential judge has evidence to add")
        return self._settle(self.sequential.fail_together(evidence, at))

    def _settle(self, verdict: Verdict) -> Verdict:
        self._said = verdict
        if verdict.kind is VerdictKind.FAIL:
            self._failed = verdict
        return verdict

    def _with_evidence(self, verdict: Verdict, verdicts: Sequence[Verdict] = ()) -> Verdict:
        """`verdicts`: what all judges have just said, if the sequential one's numbers are still those."""
        sequential = self.sequential
        if sequential is None or verdict.judge == sequential.name:
            return verdict
        known = next((one.numbers for one in verdicts if one.judge == sequential.name), None) or sequential.numbers
        numbers = verdict.numbers.model_copy(update={name: getattr(known, name) for name in _OF_THE_EVIDENCE})
        told = verdict.kind is VerdictKind.BLIND
        reason = verdict.reason if told else f"{verdict.reason}; {sequential.remark}"
        return verdict.model_copy(update={"numbers": numbers, "reason": reason})


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    worst = combine(verdicts).deciding
    return next((verdict for verdict in worst if verdict.shared), worst[0])
