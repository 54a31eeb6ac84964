"""A candidate's right to be served, as the route record holds it: renewed, shortened, and since when nobody saw."""

from datetime import UTC, datetime

from route_record_samples import (
    OTHER,
    RAMP,
    five_percent,
    serving,
)

from tailramp.route_record import (
    SHORT_LEASE_SECONDS,
    Clearer,
    Lease,
    SlotRecord,
    cleared,
    concluded,
    looked,
    renewed,
    served,
    shortened,
    taken_over,
)


def test_a_renewal_moves_the_counter_and_nothing_else() -> None:
    before = serving(epoch=7, lease_seconds=12)
    after = renewed(before, ramp=RAMP, epoch=7)
    assert after.leases == {"green": Lease(seconds=12, renewals=2)}
    assert after.model_copy(update={"leases": before.leases}) == before


def test_a_look_notes_since_when_it_has_had_no_answer_and_a_renewal_alone_leaves_that() -> None:
    since = datetime(2026, 3, 1, tzinfo=UTC)
    before = serving(epoch=7)
    blind = looked(before, ramp=RAMP, epoch=7, blind_since=since)
    assert (blind.blind_since, blind.leases) == (since, renewed(before, ramp=RAMP, epoch=7).leases)
    assert renewed(blind, ramp=RAMP, epoch=7).blind_since == since
    assert looked(blind, ramp=RAMP, epoch=7, blind_since=None).blind_since is None


def test_nothing_of_a_ramps_blindness_outlives_it() -> None:
    blind = looked(serving(epoch=7), ramp=RAMP, epoch=7, blind_since=datetime(2026, 3, 1, tzinfo=UTC))
    over = cleared(blind, by=Clearer.SENTINEL)
    assert over is not None
    assert over.blind_since is None
    assert concluded(blind, ramp=RAMP, epoch=8).blind_since is None
    left = over.model_copy(update={"blind_since": blind.blind_since})  # as an earlier version would leave it
    assert taken_over(left, ramp=OTHER, baseline="blue", candidates={"red": SlotRecord()}).blind_since is None


def test_a_shortened_lease_moves_its_counter_once_and_then_stands_still() -> None:
    short = shortened(serving(epoch=7), ramp=RAMP, epoch=7, slot="green", reason="unhealthy")
    assert short.leases["green"] == Lease(seconds=SHORT_LEASE_SECONDS, renewals=2, reason="unhealthy")
    assert renewed(short, ramp=RAMP, epoch=7).leases == short.leases
    assert shortened(short, ramp=RAMP, epoch=7, slot="green", reason="blind") is short
    retried = served(short, ramp=RAMP, epoch=7, assignment=five_percent())
    assert retried.leases == short.leases, "a retry of an old write must not lengthen the lease"


def test_only_a_write_at_a_higher_epoch_makes_a_shortened_lease_long_again() -> None:
    short = shortened(serving(epoch=7, lease_seconds=40), ramp=RAMP, epoch=7, slot="green", reason="unhealthy")
    longer = served(short, ramp=RAMP, epoch=8, assignment=five_percent(), lease_seconds=40)
    assert longer.leases["green"] == Lease(seconds=40, renewals=3)


def test_a_lease_is_never_made_longer_by_shortening_it() -> None:
    record = shortened(serving(lease_seconds=2), ramp=RAMP, epoch=7, slot="green", reason="unhealthy")
    assert record.leases["green"].seconds == 2


def test_a_slot_that_serves_nobody_has_no_lease_to_shorten() -> None:
    record = serving()
    assert shortened(record, ramp=RAMP, epoch=7, slot="red", reason="unhealthy") is record
