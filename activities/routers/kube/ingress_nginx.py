"""An Ingress and its canary, as ingress-nginx, Traefik and Higress read them.

The policy of a canary belongs to the Service that it stands beside, not to its path, and most of what is wrong is
ignored without a word.  So a slot's Service must be used by nothing else, and everything that would be ignored is
refused before anybody is moved.
"""

import copy
import re
from collections.abc import Iterator

from activities.kube.client import Object, Operation
from activities.kube.json_patch import annotate, pointer, replace
from activities.kube.resources import INGRESSES
from activities.routers.kube.binding import Binding, Reference
from activities.routers.kube.planner import (
    BUCKET_HEADER,
    MANAGED_BY,
    NOBODY,
    SEGMENT_HEADER,
    SLOT_LABEL,
    Surroundings,
    Written,
    annotations_of,
    labels_of,
    names,
)
from tailramp.assignment import Rule
from tailramp.errors import Problem
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.proof import Finding

_PREFIX = "nginx.ingress.kubernetes.io/"
CANARY = _PREFIX + "canary"
BY_HEADER = _PREFIX + "canary-by-header"
PATTERN = _PREFIX + "canary-by-header-pattern"
_CHOOSING = tuple(_PREFIX + "canary-" + name for name in ("by-header-value", "by-cookie", "weight", "weight-total"))
"""What would choose requests beside the pattern, or instead of it."""
AFFINITY = _PREFIX + "affinity"
_CLASS = "kubernetes.io/ingress.class"

_ALLOWED = re.compile(r"[/A-Za-z0-9\-._~:^$\[\](){}*+?|&=\\]*")
"""The characters that the admission of ingress-nginx lets into a pattern."""
_ALTERNATIVES = "the routers gateway-api and envoy-file can"

Place = tuple[int, int]
"""Which rule of an Ingress, and which path of it."""


class IngressNginx:
    """See ``Planner``."""

    resource = INGRESSES

    def __init__(self, binding: Binding) -> None:
        self._binding = binding

    def canary_name(self, slot: SlotName) -> str:  # noqa: ARG002 - there can be only one
        return f"{self._binding.main}-canary"

    def default(self, main: Object) -> SlotName | None:
        slots = {self._slot_of(path["backend"]) for _, _, path in self._own(main)}
        return slots.pop() if len(slots) == 1 else None

    def is_off(self, main: Object) -> bool:
        own = list(self._own(main))
        return bool(own) and all(self._slot_of(path["backend"]) is None for _, _, path in own)

    def pointed(self, main: Object, slot: SlotName | None) -> list[Operation]:
        return self._with_backend(main, self._binding.off if slot is None else self._binding.backends[slot])

    def written(self, main: Object) -> list[Written]:
        return [
            Written(
                [main["spec"]["rules"][rule].get("host"), path.get("path"), path.get("pathType")],
                f"spec.rules[{rule}].http.paths[{index}].backend",
                path["backend"],
            )
            for rule, index, path in self._own(main)
        ]

    def canary(self, main: Object, slot: SlotName) -> Object:
        annotations = {CANARY: "true", BY_HEADER: BUCKET_HEADER, PATTERN: NOBODY}
        if _CLASS in annotations_of(main):
            annotations[_CLASS] = annotations_of(main)[_CLASS]
        backend = _service(self._binding.backends[slot])
        rules = []
        for rule in copy.deepcopy(main.get("spec", {}).get("rules") or []):
            paths = [path for path in _paths(rule) if self._is_own(path["backend"])]
            if paths:
                rules.append({**rule, "http": {"paths": [{**path, "backend": backend} for path in paths]}})
        spec = {"rules": rules}
        if "ingressClassName" in main.get("spec", {}):
            spec["ingressClassName"] = main["spec"]["ingressClassName"]
        labels = {**MANAGED_BY, SLOT_LABEL: slot}
        metadata = {"name": self.canary_name(slot), "labels": labels, "annotations": annotations}
        return {"metadata": metadata, "spec": spec}

    def armed(self, main: Object, canary: Object, slot: SlotName, rule: Rule | None) -> list[Operation]:
        pattern = NOBODY if rule is None else rule.pattern
        header = SEGMENT_HEADER if rule is not None and rule.segments else BUCKET_HEADER
        operations = annotate(canary, {CANARY: "true", BY_HEADER: header, PATTERN: pattern})
        present = annotations_of(canary)
        operations += [
            {"op": "remove", "path": pointer("metadata", "annotations", key)} for key in _CHOOSING if key in present
        ]
        wanted = self.canary(main, slot)["spec"]
        return [*operations, *([replace("/spec", wanted)] if canary.get("spec") != wanted else [])]

    def sent_back(self, canary: Object, slot: SlotName) -> list[Operation]:
        return self._with_backend(canary, self._binding.backends[slot])

    def problems(self, main: Object, around: Surroundings, plan: Plan) -> list[Problem]:
        if _is_canary(main):
            reason = f"{names(main)} is a canary itself, so nothing would be the main route"
            return [Problem("router.ingress", reason, "Name the main Ingress, or take the annotation away")]
        return [
            *self._problems_of_main(main),
            *self._problems_of_others(main, around),
            *self._problems_of_services(around, plan),
            *self._problems_of_plan(plan),
        ]

    def conditions(self, found: Object) -> list[Finding]:  # noqa: ARG002 - an Ingress says nothing about itself
        return []

    def _problems_of_main(self, main: Object) -> list[Problem]:
        problems = []
        if annotations_of(main).get(AFFINITY) == "cookie":
            reason = f"{names(main)} keeps users where they are by a cookie, and the cookie comes before the bucket"
            problems.append(Problem("router.ingress", reason, f"Take the annotation {AFFINITY} away"))
        if not main.get("spec", {}).get("ingressClassName") and _CLASS not in annotations_of(main):
            reason = f"{names(main)} has no class, so it depends on the controller whether anybody reads it"
            problems.append(Problem("router.ingress", reason, "Set spec.ingressClassName"))
        if (name := _default_service(main)) in {reference.name for reference in self._binding.backends.values()}:
            reason = (
                f"{names(main)} sends what no path matches to the Service {name} by spec.defaultBackend: those users "
                "would be canaried as well, and a promotion would leave them behind"
            )
            problems.append(Problem("router.ingress", reason, "Write it as the path / of pathType Prefix instead"))
        return problems

    def _problems_of_others(self, main: Object, around: Surroundings) -> list[Problem]:
        problems = []
        own_hosts = {host for host, _, _ in _places_of(main)}
        own_names = {reference.name for reference in self._binding.backends.values()}
        canaries = {self.canary_name(slot) for slot in self._binding.backends}
        for other in around.routes:
            if other["metadata"]["name"] == main["metadata"]["name"]:
                continue
            ours = other["metadata"]["name"] in canaries
            if ours and labels_of(other).get("app.kubernetes.io/managed-by") == "tailramp":
                continue
            if ours:
                reason = f"{names(other)} is there already and is not tailramp's"
                problems.append(Problem("router.ingress", reason, "Rename it: this is the name that tailramp needs"))
            shared = sorted({*(name for _, _, name in _places_of(other)), _default_service(other)} & own_names)
            if _is_canary(other) and own_hosts & {host for host, _, _ in _places_of(other)}:
                reason = f"{names(other)} is a canary on the same host: only the older of two is looked at"
                problems.append(Problem("router.ingress", reason, f"Delete it; {_ALTERNATIVES} have several"))
            elif shared:
                reason = (
                    f"{names(other)} uses the Service {', '.join(shared)} too: a canary belongs to the Service, so "
                    "that host would be canaried as well, or no host at all"
                )
                problems.append(Problem("router.backends", reason, "Give each slot a Service of its own"))
            elif self._binding.controller == "traefik" and own_hosts & {host for host, _, _ in _places_of(other)}:
                reason = f"{names(other)} has paths on the same host: Traefik lets a long pattern outrank a longer path"
                problems.append(Problem("router.ingress", reason, "Give the route a host of its own"))
        foreign = [path for path, own in self._all(main) if not own]
        if foreign and self._binding.controller == "traefik":
            reason = f"{names(main)} has paths that are not the route's: Traefik lets a long pattern outrank them"
            problems.append(Problem("router.ingress", reason, "Give the route a host of its own"))
        return problems

    def _problems_of_services(self, around: Surroundings, plan: Plan) -> list[Problem]:
        problems = []
        used: dict[str, SlotName] = {}
        for slot, reference in self._binding.backends.items():
            if other := used.get(reference.name):
                reason = f"{other} and {slot} are the same Service {reference.name}"
                problems.append(Problem(f"router.backends.{slot}", reason, "Give each slot a Service of its own"))
            used[reference.name] = slot
        for slot in (plan.baseline, *plan.slots):
            reference = self._binding.backends[slot]
            service = around.services.get(reference.name)
            if service is None:
                reason, mend = f"there is no Service {reference.name}", "Create it, or mend the name"
            elif not any(reference.port in {p.get("port"), p.get("name")} for p in service["spec"].get("ports", [])):
                reason, mend = f"Service {reference.name} has no port {reference.port}", "Name one of its ports"
            else:
                continue
            problems.append(Problem(f"router.backends.{slot}", reason, mend))
        return problems

    def _problems_of_plan(self, plan: Plan) -> list[Problem]:
        problems = []
        if len(plan.candidates) > 1:
            reason = "an Ingress can have one canary, so several candidates at once cannot be told apart"
            problems.append(Problem("canaries", reason, f"Try one at a time, or use another router: {_ALTERNATIVES}"))
        if len(plan.hold_back):
            reason = "an Ingress can have one canary, and ramp.holdBack needs a second one"
            problems.append(Problem("ramp.holdBack", reason, f"Leave it out, or use another router: {_ALTERNATIVES}"))
        for pattern in {rule.pattern for step in plan.steps for rule in step.assignment.rules}:
            if not _ALLOWED.fullmatch(pattern):
                reason = f"the pattern {pattern} has characters that ingress-nginx does not admit"
                problems.append(Problem("canary.buckets", reason, f"Use another router: {_ALTERNATIVES}"))
        return problems

    def _with_backend(self, found: Object, reference: Reference | None) -> list[Operation]:
        """Point every path that is the route's at ``reference``."""
        if reference is None:
            return []
        wanted = _service(reference)
        operations: list[Operation] = []
        for rule, path, entry in self._own(found):
            if entry["backend"] != wanted:
                operations.append(replace(pointer("spec", "rules", rule, "http", "paths", path, "backend"), wanted))
        return operations

    def _all(self, found: Object) -> Iterator[tuple[Object, bool]]:
        for rule in found.get("spec", {}).get("rules") or []:
            for path in _paths(rule):
                yield path, self._is_own(path["backend"])

    def _own(self, found: Object) -> Iterator[tuple[int, int, Object]]:
        for number, rule in enumerate(found.get("spec", {}).get("rules") or []):
            for index, path in enumerate(_paths(rule)):
                if self._is_own(path["backend"]):
                    yield number, index, path

    def _is_own(self, backend: Object) -> bool:
        known = [*self._binding.backends.values(), *([self._binding.off] if self._binding.off else [])]
        return any(backend == _service(reference) for reference in known)

    def _slot_of(self, backend: Object) -> SlotName | None:
        return next((slot for slot, known in self._binding.backends.items() if backend == _service(known)), None)


def _paths(rule: Object) -> list[Object]:
    paths = (rule.get("http") or {}).get("paths") or []
    return [path for path in paths if isinstance(path.get("backend"), dict)]


def _service(reference: Reference) -> Object:
    port = {"number": reference.port} if isinstance(reference.port, int) else {"name": reference.port}
    return {"service": {"name": reference.name, "port": port}}


def _is_canary(found: Object) -> bool:
    """As the controllers read it, which take whatever Go takes for true."""
    return annotations_of(found).get(CANARY) in {"true", "True", "TRUE", "t", "T", "1"}


def _default_service(found: Object) -> str:
    """Whom an Ingress sends what no path matches to; "" if nobody."""
    backend = found.get("spec", {}).get("defaultBackend") or {}
    return str((backend.get("service") or {}).get("name", ""))


def _places_of(found: Object) -> set[tuple[str, str, str]]:
    """Host, path and Service of everything that an Ingress routes."""
    return {
        (rule.get("host", ""), path.get("path", ""), path["backend"].get("service", {}).get("name", ""))
        for rule in found.get("spec", {}).get("rules") or []
        for path in _paths(rule)
    }
