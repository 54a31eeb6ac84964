"""What a ramp says of the servers that it waits for.  Worlds with a cluster and without one wait for it alike."""

from cli.ramps import Ramp
from lab.process import wait_until
from lab.world import World
from tailramp.errors import Unreachable


async def servers_told(world: World) -> dict[str, str]:
    """By slot, as soon as anything is said."""
    seen: dict[str, str] = {}

    async def is_told() -> bool:
        try:
            sighting = await Ramp(world.client, world.route).look(ask_worker=False)
        except Unreachable:  # a busy machine
            return False
        for pending in sighting.pending:
            seen.update(pending.servers)
        return bool(seen)

    await wait_until(is_told, 60, "what is waited for is told", interval=0.1)
    return seen
