"""Random lives of a ramp: whatever is said and reported in whatever order, some promises hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailramp import ramp
from tailramp.assignment import Assignment
from tailramp.buckets import BucketSet
from tailramp.errors import Refused
from tailramp.plan import Plan
from tailramp.ramp import WATCHED_BLOCKS, Cause, Phase, RampState, Reason, WatchMode, WatchOutcome
from tailramp.spec import RampSpec
from tailramp.target import change_of_target

BLUE = Assignment(default="blue")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)

WORDS = [
    *("pause", "resume", "promote", "promote full", "promote another", "abort", "cancel"),
    *(
        "alert",
        "alert about one",
        "foreign alert",
        "target 00-03",
        "target 00-09",
        "target 00-14,20-24",
        "target 20-29",
    ),
]
REPORTS = ["done", "failed", "frozen", *WatchOutcome]


@dataclass
class Life:
    """A ramp that carries out its actions as the workflow does, with the reports that the test hands it."""

    plan: Plan
    spec: RampSpec
    state: RampState = field(default_factory=RampState)
    now: datetime = NOON
    known: Plan | None = None

    def hear(self, word: str) -> None:
        before = self.state
        match word:
            case _ if word.startswith("target"):
                self.change_target(BucketSet.parse(word.removeprefix("target ")))
            case "pause":
                self.state = ramp.paused(self.state, self.now)
            case "resume":
                self.state = ramp.resumed(self.state, self.now)
            case "promote" | "promote full":
                self.state = ramp.promoted(self.state, self.state.step, full=word == "promote full")
            case "promote another":
                self.state = ramp.promoted(self.state, self.state.step + 1)
            case "abort":
                self.state = ramp.stopped(self.state, Reason.OPERATOR_ABORT)
            case "cancel":
                self.state = ramp.stopped(self.state, Reason.CANCELLED)
            case "alert":
                self.state = ramp.alerted(self.known, self.state, "A", attributed=True, slot=None)
            case "alert about one":
                slot = self.known.slots[0] if self.known else None
                self.state = ramp.alerted(self.known, self.state, "C", attributed=True, slot=slot)
                self.leave()
            case "foreign alert":
                self.state = ramp.alerted(self.known, self.state, "B", attributed=False, slot=None)
        assert self.state.applied == before.applied, "a word alone moves nobody"
        assert self.state.phase is before.phase

    def change_target(self, buckets: BucketSet) -> None:
        """Cut or widen every candidate's target to what ``buckets`` has of twenty buckets of its own."""
        candidates = [
            candidate.model_copy(
                update={"buckets": buckets.overlap(BucketSet.parse(f"{20 * number:02}-{20 * number + 19}"))}
            )
            for number, candidate in enumerate(self.spec.candidates)
        ]
        wanted = self.spec.of([candidate for candidate in candidates if len(candidate.buckets)])
        if not wanted.candidates:
            return
        try:
            change = change_of_target(self.spec, wanted, self.known, self.state)
        except Refused:
            return
        if change is None or self.known is None:
            return
        state = ramp.withdrawn(self.known, self.state, change.emptied, Reason.TARGET_EMPTIED, "")
        self.state = state if change.shrink_to is None else ramp.shrink_wanted(state, change.shrink_to)
        self.spec, self.known, self.plan = wanted, change.plan, change.plan

    def leave(self) -> None:
        """Candidates that were withdrawn are part of the plan no more."""
        if self.known is not None and (gone := self.state.withdrawn.keys() & set(self.known.slots)):
            self.known = self.plan = self.known.without(gone)

    def live(self, report: str, auto_rollback: bool) -> None:
        """Carry the next action out; ``report`` is how it ends."""
        action = ramp.next_action(self.known, self.state)
        if report == "failed" and not isinstance(action, ramp.AwaitPerson | ramp.RollBack | ramp.Finish | ramp.Advance):
            self.state = ramp.stopped(self.state, Reason.ACTIVITY_FAILED)
            return
        match action:
            case ramp.RunPreflight():
                self.known = self.plan
                self.state = ramp.preflight_passed(self.state, epoch=3, applied=BLUE)
            case ramp.Shift(step) if report == "frozen":
                assert step.index == self.state.step
                self.state = ramp.freeze_met(self.state, "frozen by ops: holidays")
            case ramp.Shift(step):
                self.state = ramp.shifted(ramp.with_next_epoch(self.state), step.assignment, self.now)
            case ramp.Shrink(assignment):
                self.state = ramp.shrunk(self.plan, ramp.with_next_epoch(self.state), assignment, self.now)
            case ramp.Withdraw(_, assignment):
                self.state = ramp.taken_back(ramp.with_next_epoch(self.state), assignment)
            case ramp.Watch(mode):
                self.watch(mode, report, auto_rollback)
            case ramp.Advance():
                self.state = ramp.advanced(self.plan, self.state)
            case ramp.MoveDefault():
                self.state = ramp.default_moved(ramp.with_next_epoch(self.state), self.plan.promoting)
            case ramp.RemoveRules():
                self.state = ramp.rules_removed(ramp.with_next_epoch(self.state), self.plan.baking, self.now)
            case ramp.EndHoldBack():
                self.state = ramp.hold_back_ended(ramp.with_next_epoch(self.state), self.plan.promoted)
            case ramp.Conclude():
                self.state = ramp.concluded(ramp.with_next_epoch(self.state))
            case ramp.RollBack():
                self.state = ramp.rolled_back(ramp.rolling_back(self.state, self.state.epoch + 1), BLUE)
            case ramp.AwaitPerson():
                self.state = ramp.blocks_changed(self.state, frozenset())

    def watch(self, mode: WatchMode, report: str, auto_rollback: bool) -> None:
        assert self.state.anchor is not None, "a watch has a grid"
        assert self.state.applied is not None
        wanted = {
            WatchMode.SETTLE: WatchOutcome.SETTLED,
            WatchMode.HOLD: WatchOutcome.PASSED,
            WatchMode.BAKE: WatchOutcome.PASSED,
        }
        if report == "done":
            report = wanted.get(mode, WatchOutcome.SEGMENT_OVER)
        if report in {WatchOutcome.SETTLED, WatchOutcome.PASSED} and wanted.get(mode) != report:
            return
        if report == WatchOutcome.FAILED:
            automatic = self.plan.slots if auto_rollback else ()
            causes = [Cause.of(None, "bad")]
            self.state = ramp.check_failed(
                self.plan, self.state, [self.plan.slots[-1]], "bad", automatic=automatic, now=self.now, causes=causes
            )
            self.leave()
        elif report == WatchOutcome.BLIND:
            self.state = ramp.stopped(self.state, Reason.BLIND)
        elif report == WatchOutcome.BLOCKS_CHANGED:
            blocks = WATCHED_BLOCKS - self.state.blocked_by
            self.state = ramp.blocks_changed(self.state, blocks, [Cause.of(block, "seen") for block in blocks])
        elif report in set(WatchOutcome):
            self.state = ramp.watched(self.plan, self.state, WatchOutcome(report), self.now)

    @property
    def share(self) -> float:
        """Of identified users, who are not on the baseline."""
        return 1 - self.state.applied.share_of("blue") if self.state.applied else 0.0


@pytest.fixture
def lives(
    held: Plan, spec: RampSpec, promoting: Plan, full_spec: RampSpec, two: Plan, two_spec: RampSpec
) -> dict[str, Callable[[], Life]]:
    """New lives by kind: of a ramp that holds its target, that promotes, that has two candidates."""
    return {
        "held": lambda: Life(held, spec),
        "promoting": lambda: Life(promoting, full_spec),
        "two": lambda: Life(two, two_spec),
    }


events = st.lists(
    st.tuples(st.sampled_from([*WORDS, *["-"] * 6]), st.sampled_from([*REPORTS, *["done"] * 8]), st.integers(0, 400)),
    max_size=60,
)


@settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=events, kind=st.sampled_from(["held", "promoting", "two"]), automatic=st.booleans(), back=st.booleans())
def test_no_life_of_a_ramp_breaks_its_promises(
    lives: dict[str, Callable[[], Life]],
    events: list[tuple[str, str, int]],
    kind: str,
    automatic: bool,
    back: bool,
) -> None:
    life = lives[kind]()
    life.plan = life.plan.model_copy(
        update={"hold_back": BucketSet.parse("98-99" if life.plan.promotes and back else "")}
    )
    for word, report, seconds in events:
        before, share = life.state, life.share
        life.now += timedelta(seconds=seconds)
        life.hear(word)
        heard = life.state
        wanted = ramp.next_action(life.known, heard)
        life.live(report, automatic)
        after = life.state

        if before.phase.is_terminal:
            assert after == before
            continue
        assert after.epoch >= before.epoch
        assert len({(cause.block, cause.key) for cause in after.causes}) == len(after.causes), "each is told once"
        known = {cause.block for cause in after.causes if cause.block is not None}
        assert known <= after.blocked_by, "what is over is forgotten"
        assert after.tolerated or all(cause.block is not None for cause in after.causes)
        if heard.stop is not None:
            assert after.stop is heard.stop, "the first reason stays"
            assert life.share <= share, "nothing grows after a stop"
        elif life.share > share:
            assert not heard.paused, "nothing grows in a pause"
            assert after.epoch > before.epoch, "who grows has decided it at an epoch of its own"
        if isinstance(wanted, ramp.Shift) and after.applied is not None and before.applied is not None:
            assert after.applied.grows_from(before.applied), "a step takes nobody back, and passes nobody on"
        if isinstance(wanted, ramp.Shrink | ramp.Withdraw):
            assert life.share <= share
        for rule in after.applied.rules if after.applied is not None and after.shrink_to is None else ():
            allowed = {variant.slot: variant.buckets for variant in life.plan.candidates}
            leaving = rule.slot in after.withdrawn or rule.slot == "blue" or after.stop is not None
            assert leaving or allowed[rule.slot].issuperset(rule.buckets), "nobody beyond the target"
        assert not set(life.plan.slots) & after.withdrawn.keys() or after.stop is not None
        if after.phase is Phase.SUCCEEDED:
            assert life.plan.promotes
            assert after.applied == life.plan.promoted
        assert ramp.clock(after.held, life.now) <= life.now - NOON
        assert all(interval.end is not None for interval in after.held[:-1]), "only the last stretch may run"
        if after.paused:
            assert all(interval.end is not None for interval in after.held), "the clock stands in a pause"
        ramp.next_action(life.known, after)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=events, kind=st.sampled_from(["held", "promoting", "two"]))
def test_whatever_a_ramp_has_lived_through_an_abort_puts_everyone_back(
    lives: dict[str, Callable[[], Life]], events: list[tuple[str, str, int]], kind: str
) -> None:
    life = lives[kind]()
    for word, report, _ in events:
        life.hear(word)
        life.live(report, auto_rollback=False)
    life.hear("abort")
    if life.state.phase is not Phase.SUCCEEDED:
        life.live("done", auto_rollback=False)
        assert life.state.phase is Phase.ROLLED_BACK
        assert life.share == 0


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.sampled_from(["pause", "resume", "promote", "-"]), max_size=30))
def test_a_healthy_ramp_that_is_let_go_on_succeeds(lives: dict[str, Callable[[], Life]], words: list[str]) -> None:
    life = lives["promoting"]()
    for word in words:
        life.hear(word)
        life.live("done", auto_rollback=True)
    life.hear("resume")
    for _ in range(20):
        life.now += timedelta(seconds=60)
        life.live("done", auto_rollback=True)
    assert life.state.phase is Phase.SUCCEEDED
