"""Which objects must be written so that they say what the record says, and where they do not; pure."""

from dataclasses import dataclass

from activities.kube.client import Object, Operation
from activities.kube.json_patch import annotate
from activities.routers.kube.binding import Binding
from activities.routers.kube.planner import (
    DEFAULT,
    EPOCH,
    RAMP,
    ROUTE_LABEL,
    SLOT_LABEL,
    Planner,
    labels_of,
    names,
)
from activities.routers.kube.writers import others
from tailramp.errors import Fenced, Refused
from tailramp.forms import SlotName
from tailramp.route_record import RouteRecord


@dataclass(frozen=True)
class Seen:
    """The objects as they were read; ``canaries`` are all that carry the route's label."""

    main: Object | None
    canaries: tuple[Object, ...]

    def canary(self, name: str) -> Object | None:
        return next((found for found in self.canaries if found["metadata"]["name"] == name), None)


@dataclass(frozen=True)
class Write:
    found: Object
    operations: list[Operation]


def writes_of(planner: Planner, seen: Seen, record: RouteRecord) -> list[list[Write]]:
    """What must be written so that the objects say what the record says, in stages.

    Nobody may be served by neither on the way: rules of other slots than the default come before the default
    moves, the rule of the slot that it moves to goes after.
    """
    if seen.main is None:
        raise Refused(f"{record.route}: the main route is gone")
    before: list[Write] = []
    after: list[Write] = []
    rules = {planner.canary_name(rule.slot): rule for rule in record.assignment.rules}
    for canary in seen.canaries:
        slot = labels_of(canary).get(SLOT_LABEL, "")
        rule = rules.pop(canary["metadata"]["name"], None)
        rule = rule if rule is not None and rule.slot == slot else None
        operations = planner.armed(seen.main, canary, slot, rule)
        # The epoch is written every time, so that a write that was decided earlier finds the object changed.
        operations += annotate(canary, {EPOCH: str(record.epoch)})
        (after if slot == record.assignment.default else before).append(Write(canary, operations))
    if rules:
        missing = ", ".join(rules)
        raise Fenced(f"{record.route}: {missing} is gone")
    moved = planner.pointed(seen.main, None if record.off else record.assignment.default)
    main = [Write(seen.main, [*moved, *annotate(seen.main, marks_of(record))])] if moved else []
    return [before, main, after]


def canary_of(planner: Planner, main: Object, slot: SlotName, route: str, record: RouteRecord) -> Object:
    """The canary that the ramp of ``record`` makes in preflight: it serves nobody."""
    body = planner.canary(main, slot)
    body["metadata"]["labels"][ROUTE_LABEL] = route
    body["metadata"]["annotations"] |= {RAMP: record.ramp or "", EPOCH: str(record.epoch)}
    return body


def marks_of(record: RouteRecord) -> dict[str, str]:
    """What the main route carries beside its own: whatever is needed should the record be lost."""
    return {RAMP: record.ramp or "", EPOCH: str(record.epoch), DEFAULT: record.original_default}


def drift_of(planner: Planner, binding: Binding, seen: Seen, record: RouteRecord) -> tuple[str, ...]:
    """What somebody else changed in tailramp's own part of the route."""
    if seen.main is None:
        return (f"{planner.resource.kind.lower()} {binding.main} is gone",)
    lines = []
    if planner.pointed(seen.main, None if record.off else record.assignment.default):
        lines.append(f"{names(seen.main)} does not point at {record.assignment.default}: {others(seen.main)}")
    for rule in record.assignment.rules:
        canary = seen.canary(planner.canary_name(rule.slot))
        if canary is None:
            lines.append(f"{planner.resource.kind.lower()} {planner.canary_name(rule.slot)} is gone")
        elif planner.armed(seen.main, canary, rule.slot, rule):
            lines.append(f"{names(canary)} does not say {rule.buckets}: {others(canary)}")
    ruled = {planner.canary_name(rule.slot) for rule in record.assignment.rules}
    for canary in seen.canaries:
        slot = labels_of(canary).get(SLOT_LABEL, "")
        if canary["metadata"]["name"] not in ruled and not _is_harmless(planner, seen.main, canary, slot, record):
            lines.append(f"{names(canary)} serves somebody: {others(canary)}")
    return tuple(lines)


def _is_harmless(planner: Planner, main: Object, canary: Object, slot: str, record: RouteRecord) -> bool:
    """Whether a canary that no rule stands for sends nobody away from the default."""
    return not planner.sent_back(canary, record.assignment.default) or not planner.armed(main, canary, slot, None)
