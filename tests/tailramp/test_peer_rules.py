"""Other tools' rules, as their descriptions say: when each would have rolled back."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from replay_samples import START, bound, counted, policy

from tailramp.peer_rules import ArgoStyle, Edges, FlaggerStyle, KayentaStyle, Limit, PeerRule, PlainThreshold
from tailramp.replay.comparing import compare
from tailramp.replay.course import play
from tailramp.replay.plots import plot
from tailramp.replay.ticks import counted as counted_ticks

LIMITS = [Limit(0, 0.05)]


def alarm(rule: PeerRule, bad: list[float], every: float = 60.0, n: float = 100) -> int | None:
    """The look, counted from 1, at which the rule rolls back."""
    for look, share in enumerate(bad, start=1):
        counts = np.array([n, share * n, 10 * n, 0.01 * 10 * n]).reshape(4, 1, 1)
        rule.observe(counts, every)
        if rule.alarmed[0]:
            return look
    return None


def test_a_plain_threshold_wants_three_in_a_row() -> None:
    def rule() -> PlainThreshold:
        return PlainThreshold(1, LIMITS, 60, 60)

    assert alarm(rule(), [0.1, 0.1, 0.1]) == 3
    assert alarm(rule(), [0.1, 0.1, 0.0, 0.1, 0.1, 0.0]) is None
    assert alarm(PlainThreshold(1, [Limit(0, 0.05, least=500)], 60, 60), [0.1] * 9) is None


def test_argo_style_fails_at_the_fourth_failure_however_long_that_takes() -> None:
    bad = [0.1, 0.0, 0.0] * 9
    assert alarm(ArgoStyle(1, LIMITS), bad, every=300) == 10
    assert alarm(ArgoStyle(1, LIMITS), [0.0] * 99, every=300) is None


def test_flagger_style_rolls_back_one_look_after_the_fifth_failure_and_no_data_is_one() -> None:
    assert alarm(FlaggerStyle(1, LIMITS), [0.1, 0.0] * 6) == 10
    assert alarm(FlaggerStyle(1, LIMITS), [0.0] * 9, n=0) == 6


def test_kayenta_style_compares_an_hour_of_minutes() -> None:
    noise = np.random.default_rng(1).uniform(0.9, 1.1, 120)
    assert alarm(KayentaStyle(1, [], [0]), [0.02 * float(part) for part in noise]) == 60
    assert alarm(KayentaStyle(1, [], [0]), [0.01 * float(part) for part in noise]) is None


def test_kayenta_style_reads_the_p99_out_of_a_histogram() -> None:
    rule = KayentaStyle(1, [Edges((0, 1, 2), (1.0, 2.0, 4.0))], [])
    for _ in range(60):
        window = np.empty((4, 1, 3))
        window[[0, 2]] = 1000.0
        window[1, 0], window[3, 0] = (100, 30, 4), (30, 5, 1)
        rule.observe(window, 60.0)
    assert rule.alarmed[0]


def test_the_same_counts_are_shown_to_every_rule_of_a_comparison(tmp_path: Path) -> None:
    spec, plan = policy(tmp_path)
    source = bound(spec, plan, counted(80, slow=6, onset=30))
    found = compare(counted_ticks(spec, plan, source), 15)
    assert [one.rule.split()[0] for one in found] == ["plain", "plain", "Argo", "Flagger", "Kayenta"]
    assert all(one.slot == "green" for one in found)
    by_name = {one.rule.split()[0]: one.at for one in found}
    assert by_name["Argo"] is not None
    # The fourth bad five minutes after half an hour, if none was bad by chance before.
    assert by_name["Argo"] - START <= 50 * 60
    healthy = bound(spec, plan, counted(10))
    assert all(one.at is None for one in compare(counted_ticks(spec, plan, healthy), 15) if one.rule.startswith("Arg"))


@pytest.mark.parametrize("minutes", [2, 60])
def test_a_picture_of_each_metric_is_well_formed_and_shows_the_end(tmp_path: Path, minutes: int) -> None:
    spec, plan = policy(tmp_path)
    source = bound(spec, plan, counted(minutes, slow=6, onset=30))
    course = play(spec, plan, source)
    counts = counted_ticks(spec, plan, source)
    assert [one.check.name for one in counts] == ["errors", "latency", "toxicity"]
    for one in counts:
        text = plot(one, course)
        assert ElementTree.fromstring(text).tag.endswith("svg")  # noqa: S314 - made here
        assert "nan" not in text
        assert ("rolled back after" in text) is (minutes == 60)
