"""From a spec and what the route serves now to the steps of a ramp.

The plan is made once, in preflight, and pinned: whatever a person reads in ``plan`` or in Temporal's UI is what the
ramp will do.
"""

import math
from datetime import timedelta

from pydantic import BaseModel, ConfigDict

from tailramp.assignment import Assignment, Rule, SlotName
from tailramp.buckets import BucketSet
from tailramp.errors import Refused
from tailramp.spec import RampSpec
from tailramp.units import Duration, format_duration


class Step(BaseModel):
    """One target assignment with its hold.  ``index`` counts from 1, as people do."""

    model_config = ConfigDict(frozen=True)

    index: int
    assignment: Assignment
    buckets: BucketSet
    hold: Duration
    approval: bool = False

    @property
    def share(self) -> float:
        """Share of identified users on the candidate, 0 to 1."""
        return self.buckets.share

    @property
    def label(self) -> str:
        return f"{self.share * 100:g} % ({self.buckets})"


class Plan(BaseModel):
    """The steps, and what comes after the last: promotion and bake, or a hold without end.

    A target of every bucket ``promotes``: its last step makes the candidate's slot the default, because a rule that
    lists every bucket would still leave out the users without an id.
    """

    model_config = ConfigDict(frozen=True)

    route: str
    model: str
    baseline: SlotName
    candidate: SlotName
    steps: tuple[Step, ...]
    promotes: bool
    bake: Duration
    hold_back: BucketSet = BucketSet()

    @property
    def baseline_only(self) -> Assignment:
        """Where a rollback goes."""
        return Assignment(default=self.baseline)

    @property
    def promoted(self) -> Assignment:
        return Assignment(default=self.candidate)

    @property
    def promoting(self) -> Assignment:
        """The default has moved while the rule still stands: no user is served by a slot that is in between."""
        return Assignment(default=self.candidate, rules=(*self.steps[-1].assignment.rules, *self.baking.rules))

    @property
    def baking(self) -> Assignment:
        """The candidate is the default; whoever is held back stays on the old slot until the bake ends."""
        rules = (Rule(slot=self.baseline, buckets=self.hold_back),) if len(self.hold_back) else ()
        return Assignment(default=self.candidate, rules=rules)

    def step(self, index: int) -> Step:
        return self.steps[index - 1]

    @property
    def shares(self) -> str:
        """``1/5/25/100 %``."""
        shares = [f"{step.share * 100:g}" for step in self.steps] + (["100"] if self.promotes else [])
        return "/".join(shares) + " %"

    @property
    def shortest(self) -> timedelta:
        """All holds and the bake, without any settling."""
        return sum((step.hold for step in self.steps), timedelta()) + (self.bake if self.promotes else timedelta())

    def as_markdown(self) -> str:
        """The table that Temporal's UI shows beside the ramp."""
        rows = ["| step | users | buckets | hold |", "|---|---|---|---|"]
        rows += [f"| {s.index} | {s.share * 100:g} % | {s.buckets} | {format_duration(s.hold)} |" for s in self.steps]
        if self.promotes:
            index = len(self.steps) + 1
            rows.append(
                f"| {index} | 100 % | everyone: {self.candidate} becomes default | bake {format_duration(self.bake)} |"
            )
        return "\n".join(rows)


def make_plan(spec: RampSpec, *, default: str, candidate: str, served: BucketSet | None = None) -> Plan:
    """The plan of a ramp from slot ``default`` to slot ``candidate``.

    ``served`` are the buckets that the candidate serves already.  Each step is what is served already together with the
    first ceil(share x n) buckets of the target in written order; steps that change nothing are dropped.  Raises Refused
    if nothing is left to do.
    """
    target = spec.candidate.buckets
    already = served or BucketSet(resolution=target.resolution)
    if not len(target):
        raise Refused('the target is empty (buckets: ""): there is nothing to ramp')
    policy = spec.platform.ramp
    promotes = target.is_everyone and not spec.candidate.segments
    steps: list[Step] = []
    reached = BucketSet(resolution=target.resolution)
    for entry in policy.steps:
        buckets = already.union(target.first(_part_of(len(target), entry.share)))
        if buckets.same_members(reached) or (promotes and buckets.is_everyone):
            continue
        reached = buckets
        rule = Rule(slot=candidate, buckets=buckets, segments=spec.candidate.segments)
        assignment = Assignment(default=default, rules=(rule,))
        hold = policy.hold if entry.hold is None else entry.hold
        step = Step(index=len(steps) + 1, assignment=assignment, buckets=buckets, hold=hold, approval=entry.approval)
        steps.append(step)
    if not steps:
        raise Refused("ramp.steps has no step below 100%: a ramp to everyone needs a smaller one to gather evidence in")
    if promotes and len(both := reached.overlap(policy.hold_back)):
        raise Refused(
            f"ramp.holdBack: {both} would be moved to the candidate by a step before: hold back other buckets"
        )
    return Plan(
        route=spec.platform.route.full_name,
        model=spec.candidate.model,
        baseline=default,
        candidate=candidate,
        steps=tuple(steps),
        promotes=promotes,
        bake=policy.bake,
        hold_back=policy.hold_back if promotes else BucketSet(),
    )


def _part_of(count: int, share: float) -> int:
    """ceil(share x count) of the share as it was written: 7 % of 100 is 7, though 0.07 * 100 is a little more."""
    return max(1, math.ceil(round(share * count, 9)))
