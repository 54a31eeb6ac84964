"""What a changed canary file means for a ramp that is live.

The file is the wish; the ramp is what became of it so far.  More buckets are a new target, fewer are a shrink that
nothing delays; whatever would move users between models or change the rules of the ramp under way is refused, with the
field and the way out.
"""

from dataclasses import dataclass
from typing import Any

from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.errors import Refused
from tailramp.plan import Plan, Step, make_plan
from tailramp.ramp import Phase, RampState
from tailramp.spec import RampSpec
from tailramp.yaml_source import dotted


@dataclass(frozen=True)
class TargetChange:
    """The plan to go on with; ``shrink_to`` is what the candidate may serve at once, None if it loses nobody."""

    plan: Plan
    sentence: str
    shrink_to: Assignment | None = None


def change_of_target(live: RampSpec, wanted: RampSpec, plan: Plan | None, state: RampState) -> TargetChange | None:
    """What ``wanted`` changes; None if nothing.  Raises Refused, naming the field and the mend.

    An empty target is not meant for here: it is a stop, and stops are never refused.
    """
    if state.phase.is_rollback or state.stop is not None or state.phase.is_terminal:
        raise Refused(f"the ramp is in {state.phase}: wait for its end")
    if wanted.candidate.model != live.candidate.model:
        raise Refused(
            f"canary.model: a ramp to {live.candidate.model} is live; "
            f'apply buckets: "" first, then ramp to {wanted.candidate.model}'
        )
    if field := _first_difference(_pinned(live), _pinned(wanted)):
        raise Refused(f"{field}: is pinned while the ramp is live; abort it, or change it back")
    old, new = live.candidate.buckets, wanted.candidate.buckets
    if new.same_members(old):
        return None
    if plan is None:
        raise Refused("canary.buckets: the ramp is in preflight; apply again when it is served")
    if state.phase in {Phase.PROMOTING, Phase.BAKING}:
        raise Refused(f'canary.buckets: the ramp is in {state.phase}; only buckets: "" is accepted now')
    if not new.issuperset(old) and not old.issuperset(new):
        raise Refused(
            f"canary.buckets: {new.minus(old)} would come and {old.minus(new)} would go, which reshuffles users; "
            "shrink first, then grow"
        )
    return _changed(wanted, plan, state)


def _changed(wanted: RampSpec, plan: Plan, state: RampState) -> TargetChange:
    target = wanted.candidate.buckets
    served = state.applied.buckets_of(plan.candidate) if state.applied is not None else BucketSet()
    kept = served.overlap(target)
    fresh = make_plan(wanted, default=plan.baseline, candidate=plan.candidate, served=kept)
    present = plan.step(state.step)
    # In a shift the step's write may be under way: what it gives beyond the target must be taken back after it.
    coming = present.buckets if state.phase is Phase.SHIFTING else BucketSet()
    if target.issuperset(served) and target.issuperset(coming):
        behind = plan.steps[: state.step]
        shrink_to = None
        sentence = f"new target {target}"
    elif len(kept):
        rule = Rule(slot=plan.candidate, buckets=kept, segments=wanted.candidate.segments)
        shrink_to = Assignment(default=plan.baseline, rules=(rule,))
        behind = (
            *plan.steps[: state.step - 1],
            present.model_copy(update={"assignment": shrink_to, "buckets": kept}),
        )
        sentence = f"new target {target}: {served.union(coming).minus(target)} go back to {plan.baseline} at once"
    else:
        shrink_to = plan.baseline_only
        behind = plan.steps[: state.step - 1]
        sentence = f"new target {target}: everyone goes back to {plan.baseline} at once"
    return TargetChange(_joined(fresh, behind), sentence, shrink_to)


def _joined(fresh: Plan, behind: tuple[Step, ...]) -> Plan:
    """The steps that were reached, then those of ``fresh`` that go beyond them."""
    reached = behind[-1].buckets if behind else BucketSet()
    beyond = [step for step in fresh.steps if not reached.issuperset(step.buckets)]
    steps = [*behind, *beyond]
    return fresh.model_copy(
        update={"steps": tuple(step.model_copy(update={"index": index}) for index, step in enumerate(steps, start=1))}
    )


def _pinned(spec: RampSpec) -> dict[str, Any]:
    """Everything that may not change under a live ramp, as plain data."""
    data = spec.model_dump(mode="json", by_alias=True)
    candidate = spec.candidate.model_dump(mode="json", by_alias=True)
    candidate.pop("buckets")
    return {"canary": candidate, **data["platform"]}


def _first_difference(before: Any, after: Any, at: tuple[str, ...] = ()) -> str | None:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            if found := _first_difference(before.get(key), after.get(key), (*at, str(key))):
                return found
        return None
    return None if before == after else dotted(at)
