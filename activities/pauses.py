"""The pauses of a watch that reads what it missed: others share its loop, and its leases go on meanwhile.

To catch up on a day takes seconds, on a busy machine a minute, and no look at the present is completed in it.  A lease
that nobody renews lapses after 90 s, and the sentinel takes out a candidate that nothing is wrong with.  So the leases
are renewed in the pauses too, as long as what was read has no reason to roll back.  But not for ever: whoever does not
get to the present watches nobody.  The time counts on through the attempts of a watch that dies of its catch-up.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from temporalio import activity

from activities.clock import Wall

LONGEST_TURN_SECONDS: Final = 0.05
"""That the loop belongs to one watch."""

RENEWAL_SECONDS: Final = 10.0

LONGEST_UNLOOKED_SECONDS: Final = 180.0
"""After that without a look at the present no lease is renewed any more.  A day takes less on a machine with six
times as much to do as it can."""

_UNLOOKED = "unlooked_since"


class Pauses:
    def __init__(self, renew: Callable[[], Awaitable[object]], wall: Wall, unlooked_since: float | None) -> None:
        """``unlooked_since``: unix time at which an earlier attempt began to catch up; None if none died of it."""
        self._renew = renew
        self._wall = wall
        self._renewed_at = wall()
        self._unlooked_since: float | None = self._renewed_at if unlooked_since is None else unlooked_since
        self._turn_began = time.monotonic()

    async def due(self) -> None:
        """Let others have the loop if it is their turn, and renew the leases if it is time.  Raises what that does."""
        if time.monotonic() - self._turn_began < LONGEST_TURN_SECONDS:
            return
        await asyncio.sleep(0)
        now = self._wall()
        since = self._unlooked_since = now if self._unlooked_since is None else self._unlooked_since
        if now - self._renewed_at >= RENEWAL_SECONDS and now - since < LONGEST_UNLOOKED_SECONDS:
            await self._renew()
            self._renewed_at = now
        self._turn_began = time.monotonic()

    def looked(self) -> None:
        """A look at the present is completed, and has renewed the leases."""
        self._unlooked_since, self._renewed_at = None, self._wall()

    def told(self) -> dict[str, Any]:
        """What the next attempt must know, for the details of a heartbeat."""
        return {_UNLOOKED: self._unlooked_since}


def unlooked_since() -> float | None:
    """What the last attempt of the activity that runs now has told."""
    for details in activity.info().heartbeat_details:
        if isinstance(details, dict) and isinstance(since := details.get(_UNLOOKED), int | float):
            return float(since)
    return None
