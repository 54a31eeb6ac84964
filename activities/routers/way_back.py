"""Whether there is anybody to go back to.

Once a promotion has moved the default, a rollback sends everyone to the slot that was the default before.  If that slot
has no ready server, going back would turn a bad answer into none: automatic actors leave traffic where it is, mark the
record, say so and try again; a person decides with ``kill --force`` or ``kill --off``.  Not knowing counts as ready:
the data plane's silence keeps no candidate alive.
"""

from activities.routers.protocol import Router
from tailramp.errors import TailrampError, Unreachable
from tailramp.route_record import stranded


async def blocked_way_back(router: Router, ramp: str | None = None) -> str | None:
    """Why nobody can be sent back now, in words; None if the way is open, or not ``ramp``'s to go."""
    try:
        record = await router.record()
    except (TailrampError, OSError):
        return None
    if ramp is not None and (record.ramp != ramp or record.kill is not None):
        return None
    back = record.original_default
    if record.assignment.default == back or await router.ready(back) is not False:
        return None
    return f"{back}, where everyone would go back to, has no ready server"


async def mark(router: Router) -> None:
    """Note in the record that somebody wanted to go back and could not.  A note that cannot be written is left out."""
    try:
        await router.renew(stranded)
    except (Unreachable, OSError):
        return
