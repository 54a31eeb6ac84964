"""Why a block holds a ramp.

A block is a word of a closed set, and may stand for several things at once or one after the other: a shared incident is
a limit that the baseline breaks, too, or a baseline without a server.  Whoever is called must hear of the second as
they heard of the first.  So every cause is told once for as long as its block lasts: two that take turns are two
decisions, however often they do, and a number that grows in a sentence is none.
"""

import re
from collections.abc import Collection, Iterable
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from tailramp.ramp.words import Block

MOST_CAUSES: Final = 16
"""Of one block, that are told.  A cause that is worded by somebody else may be a new one at every look."""

_NUMBERS: Final = re.compile(r"[0-9][0-9.,:TZ+-]*")


class Cause(BaseModel):
    """One thing that holds a ramp.

    ``block`` None: a failed check, for which the ramp is paused until a person looks.  ``key`` is the same at every
    tick, ``sentence`` has the numbers of the one at which it was told.
    """

    model_config = ConfigDict(frozen=True)

    block: Block | None
    key: str = Field(description="what it is, whatever its numbers are")
    sentence: str

    @classmethod
    def of(cls, block: Block | None, sentence: str, key: str = "") -> "Cause":
        """``key`` is by default the sentence without its numbers."""
        return cls(block=block, key=key or without_numbers(sentence), sentence=sentence)


def without_numbers(sentence: str) -> str:
    """The sentence with ``#`` for every number, date and time."""
    return _NUMBERS.sub("#", sentence)


def frozen(why: str) -> Cause:
    """The cause of a freeze, the same for everyone who meets it: a shift names the route or namespace before that."""
    return Cause.of(Block.FREEZE, why, key=without_numbers(why[max(0, why.find("frozen by")) :]))


def news(told: Collection[Cause], found: Iterable[Cause]) -> tuple[Cause, ...]:
    """Those of ``found`` that are not ``told`` yet, as far as any more of their block are to be."""
    known = {(cause.block, cause.key) for cause in told}
    number = {block: sum(cause.block == block for cause in told) for block in (None, *Block)}
    return tuple(
        cause
        for cause in {(cause.block, cause.key): cause for cause in found}.values()
        if (cause.block, cause.key) not in known and number[cause.block] < MOST_CAUSES
    )


def with_found(told: Collection[Cause], found: Iterable[Cause]) -> tuple[Cause, ...]:
    """``told`` and whatever of ``found`` is new, in the order in which they were heard of."""
    return (*told, *news(told, found))
