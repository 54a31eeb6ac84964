"""A ramp, followed: its history and the looks in between as one stream of changes."""

import asyncio
import time
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import Final

from cli.following.changes import Change
from cli.following.history import History
from cli.following.looks import Looks
from cli.following.story import Story
from cli.ramps import Ramp, Sighting
from tailramp import activity_contract as contract
from tailramp.decision import Decision
from tailramp.errors import Unreachable
from tailramp.spec import RampSpec

LOOK_INTERVAL: Final = timedelta(seconds=0.5)
PATIENCE: Final = timedelta(seconds=30)
"""How long the server may be gone before the connection counts as lost: a restart takes less."""


class Follower:
    """One ramp, followed: ``changes`` tells what happens, the attributes where it stands meanwhile.

    ``stands`` is the latest change; ``decisions`` are the latest ones, oldest first; ``spec`` and ``watch`` what the
    ramp was started with and the request of its latest watch, None until they are known; ``sighting`` is the latest
    look; ``troubles`` are what keeps the ramp from being carried out now, in words; ``lost_since`` is the monotonic
    time since when the server is silent.
    """

    def __init__(self, ramp: Ramp) -> None:
        self.ramp = ramp
        self.sighting: Sighting | None = None
        self.lost_since: float | None = None
        self._story: Story | None = None
        self._looks: Looks | None = None

    @property
    def stands(self) -> Change | None:
        return None if self._story is None else self._story.stands

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return () if self._story is None else tuple(self._story.decisions)

    @property
    def spec(self) -> RampSpec | None:
        return None if self._story is None else self._story.spec

    @property
    def watch(self) -> contract.WatchRequest | None:
        return None if self._story is None else self._story.watch

    @property
    def started_at(self) -> datetime | None:
        return None if self._story is None else self._story.started_at

    @property
    def troubles(self) -> tuple[str, ...]:
        return () if self._looks is None else self._looks.troubles

    async def changes(
        self, *, from_start: bool = False, patience: timedelta = PATIENCE
    ) -> AsyncGenerator[Change, None]:
        """Every change from now on, the first one being where the ramp stands, the last one its end.

        ``from_start`` begins with the ramp's first decision (of its present run, if it has continued as new) instead.
        Raises NoRamp if there is none, Unreachable once the server has been silent for ``patience``.
        """
        self.sighting = sighting = await self.ramp.look(ask_worker=False)
        story = Story(self.ramp, sighting)
        history = History(self.ramp, sighting.run_id)
        looks = Looks(story)
        try:
            told = await story.fold(await history.all_there_is(), tell_all=from_start)
            self._story, self._looks = story, looks
            for change in told:
                yield change
            while not story.is_over:
                try:
                    events = await history.next(LOOK_INTERVAL)
                    for change in await story.fold(events, tell_all=True):
                        yield change
                    if not story.is_over:
                        self.sighting = await self.ramp.look(ask_worker=False)
                        for change in looks.compare(self.sighting):
                            yield change
                    self.lost_since = None
                except Unreachable:
                    history.drop()
                    self.lost_since = time.monotonic() if self.lost_since is None else self.lost_since
                    if time.monotonic() - self.lost_since >= patience.total_seconds():
                        raise
                    await asyncio.sleep(LOOK_INTERVAL.total_seconds())
        finally:
            await history.close()
