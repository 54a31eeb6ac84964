"""What a changed canary file means for a ramp that is live.

The file is the wish; the ramp is what became of it so far.  More buckets are a new target, fewer are a shrink that
nothing delays; whatever would move users between models or change the rules of the ramp under way is refused, with the
field and the way out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.errors import Refused
from tailramp.forms import SlotName
from tailramp.plan import Plan, Step
from tailramp.planning import make_plan
from tailramp.ramp import Phase, RampState
from tailramp.spec import Candidate, RampSpec
from tailramp.yaml_source import dotted


@dataclass(frozen=True)
class TargetChange:
    """The plan to go on with; ``shrink_to`` is what may be served at once, None if no candidate loses anybody.

    ``emptied`` are candidates that are to serve nobody any more.
    """

    plan: Plan
    sentence: str
    shrink_to: Assignment | None = None
    emptied: tuple[SlotName, ...] = ()


def change_of_target(live: RampSpec, wanted: RampSpec, plan: Plan | None, state: RampState) -> TargetChange | None:
    """What ``wanted`` changes; None if nothing.  Raises Refused, naming the field and the mend.

    An empty target is not meant for here: it is a stop, and stops are never refused.
    """
    if state.phase.is_rollback or state.stop is not None or state.phase.is_terminal:
        raise Refused(f"the ramp is in {state.phase}: wait for its end")
    before, after = _by_model(live), _by_model(wanted)
    if strangers := [model for model in after if model not in before]:
        tried = " + ".join(before)
        raise Refused(
            f'canary.model: a ramp to {tried} is live; apply buckets: "" first, then ramp to {" + ".join(strangers)}'
        )
    if field := _first_difference(_pinned(live, after), _pinned(wanted, after)):
        raise Refused(f"{field}: is pinned while the ramp is live; abort it, or change it back")
    new = {model: after[model].buckets if model in after else BucketSet() for model in before}
    if all(new[model].same_members(candidate.buckets) for model, candidate in before.items()):
        return None
    if plan is None:
        raise Refused("canary.buckets: the ramp is in preflight; apply again when it is served")
    if state.phase in {Phase.PROMOTING, Phase.BAKING}:
        raise Refused(f'canary.buckets: the ramp is in {state.phase}; only buckets: "" is accepted now')
    for model, candidate in before.items():
        _refuse_reshuffle(model, candidate.buckets, new, before)
    return _changed(wanted, plan, state, {variant.slot: new[variant.model] for variant in plan.candidates})


def _refuse_reshuffle(
    model: str, old: BucketSet, new: Mapping[str, BucketSet], before: Mapping[str, Candidate]
) -> None:
    wanted = new[model]
    if not wanted.issuperset(old) and not old.issuperset(wanted):
        raise Refused(
            f"canary.buckets: {wanted.minus(old)} would come and {old.minus(wanted)} would go, which reshuffles users; "
            "shrink first, then grow"
        )
    for other, candidate in before.items():
        if other != model and len(passed := wanted.overlap(candidate.buckets)):
            raise Refused(
                f"canaries.buckets: {passed} would pass from {other} to {model}, which reshuffles users; "
                f"take them out of {other} first, then give them to {model}"
            )


def _changed(wanted: RampSpec, plan: Plan, state: RampState, targets: Mapping[SlotName, BucketSet]) -> TargetChange:
    present = plan.step(state.step)
    served = {slot: state.applied.buckets_of(slot) if state.applied else BucketSet() for slot in targets}
    # In a shift the step's write may be under way: what it gives beyond the target must be taken back after it.
    coming = {
        slot: present.assignment.buckets_of(slot) if state.phase is Phase.SHIFTING else BucketSet() for slot in targets
    }
    kept = {slot: served[slot].overlap(target) for slot, target in targets.items()}
    emptied = tuple(slot for slot, target in targets.items() if not len(target))
    told = _told(plan, targets)
    if len(emptied) == len(targets):
        raise Refused('canary.buckets: the target is empty (buckets: ""): that is a stop, not a new target')
    if emptied:
        plan = plan.without(emptied)
    fresh = _fresh_plan(wanted, plan, kept)
    if all(targets[slot].issuperset(served[slot].union(coming[slot])) for slot in targets):
        return TargetChange(_joined(fresh, plan.steps[: state.step]), told)
    lost = {slot: served[slot].union(coming[slot]).minus(targets[slot]) for slot in targets}
    back = " + ".join(str(buckets) for buckets in lost.values() if len(buckets))
    rules = tuple(
        Rule(slot=variant.slot, buckets=kept[variant.slot], segments=variant.segments)
        for variant in plan.candidates
        if len(kept[variant.slot])
    )
    shrink_to = Assignment(default=plan.baseline, rules=rules)
    behind = plan.steps[: state.step - 1]
    if rules:
        behind = (*behind, plan.step(state.step).model_copy(update={"assignment": shrink_to}))
        sentence = f"{told}: {back} go back to {plan.baseline} at once"
    else:
        sentence = f"{told}: everyone goes back to {plan.baseline} at once"
    return TargetChange(_joined(fresh, behind), sentence, shrink_to, emptied)


def _told(plan: Plan, targets: Mapping[SlotName, BucketSet]) -> str:
    """``new target 00-09``; with several candidates ``new target green 00-04, red nobody``."""
    if len(targets) == 1:
        return f"new target {next(iter(targets.values()))}"
    return "new target " + " + ".join(
        f"{variant.slot} {targets[variant.slot] or 'nobody'}" for variant in plan.candidates
    )


def _fresh_plan(wanted: RampSpec, plan: Plan, kept: Mapping[SlotName, BucketSet]) -> Plan:
    """A plan from what is kept to the new targets of the candidates that ``plan`` has."""
    slots = {variant.model: variant.slot for variant in plan.candidates}
    active = [candidate for candidate in wanted.candidates if candidate.model in slots]
    return make_plan(
        wanted.of(active),
        default=plan.baseline,
        candidates=[slots[candidate.model] for candidate in active],
        served=kept,
    )


def _joined(fresh: Plan, behind: tuple[Step, ...]) -> Plan:
    """The steps that were reached, then those of ``fresh`` that go beyond them; nobody moves back on the way."""
    reached = behind[-1].assignment if behind else fresh.baseline_only
    steps = list(behind)
    for step in fresh.steps:
        rules = tuple(
            rule.model_copy(update={"buckets": reached.buckets_of(rule.slot).union(rule.buckets)})
            for rule in step.assignment.rules
        )
        if all(reached.buckets_of(rule.slot).issuperset(rule.buckets) for rule in rules):
            continue
        reached = step.assignment.model_copy(update={"rules": rules})
        steps.append(step.model_copy(update={"assignment": reached}))
    return fresh.model_copy(
        update={"steps": tuple(step.model_copy(update={"index": index}) for index, step in enumerate(steps, start=1))}
    )


def _by_model(spec: RampSpec) -> dict[str, Candidate]:
    return {candidate.model: candidate for candidate in spec.candidates}


def _pinned(spec: RampSpec, kept: Mapping[str, Candidate]) -> dict[str, Any]:
    """Everything that may not change under a live ramp, as plain data; of the candidates only those in ``kept``."""
    candidates = {
        candidate.model: candidate.model_dump(mode="json", by_alias=True, exclude={"buckets"})
        for candidate in spec.candidates
        if candidate.model in kept
    }
    pinned = {"canary": next(iter(candidates.values()))} if len(candidates) == 1 else {"canaries": candidates}
    return {**pinned, **spec.model_dump(mode="json", by_alias=True)["platform"]}


def _first_difference(before: Any, after: Any, at: tuple[str, ...] = ()) -> str | None:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            if found := _first_difference(before.get(key), after.get(key), (*at, str(key))):
                return found
        return None
    return None if before == after else dotted(at)
