"""Several judges of one check, as one: the worst of what they say counts, and what the others know is kept with it."""

from collections.abc import Sequence

from tailramp.evidence.judge import CheckTick, Judge
from tailramp.evidence.sequential.judge import Heard, SequentialJudge
from tailramp.evidence.verdicts import Numbers, Saying, Verdict, VerdictKind, worst

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
        self._failed: Saying | None = None
        self._said: Saying | None = None

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
        return self.consider(tick).verdict

    def consider(self, tick: CheckTick) -> Saying:
        """See `Judge.consider`."""
        if self._failed is not None:
            return self._failed
        sequential = self.sequential
        heard: Heard | None = None
        sayings = []
        for judge in self._judges:
            if judge is sequential:
                said, heard = sequential.hear(tick)
            else:
                said = judge.consider(tick)
            sayings.append(said)
        said = worst(sayings)
        if sequential is None or heard is None:
            return self._settle(said)
        if said.kind is VerdictKind.FAIL and self.brief:
            self.brief = False
            heard = sequential.heard(tick.at)
        return self._settle(self._with_evidence(said, heard))

    def restate(self) -> Verdict:
        """Return the present verdict with all of its numbers. Before the first tick there is none: AssertionError."""
        if self._failed is not None:
            return self._failed.verdict
        if self._said is None:
            raise AssertionError("nothing has been said yet")
        sequential = self.sequential
        if sequential is None or not sequential.brief:
            return self._said.verdict
        sequential.brief = False
        try:
            if self._said.kind is VerdictKind.BLIND:
                # The judges would speak of the tick before, at which they could see.
                verdict = self._said.verdict
                return _with_numbers(verdict, sequential.numbers(sequential.heard(verdict.at or 0)))
            verdicts = [judge.restate() for judge in self._judges]
            said = worst([Saying.of(verdict) for verdict in verdicts])
            known = next(verdict for verdict in verdicts if verdict.judge == sequential.name)
            return self._with_evidence(said, sequential.heard(known.at or 0)).verdict
        finally:
            sequential.brief = True

    def fail_together(self, evidence: float, at: int) -> Saying:
        """See `SequentialJudge.fail_together`."""
        if self.sequential is None:
            raise AssertionError("only a sequential judge has evidence to add")
        return self._settle(self.sequential.fail_together(evidence, at))

    def _settle(self, said: Saying) -> Saying:
        self._said = said
        if said.kind is VerdictKind.FAIL:
            self._failed = said
        return said

    def _with_evidence(self, said: Saying, heard: Heard) -> Saying:
        """The same with what the sequential judge knows at that tick."""
        return Saying(said.kind, said.check, said.slot, self, (said, heard), shared=said.shared)

    def tell(self, said: Saying, basis: tuple[Saying, Heard]) -> Verdict:  # noqa: ARG002
        """See `Teller.tell`; `basis` is the saying of the judge that speaks, and what the sequential one knows."""
        speaks, heard = basis
        verdict, sequential = speaks.verdict, self.sequential
        if sequential is None or verdict.judge == sequential.name:
            return verdict
        found = _with_numbers(verdict, sequential.numbers(heard))
        if verdict.kind is VerdictKind.BLIND:
            return found
        return found.model_copy(update={"reason": f"{verdict.reason}; {sequential.remark(heard)}"})


def _with_numbers(verdict: Verdict, known: Numbers) -> Verdict:
    """The same with the numbers of the evidence that the sequential judge knows."""
    numbers = verdict.numbers.model_copy(update={name: getattr(known, name) for name in _OF_THE_EVIDENCE})
    return verdict.model_copy(update={"numbers": numbers})
