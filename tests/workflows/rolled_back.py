"""What a way back looks like from outside, whatever began it."""

from __future__ import annotations

from scripted import ScriptedWorld
from scripted_activities import FIRST_EPOCH

ROLLBACK = ["clear", "prove", "restore"]


def assert_rolled_back(world: ScriptedWorld, last_forward: str) -> None:
    """After the clear there is only the proof and the comparison; before it, nothing after ``last_forward``."""
    at = world.deeds.index("clear")
    assert world.deeds[at - 1] == last_forward
    assert world.deeds[at:] == ROLLBACK
    writes = [call.epoch for call in (*world.all("apply "), *world.all("conclude"))]
    assert world.all("clear")[0].epoch > max(writes, default=FIRST_EPOCH)
