"""A ramp while users keep asking."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lab.kube_world import KubeWorld
from workflows.handles import RampHandle
from workflows.starting import start_ramp


@asynccontextmanager
async def ramp_among_users(
    world: KubeWorld, model: str = "chat-v2", *, seconds: float = 120, log: str = "clients.jsonl"
) -> AsyncIterator[RampHandle]:
    """A ramp to ``model`` that has just been started.  Users ask for so many ``seconds`` at most; what they got is in
    the world's file ``log``."""
    users = world.start_users(world.directory / log, rate=60, seconds=seconds, core_users=50)
    try:
        spec = world.spec(model)
        await world.counted(spec)
        yield await start_ramp(world.client, spec, actor="test")
    finally:
        await users.terminate()
