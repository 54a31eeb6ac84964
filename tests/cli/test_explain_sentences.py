"""What ``explain`` says of each check: what is counted, against which limit, and how near to it that is."""

from __future__ import annotations

import pytest

from cli.explain_command import _what_fails
from cli.language.zh import translator
from cli.watch.scene import CheckRow
from tailramp.evidence import (
    Check,
    Numbers,
    Source,
    ThresholdRule,
    Verdict,
    VerdictKind,
    gateway_errors,
    hanging,
    latency,
    toxicity,
)
from tailramp.evidence.judge import JudgeName
from tailramp.presets.model import InFlight

RULE = ThresholdRule(min_sample=100, floor=500, consecutive=3)
CHECKS = [
    latency(2.0, RULE),
    gateway_errors(0.05, RULE),
    toxicity(0.05, RULE),
    hanging(300, RULE, InFlight("active{match}", "ended{match}"), Source.SERVER),
]
BACK = "takes everyone back"


def row(check: Check, judge: JudgeName = JudgeName.THRESHOLD, **numbers: object) -> CheckRow:
    counted = Numbers.model_validate({"needed": 3, **numbers})
    verdict = Verdict(
        kind=VerdictKind.PASS, check=check.name, slot="green", judge=judge, reason="fine", numbers=counted
    )
    return CheckRow("green", check.name, verdict, check.model_copy(update={"judges": (judge,)}))


@pytest.mark.parametrize(
    ("check", "share"),
    [
        (CHECKS[0], "the share of answers slower than 2 s is above 1 %"),
        (CHECKS[1], "the share of failed answers is above 5 %"),
        (CHECKS[2], "the share of toxic scored answers is above 5 %"),
        (CHECKS[3], "the share of hanging requests is above 5 %"),
    ],
)
def test_a_limit_says_of_what_it_is_the_largest_share(check: Check, share: str) -> None:
    (said,) = _what_fails(row(check, rate=0.004, n=1240, seen=1240), BACK)
    assert said == (
        f"{check.name} takes everyone back once {share} in 3 windows in a row: now 0.4 % of 1,240 {check.unit}"
    )


def test_what_is_missing_and_what_is_bad_already_is_said_in_numbers_with_their_unit() -> None:
    (few,) = _what_fails(row(CHECKS[0], rate=1.0, n=4, seen=4), BACK)
    assert few.endswith(": now 100.0 % of 4 answers; 496 more answers are needed for a verdict")
    (bad,) = _what_fails(row(CHECKS[0], rate=0.33, n=112, seen=700, streak=1), BACK)
    assert bad.endswith(": now 33.0 % of 112 answers in 1 of 3 windows")
    (none,) = _what_fails(row(CHECKS[0]), BACK)
    assert none.endswith(": no answers are counted yet")


def test_every_judge_of_a_check_is_told() -> None:
    (relative,) = _what_fails(row(CHECKS[0], JudgeName.RELATIVE, rate=0.02, n=600, seen=600), BACK)
    assert "answers slower than 2 s are more than 1.5 times as frequent as on the baseline in 3 windows" in relative
    numbers = {"evidence": 1.25, "evidence_needed": 100.0}
    (evidence,) = _what_fails(row(CHECKS[0], JudgeName.SEQUENTIAL, **numbers), BACK)
    assert evidence == (
        "latency takes everyone back once the evidence that it is worse than on the baseline reaches 100: now 1.2"
    )
    both = row(CHECKS[0]).check
    assert both is not None
    check = both.model_copy(update={"judges": (JudgeName.THRESHOLD, JudgeName.SEQUENTIAL)})
    assert len(_what_fails(CheckRow("green", "latency", row(both).verdict, check), BACK)) == 2


@pytest.mark.parametrize("goes", [BACK, "takes the users of green back", "pauses the ramp and waits for a person"])
@pytest.mark.parametrize("judge", list(JudgeName))
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_all_of_it_is_said_in_chinese(check: Check, judge: JudgeName, goes: str) -> None:
    say = translator()
    known = {"rate": 0.33, "n": 112, "seen": 112, "streak": 1, "evidence": 2e6, "evidence_needed": 100}
    sentences = [*_what_fails(row(check, judge), goes), *_what_fails(row(check, judge, **known), goes)]
    assert [sentence for sentence in sentences if say.find(sentence) is None] == []


def test_a_check_in_own_words_is_said_with_them() -> None:
    own = CHECKS[0].model_copy(update={"name": "refusals", "bad_is": "refused"})
    (said,) = _what_fails(row(own, rate=0.004, n=1240, seen=1240), BACK)
    assert "the share of refused answers is above 1 %" in said
    told = translator().find(said)
    assert told is not None
    assert "refused answers" in told
