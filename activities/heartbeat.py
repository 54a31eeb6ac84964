"""A heartbeat in the background, so that one slow request is not taken for a dead worker and a cancel arrives soon.

A worker that only heartbeats between requests looks dead while it waits for one.  This beats on its own, by default
twice a second, with whatever details stand at that moment.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from temporalio import activity

SECONDS = 0.5


class Heartbeat:
    """Set ``details`` to what Temporal's UI should show beside the running activity, or to a function that says it."""

    def __init__(self, details: Any) -> None:
        self.details = details


@asynccontextmanager
async def heartbeating(details: Any, every: float = SECONDS) -> AsyncIterator[Heartbeat]:
    """Beat until the block is left, once in ``every`` seconds: each beat is a write of Temporal's."""
    heartbeat = Heartbeat(details)

    async def beat() -> None:
        while True:
            activity.heartbeat(heartbeat.details() if callable(heartbeat.details) else heartbeat.details)
            await asyncio.sleep(every)

    task = asyncio.create_task(beat())
    try:
        yield heartbeat
    finally:
        task.cancel()
