"""Clearing, where there is anybody to go back to.

Once a promotion has moved the default, a rollback sends everyone to the slot that was the default before.  If that slot
has no ready server, going back would turn a bad answer into none: automatic actors leave traffic where it is, mark the
record, say so and try again; a person decides with ``kill --force`` or ``kill --off``.  Not knowing counts as ready:
the data plane's silence keeps no candidate alive.
"""

from activities.routers.protocol import Clear, Router
from tailramp.errors import Unreachable
from tailramp.forms import SlotName
from tailramp.route_record import RouteRecord, stranded


class NoWayBack(Exception):
    """Nothing was changed, since nobody could answer where everyone would go back to; says so in words."""


class _IsItReady(Exception):
    """The clear would move everyone to a slot of which nobody has asked yet whether it can serve them."""

    def __init__(self, slot: SlotName) -> None:
        super().__init__(slot)
        self.slot = slot


async def clear_if_ready(router: Router, change: Clear) -> RouteRecord:
    """Clear as ``change`` says; returns what stands then.  Raises NoWayBack, and what ``Router.clear`` does.

    The record that is written is the one that decides whether anybody has to be asked: a candidate beside an unmoved
    default is out without a question.
    """
    known: set[SlotName] = set()

    def guarded(record: RouteRecord) -> RouteRecord | None:
        after = change(record)
        if after is not None:
            back = after.assignment.default
            if back != record.assignment.default and back not in known:
                raise _IsItReady(back)
        return after

    while True:
        try:
            return await router.clear(guarded)
        except _IsItReady as question:
            if await router.ready(question.slot) is False:
                raise NoWayBack(f"{question.slot}, where everyone would go back to, has no ready server") from None
            known.add(question.slot)


async def mark(router: Router) -> None:
    """Note in the record that somebody wanted to go back and could not.  A note that cannot be written is left out."""
    try:
        await router.renew(stranded)
    except (Unreachable, OSError):
        return
