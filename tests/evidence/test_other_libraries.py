"""Special cases that public libraries of anytime-valid tests know, too: their numbers, kept in `tests/vectors`.

Neither library has a margin, a user effect or a change time, so what they share with the test here is the case without
these.  They are no dependency of the tests: one is new, the other brings a solver and a plotting library.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailramp.evidence.sequential.assignment_check import assignment_evidence
from tailramp.evidence.sequential.dispersion import Noise
from tailramp.evidence.sequential.grids import EFFECTS
from tailramp.evidence.sequential.process import ChangeTime, EvidenceProcess
from tailramp.evidence.sequential.user_sets import UserSets

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "anytime_tests.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", VECTORS["users"], ids=lambda case: f"{case['candidate']} of {case['share']:g}")
def test_the_division_of_users_has_the_e_values_of_savvi_and_ville(case: dict[str, Any]) -> None:
    evidence = assignment_evidence(case["candidate"], case["baseline"], case["share"])
    assert evidence == pytest.approx(case["savvi_e"], rel=1e-7)
    assert math.log(evidence) == pytest.approx(case["ville_log_e"], abs=1e-7)


@pytest.mark.parametrize("case", VECTORS["ratios"], ids=lambda case: f"{case['candidate_bad']} at {case['share']:g}")
def test_the_mixture_over_effects_is_that_of_villes_bernoulli_tests(case: dict[str, Any]) -> None:
    """Of the bad answers, each is the candidate's with a known probability: ville tests it against each effect's, by a
    Beta law narrow enough to be one point.
    """
    assert len(case["ville_log_e"]) == len(EFFECTS)
    share, at_start = case["share"], ChangeTime(at_start=1.0, at_move=0.0, over_day=0.0)
    process = EvidenceProcess(
        Noise.of(0.0, 0.0, 0.0), UserSets.of_share(100 * share), tolerance=case["tolerance"], change_time=at_start
    )
    n = 1e6
    counts = [n * share, case["candidate_bad"], n * (1 - share), case["baseline_bad"]]
    evidence = process.observe(np.array(counts)[:, None], 1.0)
    assert evidence[0] == pytest.approx(np.exp(case["ville_log_e"]).mean(), rel=1e-4)
