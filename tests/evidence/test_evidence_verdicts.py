from itertools import permutations

from tailramp.evidence import Combination, Verdict, VerdictKind, combine


def verdict(kind: VerdictKind, *, shared: bool = False) -> Verdict:
    return Verdict(kind=kind, check="latency", slot="green", judge="threshold", reason=f"because {kind}", shared=shared)


def test_the_worst_verdict_decides_and_all_are_kept() -> None:
    order = [VerdictKind.FAIL, VerdictKind.BLIND, VerdictKind.INCONCLUSIVE, VerdictKind.PASS]
    for start in range(4):
        for kinds in permutations(order[start:]):
            combined = combine(verdict(kind) for kind in kinds)
            assert combined.kind is order[start]
            assert [one.kind for one in combined.verdicts] == list(kinds)
            assert combined.reason == f"because {order[start]}"


def test_all_reasons_of_the_deciding_kind_are_told() -> None:
    combined = combine([verdict(VerdictKind.FAIL), verdict(VerdictKind.PASS), verdict(VerdictKind.FAIL)])
    assert combined.reason == "because FAIL; because FAIL"
    assert len(combined.deciding) == 2


def test_nothing_judged_is_not_a_pass() -> None:
    assert combine([]).kind is VerdictKind.INCONCLUSIVE


def test_a_shared_breach_is_seen_in_the_combination() -> None:
    assert combine([verdict(VerdictKind.PASS), verdict(VerdictKind.INCONCLUSIVE, shared=True)]).shared


def test_a_combination_survives_json() -> None:
    combined = combine([verdict(VerdictKind.FAIL), verdict(VerdictKind.BLIND)])
    assert Combination.model_validate_json(combined.model_dump_json()) == combined
