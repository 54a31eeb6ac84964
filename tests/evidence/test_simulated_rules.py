"""The rules of the simulation are the ones that guard a ramp: the same alarms from the same counts."""

import numpy as np
import pytest

from bench.evidence.days_before import day_before
from bench.evidence.healthy import interval
from bench.evidence.own_rules import SHIPPED_THRESHOLD, RepairedThreshold
from bench.evidence.traffic import ERRORS, METRICS, N2, REGRESSIONS, TICK, Traffic
from tailramp.evidence import ArmCounts, CheckTick, ThresholdJudge, VerdictKind
from tailramp.evidence.wording import Wording

RUNS = 6
WORDS = Wording(breach="too many", unit="answers", bad="bad")


def test_the_simulated_threshold_rule_fails_at_the_ticks_at_which_the_judge_does() -> None:
    for share, regression in ((5.0, "X6"), (50.0, "L30"), (50.0, "TAIL")):
        traffic = Traffic(RUNS, 60, N2, 1, REGRESSIONS[regression])
        traffic.serve(np.full(RUNS, share))
        simulated = RepairedThreshold(RUNS, SHIPPED_THRESHOLD)
        judges = [
            [
                ThresholdJudge(SHIPPED_THRESHOLD, limit=float(limit), check="c", slot="green", words=WORDS)
                for limit in RepairedThreshold.limits
            ]
            for _ in range(RUNS)
        ]
        for row in judges:
            for judge in row:
                judge.observe(CheckTick(index=0, at=0))
        for index in range(1, 200):
            counts = traffic.step()
            simulated.observe(counts, TICK)
            failed = []
            for run, row in enumerate(judges):
                kinds = []
                for judge, metric in zip(row, RepairedThreshold.metrics, strict=True):
                    n_c, x_c, n_b, x_b = counts[:, run, metric]
                    tick = CheckTick(
                        index=index, at=round(index * TICK), candidate=ArmCounts(n_c, x_c), baseline=ArmCounts(n_b, x_b)
                    )
                    kinds.append(judge.observe(tick).kind)
                failed.append(VerdictKind.FAIL in kinds)
            assert failed == simulated.alarmed.tolist()
        assert any(simulated.alarmed)


def test_the_day_before_shows_the_users_and_nothing_else() -> None:
    traffic = Traffic(3, 100.0, N2, 5)
    windows = day_before(traffic, 5.0, 1.0)
    assert windows.shape == (288, 4, 3, METRICS)
    n_c, x_c, n_b, x_b = windows[..., ERRORS].sum(axis=0)
    expected = np.exp(traffic.users[:, :5, 1]).mean(axis=1) / np.exp(traffic.users[:, 5:, 1]).mean(axis=1)
    assert (x_c / n_c) / (x_b / n_b) == pytest.approx(expected, rel=0.15)


def test_an_interval_of_a_rate_has_the_ends_that_are_known_in_closed_form() -> None:
    low, high = interval(0, 300)
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / 300))
    low, high = interval(40, 40)
    assert low == pytest.approx(0.025 ** (1 / 40))
    assert high == 1
    low, high = interval(1, 2)
    assert (low, high) == pytest.approx((1 - 0.975**0.5, 0.975**0.5))
