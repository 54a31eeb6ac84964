"""What is not in a ramp's history: the verdicts of the watch that is running, a retry that keeps failing, a queue
without a worker.  It comes from looks in between, and a look tells only what the one before did not.
"""

import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from temporalio.client import WorkflowExecutionStatus

from cli.following.changes import Change, ChangeKind
from cli.following.story import Story
from cli.ramps import Sighting

IDLE_SECONDS: Final = 5.0
"""How long a task may wait before it is said that no worker takes it: one that is there takes it in milliseconds."""


class Looks:
    """What one look shows that the one before did not."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._watch = ""
        self._verdicts: dict[str, str] = {}
        self._servers: dict[str, str] = {}
        self._failures: dict[str, str] = {}
        self._retried: dict[str, str] = {}
        self._idle_since: dict[str, float] = {}
        self._idle: set[str] = set()
        self._reported: tuple[str, ...] = ()

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong now, in words."""
        idle = [no_worker(queue) for queue in sorted(self._idle)]
        retried = [f"{name} is tried again: {failure}" for name, failure in self._retried.items()]
        return (*idle, *retried, *(f"Temporal reports {problem}" for problem in self._reported))

    def compare(self, sighting: Sighting) -> list[Change]:
        if sighting.execution is not WorkflowExecutionStatus.RUNNING:
            return []
        told = [*self._checks(sighting), *self._progress(sighting)]
        return [*told, *self._retries(sighting), *self._queues(sighting), *self._problems(sighting)]

    def _checks(self, sighting: Sighting) -> list[Change]:
        changes = []
        for pending in sighting.pending:
            if pending.checks and pending.activity_id != self._watch:
                # A new watch knows nothing yet: that is no news.
                self._watch, self._verdicts = pending.activity_id, dict.fromkeys(pending.checks, _UNKNOWN)
            for check, said in pending.checks.items():
                verdict = said.partition(":")[0]
                if self._verdicts.get(check) != verdict:
                    self._verdicts[check] = verdict
                    sentence = f"{check} {said}"
                    changes.append(self._change(ChangeKind.CHECK, sentence, check=check, verdict=verdict))
        return changes

    def _progress(self, sighting: Sighting) -> list[Change]:
        """How far servers are, each time that it changes; the minutes that pass are no news."""
        changes = []
        for pending in sighting.pending:
            for slot, said in pending.servers.items():
                news = _MINUTES.sub("", said)
                if self._servers.get(slot) != news:
                    self._servers[slot] = news
                    changes.append(self._change(ChangeKind.PROGRESS, f"{slot}: {said}"))
        return changes

    def _retries(self, sighting: Sighting) -> list[Change]:
        failures = {pending.activity_id: pending for pending in sighting.pending if pending.failure}
        changes = [
            self._change(ChangeKind.TROUBLE, f"{p.name} is tried again (attempt {p.attempt}): {p.failure}")
            for activity, p in failures.items()
            if self._failures.get(activity) != p.failure
        ]
        self._failures = {activity: pending.failure for activity, pending in failures.items()}
        self._retried = {pending.name: pending.failure for pending in failures.values()}
        return changes

    def _queues(self, sighting: Sighting) -> list[Change]:
        now = time.monotonic()
        self._idle_since = {queue: self._idle_since.get(queue, now) for queue in sighting.untaken}
        idle = {queue for queue, since in self._idle_since.items() if now - since >= IDLE_SECONDS}
        changes = [self._change(ChangeKind.TROUBLE, no_worker(queue)) for queue in sorted(idle - self._idle)]
        changes += [
            self._change(ChangeKind.TROUBLE, f"a worker takes the tasks of {queue} again")
            for queue in sorted(self._idle - set(sighting.untaken))
        ]
        self._idle = (self._idle & set(sighting.untaken)) | idle
        return changes

    def _problems(self, sighting: Sighting) -> list[Change]:
        if sighting.reported == self._reported:
            return []
        self._reported = sighting.reported
        said = ", ".join(sighting.reported)
        return [self._change(ChangeKind.TROUBLE, f"Temporal reports: {said or 'no problem any more'}")]

    def _change(self, kind: ChangeKind, sentence: str, *, check: str = "", verdict: str = "") -> Change:
        stands = replace(self._story.stands, kind=kind, at=datetime.now(UTC), sentence=sentence)
        return replace(stands, decision=None, check=check, verdict=verdict)


_UNKNOWN = "INCONCLUSIVE"
_MINUTES = re.compile(r" \d+ min")


def no_worker(queue: str) -> str:
    """What to say about a queue whose tasks nobody takes."""
    return f"no worker takes the tasks of {queue}: `tailramp worker` runs one"
