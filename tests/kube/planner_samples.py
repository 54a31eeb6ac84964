"""Objects as the API server would return them, for the planners, which look at nothing else."""

from __future__ import annotations

from typing import Any

from activities.routers.kube.binding import Binding, Reference
from activities.routers.kube.planner import Surroundings
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.plan import Plan, Step, Variant
from tailramp.units import parse_duration

SLOTS = ("blue", "green", "red")


def service(name: str, port: int = 8000) -> dict[str, Any]:
    return {"kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"name": "http", "port": port}]}}


SERVICES = {f"chat-{slot}": service(f"chat-{slot}") for slot in SLOTS}


def ingress(
    name: str = "chat",
    paths: tuple[str, ...] = ("/",),
    slot: str = "blue",
    host: str = "chat.example.com",
    **annotations: str,
) -> dict[str, Any]:
    entries = [
        {"path": path, "pathType": "Prefix", "backend": {"service": {"name": f"chat-{slot}", "port": {"number": 8000}}}}
        for path in paths
    ]
    metadata = {"name": name, "namespace": "llm", "uid": f"uid-{name}", "annotations": dict(annotations)}
    rules = [{"host": host, "http": {"paths": entries}}]
    return {"kind": "Ingress", "metadata": metadata, "spec": {"ingressClassName": "nginx", "rules": rules}}


def http_route(
    name: str = "chat",
    matches: tuple[tuple[dict[str, Any], ...], ...] = (({"path": {"type": "PathPrefix", "value": "/"}},),),
    slot: str = "blue",
    controller: str = "traefik.io/gateway-controller",
) -> dict[str, Any]:
    ref = {"group": "", "kind": "Service", "name": f"chat-{slot}", "port": 8000, "weight": 1}
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}
    conditions = [
        {"type": kind, "status": "True", "observedGeneration": 3, "reason": kind}
        for kind in ("Accepted", "ResolvedRefs")
    ]
    return {
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "llm", "uid": f"uid-{name}", "generation": 3},
        "spec": {
            "parentRefs": [parent],
            "hostnames": ["chat.example.com"],
            "rules": [{"matches": list(of_rule), "backendRefs": [dict(ref)]} for of_rule in matches],
        },
        "status": {"parents": [{"parentRef": parent, "controllerName": controller, "conditions": conditions}]},
    }


def binding(kind: str, **fields: Any) -> Binding:
    backends = {slot: Reference(name=f"chat-{slot}", port=8000) for slot in SLOTS}
    return Binding.model_validate({"kind": kind, "main": "chat", "backends": backends, **fields})


def plan(buckets: str = "00-04", *more: str, hold_back: str = "", segments: tuple[str, ...] = ()) -> Plan:
    """A plan with one step; each of ``more`` is another candidate's buckets."""
    names = ("green", "red")
    given = [(slot, BucketSet.parse(text)) for slot, text in zip(names, (buckets, *more), strict=False)]
    rules = tuple(Rule(slot=slot, buckets=members, segments=segments) for slot, members in given)
    step = Step(index=1, assignment=Assignment(default="blue", rules=rules), hold=parse_duration("1m"))
    return Plan(
        route="llm/chat",
        baseline="blue",
        candidates=tuple(Variant(slot=slot, model=f"model-{slot}", buckets=members) for slot, members in given),
        steps=(step,),
        promotes=bool(hold_back),
        bake=parse_duration("1m"),
        hold_back=BucketSet.parse(hold_back),
    )


def around(*routes: dict[str, Any], services: dict[str, Any] | None = None) -> Surroundings:
    return Surroundings(routes, SERVICES if services is None else services)
