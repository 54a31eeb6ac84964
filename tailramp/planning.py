"""From a spec and what the route serves now to the steps of a ramp."""

import math
from collections.abc import Mapping, Sequence

from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.errors import Refused
from tailramp.forms import SlotName
from tailramp.plan import Plan, Step, Variant
from tailramp.spec import RampSpec


def make_plan(
    spec: RampSpec,
    *,
    default: SlotName,
    candidates: Sequence[SlotName],
    served: Mapping[SlotName, BucketSet] | None = None,
) -> Plan:
    """The plan of a ramp from slot ``default`` to ``candidates``: the slots of the spec's candidates, in their order.

    ``served`` are the buckets that a candidate's slot serves already.  Each step is what is served already together
    with the first ceil(share x n) buckets of every target in written order; steps that change nothing are dropped.  A
    candidate without buckets is left out.  Raises Refused if nothing is left to do.
    """
    variants = tuple(
        Variant(slot=slot, model=candidate.model, buckets=candidate.buckets, segments=candidate.segments)
        for slot, candidate in zip(candidates, spec.candidates, strict=True)
        if len(candidate.buckets)
    )
    if not variants:
        raise Refused('the target is empty (buckets: ""): there is nothing to ramp')
    policy = spec.platform.ramp
    promotes = len(variants) == 1 and variants[0].buckets.is_everyone and not variants[0].segments
    steps: list[Step] = []
    reached: dict[SlotName, BucketSet] = {}
    for entry in policy.steps:
        wanted = {variant.slot: _served_at(entry.share, variant, served or {}) for variant in variants}
        changes = any(slot not in reached or not wanted[slot].same_members(reached[slot]) for slot in wanted)
        if not changes or (promotes and wanted[variants[0].slot].is_everyone):
            continue
        reached = wanted
        rules = tuple(Rule(slot=v.slot, buckets=wanted[v.slot], segments=v.segments) for v in variants)
        assignment = Assignment(default=default, rules=rules)
        hold = policy.hold if entry.hold is None else entry.hold
        hold = policy.evidence.dwell if policy.by_evidence else hold
        steps.append(Step(index=len(steps) + 1, assignment=assignment, hold=hold, approval=entry.approval))
    if not steps:
        raise Refused("ramp.steps has no step below 100%: a ramp to everyone needs a smaller one to gather evidence in")
    if promotes and len(both := reached[variants[0].slot].overlap(policy.hold_back)):
        raise Refused(
            f"ramp.holdBack: {both} would be moved to the candidate by a step before: hold back other buckets"
        )
    return Plan(
        route=spec.platform.route.full_name,
        baseline=default,
        candidates=variants,
        steps=tuple(steps),
        promotes=promotes,
        bake=policy.bake,
        hold_back=policy.hold_back if promotes else BucketSet(),
        needs_room=any(
            (workload := spec.platform.workload_of(slot)) is not None and workload.replicas is not None
            for slot in (default, *(variant.slot for variant in variants))
        ),
    )


def _served_at(share: float, variant: Variant, served: Mapping[SlotName, BucketSet]) -> BucketSet:
    already = served.get(variant.slot, BucketSet(resolution=variant.buckets.resolution))
    return already.union(variant.buckets.first(_part_of(len(variant.buckets), share)))


def _part_of(count: int, share: float) -> int:
    """ceil(share x count) of the share as it was written: 7 % of 100 is 7, though 0.07 * 100 is a little more."""
    return max(1, math.ceil(round(share * count, 9)))
