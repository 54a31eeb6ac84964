"""The sequential judge: its verdicts, its memory over steps and crashes, and its company of other judges."""

import math
import re

import numpy as np
import pytest
from evidence_samples import ANCHOR, RULE
from sequential_samples import ALONE, BOTH, Shown, begun, errors, rule

from tailramp.evidence import ArmCounts, CheckTick, EdgeCounts, VerdictKind
from tailramp.evidence.checks import Check
from tailramp.evidence.judge import JudgeName
from tailramp.evidence.sequential.rule import TIMES
from tailramp.evidence.sequential.user_sets import UserSets
from tailramp.evidence.usual_checks import gateway_errors, latency


def test_a_candidate_that_fails_half_its_answers_is_taken_back_within_three_scrapes() -> None:
    shown = Shown(errors())
    assert shown.healthy(200).kind is VerdictKind.PASS
    ticks = 0
    while shown.verdict.kind is not VerdictKind.FAIL:
        shown.tick((25, 12), (475, 2))
        ticks += 1
    assert ticks <= 3


def test_the_verdict_explains_itself() -> None:
    shown = Shown(errors())
    shown.healthy(50)
    for _ in range(5):
        shown.tick((25, 12), (475, 2))
    verdict = shown.verdict
    assert verdict.kind is VerdictKind.FAIL
    assert verdict.judge == "sequential"
    assert verdict.reason.startswith("clearly worse than the baseline: ")
    for part in (") failed; ", "; baseline 0.", "times as often (", "; evidence ", ", a rollback needs 100"):
        assert part in verdict.reason
    numbers = verdict.numbers
    assert numbers.evidence is not None
    assert numbers.ratio is not None
    assert numbers.evidence >= 100 == numbers.evidence_needed
    assert numbers.ratio_low is not None
    assert numbers.ratio_high is not None
    assert numbers.ratio_low < numbers.ratio < numbers.ratio_high
    assert shown.healthy(100) == verdict


@pytest.mark.parametrize("healthy", [0, 2000])
def test_a_late_regression_is_told_by_how_bad_it_is_since_it_began(healthy: int) -> None:
    shown = Shown(errors())
    shown.healthy(healthy)
    while shown.verdict.kind is not VerdictKind.FAIL:
        shown.tick((25, 2), (475, 2))
    told = re.search(r"\((\S+) to (\S+)\)(?: since the ramp began, about (\S+) times since)?", shown.verdict.reason)
    assert told is not None
    if healthy:
        assert float(told[2]) < float(told[3])
        assert 4 < float(told[3]) < 20
    else:
        assert told[3] is None


def test_a_candidate_that_has_stopped_answering_passes_nothing_until_it_answers_again() -> None:
    shown = Shown(errors())
    assert shown.healthy(200).kind is VerdictKind.PASS
    kinds = [shown.tick((0, 0), (475, 2)).kind for _ in range(4)]
    assert kinds == [VerdictKind.PASS] * 2 + [VerdictKind.INCONCLUSIVE] * 2
    assert shown.verdict.reason.startswith("no answers for 20 s; baseline ")
    assert shown.tick((25, 0), (475, 2)).kind is VerdictKind.PASS


def test_where_nobody_asks_anything_a_candidate_is_not_to_blame_for_its_silence() -> None:
    shown = Shown(errors())
    shown.healthy(200)
    assert {shown.tick((0, 0), (0, 0)).kind for _ in range(20)} == {VerdictKind.PASS}


def test_it_says_how_many_bad_answers_would_flip_it() -> None:
    shown = Shown(errors())
    more = shown.healthy(100).numbers.more
    assert more is not None
    assert 3 <= more <= 40
    sent = 0
    while shown.verdict.kind is not VerdictKind.FAIL:
        shown.tick((25, 1), (475, 0))
        sent += 1
        assert sent <= 2 * more
    assert sent >= more / 3


def test_what_both_versions_suffer_is_no_evidence_but_a_breach_that_is_shared() -> None:
    shown = Shown(errors())
    shown.healthy(50)
    for _ in range(30):
        shown.tick((25, 5), (475, 95))
    assert shown.verdict.kind is VerdictKind.INCONCLUSIVE
    assert shown.verdict.shared
    assert "but hardly more often than on the baseline" in shown.verdict.reason
    assert shown.healthy(200).kind is VerdictKind.PASS


@pytest.mark.parametrize(
    ("candidate", "baseline", "told"),
    [
        ((0, 0), (475, 2), "no answers yet: a verdict needs 20"),
        ((1, 0), (475, 2), "of the 20 answers that a verdict needs"),
        ((25, 0), (0, 0), "no answers of the baseline to compare with"),
    ],
)
def test_without_enough_to_compare_nothing_passes(
    candidate: tuple[float, float], baseline: tuple[float, float], told: str
) -> None:
    shown = Shown(errors())
    verdict = [shown.tick(candidate, baseline) for _ in range(5)][-1]
    assert verdict.kind is VerdictKind.INCONCLUSIVE
    assert told in verdict.reason
    assert verdict.numbers.evidence == pytest.approx(1.0, abs=0.2)


def test_much_evidence_that_is_not_enough_holds_the_pass_back() -> None:
    shown = Shown(errors())
    shown.healthy(50)
    while (evidence := shown.verdict.numbers.evidence) is not None and evidence < 20:
        shown.tick((25, 2), (475, 2))
    assert shown.verdict.kind in {VerdictKind.INCONCLUSIVE, VerdictKind.FAIL}
    if shown.verdict.kind is VerdictKind.INCONCLUSIVE:
        assert shown.verdict.reason.startswith("too much evidence to go on: ")


def test_while_blind_nothing_changes_and_what_was_missed_comes_with_the_next_tick() -> None:
    whole, blind = Shown(errors()), Shown(errors())
    for shown in (whole, blind):
        shown.healthy(20)
    assert blind.tick((0, 0), (0, 0), blind="Prometheus is down").kind is VerdictKind.BLIND
    assert blind.verdict.numbers.evidence == whole.verdict.numbers.evidence
    blind.tick((50, 1), (950, 5))
    whole.tick((50, 1), (950, 5))
    assert blind.verdict.numbers.evidence == pytest.approx(whole.verdict.numbers.evidence, rel=0.01)


def test_what_was_learnt_at_one_step_still_counts_at_the_next() -> None:
    shown = Shown(errors())
    shown.healthy(50)
    for _ in range(8):
        shown.tick((25, 1), (475, 2))
    before = shown.dossier.evidence
    assert before > 1.3
    shown.dossier.begin(UserSets.of_share(10), ANCHOR + 1000)
    following = Shown(errors(), shown.dossier, start=200)
    assert following.verdict.numbers.seen == 0
    assert following.dossier.evidence == pytest.approx(before, rel=0.5)


@pytest.mark.parametrize("following", [UserSets.of_share(10), UserSets(100, 0)], ids=["step", "bake"])
def test_what_the_last_ticks_of_a_step_found_is_told_with_its_counts_by_whoever_comes_next(following: UserSets) -> None:
    shown, ticks = Shown(errors()), 50
    shown.healthy(ticks)
    while shown.dossier.evidence < 100:
        shown.tick((25, 12), (475, 2))
        ticks += 1
    shown.dossier.begin(following, ANCHOR + 1000)
    verdict = Shown(errors(), shown.dossier, start=200).verdict
    assert verdict.kind is VerdictKind.FAIL
    assert verdict.numbers.seen == 0
    assert f" of {25 * ticks:,} answers (" in verdict.reason
    assert " failed since before the step's anchor; baseline 0." in verdict.reason


def test_steps_that_found_nothing_are_not_among_the_counts_of_a_verdict() -> None:
    shown = Shown(errors())
    assert shown.healthy(200).kind is VerdictKind.PASS
    assert shown.dossier.evidence < 1
    shown.dossier.begin(UserSets.of_share(10), ANCHOR + 1000)
    following, ticks = Shown(errors(), shown.dossier, start=201), 0
    while following.verdict.kind is not VerdictKind.FAIL:
        following.tick((50, 24), (450, 2))
        ticks += 1
    told = f"clearly worse than the baseline: {24 * ticks} of {50 * ticks} answers (48.0 %) failed; baseline 0.4 %; "
    assert following.verdict.reason.startswith(told)


def test_a_step_that_settles_adds_nothing_of_what_cold_caches_explain() -> None:
    shown = Shown(errors(), listening=True)
    for _ in range(10):
        shown.tick((25, 20), (475, 2))
    assert shown.verdict.kind is not VerdictKind.FAIL
    assert shown.dossier.evidence == 1.0


def test_every_day_of_a_long_ramp_starts_with_evidence_of_one() -> None:
    check = errors()
    dossier = begun(check)
    jury = check.judge("green", 0, dossier)
    random = np.random.default_rng(3)
    lowest = []
    for index in range(3 * 288 + 1):
        candidate, baseline = ArmCounts(1500, random.poisson(6)), ArmCounts(28500, random.poisson(142))
        verdict = jury.observe(CheckTick(index, ANCHOR + 300 * index, candidate, baseline))
        if index % 288 == 287:
            lowest.append(verdict.numbers.evidence)
        if index % 288 == 2 and index > 288:
            assert verdict.numbers.evidence == pytest.approx(1.0, abs=0.35)
    assert max(value for value in lowest if value is not None) < 0.5


def slow(share: float, n: float = 1000) -> EdgeCounts:
    """A distribution with this share above 2 s, and more and more above smaller edges."""
    return EdgeCounts(n, {0.5: 0.5 * n, 0.8: 0.25 * n, 1.0: 0.1 * n, 1.25: 0.05 * n, 1.6: 0.01 * n, 2.0: share * n})


def timed(judges: tuple[JudgeName, ...] = ALONE) -> Check:
    noise = TIMES.cautious
    return latency(rule=RULE).model_copy(update={"judges": judges, "sequential": rule(noise), "ladder": None})


def test_a_whole_distribution_that_is_slower_is_found_below_the_limit() -> None:
    check = timed()
    dossier = begun(check)
    jury = check.judge("green", 0, dossier)
    before = slow(0.002, 100_000)
    verdicts = []
    for index in range(60):
        good = slow(0.002, 475)
        bad = EdgeCounts(25, {edge: min(25, 2 * above * 25 / 475) for edge, above in good.above.items()})
        tick = CheckTick(
            index,
            ANCHOR + 15 * index,
            ArmCounts(25, bad.above[2.0]),
            ArmCounts(475, good.above[2.0]),
            candidate_edges=bad,
            baseline_edges=good,
            baseline_before=before,
        )
        verdicts.append(jury.observe(tick))
    assert verdicts[-1].kind is VerdictKind.FAIL
    assert "slower than 0." in verdicts[-1].reason or "slower than 1" in verdicts[-1].reason
    assert all(verdict.numbers.rate is None or verdict.numbers.rate < 0.01 for verdict in verdicts)


@pytest.mark.parametrize("missing", [0.5, 1.6])
def test_an_edge_that_one_arm_loses_says_nothing_and_disturbs_nothing(missing: float) -> None:
    check = timed()
    dossier = begun(check)
    jury = check.judge("green", 0, dossier)
    for index in range(20):
        good, bad = slow(0.002, 475), slow(0.002, 25)
        if index > 5:
            bad = EdgeCounts(bad.n, {edge: above for edge, above in bad.above.items() if edge != missing})
        tick = CheckTick(
            index,
            ANCHOR + 15 * index,
            ArmCounts(25, 0),
            ArmCounts(475, 1),
            candidate_edges=bad,
            baseline_edges=good,
            baseline_before=slow(0.002, 100_000),
        )
        assert jury.observe(tick).kind is not VerdictKind.FAIL
    assert math.isfinite(dossier.evidence)


def test_a_service_without_a_history_is_compared_at_its_limit_alone() -> None:
    check = timed()
    dossier = begun(check)
    check.judge("green", 0, dossier).observe(CheckTick(0, ANCHOR))
    finding = dossier.finding()
    assert finding is not None
    assert finding.edge == 2.0


@pytest.mark.parametrize("value", [0.0, 1.0, 1e9, -3.0, math.nan, math.inf])
def test_no_count_upsets_the_judge(value: float) -> None:
    shown = Shown(errors())
    shown.healthy(20)
    for other in (0.0, 1.0, 1e9, math.nan):
        verdict = shown.tick((25, min(value, 25)), (other, other))
        assert math.isfinite(shown.dossier.evidence)
        assert verdict.kind is not VerdictKind.FAIL or value >= 25


def test_the_worst_of_several_judges_speaks_and_the_evidence_is_always_told() -> None:
    shown = Shown(errors(BOTH))
    verdict = shown.healthy(200)
    assert verdict.kind is VerdictKind.PASS
    assert verdict.judge == "threshold"
    assert verdict.reason.endswith(", a rollback needs 100")
    assert verdict.numbers.evidence is not None
    while shown.verdict.kind is not VerdictKind.FAIL:
        shown.tick((25, 12), (475, 2))
    assert shown.verdict.judge == "sequential"


@pytest.mark.parametrize("brief", [False, True])
def test_a_fail_has_all_of_its_numbers_whichever_judge_fails_first(brief: bool) -> None:
    """A record that holds fewer could not be told from one that was changed."""
    shown = Shown(errors(BOTH, weight=1e-30))
    shown.healthy(20)
    while shown.verdict.kind is not VerdictKind.FAIL:
        shown.jury.brief = brief
        shown.tick((25, 4), (475, 2))
    verdict = shown.verdict
    assert verdict.judge == "threshold"
    assert verdict.numbers.ratio is not None
    assert verdict.numbers.risks
    assert shown.jury.restate() == verdict


def test_no_risk_is_larger_than_that_every_answer_is_bad() -> None:
    shown = Shown(errors(BOTH))
    shown.tick((25, 25), (475, 475))
    risks = shown.jury.restate().numbers.risks
    assert [base for _, base in risks] == [1.0] * len(risks) != []


def test_the_relative_judge_needs_no_limit_and_takes_incidents_for_what_they_are() -> None:
    check = gateway_errors(rule=RULE).model_copy(update={"judges": (JudgeName.RELATIVE,)})
    shown = Shown(check)
    for _ in range(20):
        assert shown.tick((100, 30), (100, 30)).kind is not VerdictKind.FAIL
    assert shown.verdict.kind is VerdictKind.PASS
    for _ in range(6):
        shown.tick((100, 2), (1000, 12))
    assert shown.verdict.kind is VerdictKind.INCONCLUSIVE or shown.verdict.kind is VerdictKind.PASS
    for _ in range(6):
        shown.tick((500, 40), (1000, 4))
    assert shown.verdict.kind is VerdictKind.FAIL
    assert shown.verdict.judge == "relative"
    assert "failed more than 1.5 times as often as on the baseline" in shown.verdict.reason


def test_the_relative_judge_passes_nothing_without_a_baseline() -> None:
    check = gateway_errors(rule=RULE).model_copy(update={"judges": (JudgeName.RELATIVE,)})
    shown = Shown(check)
    for _ in range(20):
        verdict = shown.tick((100, 0), (0, 0))
    assert verdict.kind is VerdictKind.INCONCLUSIVE
    assert "no answers of the baseline to compare with" in verdict.reason
