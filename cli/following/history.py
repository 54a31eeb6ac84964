"""The events of a ramp's workflow as they come, each once, over a connection that may be lost and found again."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistoryEventAsyncIterator
from temporalio.service import RPCError

from cli.ramps import Ramp
from cli.temporal import in_words


class History:
    """The events of a run and of those that it continues as, each once."""

    def __init__(self, ramp: Ramp, run_id: str) -> None:
        self._ramp = ramp
        self._run_id = run_id
        self._last = 0
        self._iterator: WorkflowHistoryEventAsyncIterator | None = None
        self._page: asyncio.Task[None] | None = None

    async def all_there_is(self) -> list[HistoryEvent]:
        """The events up to now; does not wait for more."""
        with in_words(self._ramp.client, self._ramp.route):
            events = [event async for event in self._ramp.run(self._run_id).fetch_history_events()]
        return self._new(events)

    async def next(self, limit: timedelta) -> list[HistoryEvent]:
        """The next events, or none after ``limit``; the question to the server stays open."""
        if self._iterator is None:
            self._iterator = self._ramp.run(self._run_id).fetch_history_events(wait_new_event=True)
        if self._page is None:
            self._page = asyncio.create_task(self._iterator.fetch_next_page())
        await asyncio.wait({self._page}, timeout=limit.total_seconds())
        if not self._page.done():
            return []
        page, self._page = self._page, None
        with in_words(self._ramp.client, self._ramp.route):
            await page
        return self._new(self._iterator.current_page or ())

    def _new(self, events: Sequence[HistoryEvent]) -> list[HistoryEvent]:
        fresh = [event for event in events if event.event_id > self._last]
        if fresh:
            self._last = fresh[-1].event_id
            continued = fresh[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
            if continued:
                self._run_id, self._last = continued, 0
                self.drop()
        return fresh

    def drop(self) -> None:
        """Forget the open question: the next one starts anew, behind what was told already."""
        if self._page is not None:
            self._page.cancel()
        self._iterator = self._page = None

    async def close(self) -> None:
        page = self._page
        self.drop()
        if page is not None:
            with contextlib.suppress(asyncio.CancelledError, RPCError):
                await page
