"""A verdict that is told late is the verdict that would have been told at once."""

import pytest
from evidence_samples import ANCHOR, RULE
from hypothesis import given
from hypothesis import strategies as st

from tailramp.evidence import ArmCounts, CheckTick, gateway_errors
from tailramp.evidence.judge import JudgeName
from tailramp.evidence.jury import Jury
from tailramp.evidence.sequential.rule import FAILURES, SequentialRule
from tailramp.evidence.sequential.user_sets import UserSets
from tailramp.evidence.verdicts import Saying, Verdict, VerdictKind, in_full, worst

NOISE = FAILURES.cautious
RULES = SequentialRule(alpha=0.01, tau=NOISE.tau, phi0=NOISE.phi0, sigma0=NOISE.sigma0)

counts = st.tuples(st.sampled_from([0, 5, 40]), st.sampled_from([0.0, 0.02, 0.5])).map(
    lambda drawn: ArmCounts(float(drawn[0]), float(round(drawn[0] * drawn[1])))
)
windows = st.lists(st.tuples(counts, counts, st.sampled_from(["", "", "", "nobody answered"])), min_size=1, max_size=30)


def jury(*, brief: bool, judges: tuple[JudgeName, ...] = tuple(JudgeName)) -> Jury:
    check = gateway_errors(rule=RULE).model_copy(update={"judges": judges, "sequential": RULES})
    dossier = check.dossier(ANCHOR)
    dossier.begin(UserSets.of_share(5), ANCHOR)
    found = check.judge("green", 0, dossier)
    found.brief = brief
    return found


@pytest.mark.parametrize("brief", [False, True])
@given(windows)
def test_what_is_told_later_is_what_would_have_been_told_at_once(
    brief: bool, shown: list[tuple[ArmCounts, ArmCounts, str]]
) -> None:
    ticks = [CheckTick(index, ANCHOR + 5 * index, *window) for index, window in enumerate(shown)]
    at_once, later = jury(brief=brief), jury(brief=brief)
    verdicts = [at_once.observe(tick) for tick in ticks]
    sayings = [later.consider(tick) for tick in ticks]
    assert [said.kind for said in sayings] == [verdict.kind for verdict in verdicts]
    assert [said.shared for said in sayings] == [verdict.shared for verdict in verdicts]
    assert [said.verdict for said in sayings] == verdicts


@pytest.mark.parametrize("judges", [tuple(JudgeName), (JudgeName.SEQUENTIAL,)])
@given(windows)
def test_what_was_said_in_brief_is_restated_as_it_would_have_been_said_in_full(
    judges: tuple[JudgeName, ...], shown: list[tuple[ArmCounts, ArmCounts, str]]
) -> None:
    """A tick of the past at which nothing could be seen, too: its verdict is kept beside the counts of all others."""
    ticks = [CheckTick(index, ANCHOR + 5 * index, *window) for index, window in enumerate(shown)]
    full, briefly = jury(brief=False, judges=judges), jury(brief=True, judges=judges)
    verdicts = [full.observe(tick) for tick in ticks]
    for tick in ticks:
        briefly.consider(tick)
    assert briefly.restate() == verdicts[-1]


def test_a_saying_is_told_once() -> None:
    told = []

    class Teller:
        def tell(self, said: Saying, basis: str) -> Verdict:
            told.append(said)
            return Verdict(kind=said.kind, check=said.check, slot=said.slot, judge="threshold", reason=basis)

    said = Saying(VerdictKind.PASS, "errors", "green", Teller(), "2 of 100")
    assert (said.reason, said.numbers.n, in_full(said)) == ("2 of 100", 0, said.verdict)
    assert told == [said]


def test_of_equally_bad_sayings_a_shared_breach_speaks() -> None:
    def saying(kind: VerdictKind, judge: str, *, shared: bool = False) -> Saying:
        return Saying.of(Verdict(kind=kind, check="errors", slot="green", judge=judge, reason="", shared=shared))

    passes, waits = saying(VerdictKind.PASS, "a"), saying(VerdictKind.INCONCLUSIVE, "b")
    shares = saying(VerdictKind.INCONCLUSIVE, "c", shared=True)
    assert worst([passes, waits, shares]) is shares
    assert worst([passes, waits]) is waits
