"""What a judge says about one check of one candidate, and how several such sayings become one.

There are four outcomes because two lose the important difference: "it is good" is not "I have not seen enough", and
neither is "I could not look". Every verdict carries one sentence for a person and the numbers behind it for a
machine.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict


class VerdictKind(StrEnum):
    """The four outcomes."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    BLIND = "BLIND"


_WORST_FIRST = (VerdictKind.FAIL, VerdictKind.BLIND, VerdictKind.INCONCLUSIVE, VerdictKind.PASS)


class Numbers(BaseModel):
    """The counts that a verdict speaks about. A rate is None where nothing was counted: 0 of 0 is not 0 %."""

    model_config = ConfigDict(frozen=True)

    n: int = 0
    bad: int = 0
    rate: float | None = None
    limit: float | None = None
    baseline_n: int = 0
    baseline_bad: int = 0
    baseline_rate: float | None = None
    windows: int = 0  # closed since the anchor
    streak: int = 0  # closed windows in a row that breached and that the baseline did not share
    needed: int = 0  # length of the streak at which the verdict is FAIL
    seen: int = 0  # answers of the candidate since the anchor, whatever the sentence speaks about
    baseline_seen: int = 0  # and of the baseline
    evidence: float | None = None  # weighted, of the sequential test, and what a rollback needs
    evidence_needed: float | None = None
    ratio: float | None = None  # how many times as often as the baseline, and the ends of its interval
    ratio_low: float | None = None
    ratio_high: float | None = None
    risks: tuple[tuple[float, float], ...] = ()  # largest ratio still possible, and the baseline's rate, by bad kind
    more: int | None = None  # bad answers in a row, beyond what is usual, that would take the candidate back


class Verdict(BaseModel):
    """One judge's word on one check of one candidate at one tick.

    `numbers` are those of the sentence in `reason`: of the windows of the streak while there is one, else of
    everything since the anchor. `shared` marks a breach that the concurrent baseline has too: hold and page, do not
    blame the candidate.
    """

    model_config = ConfigDict(frozen=True)

    kind: VerdictKind
    check: str
    slot: str
    judge: str
    reason: str
    shared: bool = False
    at: int | None = None  # unix time of the tick
    numbers: Numbers = Numbers()


class Teller(Protocol):
    """Who makes a verdict of a saying, once somebody asks for it."""

    def tell(self, said: "Saying", basis: Any) -> Verdict:
        """Return the verdict, which has the kind, check, slot and `shared` of the saying; `basis` is what it was given
        for this.
        """


class Saying:
    """A verdict that is known by its kind, and told in a sentence and numbers when somebody asks for them.

    Whoever goes through the ticks of a day looks at few of them, and finding the words takes longer than judging.
    What it is told from does not change any more: the verdict is the same whenever it is asked for.
    """

    __slots__ = ("_basis", "_teller", "_verdict", "check", "kind", "shared", "slot")

    def __init__(
        self, kind: VerdictKind, check: str, slot: str, teller: Teller, basis: Any, *, shared: bool = False
    ) -> None:
        """`basis`: what the `teller` needs, and nothing that will change."""
        self.kind = kind
        self.check = check
        self.slot = slot
        self.shared = shared
        self._teller = teller
        self._basis = basis
        self._verdict: Verdict | None = None

    @classmethod
    def of(cls, verdict: Verdict) -> "Saying":
        """A verdict that has been told."""
        return cls(verdict.kind, verdict.check, verdict.slot, _TOLD, verdict, shared=verdict.shared)

    @property
    def verdict(self) -> Verdict:
        """The verdict in full; the same object every time."""
        if self._verdict is None:
            self._verdict = self._teller.tell(self, self._basis)
        return self._verdict

    @property
    def reason(self) -> str:
        """Its sentence."""
        return self.verdict.reason

    @property
    def numbers(self) -> Numbers:
        """Its numbers."""
        return self.verdict.numbers


class _Told:
    def tell(self, said: Saying, basis: Verdict) -> Verdict:  # noqa: ARG002
        return basis


_TOLD = _Told()

Said = Verdict | Saying


def in_full(said: Said) -> Verdict:
    """Return the verdict in full."""
    return said if isinstance(said, Verdict) else said.verdict


class Combination(BaseModel):
    """Several verdicts as one: the worst kind decides, all are kept."""

    model_config = ConfigDict(frozen=True)

    kind: VerdictKind
    reason: str
    shared: bool
    verdicts: tuple[Verdict, ...]

    @property
    def deciding(self) -> tuple[Verdict, ...]:
        """The verdicts of the kind that decided."""
        return tuple(verdict for verdict in self.verdicts if verdict.kind is self.kind)


def worst(sayings: Sequence[Saying]) -> Saying:
    """Return the one that speaks for all: of the worst kind the first, or one that a shared breach marks.

    ValueError without any.
    """
    kind = min((said.kind for said in sayings), key=_WORST_FIRST.index)
    of_the_worst = [said for said in sayings if said.kind is kind]
    return next((said for said in of_the_worst if said.shared), of_the_worst[0])


def combine(verdicts: Iterable[Said]) -> Combination:
    """Return the worst of the verdicts: FAIL, then BLIND, then INCONCLUSIVE, then PASS. None at all is INCONCLUSIVE."""
    all_of_them = tuple(map(in_full, verdicts))
    for kind in _WORST_FIRST:
        reasons = [verdict.reason for verdict in all_of_them if verdict.kind is kind]
        if reasons:
            shared = any(verdict.shared for verdict in all_of_them)
            return Combination(kind=kind, reason="; ".join(reasons), shared=shared, verdicts=all_of_them)
    return Combination(kind=VerdictKind.INCONCLUSIVE, reason="nothing was judged", shared=False, verdicts=())
