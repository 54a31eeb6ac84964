"""The decision log: one JSON line per decision, in one file per route.

Lines are appended and synced before the activity reports success, so that a decision which Temporal shows as recorded
is on disk.  A retry may write a line twice; its ``id`` tells.
"""

import asyncio
import os
from pathlib import Path

from temporalio import activity

from activities.heartbeat import heartbeating
from tailramp.activity_names import RECORD
from tailramp.decision import Decision


class RecordActivities:
    """Writes below ``directory``, a folder of the worker's machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @activity.defn(name=RECORD)
    async def record(self, decision: Decision) -> None:
        """Append one decision."""
        async with heartbeating("writing"):
            await asyncio.to_thread(append, self._directory, decision)


def append(directory: Path, decision: Decision) -> None:
    """Append ``decision`` to the log of its route and sync it."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{decision.route.replace('/', '.')}.jsonl"
    line = decision.model_dump_json().encode("utf-8") + b"\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        while line:  # a write may take only a part, on a disk that is nearly full
            line = line[os.write(descriptor, line) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
