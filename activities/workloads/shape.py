"""What the kinds of workload differ in, as pure functions of the object that was read."""

from dataclasses import dataclass
from typing import Protocol

from activities.kube import Resource
from activities.kube.client import Object
from tailramp.errors import Problem


@dataclass(frozen=True)
class Template:
    """A pod template inside an object: the JSON pointer that leads to it, and what stands there."""

    pointer: str
    value: Object


@dataclass(frozen=True)
class Standing:
    """What the controller says of the servers: ``total`` there are, ``updated`` of them hold the present template, and
    ``available`` of them answer.  ``observed``: it has seen the present object.  ``trouble`` is its own complaint.
    """

    observed: bool
    total: int
    updated: int
    available: int
    trouble: str = ""


class Shape(Protocol):
    resource: Resource
    unit: str
    """What a server is called, in the plural."""

    def templates(self, found: Object) -> list[Template]:
        """Every pod template that a server is made from."""

    def standing(self, found: Object) -> Standing: ...

    def problems(self, found: Object) -> list[Problem]:
        """What would keep a changed template from reaching all servers."""

    def pod_selector(self, found: Object) -> str:
        """The label selector of the servers' pods."""

    def selector_labels(self, found: Object) -> frozenset[str]:
        """Labels of the pods that must not change."""


def wanted(found: Object) -> int:
    """How many servers the object asks for; the API's default is one."""
    replicas = found["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def count(found: Object, field: str) -> int:
    return int(found.get("status", {}).get(field) or 0)


def is_observed(found: Object) -> bool:
    observed = found.get("status", {}).get("observedGeneration")
    return observed is not None and int(observed) >= int(found["metadata"].get("generation", 0))


def condition(found: Object, kind: str) -> Object:
    """The condition of that type, or an empty one."""
    conditions = found.get("status", {}).get("conditions") or []
    return next((each for each in conditions if each.get("type") == kind), {})


def match_labels(found: Object) -> dict[str, str]:
    return found["spec"].get("selector", {}).get("matchLabels") or {}


def as_selector(labels: dict[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
