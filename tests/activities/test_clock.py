"""The clock that decisions go by: that of Temporal's server, whatever this process takes for the time of day."""

import dataclasses
from datetime import UTC, datetime

from temporalio.testing import ActivityEnvironment

from activities.clock import Wall, server_clock

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def clock_of_an_attempt(monotonic: list[float]) -> Wall:
    """The clock of an attempt that the server let begin at BEGAN; ``monotonic`` is what this process will read."""
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, started_time=BEGAN)
    wall: Wall = environment.run(lambda: server_clock(lambda: monotonic.pop(0)))
    return wall


def test_an_attempt_begins_at_the_time_that_the_server_gave_it() -> None:
    assert clock_of_an_attempt([5.0, 5.0])() == BEGAN.timestamp()


def test_from_there_on_the_monotonic_clock_goes_on() -> None:
    wall = clock_of_an_attempt([5.0, 6.5, 3605.0])
    assert wall() == BEGAN.timestamp() + 1.5
    assert wall() == BEGAN.timestamp() + 3600.0
