"""What every workload owes, whatever runs the servers of a slot.

A workload is written only before users come and after they have left, by whoever holds the route; what it held before
is noted on the object itself in the same write, so that no crash can lose it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from tailramp.errors import Problem


@dataclass(frozen=True)
class Holder:
    """Who writes: ``ramp``; ``check`` raises Fenced if the route is not its to write any more.

    It is asked after the object was read and before it is written, so that a write which comes late meets an object
    that somebody else has changed since.  ``order`` rises from one thing that a ramp asks for to the next, so that a
    write which comes late meets what was asked for after it; None: it has no place among them.
    """

    ramp: str
    check: Callable[[], Awaitable[None]]
    order: int | None = None


@dataclass(frozen=True)
class Progress:
    """How far the servers of a slot are: ``ready`` of the ``wanted`` are, and hold what was asked for.

    ``doing`` says what the others do, ``stuck`` why one of them cannot go on, and ``mend`` what would help.
    ``leftovers``: servers that still hold something else, and might answer.
    """

    wanted: int
    ready: int
    unit: str = "pods"
    doing: str = ""
    stuck: str = ""
    mend: str = ""
    leftovers: int = 0

    @property
    def is_done(self) -> bool:
        return self.ready >= self.wanted and not self.leftovers and not self.doing

    def answering(self, model: str, models: frozenset[str]) -> "Progress":
        """The same of servers that are ready and should answer to ``model``, but do so to ``models``."""
        if model in models:
            return self
        doing = f"serving {', '.join(sorted(models))} and not {model}" if models else "not answering yet"
        mend = f"Check that the server calls itself {model}, or mend models.served" if models else ""
        return replace(self, doing=doing, mend=mend)

    def __str__(self) -> str:
        counted = f"{self.ready} of {self.wanted} {self.unit} ready" if self.unit else ""
        parts = [counted, self.stuck or self.doing]
        parts += [f"{self.leftovers} of before are still there"] * bool(self.leftovers)
        return ", ".join(filter(None, parts))


@dataclass(frozen=True)
class Restored:
    """``touched`` if there was anything of tailramp's to put back; ``left`` is what could not be, in words."""

    touched: bool = False
    left: tuple[str, ...] = ()


class Workload(Protocol):
    async def preflight(self, model: str | None) -> list[Problem]:
        """Whatever would keep the servers from running ``model`` (None: what they run now), and from being as many as
        the share needs."""

    async def size(self) -> int | None:
        """How many servers are wanted now; None if nobody here can tell."""

    async def found_size(self) -> int | None:
        """How many were wanted before a ramp changed that; None if nobody here can tell."""

    async def written_by(self) -> str | None:
        """The ramp whose writes stand here now; None if nobody's do."""

    async def changed_by(self, ramp: str) -> bool:
        """Whether something stands here that a write of ``ramp`` has put there: also one of a worker that has died."""

    async def claim(self, holder: Holder, *, serves: bool) -> None:
        """Note whose it is now, so that a late write of an earlier ramp meets a changed object.

        ``serves``: everyone is served there, so that what an earlier ramp has made of it is what this one finds.
        """

    async def prepare(self, model: str, holder: Holder) -> None:
        """Let the servers run ``model``."""

    async def ready(self, servers: int, seconds: float) -> Progress:
        """How far ``servers`` of them are.  ``seconds`` is the time of day.

        Why they are not further may be some seconds old where the same workload is asked again and again.
        """

    async def grow(self, servers: int, holder: Holder) -> None:
        """Want at least so many of them."""

    async def shrink(self, servers: int, holder: Holder) -> None:
        """Want at most so many of them.  Raises Fenced if the ramp has asked for others since: see ``Holder``."""

    async def restore(self, holder: Holder | None, *, serves: bool) -> Restored:
        """Put back what the holder's ramp wrote; None: what any ramp wrote.

        ``serves``: users are served there, so that what runs stays, and of ramps that are over also how many run.
        Fields that somebody else has changed since are left.
        """

    async def retire(self, servers: int | None, holder: Holder) -> None:
        """A promoted ramp is over: what stands is the new normal.  ``servers``: as many stay; None: all."""
