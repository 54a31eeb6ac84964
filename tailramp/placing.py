"""Which slot serves which candidate: one that serves it already, else a free one whose workload can be had to.

The live slot is what the route says, never a file; after a promotion the other one is free for the next candidate.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from tailramp.forms import SlotName
from tailramp.spec import RampSpec


@dataclass(frozen=True)
class Place:
    """A candidate in the slot that shall serve it; ``called`` is what a server that runs it calls itself.

    ``is_served``: it does already.
    """

    slot: SlotName
    model: str
    called: str
    is_served: bool


def serving(
    name: str, slots: Iterable[SlotName], served: Mapping[SlotName, frozenset[str]], taken: Container[SlotName]
) -> SlotName | None:
    """The first of ``slots`` that is not ``taken`` and answers to ``name`` already; None if there is none."""
    return next((slot for slot in slots if name in served.get(slot, ()) and slot not in taken), None)


def places(
    spec: RampSpec, live: SlotName, served: Mapping[SlotName, frozenset[str]], previous: SlotName | None = None
) -> list[Place]:
    """A slot for every candidate, in their order; empty if there is none for some of them, or one is live already.

    ``served`` are the models that each slot answers to.  ``previous`` was the default before ``live``: the one that
    somebody may still want to go back to is taken last.
    """
    platform = spec.platform
    called = {candidate.model: platform.models.served_as(candidate.model) for candidate in spec.candidates}
    if live not in platform.slots or any(name in served.get(live, ()) for name in called.values()):
        return []
    free = [slot for slot in platform.slots if slot != live]
    found: list[Place] = []
    for model, name in called.items():
        taken = {place.slot for place in found}
        if there := serving(name, free, served, taken):
            found.append(Place(there, model, name, is_served=True))
            continue
        others = {other for other in called.values() if other != name}
        possible = [
            slot
            for slot in free
            if slot not in taken
            and platform.slots[slot].workload is not None
            and not others & served.get(slot, frozenset())
        ]
        if not possible:
            return []
        slot = min(possible, key=lambda slot: slot == previous)
        found.append(Place(slot, model, name, is_served=False))
    return found
