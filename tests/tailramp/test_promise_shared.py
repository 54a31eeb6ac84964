"""One promise, at most 1 % of healthy candidates taken back a day, is shared by judges, checks and candidates."""

from pathlib import Path

import pytest
from spec_samples import CANARY, PLATFORM, TWO_CANARIES, plan_of, spec_of, with_slot

from tailramp.checks import checks_by_slot
from tailramp.evidence.sequential.rule import SequentialRule

ALONE = "checks:\n  judges: [sequential]\n"


def rules(folder: Path, canary: str, platform: str) -> dict[str, dict[str, SequentialRule]]:
    spec = spec_of(folder, canary, platform)
    return {
        slot: {check.name: check.sequential for check in checks if check.sequential is not None}
        for slot, checks in checks_by_slot(spec, plan_of(spec)).items()
    }


@pytest.mark.parametrize(
    ("canary", "platform", "candidates", "alpha"),
    [
        (CANARY, PLATFORM.replace("checks:\n", ALONE, 1), 1, 0.01),
        (CANARY, PLATFORM, 1, 0.008),
        (TWO_CANARIES, with_slot("red"), 2, 0.004),
        (TWO_CANARIES, with_slot("red").replace("checks:\n", ALONE, 1), 2, 0.005),
    ],
)
def test_a_fifth_is_for_judges_that_promise_nothing_and_candidates_divide_the_rest(
    tmp_path: Path, canary: str, platform: str, candidates: int, alpha: float
) -> None:
    found = rules(tmp_path, canary, platform)
    assert len(found) == candidates
    for of_slot in found.values():
        assert [rule.alpha for rule in of_slot.values()] == pytest.approx([alpha] * len(of_slot))
        assert sum(rule.weight for rule in of_slot.values()) == pytest.approx(1.0)


def test_a_whole_distribution_weighs_as_much_as_two_ratios(tmp_path: Path) -> None:
    (found,) = rules(tmp_path, CANARY, PLATFORM).values()
    assert {name: rule.weight for name, rule in found.items()} == {"latency": 0.5, "errors": 0.25, "toxicity": 0.25}
