"""What an assignment looks like in one kind of route, as pure functions of the objects that were read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from activities.kube import Resource
from activities.kube.client import Object, Operation
from tailramp.assignment import Rule
from tailramp.errors import Problem
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.proof import Finding

MANAGED_BY = {"app.kubernetes.io/managed-by": "tailramp"}
ROUTE_LABEL = "tailramp/route"
SLOT_LABEL = "tailramp/slot"
RAMP = "tailramp/ramp"
EPOCH = "tailramp/epoch"
DEFAULT = "tailramp/default"
"""On the main route: the slot that everyone goes back to, should the record be lost."""
OWN = (RAMP, EPOCH, DEFAULT)

BUCKET_HEADER = "X-User-Bucket"
SEGMENT_HEADER = "X-User-Bucket-2D"

NOBODY = "^(?:a^)$"
"""Matches no header value, and so none that could be forged."""


@dataclass(frozen=True)
class Surroundings:
    """What preflight looks at beside the main route: all routes of the namespace and its Services, by name."""

    routes: Sequence[Object]
    services: dict[str, Object]


@dataclass(frozen=True)
class Written:
    """One field of the main route that tailramp writes, as it stands.

    ``place`` tells which one it is by what tailramp never writes, so that it is found again whatever somebody else puts
    in around it; ``path`` is where it stands now, for people.
    """

    place: object
    path: str
    value: object


class Planner(Protocol):
    resource: Resource

    def canary_name(self, slot: SlotName) -> str:
        """The name of the object that carries the rule of ``slot``."""

    def default(self, main: Object) -> SlotName | None:
        """The slot that the main route points at; None if it points at several, or at none that is known."""

    def is_off(self, main: Object) -> bool:
        """Whether the main route points at what answers when the route is off."""

    def pointed(self, main: Object, slot: SlotName | None) -> list[Operation]:
        """Point the main route at ``slot``, or at what answers when it is off (None); none if it does already."""

    def written(self, main: Object) -> list[Written]:
        """Every field that ``pointed`` may write.  tailramp's annotations are not among them: they outlive a ramp."""

    def canary(self, main: Object, slot: SlotName) -> Object:
        """The body of a canary for ``slot`` that serves nobody."""

    def armed(self, main: Object, canary: Object, slot: SlotName, rule: Rule | None) -> list[Operation]:
        """Let the canary serve whom ``rule`` names; None means nobody; none if it does already."""

    def sent_back(self, canary: Object, slot: SlotName) -> list[Operation]:
        """Point a canary that cannot be deleted at the backend of ``slot``."""

    def problems(self, main: Object, around: Surroundings, plan: Plan) -> list[Problem]:
        """Whatever the gateway would refuse, or ignore without a word."""

    def conditions(self, found: Object) -> list[Finding]:
        """What the gateway itself says about the object, where it says anything."""


def names(found: Object) -> str:
    """``ingress llm/chat``, as people and kubectl write it."""
    metadata = found["metadata"]
    return f"{str(found.get('kind', 'object')).lower()} {metadata.get('namespace', '')}/{metadata['name']}"


def labels_of(found: Object) -> dict[str, str]:
    return found["metadata"].get("labels") or {}


def annotations_of(found: Object) -> dict[str, str]:
    return found["metadata"].get("annotations") or {}
