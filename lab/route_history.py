"""Which assignment stood in the route file at which time, seen from outside.

Whether a request was served by a slot that was allowed to serve it can only be judged against what really stood in the
file, not against what the ramp says that it wrote.  The file is replaced by renaming, so another inode, or the same one
with another time of change, is a new version; it is looked at often enough that no version can pass unseen between two
steps.  A look that is late, because the machine is busy, only makes it less certain when the version before it ended.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from gateway.route_document import RouteDocument
from tailramp.assignment import Assignment
from tailramp.buckets import BucketFunction

LOOK_SECONDS = 0.005
GRACE_SECONDS = 0.5
"""A request is judged by every assignment that was in force from so long before its sending until its answer began."""


@dataclass(frozen=True)
class Version:
    """It began between two looks: not before ``since``, at which the file was still the one before, and by ``seen``."""

    since: float
    seen: float
    assignment: Assignment
    epoch: int


class RouteHistory:
    """The versions of one route file, in order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = (-1, -1)
        self._looked = 0.0
        self.versions: list[Version] = []

    @contextlib.asynccontextmanager
    async def observed(self) -> AsyncIterator[None]:
        """Look at the file until the block is left, and once more then."""
        task = asyncio.create_task(self._look_on())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            self._look()

    async def _look_on(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(LOOK_SECONDS)

    def _look(self) -> None:
        now, found = time.time(), self._path.stat()
        # The number of a file that was replaced is soon given to another one.
        file = (found.st_ino, found.st_ctime_ns)
        if file != self._file:
            record = RouteDocument.parse(self._path.read_text(encoding="utf-8")).record
            if not self.versions or record.assignment != self.versions[-1].assignment:
                self.versions.append(Version(self._looked, time.time(), record.assignment, record.epoch))
        self._file, self._looked = file, now

    def in_force(self, start: float, end: float) -> list[Assignment]:
        """Every assignment that stood at some time from ``start`` to ``end``."""
        found = []
        for index, version in enumerate(self.versions):
            until = self.versions[index + 1].seen if index + 1 < len(self.versions) else float("inf")
            if version.since <= end and until >= start:
                found.append(version.assignment)
        return found

    def first_shrink(self, slot: str) -> float | None:
        """When the share of ``slot`` first became smaller, None if it never did."""
        for before, version in pairwise(self.versions):
            if version.assignment.share_of(slot) < before.assignment.share_of(slot):
                return version.since
        return None

    def grew(self, slot: str, start: float | None, end: float | None) -> bool:
        """Whether the share of ``slot`` grew between two times; without both of them there is no such stretch."""
        if start is None or end is None:
            return False
        return any(
            start < version.since < end and version.assignment.share_of(slot) > before.assignment.share_of(slot)
            for before, version in pairwise(self.versions)
        )

    def may_serve(self, slot: str, user: str | None, sent: float, began: float, bucket_of: BucketFunction) -> bool:
        """Whether any assignment in force sends ``user`` to ``slot``."""
        bucket = bucket_of(user) if user else None
        in_force = self.in_force(sent - GRACE_SECONDS, began)
        return any(assignment.slot_for(bucket) == slot for assignment in in_force)
