"""When a lease has lapsed, on the observer's own clock and on nothing else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from route_record_samples import MARK, NEVER_RAMPED, OTHER, RAMP, at_epoch, five_percent, promoted_record, serving
from spec_samples import PLATFORM, spec_of

from tailramp.assignment import Assignment
from tailramp.errors import InvalidFile
from tailramp.lease import LAPSED, Lapse, LeaseObserver
from tailramp.route_record import Clearer, Lease, RouteRecord, cleared, killed, renewed, served, shortened

LEASE = 9.0
SERVING = serving(lease_seconds=LEASE)
SHORT = shortened(SERVING, ramp=RAMP, epoch=7, slot="green", reason="unhealthy")


def lapse_after(*looks: tuple[RouteRecord, float]) -> Lapse | None:
    """What an observer says at the last of the looks, having seen no lapse before."""
    observer = LeaseObserver()
    for record, at in looks[:-1]:
        assert observer.observe(record, at) is None
    return observer.observe(*looks[-1])


RENEWED = renewed(SERVING, ramp=RAMP, epoch=7)
CLEARED = cleared(SERVING, by=Clearer.ROLLBACK)
assert CLEARED is not None


@pytest.mark.parametrize(
    ("looks", "lapses"),
    [
        # The first look starts the observer's clock, however old the lease may be.
        ([(SERVING, 1e6)], False),
        ([(SERVING, 0), (SERVING, 8.99)], False),
        ([(SERVING, 0), (SERVING, 9)], True),
        ([(SERVING, 0), (SERVING, 4), (SERVING, 8), (SERVING, 12)], True),
        # A renewal starts it anew, also one that nobody saw happen.
        ([(SERVING, 0), (RENEWED, 8), (RENEWED, 16.9)], False),
        ([(SERVING, 0), (RENEWED, 8), (RENEWED, 17)], True),
        ([(SERVING, 0), (RENEWED, 100)], False),
        # A counter that goes back is another counter: it has moved.
        ([(RENEWED, 0), (SERVING, 8), (SERVING, 16)], False),
        # Shortened: five seconds from the look that saw it.
        ([(SERVING, 0), (SHORT, 1), (SHORT, 5.9)], False),
        ([(SERVING, 0), (SHORT, 1), (SHORT, 6)], True),
        # Another ramp's lease is another lease, though it looks the same.
        ([(SERVING, 0), (serving(OTHER, lease_seconds=LEASE), 8), (serving(OTHER, lease_seconds=LEASE), 16)], False),
        # Nobody is served, or the ramp is over: there is nothing to lapse, and the clock starts anew.
        ([(NEVER_RAMPED, 0), (NEVER_RAMPED, 1e6)], False),
        ([(promoted_record(), 0), (promoted_record(), 1e6)], False),
        ([(SERVING, 0), (CLEARED, 5), (CLEARED, 1e6)], False),
        ([(SERVING, 0), (CLEARED, 5), (SERVING, 10), (SERVING, 18)], False),
        ([(SERVING, 0), (killed(SERVING, MARK), 5), (killed(SERVING, MARK), 1e6)], False),
    ],
)
def test_a_lease_lapses_when_its_counter_stood_still_for_its_time(
    looks: list[tuple[RouteRecord, float]], lapses: bool
) -> None:
    assert (lapse_after(*looks) is not None) is lapses


def test_the_reason_of_a_lapse_is_why_the_lease_was_short() -> None:
    lapse = lapse_after((SHORT, 0), (SHORT, 5))
    assert lapse is not None
    assert lapse.reason == "unhealthy"
    lapse = lapse_after((SERVING, 0), (SERVING, 9))
    assert lapse is not None
    assert lapse.reason == LAPSED


def test_a_candidate_that_is_served_without_a_lease_lapses_too() -> None:
    bare = SERVING.model_copy(update={"leases": {}})
    assert lapse_after((bare, 0), (bare, 89)) is None
    assert lapse_after((bare, 0), (bare, 90)) is not None


def test_a_promoted_default_is_leased_until_the_ramp_is_over() -> None:
    baking = served(SERVING, ramp=RAMP, epoch=8, assignment=Assignment(default="green"), lease_seconds=LEASE)
    lapse = lapse_after((baking, 0), (baking, 9))
    assert lapse is not None
    after = lapse.clear(baking)
    assert after is not None
    assert after.assignment == Assignment(default="blue")


@pytest.mark.parametrize(
    "now",
    [
        RENEWED,
        SHORT,
        serving(OTHER, lease_seconds=LEASE),
        CLEARED,
        killed(SERVING, MARK),
        promoted_record(),
        served(SERVING, ramp=RAMP, epoch=8, assignment=five_percent(), lease_seconds=LEASE),
    ],
)
def test_a_lapse_that_is_overtaken_clears_nothing(now: RouteRecord) -> None:
    lapse = lapse_after((SERVING, 0), (SERVING, 9))
    assert lapse is not None
    assert lapse.clear(now) is None


def test_a_lapse_clears_with_its_reason_and_a_raised_epoch() -> None:
    lapse = lapse_after((SHORT, 0), (SHORT, 5))
    assert lapse is not None
    after = lapse.clear(at_epoch(SHORT, 7))
    assert after is not None
    assert (after.cleared_by, after.cleared_reason, after.epoch) == (Clearer.SENTINEL, "unhealthy", 8)
    assert (after.candidates, after.leases) == ((), {})


@given(st.lists(st.tuples(st.floats(0.01, 5), st.booleans()), min_size=1, max_size=60), st.floats(0.5, 20))
def test_two_observers_never_disagree_by_more_than_the_time_between_their_looks(
    looks: list[tuple[float, bool]], seconds: float
) -> None:
    """The lapse is seen at the first look that lies ``seconds`` or more after the look that first saw the counter."""
    observer, at, seen_at, renewals = LeaseObserver(), 0.0, None, 0
    for pause, renews in looks:
        at += pause
        renewals += renews
        if renews or seen_at is None:
            seen_at = at
        record = SERVING.model_copy(update={"leases": {"green": Lease(seconds=seconds, renewals=renewals)}})
        lapse = observer.observe(record, at)
        assert (lapse is not None) is (at - seen_at >= seconds)


@pytest.mark.parametrize(("lease", "words"), [("29s", "Write 30s or more"), ("500ms", "must be 1s or more")])
def test_a_lease_that_would_lapse_between_two_looks_is_refused(tmp_path: Path, lease: str, words: str) -> None:
    with pytest.raises(InvalidFile, match=words):
        spec_of(tmp_path, platform=PLATFORM.replace("  bake: 30m", f"  bake: 30m\n  lease: {lease}"))


def test_the_lease_is_90_seconds_unless_the_platform_file_says_otherwise(tmp_path: Path) -> None:
    assert spec_of(tmp_path).platform.ramp.lease.total_seconds() == 90
    spec = spec_of(tmp_path, platform=PLATFORM.replace("  bake: 30m", "  bake: 30m\n  lease: 2m"))
    assert spec.platform.ramp.lease.total_seconds() == 120
