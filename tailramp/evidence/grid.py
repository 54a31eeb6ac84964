"""The times at which a step's evidence is read.

A worker that dies and comes back must reach the verdict that it would have reached without dying. That only works if
the questions asked before and after are the same questions, so the times at which Prometheus is asked belong to the
step, not to the process: they lie on a grid that is anchored once, in whole seconds, and that neither a pause nor a
restart shifts.
"""

import math

from pydantic import BaseModel, ConfigDict, Field


class Grid(BaseModel):
    """Tick `k` is at `anchor + k * tick` (unix seconds). Tick 0 is the starting point; negative ticks are the run-up
    to it.

    Everything is a whole number of seconds because prometheus-api-client rounds the ends of a range to whole seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    anchor: int = Field(description="unix time of tick 0, in whole seconds")
    tick: int = Field(ge=1, description="seconds between two ticks")

    def time(self, index: int) -> int:
        """Return the unix time of tick `index`."""
        return self.anchor + index * self.tick

    def index(self, at: int) -> int:
        """Return the tick at unix time `at`; ValueError if no tick lies there."""
        index, remainder = divmod(at - self.anchor, self.tick)
        if remainder:
            raise ValueError(
                f"{at} is not on the grid of every {self.tick} s from {self.anchor}: it lies {remainder} s after a tick"
            )
        return index

    def askable_at(self, index: int, lag: float) -> float:
        """Return the wall time from which tick `index` may be asked: `lag` seconds late, when its scrapes have been
        stored.
        """
        return self.time(index) + lag

    def last_due(self, now: float, lag: float) -> int:
        """Return the newest tick that may be asked at wall time `now`; negative if the anchor itself is not due yet."""
        index = math.floor((now - lag - self.anchor) / self.tick)
        # The subtraction above rounds; a tick is due exactly when askable_at says so.
        while self.askable_at(index + 1, lag) <= now:
            index += 1
        while self.askable_at(index, lag) > now:
            index -= 1
        return index

    def ticks_in(self, seconds: float) -> int:
        """Return how many ticks it takes to cover `seconds`, rounded up."""
        return math.ceil(seconds / self.tick)
