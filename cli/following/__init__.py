"""A ramp as a stream of changes: every decision exactly once, as it is made.

The decisions are read from the workflow's history, where each is the input of a ``record`` activity: so none is missed
between two looks, none is told twice, and none needs a worker to be told.  What is not in history (the verdicts of the
watch that is running, a retry that keeps failing, a queue without a worker) comes from looks in between.
"""

from cli.following.changes import Change, ChangeKind
from cli.following.follower import Follower
from cli.following.looks import IDLE_SECONDS, no_worker

__all__ = ["IDLE_SECONDS", "Change", "ChangeKind", "Follower", "no_worker"]
