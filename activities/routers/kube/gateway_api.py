"""An HTTPRoute of the Gateway API, with one more of tailramp's own per candidate.

A route with the same path and one header more wins over the main route by the API's own rules, so nothing of the main
route is touched until a promotion.  What a pattern means is each gateway's own affair: where a gateway is not known to
read it as it is meant, values are listed instead.
"""

import copy
from collections.abc import Iterator

from activities.kube.client import Object, Operation
from activities.kube.json_patch import pointer, replace
from activities.kube.resources import HTTP_ROUTES
from activities.routers.kube.binding import Binding, Reference
from activities.routers.kube.planner import (
    BUCKET_HEADER,
    MANAGED_BY,
    NOBODY,
    SEGMENT_HEADER,
    SLOT_LABEL,
    Surroundings,
    Written,
    labels_of,
    names,
)
from tailramp.assignment import Rule
from tailramp.errors import Problem
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.proof import Answer, Finding

VARIANT_HEADER = "X-Tailramp-Variant"

READS_PATTERNS = frozenset(
    {
        "traefik.io/gateway-controller",
        "gateway.envoyproxy.io/gatewayclass-controller",
        "istio.io/gateway-controller",
        "gateway.nginx.org/nginx-gateway-controller",
        "higress.io/gateway-controller",
    }
)
"""Controllers that read an anchored pattern as it is meant; others accept one and ignore it, or match everything."""

MATCHES_PER_RULE = 64
MATCHES_PER_ROUTE = 128
RULES_PER_ROUTE = 16
VALUE_LENGTH = 4096

_NO_VALUE = "tailramp-nobody-7f6d0b0c9a3e4d55"
"""What a listed value is where nobody is meant: the gateway sets the header itself and never to this."""
_EVERYTHING: Object = {"path": {"type": "PathPrefix", "value": "/"}}
"""What a rule without matches matches."""


class GatewayApi:
    """See ``Planner``."""

    resource = HTTP_ROUTES

    def __init__(self, binding: Binding) -> None:
        self._binding = binding

    def canary_name(self, slot: SlotName) -> str:
        return f"{self._binding.main}-{slot}-canary"

    def default(self, main: Object) -> SlotName | None:
        slots = {self._slot_of(ref) for _, rule in self._own(main) for ref in rule["backendRefs"]}
        return slots.pop() if len(slots) == 1 else None

    def is_off(self, main: Object) -> bool:
        own = list(self._own(main))
        return bool(own) and all(self._slot_of(ref) is None for _, rule in own for ref in rule["backendRefs"])

    def pointed(self, main: Object, slot: SlotName | None) -> list[Operation]:
        reference = self._binding.off if slot is None else self._binding.backends[slot]
        return [] if reference is None else self._with_backend(main, reference, slot)

    def written(self, main: Object) -> list[Written]:
        fields = []
        for number, rule in self._own(main):
            refs = [[ref.get(key) for key in ("group", "kind", "name", "port")] for ref in rule["backendRefs"]]
            said = [[header["name"], header.get("value")] for header in _variants(rule)]
            for path, value in (("backendRefs", refs), (f"filters ({VARIANT_HEADER})", said)):
                place = [path, rule.get("matches")]
                fields.append(Written(place, f"spec.rules[{number}].{path}", value))
        return fields

    def canary(self, main: Object, slot: SlotName) -> Object:
        labels = {**MANAGED_BY, SLOT_LABEL: slot}
        metadata = {"name": self.canary_name(slot), "labels": labels, "annotations": {}}
        return {"metadata": metadata, "spec": self._spec(main, slot, None)}

    def armed(self, main: Object, canary: Object, slot: SlotName, rule: Rule | None) -> list[Operation]:
        wanted = self._spec(main, slot, rule)
        return [] if canary.get("spec") == wanted else [replace("/spec", wanted)]

    def sent_back(self, canary: Object, slot: SlotName) -> list[Operation]:
        return self._with_backend(canary, self._binding.backends[slot], slot)

    def problems(self, main: Object, around: Surroundings, plan: Plan) -> list[Problem]:
        return [
            *self._problems_of_main(main),
            *self._problems_of_others(around),
            *self._problems_of_services(around, plan),
            *self._problems_of_plan(main, plan),
        ]

    def conditions(self, found: Object) -> list[Finding]:
        """Accepted and resolved at the generation that stands, at every gateway that it names.

        Not a proof: there are gateways that accept what they then leave out.  But a no is a no.
        """
        generation, namespace = found["metadata"].get("generation"), found["metadata"].get("namespace", "")
        findings = []
        for parent in found.get("spec", {}).get("parentRefs") or []:
            question = f"{names(found)} is accepted by gateway {parent['name']}"
            conditions = [
                condition
                for entry in found.get("status", {}).get("parents") or []
                if _parent(entry.get("parentRef") or {}, namespace) == _parent(parent, namespace)
                for condition in entry.get("conditions") or []
                if condition["type"] in {"Accepted", "ResolvedRefs"}
            ]
            bad = [
                f"{c['type']} is {c['status']}: {c.get('message') or c.get('reason')}"
                for c in conditions
                if c["status"] != "True"
            ]
            if all(condition["type"] != "Accepted" for condition in conditions):
                findings.append(Finding(question=question, answer=Answer.UNKNOWN, seen="no gateway has said anything"))
            elif any(condition.get("observedGeneration") != generation for condition in conditions):
                findings.append(Finding(question=question, answer=Answer.UNKNOWN, seen="not at this generation yet"))
            else:
                answer = Answer.NO if bad else Answer.YES
                findings.append(Finding(question=question, answer=answer, seen="; ".join(bad) or "yes"))
        return findings

    def _spec(self, main: Object, slot: SlotName, rule: Rule | None) -> Object:
        spec = {key: copy.deepcopy(main["spec"][key]) for key in ("parentRefs", "hostnames") if key in main["spec"]}
        rules: list[Object] = []
        for _, own in self._own(main):
            matches = _with_headers(own, self._header_matches(main, rule))
            for first in range(0, len(matches), MATCHES_PER_RULE):
                copied = {key: copy.deepcopy(value) for key, value in own.items() if key not in {"name", "matches"}}
                copied["matches"] = matches[first : first + MATCHES_PER_RULE]
                copied["filters"] = _saying_variant(copied.get("filters") or [], slot)
                copied["backendRefs"] = [_pointed(copied["backendRefs"][0], self._binding.backends[slot])]
                rules.append(copied)
        return {**spec, "rules": rules}

    def _header_matches(self, main: Object, rule: Rule | None) -> list[Object]:
        name = SEGMENT_HEADER if rule is not None and rule.segments else BUCKET_HEADER
        if not self.lists_values(main):
            value = NOBODY if rule is None else rule.pattern
            return [{"type": "RegularExpression", "name": name, "value": value}]
        values = [_NO_VALUE] if rule is None else _values(rule)
        return [{"type": "Exact", "name": name, "value": value} for value in values]

    def lists_values(self, main: Object) -> bool:
        """Whether values are listed, since not all of the route's gateways are known to read a pattern as it is meant.

        Unless the binding says so it follows from the status of the main route, which comes and goes with a gateway.
        """
        if self._binding.exact is not None:
            return self._binding.exact
        controllers = {entry.get("controllerName") for entry in main.get("status", {}).get("parents") or []}
        return not controllers or not controllers <= READS_PATTERNS

    def _problems_of_main(self, main: Object) -> list[Problem]:
        problems = []
        for number, rule in enumerate(main["spec"].get("rules") or []):
            refs = rule.get("backendRefs") or []
            known = [ref for ref in refs if self._is_own(ref)]
            if known and len(refs) > 1:
                reason = f"rule {number} of {names(main)} splits users by weight, at random for every request"
                problems.append(Problem("router.httpRoute", reason, "Leave one backend in it, the baseline's"))
        for number, rule in self._own(main):
            slot = self._slot_of(rule["backendRefs"][0])
            for header in _variants(rule):
                # A way back writes the slot that the record names, and knows of no other word for it.
                if slot is not None and header.get("value") != slot:
                    reason = f"rule {number} of {names(main)} sets {header['name']} to {header.get('value')}"
                    mend = (
                        f"Set it to {slot}, the slot of its backend, or take it out: no other value could be put back"
                    )
                    problems.append(Problem("router.httpRoute", reason, mend))
        problems += [
            Problem("router.httpRoute", f"{found.question}: {found.seen}", "Mend the route or its gateway first")
            for found in self.conditions(main)
            if found.answer is not Answer.YES
        ]
        return problems

    def _problems_of_others(self, around: Surroundings) -> list[Problem]:
        canaries = {self.canary_name(slot) for slot in self._binding.backends}
        return [
            Problem(
                "router.httpRoute",
                f"{names(other)} is there already and is not tailramp's",
                "Rename it: this is the name that tailramp needs",
            )
            for other in around.routes
            if other["metadata"]["name"] in canaries
            and labels_of(other).get("app.kubernetes.io/managed-by") != "tailramp"
        ]

    def _problems_of_services(self, around: Surroundings, plan: Plan) -> list[Problem]:
        problems = []
        for slot in (plan.baseline, *plan.slots):
            reference = self._binding.backends[slot]
            if (reference.group, reference.kind) != ("", "Service"):
                continue
            service = around.services.get(reference.name)
            if service is None:
                reason, mend = f"there is no Service {reference.name}", "Create it, or mend the name"
            elif reference.port not in {port.get("port") for port in service["spec"].get("ports", [])}:
                reason, mend = f"Service {reference.name} has no port {reference.port}", "Name one of its ports"
            else:
                continue
            problems.append(Problem(f"router.backends.{slot}", reason, mend))
        return problems

    def _problems_of_plan(self, main: Object, plan: Plan) -> list[Problem]:
        rules = {rule.pattern: rule for step in plan.steps for rule in step.assignment.rules}
        limit = ""
        for pattern, rule in rules.items():
            headers = self._header_matches(main, rule)
            matches = sum(len(_with_headers(own, headers)) for _, own in self._own(main))
            count = sum(-(-len(_with_headers(own, headers)) // MATCHES_PER_RULE) for _, own in self._own(main))
            if matches > MATCHES_PER_ROUTE or count > RULES_PER_ROUTE:
                limit = (
                    f"{matches} matches in {count} rules: an HTTPRoute holds at most {MATCHES_PER_ROUTE} matches and "
                    f"{RULES_PER_ROUTE} rules"
                )
            elif len(pattern) > VALUE_LENGTH and not self.lists_values(main):
                limit = f"a pattern of {len(pattern)} characters: a header value ends at {VALUE_LENGTH}"
        if not limit:
            return []
        mend = "Set router.match: regex if the gateway reads patterns, split the route, or use fewer buckets"
        return [Problem("router.match", f"the buckets need {limit}", mend)]

    def _with_backend(self, found: Object, reference: Reference, slot: SlotName | None) -> list[Operation]:
        operations: list[Operation] = []
        for number, rule in self._own(found):
            wanted = [_pointed(rule["backendRefs"][0], reference), *rule["backendRefs"][1:]]
            if rule["backendRefs"] != wanted:
                operations.append(replace(pointer("spec", "rules", number, "backendRefs"), wanted))
            filters = rule.get("filters") or []
            if slot is not None and any(header.get("value") != slot for header in _variants(rule)):
                operations.append(replace(pointer("spec", "rules", number, "filters"), _saying_variant(filters, slot)))
        return operations

    def _own(self, found: Object) -> Iterator[tuple[int, Object]]:
        for number, rule in enumerate(found.get("spec", {}).get("rules") or []):
            refs = rule.get("backendRefs") or []
            if refs and all(self._is_own(ref) for ref in refs):
                yield number, rule

    def _is_own(self, ref: Object) -> bool:
        off = self._binding.off
        return self._slot_of(ref) is not None or (off is not None and _is(ref, off))

    def _slot_of(self, ref: Object) -> SlotName | None:
        return next((slot for slot, known in self._binding.backends.items() if _is(ref, known)), None)


def _parent(ref: Object, namespace: str) -> tuple[object, ...]:
    """What a reference means: some gateways write into a status what the route left to its defaults."""
    return (
        ref.get("group", HTTP_ROUTES.group),
        ref.get("kind", "Gateway"),
        ref.get("namespace", namespace),
        ref.get("name"),
        ref.get("sectionName"),
        ref.get("port"),
    )


def _values(rule: Rule) -> list[str]:
    if not rule.segments:
        return list(rule.buckets)
    return [f"{bucket}_{segment}" for bucket in rule.buckets for segment in rule.segments]


def _with_headers(rule: Object, headers: list[Object]) -> list[Object]:
    """Every match of the rule, once for each of the header matches."""
    return [
        {**copy.deepcopy(match), "headers": [*copy.deepcopy(match.get("headers") or []), header]}
        for match in rule.get("matches") or [_EVERYTHING]
        for header in headers
    ]


def _is(ref: Object, reference: Reference) -> bool:
    found = (ref.get("group", ""), ref.get("kind", "Service"), ref.get("name"), ref.get("port"))
    return found == (reference.group, reference.kind, reference.name, reference.port)


def _pointed(ref: Object, reference: Reference) -> Object:
    """The backend reference with another backend; its weight and all else stay as they are."""
    kept = {key: value for key, value in ref.items() if key != "port"}
    port = {} if reference.port is None else {"port": reference.port}
    return {**kept, "group": reference.group, "kind": reference.kind, "name": reference.name, **port}


def _variants(rule: Object) -> list[Object]:
    """The headers in which a rule says who answers, however their name is spelt."""
    return [
        header
        for entry in rule.get("filters") or []
        for header in (entry.get("responseHeaderModifier") or {}).get("set") or []
        if _is_variant(header)
    ]


def _is_variant(header: Object) -> bool:
    return bool(header["name"].lower() == VARIANT_HEADER.lower())


def _saying_variant(filters: list[Object], slot: SlotName) -> list[Object]:
    """The filters with the slot's name in the response; a rule may have one filter of this type."""
    changed = copy.deepcopy(filters)
    for entry in changed:
        modifier = entry.get("responseHeaderModifier")
        if entry.get("type") == "ResponseHeaderModifier" and modifier is not None:
            present = modifier.get("set") or []
            said = [{**header, "value": slot} if _is_variant(header) else header for header in present]
            modifier["set"] = said if any(map(_is_variant, present)) else [*said, _variant(slot)]
            return changed
    return [*changed, {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [_variant(slot)]}}]


def _variant(slot: SlotName) -> Object:
    return {"name": VARIANT_HEADER, "value": slot}
