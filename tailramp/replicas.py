"""How many servers a slot needs for what it serves: the one place where a share becomes a number of replicas.

Servers come before the users and go after them.  A slot never has fewer than the share that it serves now needs, nor
fewer than the share that it is about to serve; the baseline, which must be able to take everyone back at any moment, is
never made smaller before the candidate has baked.
"""

import math

from tailramp.assignment import Assignment
from tailramp.forms import SlotName
from tailramp.spec.workload import Replicas


def needed(sizes: Replicas, slot: SlotName, assignment: Assignment, baseline: SlotName) -> int:
    """Servers that ``slot`` needs while ``assignment`` is served.

    The default carries everyone whom no rule names, and the baseline everyone should the candidates fail: both need
    them all.  A candidate needs its part, rounded up: ceil(full x share), and ``least`` as soon as it serves anybody.
    """
    if slot in {assignment.default, baseline}:
        return sizes.full
    share = assignment.share_of(slot)
    return max(sizes.least, math.ceil(round(sizes.full * share, 9))) if share > 0 else 0


def before_shift(sizes: Replicas, slot: SlotName, *, now: Assignment, then: Assignment, baseline: SlotName) -> int:
    """Servers that ``slot`` must have, at least, before ``then`` is served in place of ``now``."""
    return max(needed(sizes, slot, now, baseline), needed(sizes, slot, then, baseline))


def after_shift(sizes: Replicas, slot: SlotName, *, found: int, now: Assignment, baseline: SlotName) -> int:
    """Servers that ``slot`` keeps, of those that it has, once ``now`` is served and nobody is about to come.

    What was ``found`` before the ramp is not made smaller: somebody wanted it so.
    """
    return max(found, needed(sizes, slot, now, baseline))
