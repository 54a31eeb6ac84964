"""Random lives of a ramp: whatever is said and reported in whatever order, some promises hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailramp import ramp
from tailramp.assignment import Assignment
from tailramp.buckets import BucketSet
from tailramp.plan import Plan
from tailramp.ramp import WATCHED_BLOCKS, Phase, RampState, Reason, WatchMode, WatchOutcome

BLUE = Assignment(default="blue")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)

WORDS = ["pause", "resume", "promote", "promote full", "promote another", "abort", "cancel", "alert", "foreign alert"]
REPORTS = ["done", "failed", "frozen", *WatchOutcome]


@dataclass
class Life:
    """A ramp that carries out its actions as the workflow does, with the reports that the test hands it."""

    plan: Plan
    state: RampState = field(default_factory=RampState)
    now: datetime = NOON
    known: Plan | None = None

    def hear(self, word: str) -> None:
        before = self.state
        match word:
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
                self.state = ramp.alerted(self.state, "A", attributed=True)
            case "foreign alert":
                self.state = ramp.alerted(self.state, "B", attributed=False)
        assert self.state.applied == before.applied, "a word alone moves nobody"
        assert self.state.phase is before.phase

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
                self.state = ramp.freeze_met(self.state)
            case ramp.Shift(step):
                self.state = ramp.shifted(ramp.with_next_epoch(self.state), step.assignment, self.now)
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
            self.state = ramp.check_failed(self.state, "bad", auto_rollback=auto_rollback, now=self.now)
        elif report == WatchOutcome.BLIND:
            self.state = ramp.stopped(self.state, Reason.BLIND)
        elif report == WatchOutcome.BLOCKS_CHANGED:
            self.state = ramp.blocks_changed(self.state, WATCHED_BLOCKS - self.state.blocked_by)
        elif report in set(WatchOutcome):
            self.state = ramp.watched(self.plan, self.state, WatchOutcome(report), self.now)

    @property
    def share(self) -> float:
        return self.state.applied.share_of(self.plan.candidate) if self.state.applied else 0.0


events = st.lists(
    st.tuples(st.sampled_from([*WORDS, *["-"] * 6]), st.sampled_from([*REPORTS, *["done"] * 8]), st.integers(0, 400)),
    max_size=60,
)


@settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=events, promotes=st.booleans(), auto_rollback=st.booleans(), hold_back=st.booleans())
def test_no_life_of_a_ramp_breaks_its_promises(
    held: Plan,
    promoting: Plan,
    events: list[tuple[str, str, int]],
    promotes: bool,
    auto_rollback: bool,
    hold_back: bool,
) -> None:
    plan = promoting if promotes else held
    plan = plan.model_copy(update={"hold_back": BucketSet.parse("98-99" if promotes and hold_back else "")})
    life = Life(plan)
    planned = [BLUE, *(step.assignment for step in plan.steps), plan.promoting, plan.baking, plan.promoted]
    for word, report, seconds in events:
        before, share = life.state, life.share
        life.now += timedelta(seconds=seconds)
        life.hear(word)
        heard = life.state
        life.live(report, auto_rollback)
        after = life.state

        if before.phase.is_terminal:
            assert after == before
            continue
        assert after.applied is None or after.applied in planned
        assert after.epoch >= before.epoch
        assert after.step - before.step in {0, 1}
        if heard.stop is not None:
            assert after.stop is heard.stop, "the first reason stays"
            assert life.share <= share, "nothing grows after a stop"
        elif life.share > share:
            assert not heard.paused, "nothing grows in a pause"
            assert after.epoch > before.epoch, "who grows has decided it at an epoch of its own"
        if after.phase is Phase.SUCCEEDED:
            assert promotes
            assert after.applied == life.plan.promoted
        assert ramp.clock(after.held, life.now) <= life.now - NOON
        assert all(interval.end is not None for interval in after.held[:-1]), "only the last stretch may run"
        if after.paused:
            assert all(interval.end is not None for interval in after.held), "the clock stands in a pause"
        ramp.next_action(life.known, after)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=events, promotes=st.booleans())
def test_whatever_a_ramp_has_lived_through_an_abort_puts_everyone_back(
    held: Plan, promoting: Plan, events: list[tuple[str, str, int]], promotes: bool
) -> None:
    life = Life(promoting if promotes else held)
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
def test_a_healthy_ramp_that_is_let_go_on_succeeds(promoting: Plan, words: list[str]) -> None:
    life = Life(promoting)
    for word in words:
        life.hear(word)
        life.live("done", auto_rollback=True)
    life.hear("resume")
    for _ in range(20):
        life.now += timedelta(seconds=60)
        life.live("done", auto_rollback=True)
    assert life.state.phase is Phase.SUCCEEDED
