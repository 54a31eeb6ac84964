"""The route record under random sequences of everything that anybody may write, late, twice and in any order."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from route_record_samples import MARK, NEVER_RAMPED, OTHER, RAMP, on_green, taken

from tailramp.assignment import Assignment
from tailramp.errors import Refused
from tailramp.route_record import (
    Clearer,
    RouteRecord,
    cleared,
    concluded,
    frozen,
    killed,
    lifted,
    prepared,
    renewed,
    sent_to_previous,
    served,
    shortened,
)

RAMPS = st.sampled_from([RAMP, OTHER])
BEHIND = st.integers(-2, 3)
WHAT = st.one_of(
    st.integers(0, 20).map(lambda last: on_green(f"00-{last:02d}")),
    st.sampled_from([Assignment(default="green"), Assignment(default="blue"), on_green("00-20", default="green")]),
)


class Everybody(RuleBasedStateMachine):
    """``late`` writers name epochs around the stored one; refusals are part of the game."""

    def __init__(self) -> None:
        super().__init__()
        self.record = NEVER_RAMPED
        self.before = NEVER_RAMPED
        self.over: set[str] = set()

    def write(self, after: RouteRecord | None) -> None:
        self.before, self.record = self.record, after or self.record
        if self.record.closed and self.record.ramp is not None:
            self.over.add(self.record.ramp)

    @rule(ramp=RAMPS)
    def take_over(self, ramp: str) -> None:
        if ramp in self.over or self.record.original_default != "blue":
            return
        try:
            self.write(taken(self.record, ramp))
        except Refused:
            return
        assert self.record.candidates == () or self.record is self.before

    @rule(ramp=RAMPS, late=BEHIND, assignment=WHAT)
    def serve(self, ramp: str, late: int, assignment: Assignment) -> None:
        before = self.record
        try:
            self.write(served(before, ramp=ramp, epoch=before.epoch + late, assignment=assignment))
        except Refused:
            return
        assert before.ramp == ramp
        assert not before.closed
        assert before.kill is None
        assert ramp not in self.over
        assert late >= 0
        if before.freeze is not None:
            assert self.record.assignment.share_of("green") <= before.assignment.share_of("green")

    @rule(ramp=RAMPS, late=BEHIND)
    def renew(self, ramp: str, late: int) -> None:
        try:
            self.write(renewed(self.record, ramp=ramp, epoch=self.record.epoch + late))
        except Refused:
            return
        assert self.record.assignment == self.before.assignment
        for slot, lease in self.before.leases.items():
            grown = self.record.leases[slot]
            assert (grown == lease) if lease.reason else (grown.renewals == lease.renewals + 1)

    @rule(ramp=RAMPS, late=BEHIND)
    def shorten(self, ramp: str, late: int) -> None:
        try:
            epoch = self.record.epoch + late
            self.write(shortened(self.record, ramp=ramp, epoch=epoch, slot="green", reason="unhealthy"))
        except Refused:
            return
        assert self.record.assignment == self.before.assignment
        assert all(self.record.leases[slot].seconds <= lease.seconds for slot, lease in self.before.leases.items())

    @rule(ramp=RAMPS, late=BEHIND)
    def roll_back(self, ramp: str, late: int) -> None:
        after = cleared(self.record, by=Clearer.ROLLBACK, ramp=ramp, epoch=self.record.epoch + late)
        if self.record.kill is not None or self.record.ramp not in {ramp, None}:
            assert after is None
        self.write(after)

    @rule()
    def sentinel(self) -> None:
        self.write(cleared(self.record, by=Clearer.SENTINEL, reason="lease_lapsed"))
        assert self.record.candidates == ()

    @rule()
    def kill(self) -> None:
        self.write(killed(self.record, MARK))
        assert self.record.candidates == ()

    @rule()
    def to_previous(self) -> None:
        try:
            self.write(sent_to_previous(self.record, MARK))
        except Refused:
            return
        assert self.record.assignment == Assignment(default=self.before.previous_default)

    @precondition(lambda self: self.record.assignment.default == "green" and not self.record.assignment.rules)
    @rule(ramp=RAMPS, late=BEHIND)
    def conclude(self, ramp: str, late: int) -> None:
        try:
            self.write(concluded(self.record, ramp=ramp, epoch=self.record.epoch + late))
        except Refused:
            return
        assert self.record.candidates == ()

    @rule()
    def freeze(self) -> None:
        self.write(frozen(self.record, MARK))

    @rule()
    def lift(self) -> None:
        self.write(lifted(self.record))

    @rule()
    def put_the_prepared_file_in_place(self) -> None:
        self.write(prepared(self.record))

    @invariant()
    def the_epoch_never_falls(self) -> None:
        assert self.record.epoch >= self.before.epoch

    @invariant()
    def what_is_served_changes_only_with_the_epoch_or_by_the_same_writer(self) -> None:
        if self.record.candidates and not self.before.candidates:
            assert not self.record.closed
            assert self.record.kill is None

    @invariant()
    def a_closed_or_killed_route_serves_no_candidate(self) -> None:
        if self.record.closed or self.record.kill is not None:
            assert self.record.candidates == ()

    @invariant()
    def every_candidate_has_a_lease_and_nobody_else(self) -> None:
        assert set(self.record.leases) == set(self.record.candidates)


Everybody.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
TestEverybodyWritesTheRoute = Everybody.TestCase
