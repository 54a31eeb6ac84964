"""Sequential checks together in a book: their evidence is added up, whoever was late, rebuilt or filed."""

import math
from collections.abc import Iterable

from evidence_samples import BLUE, GREEN, GRID, RULE, reading, rebuild, sample
from sequential_samples import ALONE, begun, errors, rule

from tailramp.evidence import CheckBook, Reading, Verdict, VerdictKind
from tailramp.evidence.checks import Check
from tailramp.evidence.sequential.combination import JointEvidence
from tailramp.evidence.usual_checks import toxicity


def readings(count: int, toxic: float, failed: float) -> Iterable[Reading]:
    """Counters of both slots, every 5 s: candidate with 5/s, and the baseline, which is healthy."""
    checks = two_checks()
    for index in range(count):
        answers = {}
        for slot, per_tick, bad in ((GREEN, 25, (failed, toxic)), (BLUE, 475, (0.005 * 475, 0.01 * 475))):
            for check, rate in zip(checks, bad, strict=True):
                queries = check.queries(slot)
                answers[queries["total"]] = [sample(per_tick * index, slot=slot.slot)]
                answers[queries["bad"]] = [sample(math.floor(rate * index), slot=slot.slot)]
        yield reading(GRID.time(index), answers)


def two_checks() -> list[Check]:
    second = toxicity(rule=RULE).model_copy(update={"judges": ALONE, "sequential": rule(weight=0.5)})
    return [errors(weight=0.5), second]


def book() -> CheckBook:
    checks = two_checks()
    dossiers = {("green", check.name): begun(check) for check in checks}
    return CheckBook(checks, [GREEN], BLUE, GRID, run_up=0, dossiers=dossiers)


def first_fail(checks: CheckBook, shown: Iterable[Reading]) -> tuple[int, Verdict] | None:
    for number, one in enumerate(shown):
        verdicts = checks.observe(one)
        failed = [verdict for verdict in verdicts if verdict.kind is VerdictKind.FAIL]
        if failed:
            return number, failed[0]
    return None


def test_the_evidence_of_all_checks_is_added_up() -> None:
    found = first_fail(book(), readings(400, toxic=0.65, failed=0.36))
    assert found is not None
    _, verdict = found
    assert "evidence of all checks together" in verdict.reason


def test_a_healthy_candidate_of_two_checks_passes() -> None:
    checks = book()
    assert first_fail(checks, readings(400, toxic=0.25, failed=0.12)) is None
    assert {verdict.kind for verdict in checks.verdicts} == {VerdictKind.PASS}


def test_a_book_that_was_rebuilt_says_the_same_as_one_that_never_died() -> None:
    shown = list(readings(400, toxic=0.65, failed=0.36))
    straight = first_fail(book(), shown)
    assert straight is not None
    rebuilt = book()
    rebuild(rebuilt, shown[: straight[0]])
    assert rebuilt.observe(shown[straight[0]])[1] == straight[1] or straight[1] in rebuilt.verdicts


def test_what_is_said_together_does_not_depend_on_who_was_late() -> None:
    together, late = JointEvidence(["a", "b"]), JointEvidence(["a", "b"])
    said = []
    for tick in range(3):
        together.tell("a", tick, 1.0 + tick)
        together.tell("b", tick, 2.0)
        said += together.due()
        late.tell("a", tick, 1.0 + tick)
        assert late.due() == []
    found = []
    for tick in range(3):
        late.tell("b", tick, 2.0)
        found += late.due()
    assert found == said == [{"a": 1.0 + tick, "b": 2.0} for tick in range(3)]


def test_a_stretch_that_is_over_fills_the_dossier_as_if_it_were_the_present() -> None:
    shown = list(readings(100, toxic=0.3, failed=0.2))
    checks = two_checks()
    live, filed = ({("green", check.name): begun(check) for check in checks} for _ in range(2))
    first = CheckBook(checks, [GREEN], BLUE, GRID, run_up=0, dossiers=live)
    second = CheckBook(checks, [GREEN], BLUE, GRID, run_up=0, dossiers=filed, filing=True)
    for one in shown:
        first.observe(one)
        second.observe(one)
    for key, dossier in live.items():
        assert filed[key].evidence == dossier.evidence
