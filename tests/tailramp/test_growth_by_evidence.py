"""A ramp that grows by evidence: how far it may go, when it waits, and when it asks a person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tailramp import ramp
from tailramp.activity_contract import WatchRequest
from tailramp.buckets import BucketSet
from tailramp.evidence import Numbers, Verdict, VerdictKind
from tailramp.evidence.sequential.growth import harm, largest_share
from tailramp.plan import Plan, Step
from tailramp.ramp import Interval, Phase, RampState, WatchMode, WatchOutcome
from tailramp.spec import RampSpec
from tailramp.watching import Outcome, Watching

ANCHOR, TICK, DWELL, LONGEST = 1_760_000_000, 15, 300, 6 * 3600
SHARES = (0.01, 0.05, 0.1, 0.25, 0.5)
EVERYTHING_POSSIBLE, HARDLY_WORSE = (16.0, 0.01), (1.2, 0.01)


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(ANCHOR + at, UTC)


def by_evidence(spec: RampSpec) -> RampSpec:
    policy = spec.platform.ramp.model_copy(update={"advance": "evidence"})
    return spec.model_copy(update={"platform": spec.platform.model_copy(update={"ramp": policy})})


def said(
    *risks: tuple[float, float], kind: VerdictKind = VerdictKind.PASS, check: str = "errors", slot: str = "green"
) -> list[Verdict]:
    numbers = Numbers(seen=5000, baseline_seen=95000, risks=risks)
    return [Verdict(kind=kind, check=check, slot=slot, judge="sequential", reason="told", numbers=numbers)]


def watching(spec: RampSpec, plan: Plan, step: int, **changes: object) -> Watching:
    request = WatchRequest(
        spec=by_evidence(spec),
        ramp="r1",
        plan=plan,
        epoch=4,
        mode=WatchMode.HOLD,
        assignment=plan.step(step).assignment,
        anchor=ANCHOR,
        held=(Interval(start=moment(0)),),
        hold=timedelta(seconds=LONGEST),
        segment=timedelta(hours=12),
    ).model_copy(update=changes)
    return Watching(request, moment(0))


def first_outcome(watch: Watching, verdicts: list[Verdict], last: int = LONGEST + 60) -> tuple[Outcome, int] | None:
    for at in range(0, last + 1, TICK):
        if outcome := watch.observe(ANCHOR + at, verdicts, frozenset()):
            return outcome, at
    return None


def test_harm_is_what_may_be_worse_times_what_is_usual_times_who_is_served() -> None:
    assert harm((2.0, 0.01), 0.5, 60) == pytest.approx(0.3)
    assert harm((0.5, 0.01), 0.5, 60) == 0.0


def test_the_largest_share_within_the_budget_of_every_risk_is_chosen() -> None:
    def chosen(*risks: tuple[float, float], now: float = 0.01) -> float:
        return largest_share(SHARES, now, risks, budget=0.3, reaction=60)

    assert chosen((2.0, 0.01)) == 0.05  # at most five times what it is
    assert chosen((2.0, 0.01), now=0.1) == 0.5
    assert chosen((3.0, 0.01), now=0.1) == 0.25
    assert chosen((2.0, 0.01), (16.0, 0.01), now=0.01) == 0.01
    assert chosen((16.0, 0.0)) == 0.05


def test_a_step_ends_when_the_next_one_risks_little_enough_and_not_before_its_dwell(
    full_spec: RampSpec, promoting: Plan
) -> None:
    found = first_outcome(watching(full_spec, promoting, 1), said(HARDLY_WORSE))
    assert found is not None
    outcome, at = found
    assert (outcome.kind, at) == (WatchOutcome.PASSED, DWELL)
    assert outcome.next_step == 2


def test_steps_that_need_no_evidence_of_their_own_are_skipped(full_spec: RampSpec, promoting: Plan) -> None:
    found = first_outcome(watching(full_spec, promoting, 2), said(HARDLY_WORSE))
    assert found is not None
    assert found[0].next_step is not None
    assert promoting.step(found[0].next_step).share == 0.25
    state = RampState(phase=Phase.HOLDING, step=2, applied=promoting.step(2).assignment)
    after = ramp.watched(promoting, state, WatchOutcome.PASSED, moment(1), next_step=found[0].next_step)
    assert (after.phase, after.step) == (Phase.SHIFTING, found[0].next_step)


def test_a_step_that_ends_with_an_approval_is_never_skipped(full_spec: RampSpec, promoting: Plan) -> None:
    """5 %, 10 %, 25 %: the second may end with an approval."""
    rule = promoting.step(2).assignment.rules[0].model_copy(update={"buckets": BucketSet.parse("00-09")})
    tenth = promoting.step(2).assignment.model_copy(update={"rules": (rule,)})
    later = tuple(step.model_copy(update={"index": step.index + 1}) for step in promoting.steps[2:])
    for approval, expected in ((True, 0.1), (False, 0.25)):
        between = Step(index=3, assignment=tenth, hold=timedelta(minutes=5), approval=approval)
        plan = promoting.model_copy(update={"steps": (*promoting.steps[:2], between, *later)})
        found = first_outcome(watching(full_spec, plan, 2), said(HARDLY_WORSE))
        assert found is not None
        assert found[0].next_step is not None
        assert plan.step(found[0].next_step).share == expected


def test_everyone_needs_more_than_the_budget(full_spec: RampSpec, promoting: Plan) -> None:
    last = len(promoting.steps)
    found = first_outcome(watching(full_spec, promoting, last), said((1.4, 0.01)))
    assert found is not None
    assert (found[0].kind, found[0].next_step) == (WatchOutcome.PASSED, last + 1)
    state = RampState(phase=Phase.HOLDING, step=last, applied=promoting.step(last).assignment)
    after = ramp.watched(promoting, state, WatchOutcome.PASSED, moment(1), next_step=last + 1)
    assert after.phase is Phase.PROMOTING
    for uncertain in ((1.6, 0.001), (1.4, 0.05)):
        assert first_outcome(watching(full_spec, promoting, last), said(uncertain), last=3600) is None


def test_what_nearly_never_happens_on_either_side_does_not_keep_everyone_waiting(
    full_spec: RampSpec, promoting: Plan
) -> None:
    last = len(promoting.steps)
    never_seen = (16.0, 1 / 200_000)
    found = first_outcome(watching(full_spec, promoting, last), said(HARDLY_WORSE, never_seen))
    assert found is not None
    assert found[0].next_step == last + 1
    too_few_to_tell = (16.0, 1 / 2_000)
    assert first_outcome(watching(full_spec, promoting, last), said(HARDLY_WORSE, too_few_to_tell), last=3600) is None


@pytest.mark.parametrize(
    "verdicts",
    [
        said(EVERYTHING_POSSIBLE),
        said(HARDLY_WORSE, EVERYTHING_POSSIBLE),
        said(),
        said(HARDLY_WORSE, kind=VerdictKind.INCONCLUSIVE),
        [*said(HARDLY_WORSE), *said(kind=VerdictKind.INCONCLUSIVE)],
    ],
)
def test_without_the_evidence_it_stays_and_in_the_end_asks_a_person(
    full_spec: RampSpec, promoting: Plan, verdicts: list[Verdict]
) -> None:
    found = first_outcome(watching(full_spec, promoting, 1), verdicts)
    assert found is not None
    assert (found[0].kind, found[1]) == (WatchOutcome.INCONCLUSIVE, LONGEST)
    overdue = watching(full_spec, promoting, 1, overdue=True, causes=found[0].causes)
    assert first_outcome(overdue, verdicts) is None


def test_the_reason_names_what_is_still_possible(full_spec: RampSpec, promoting: Plan) -> None:
    found = first_outcome(watching(full_spec, promoting, 1), said(EVERYTHING_POSSIBLE))
    assert found is not None
    assert found[0].sentence == (
        "no larger share is safe yet: errors may still be 16.0 times as bad as on the baseline"
    )


def test_the_reason_names_what_could_do_the_most_harm_not_what_could_be_the_most_times_worse(
    full_spec: RampSpec, promoting: Plan
) -> None:
    rare, frequent = said((16.0, 0.0001), check="toxicity"), said((6.0, 0.05))
    found = first_outcome(watching(full_spec, promoting, 1), [*rare, *frequent])
    assert found is not None
    assert "errors may still be 6.0 times" in found[0].sentence


def test_the_same_check_of_two_candidates_is_told_once_for_each(two_spec: RampSpec, two: Plan) -> None:
    def told(green: float, red: float, *known: Outcome) -> Outcome | None:
        causes = tuple(cause for outcome in known for cause in outcome.causes)
        watch = watching(two_spec, two, 1, overdue=bool(known), causes=causes)
        found = first_outcome(watch, [*said((green, 0.02)), *said((red, 0.02), slot="red")])
        return found and found[0]

    first = told(16.0, 8.0)
    assert first is not None
    assert first.sentence.startswith("green: no larger share is safe yet: errors may still be 16.0 times")
    assert told(12.0, 8.0, first) is None
    second = told(8.0, 12.0, first)
    assert second is not None
    assert second.sentence.startswith("red: ")
    assert told(12.0, 8.0, first, second) is None


def test_blind_ticks_do_not_count_towards_the_dwell(full_spec: RampSpec, promoting: Plan) -> None:
    watch = watching(full_spec, promoting, 1)
    for at in range(0, 120, TICK):
        watch.observe(ANCHOR + at, said(kind=VerdictKind.BLIND), frozenset())
    outcomes = [watch.observe(ANCHOR + at, said(HARDLY_WORSE), frozenset()) for at in range(120, 600, TICK)]
    first = next(number for number, outcome in enumerate(outcomes) if outcome)
    assert first * TICK + 120 > DWELL + 60
