"""How often Python looks for garbage that only its collector finds.

The answers of a day are half a million small lists, and none of them is garbage before all are read. Looking at them
again for every 700 that are new, as Python does by default, takes five times as long as reading them; so does a part of
what a command imports. What is no cycle is let go at once, however seldom anybody looks.
"""

import gc
from typing import Final

_NEW_OBJECTS: Final = 50_000
_LOOKS: Final = 5


def look_for_garbage_seldom() -> None:
    """Have the collector look after 50,000 new objects, and at older ones at every fifth time; of this process."""
    gc.set_threshold(_NEW_OBJECTS, _LOOKS, _LOOKS)
