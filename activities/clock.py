"""The time of day by the clock of Temporal's server.

A worker's own clock may be an hour off, or step while it watches: its ticks would then lie where Prometheus knows
nothing, and its probes would be refused as forged.  The server tells every attempt of an activity when it began; from
there on this process's monotonic clock goes on, which never steps.  So all that a ramp decides, in the workflow and
here, goes by one clock, and a ramp that moves to another worker finds no other time there.
"""

import time
from collections.abc import Callable

from temporalio import activity

Wall = Callable[[], float]
"""The time of day in unix seconds."""


def server_clock(monotonic: Callable[[], float] = time.monotonic) -> Wall:
    """The clock for the attempt of the activity that runs now.  ``monotonic`` gives seconds."""
    began, at = activity.info().started_time.timestamp(), monotonic()
    return lambda: began + (monotonic() - at)
