"""What a ramp does with the workloads of its slots, as far as the files and the slots' answers tell."""

from collections.abc import Mapping
from dataclasses import dataclass

from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.replicas import needed
from tailramp.spec import RampSpec


@dataclass(frozen=True)
class Course:
    """One workload through a ramp.

    ``model`` is put into it first; "" if nothing is.  ``servers`` are those that it needs at each step and, if the ramp
    promotes, in the end; empty if nobody changes their number.  ``idle`` stay after the bake; None: all of them.
    """

    slot: SlotName
    kind: str
    name: str
    model: str
    servers: tuple[int, ...] = ()
    idle: int | None = None


def courses(spec: RampSpec, plan: Plan, coming: Mapping[SlotName, str]) -> list[Course]:
    """The workloads of the baseline and the candidates; ``coming`` are the models to be put into slots."""
    served = [step.assignment for step in plan.steps] + ([plan.promoting] if plan.promotes else [])
    found = []
    for slot in (plan.baseline, *plan.slots):
        workload = spec.platform.workload_of(slot)
        if workload is None:
            continue
        sizes = workload.replicas
        counts = [needed(sizes, slot, assignment, plan.baseline) for assignment in served] if sizes else []
        retires = sizes is not None and plan.promotes and slot == plan.baseline
        found.append(
            Course(
                slot=slot,
                kind=workload.kind,
                name=workload.name,
                model=coming.get(slot, ""),
                servers=tuple(dict.fromkeys(counts)),
                idle=sizes.idle if sizes is not None and retires else None,
            )
        )
    return found
