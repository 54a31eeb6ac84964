"""The steps of a ramp.

The plan is made once, in preflight, and pinned: whatever a person reads in ``plan`` or in Temporal's UI is what the
ramp will do.
"""

from collections.abc import Collection
from datetime import timedelta

from pydantic import BaseModel, ConfigDict

from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.forms import Segment, SlotName
from tailramp.units import Duration, format_duration


class Variant(BaseModel):
    """A candidate in its slot, and the users it may reach in the end."""

    model_config = ConfigDict(frozen=True)

    slot: SlotName
    model: str
    buckets: BucketSet
    segments: tuple[Segment, ...] = ()


class Step(BaseModel):
    """One target assignment with its hold.  ``index`` counts from 1, as people do."""

    model_config = ConfigDict(frozen=True)

    index: int
    assignment: Assignment
    hold: Duration
    approval: bool = False

    @property
    def buckets(self) -> BucketSet:
        """The buckets of all candidates."""
        first, *others = (rule.buckets for rule in self.assignment.rules)
        for buckets in others:
            first = first.union(buckets)
        return first

    @property
    def share(self) -> float:
        """Share of identified users on candidates, 0 to 1."""
        return sum(rule.buckets.share for rule in self.assignment.rules)

    @property
    def who(self) -> str:
        """``00-04``; with several candidates ``green 00-04 + red 05-09``."""
        rules = self.assignment.rules
        return " + ".join(str(rule.buckets) if len(rules) == 1 else f"{rule.slot} {rule.buckets}" for rule in rules)

    @property
    def label(self) -> str:
        """``5 % (00-04)``."""
        return f"{self.share * 100:g} % ({self.who})"


class Plan(BaseModel):
    """The steps, and what comes after the last: promotion and bake, or a hold without end.

    A target of every bucket ``promotes``: its last step makes the candidate's slot the default, because a rule that
    lists every bucket would still leave out the users without an id.  ``candidates`` are those that are ACTIVE: one
    that is withdrawn leaves the plan.  ``needs_room``: the servers of some slot follow its share.
    """

    model_config = ConfigDict(frozen=True)

    route: str
    baseline: SlotName
    candidates: tuple[Variant, ...]
    steps: tuple[Step, ...]
    promotes: bool
    bake: Duration
    hold_back: BucketSet = BucketSet()
    needs_room: bool = False

    @property
    def candidate(self) -> SlotName:
        """The slot that a promotion makes the default: only a ramp with one candidate promotes."""
        return self.candidates[0].slot

    @property
    def slots(self) -> tuple[SlotName, ...]:
        """Those of the candidates."""
        return tuple(variant.slot for variant in self.candidates)

    @property
    def ruled_slots(self) -> tuple[SlotName, ...]:
        """Those that a rule may name on the way: the candidates', and the baseline's if users are held back on it."""
        return (*self.slots, *((self.baseline,) if len(self.hold_back) else ()))

    @property
    def journey(self) -> str:
        """``blue → green``, or ``blue → green + red``."""
        return f"{self.baseline} → {' + '.join(self.slots)}"

    def share_in(self, assignment: Assignment) -> float:
        """Share of identified users, 0 to 1, that ``assignment`` gives to candidates."""
        return sum(assignment.share_of(slot) for slot in self.slots)

    def without(self, slots: Collection[SlotName]) -> "Plan":
        """The plan of the other candidates, in the same steps.  ``slots`` must leave one."""
        steps = tuple(step.model_copy(update={"assignment": step.assignment.without(slots)}) for step in self.steps)
        left = tuple(variant for variant in self.candidates if variant.slot not in slots)
        return self.model_copy(update={"candidates": left, "steps": steps})

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
