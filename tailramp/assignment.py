"""Who is served by what: the one value that every router writes and every proof compares against."""

from collections.abc import Collection
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tailramp.buckets import BucketSet
from tailramp.forms import Segment, SlotName


class Rule(BaseModel):
    """Users whose bucket (and, if any are named, segment) is listed are served by ``slot``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slot: SlotName
    buckets: BucketSet
    segments: tuple[Segment, ...] = ()

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if not len(self.buckets):
            raise ValueError("a rule names at least one bucket; nobody is expressed by having no rule")
        return self

    def admits(self, bucket: str, segment: str | None = None) -> bool:
        return bucket in self.buckets and (not self.segments or segment in self.segments)

    @property
    def pattern(self) -> str:
        return self.buckets.pattern(self.segments)


class Assignment(BaseModel):
    """``default`` serves everyone whom no rule names, and always those without an id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: SlotName
    rules: tuple[Rule, ...] = Field(default=())

    @model_validator(mode="after")
    def _rules_do_not_overlap(self) -> Self:
        for index, rule in enumerate(self.rules):
            for other in self.rules[:index]:
                shared = rule.buckets.overlap(other.buckets)
                if len(shared) and (not rule.segments or not other.segments or {*rule.segments} & {*other.segments}):
                    raise ValueError(f"buckets {shared} are given to both {other.slot} and {rule.slot}")
        return self

    def slot_for(self, bucket: str | None, segment: str | None = None) -> str:
        """The slot that serves a user; ``bucket`` None means no user id."""
        if bucket is not None:
            for rule in self.rules:
                if rule.admits(bucket, segment):
                    return rule.slot
        return self.default

    def buckets_of(self, slot: str) -> BucketSet:
        """The buckets that rules give to ``slot``, whatever their segments."""
        buckets = BucketSet()
        for rule in self.rules:
            if rule.slot == slot:
                buckets = buckets.union(rule.buckets)
        return buckets

    def without(self, slots: Collection[str]) -> "Assignment":
        """This assignment, with everyone whom a rule gives to one of ``slots`` on the default."""
        return self.model_copy(update={"rules": tuple(rule for rule in self.rules if rule.slot not in slots)})

    def share_of(self, slot: str) -> float:
        """Share of identified users, 0 to 1, that ``slot`` serves; segments count as if everyone had them."""
        by_rule = {rule.slot: 0.0 for rule in self.rules}
        for rule in self.rules:
            by_rule[rule.slot] += rule.buckets.share
        if slot == self.default:
            return 1.0 - sum(share for name, share in by_rule.items() if name != slot)
        return by_rule.get(slot, 0.0)

    def grows_from(self, earlier: "Assignment") -> bool:
        """True if nobody whom a rule of ``earlier`` names is moved off that rule's slot."""
        return all(
            any(
                new.slot == old.slot
                and new.buckets.issuperset(old.buckets)
                and (not new.segments or (bool(old.segments) and {*old.segments} <= {*new.segments}))
                for new in self.rules
            )
            or (self.default == old.slot and not self.rules)
            for old in earlier.rules
        )

    def difference(self, earlier: "Assignment") -> list[str]:
        """What changes from ``earlier`` to this, one readable line per change; empty when nothing does."""
        lines = []
        if earlier.default != self.default:
            lines.append(f"default: {earlier.default} → {self.default}")
        groups = dict.fromkeys((rule.slot, rule.segments) for rule in (*earlier.rules, *self.rules))
        for slot, segments in groups:
            before, after = _given_to(earlier, slot, segments), _given_to(self, slot, segments)
            who = f"{slot} of {'/'.join(segments)}" if segments else slot
            if len(gained := after.minus(before)):
                lines.append(f"{who}: + {gained}")
            if len(lost := before.minus(after)):
                lines.append(f"{who}: - {lost}")
        return lines

    def describe(self) -> str:
        """``default blue, green 00-04 (5 %)``."""
        parts = [f"default {self.default}"]
        parts += [
            f"{rule.slot} {rule.buckets} ({rule.buckets.share * 100:g} %)"
            + (f" of {'/'.join(rule.segments)}" if rule.segments else "")
            for rule in self.rules
        ]
        return ", ".join(parts)


def _given_to(assignment: Assignment, slot: str, segments: tuple[str, ...]) -> BucketSet:
    """The buckets that rules give to ``slot`` for exactly these segments."""
    buckets = BucketSet()
    for rule in assignment.rules:
        if rule.slot == slot and rule.segments == segments:
            buckets = buckets.union(rule.buckets)
    return buckets
