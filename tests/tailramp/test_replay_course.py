"""A whole ramp over kept counts: the decisions of a live one, at the ticks at which it would have come to them."""

import gc
from pathlib import Path
from typing import Any

import pytest
from replay_samples import EVERYONE, PLATFORM, START, bound, counted, played, policy

from tailramp.errors import WrongValue
from tailramp.evidence import VerdictKind
from tailramp.evidence.jury import Jury
from tailramp.evidence.verdicts import Saying
from tailramp.ramp import Block, Phase, WatchOutcome
from tailramp.replay import course as course_module
from tailramp.replay import windows as windows_module
from tailramp.replay.assertions import Assertion
from tailramp.replay.course import play

EVIDENCE = PLATFORM.replace("  hold: 10m\n", "  hold: 10m\n  advance: evidence\n")


def test_a_healthy_candidate_is_promoted_after_its_holds_and_settling(tmp_path: Path) -> None:
    course = played(tmp_path, counted(90))
    assert course.state.phase is Phase.SUCCEEDED
    assert course.promoted_at is not None
    # Three holds of 10, 10 and 20 minutes, and a window of a minute to settle before each.
    assert course.promoted_at - START == pytest.approx(43 * 60, abs=60)
    outcomes = [one.outcome.kind for one in course.decided if one.outcome is not None]
    assert outcomes.count(WatchOutcome.SETTLED) == 3
    assert outcomes.count(WatchOutcome.PASSED) == 4


def test_a_slow_candidate_is_rolled_back_soon_after_it_became_slow(tmp_path: Path) -> None:
    course = played(tmp_path, counted(60, slow=6, onset=30))
    assert (course.state.phase, course.state.stop) == (Phase.ROLLED_BACK, "unhealthy")
    assert course.rolled_back_at is not None
    assert 30 * 60 < course.rolled_back_at - START < 36 * 60
    assert course.failed_checks == ("latency",)
    (failed,) = [verdict for verdict in course.decided[-1].verdicts if verdict.kind is VerdictKind.FAIL]
    assert failed.at == course.rolled_back_at
    assert failed.numbers.ratio is not None


def test_ticks_that_are_made_ready_together_are_judged_as_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = [played(tmp_path, counted(90)), played(tmp_path, counted(60, slow=6, onset=30))]
    monkeypatch.setattr(windows_module, "_AT_ONCE", 1)
    assert together == [played(tmp_path, counted(90)), played(tmp_path, counted(60, slow=6, onset=30))]


def test_an_incident_of_both_holds_the_ramp_and_blames_nobody(tmp_path: Path) -> None:
    course = played(tmp_path, counted(60, slow=6, onset=5, both=True))
    assert course.rolled_back_at is None
    assert course.promoted_at is None
    assert Block.SHARED_INCIDENT in {block for one in course.decided for block in one.after.blocked_by}


def test_without_automatic_rollback_it_pauses_and_waits_for_a_person(tmp_path: Path) -> None:
    canary = EVERYONE.replace("autoRollback: true", "autoRollback: false")
    course = played(tmp_path, counted(60, slow=6, onset=5), canary)
    assert course.rolled_back_at is None
    assert course.state.paused
    assert course.state.tolerated == {"green"}


def test_an_approval_is_taken_for_granted_and_said(tmp_path: Path) -> None:
    platform = PLATFORM.replace("{share: 25%, hold: 20m}", "{share: 25%, hold: 5m, approval: true}")
    course = played(tmp_path, counted(90), platform=platform)
    assert [one.approved for one in course.decided].count(True) == 1
    assert course.state.phase is Phase.SUCCEEDED


def test_a_ramp_by_evidence_grows_as_far_as_the_counted_users_can_tell(tmp_path: Path) -> None:
    course = played(tmp_path, counted(90), platform=EVIDENCE)
    passed = [one.after.step for one in course.decided if one.outcome and one.outcome.kind is WatchOutcome.PASSED]
    assert passed == [2]
    assert course.promoted_at is None  # 5 % of the users rule out too little for everyone


def test_what_was_seen_is_not_kept_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``start --observe`` may wait at one step for weeks."""
    monkeypatch.setattr(course_module, "_SEEN_SECONDS", 600)
    canary = EVERYONE.replace("00-99", "00-04")
    spec, plan = policy(tmp_path, canary)
    kept = []

    def count(at: int) -> None:
        if (at - START) % 1800 == 0:
            kept.append(sum(isinstance(one, Saying) for one in gc.get_objects()))

    course = play(spec, plan, bound(spec, plan, counted(150)), told=count)
    assert course.state.phase is Phase.HOLDING
    assert kept[-1] <= kept[1] + 20


def test_what_is_carried_on_is_what_a_live_ramp_rebuilds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def verdicts(lines: Any) -> list[Any]:
        return [(one.at, one.verdicts) for one in played(tmp_path, lines).decided]

    carried = verdicts(counted(60, slow=2.5, onset=30))
    original = course_module._Playing._remember

    def rebuild(self: Any, request: Any, known: Any) -> None:
        original(self, request, None)

    monkeypatch.setattr(course_module._Playing, "_remember", rebuild)
    assert verdicts(counted(60, slow=2.5, onset=30)) == carried


def test_brief_verdicts_are_those_in_full_but_for_the_intervals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brief = played(tmp_path, counted(50, slow=2.5, onset=30))
    monkeypatch.setattr(Jury, "brief", property(lambda _: False, lambda _, __: None))
    full = played(tmp_path, counted(50, slow=2.5, onset=30))
    assert [(one.at, one.verdicts) for one in brief.decided] == [(one.at, one.verdicts) for one in full.decided]
    assert brief.verdicts == full.verdicts


def test_counts_that_end_early_leave_the_ramp_where_it_is(tmp_path: Path) -> None:
    course = played(tmp_path, counted(15))
    assert (course.state.phase, course.state.step) == (Phase.HOLDING, 2)
    assert (course.promoted_at, course.rolled_back_at) == (None, None)


def test_wider_windows_than_ticks_make_wider_ticks(tmp_path: Path) -> None:
    course = played(tmp_path, counted(90, every=60))
    assert course.state.phase is Phase.SUCCEEDED
    assert course.ticks < 90


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("rolled-back", True),
        ("rolled-back before 40m", True),
        ("rolled-back before 10m", False),
        ("rolled-back after 30m", True),
        ("rolled-back by latency", True),
        ("rolled-back by errors", False),
        ("not rolled-back by errors", True),
        ("not rolled-back", False),
        ("promoted", False),
        ("not promoted", True),
        ("not blocked", True),
    ],
)
def test_an_assertion_says_whether_it_holds(tmp_path: Path, text: str, holds: bool) -> None:
    course = played(tmp_path, counted(50, slow=6, onset=30))
    failure = Assertion.parse(text).failure(course)
    assert (failure is None) is holds, failure


@pytest.mark.parametrize(
    "text", ["", "won", "promoted by latency", "rolled-back before", "rolled-back before ten", "回滚"]
)
def test_what_says_nothing_about_a_ramp_is_no_assertion(text: str) -> None:
    with pytest.raises(WrongValue):
        Assertion.parse(text)


def test_the_policy_may_be_another_than_the_one_that_served(tmp_path: Path) -> None:
    """The same counts under a stricter limit."""
    strict = EVERYONE.replace("2000ms", "1000ms")
    spec, plan = policy(tmp_path, strict)
    course = play(spec, plan, bound(spec, plan, counted(60)))
    assert course.promoted_at is None
