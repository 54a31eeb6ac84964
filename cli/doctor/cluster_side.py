"""The cluster around a route: the class that reads it, its gateway, and whether the other slot could carry everyone.

All of it is read with the rights of whoever asks, which may be more than the workers have: a right that is missing
makes a question unseen, not a finding.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from activities.kube import Denied, KubeClient, NotFound
from activities.kube.client import Object
from activities.kube.resources import GATEWAYS, HTTP_ROUTES, INGRESS_CLASSES, INGRESSES
from activities.routers.kube.endpoints import ready_endpoints
from activities.routers.kube.planner import annotations_of
from cli.doctor.findings import Result, finding, good, unseen
from tailramp.errors import TailrampError
from tailramp.spec import Backend, GatewayApiRouter, IngressNginxRouter, PlatformFile, ServiceBackend

if TYPE_CHECKING:
    from tailramp.route_record import RouteRecord

_AREA: Final = "cluster"
_CLASS: Final = "kubernetes.io/ingress.class"

_CONTROLLERS: Final = {
    "ingress-nginx": frozenset({"k8s.io/ingress-nginx"}),
    # Its ingress-nginx provider serves the classes of ingress-nginx.
    "traefik": frozenset({"k8s.io/ingress-nginx", "traefik.io/ingress-controller"}),
    "higress": frozenset({"higress.io/higress-controller", "k8s.io/ingress-nginx"}),
}
"""Which controllers an IngressClass may name, by what the platform file says reads the Ingress."""


async def examine_cluster(
    platform: PlatformFile, record: "RouteRecord | None", client: KubeClient
) -> AsyncIterator[Result]:
    match platform.router:
        case IngressNginxRouter() as router:
            yield await _ingress_class(platform, router, client)
        case GatewayApiRouter() as router:
            for result in await _gateways(platform, router, client):
                yield result
        case _:
            return
    if record is not None:
        for result in await _capacity(platform, router.backends, record.assignment.default, client):
            yield result


async def _ingress_class(platform: PlatformFile, router: IngressNginxRouter, client: KubeClient) -> Result:
    namespace = platform.route.namespace
    try:
        ingress = await client.find(INGRESSES, namespace, router.ingress)
        if ingress is None:
            return unseen(_AREA, f"the class of ingress {namespace}/{router.ingress}, which is not there")
        name = ingress["spec"].get("ingressClassName") or annotations_of(ingress).get(_CLASS)
        if name is None:
            text = f"ingress {namespace}/{router.ingress} names no class: whether anybody reads it is left to chance"
            return finding(_AREA, text, "Set spec.ingressClassName")
        known = await client.find(INGRESS_CLASSES, None, name)
    except Denied:
        return unseen(_AREA, "the ingress class: this user may not read ingressclasses")
    except TailrampError as error:
        return unseen(_AREA, f"the ingress class: {error}")
    if known is None:
        text = f"ingress {namespace}/{router.ingress} names the class {name}, and there is none of that name"
        return finding(_AREA, text, "Name one of `kubectl get ingressclass`, or install its controller")
    controller = str(known.get("spec", {}).get("controller", ""))
    if controller not in _CONTROLLERS[router.controller]:
        text = f"the class {name} is read by {controller}, and router.controller says {router.controller}"
        return finding(_AREA, text, "Name the class of that controller, or mend router.controller")
    return good(_AREA, f"the class {name} is read by {controller}")


async def _gateways(platform: PlatformFile, router: GatewayApiRouter, client: KubeClient) -> list[Result]:
    """Each gateway that the route names: there, accepted and programmed."""
    namespace = platform.route.namespace
    try:
        route = await client.find(HTTP_ROUTES, namespace, router.http_route)
    except TailrampError as error:
        return [unseen(_AREA, f"the gateways of the route: {error}")]
    parents = [] if route is None else route.get("spec", {}).get("parentRefs") or []
    named = [parent for parent in parents if parent.get("kind", "Gateway") == "Gateway"]
    return list(await asyncio.gather(*(_gateway(parent, namespace, client) for parent in named)))


async def _gateway(parent: Object, namespace: str, client: KubeClient) -> Result:
    name = f"gateway {parent.get('namespace', namespace)}/{parent['name']}"
    try:
        found = await client.get(GATEWAYS, parent.get("namespace", namespace), parent["name"])
    except NotFound:
        return finding(_AREA, f"the route names {name}, and there is none", "Create it, or mend parentRefs")
    except Denied:
        return unseen(_AREA, f"{name}: this user may not read gateways there")
    except TailrampError as error:
        return unseen(_AREA, f"{name}: {error}")
    conditions = {entry["type"]: entry for entry in found.get("status", {}).get("conditions") or []}
    for kind in ("Accepted", "Programmed"):
        said = conditions.get(kind, {})
        if said.get("status") != "True":
            why = said.get("message") or said.get("reason") or "nobody has said anything of it"
            mend = "Look at its class and at its controller's log: `kubectl describe gateway`"
            return finding(_AREA, f"{name} is not {kind}: {why}", mend)
    return good(_AREA, f"{name} is accepted and programmed")


async def _capacity(
    platform: PlatformFile, backends: dict[str, Backend] | dict[str, ServiceBackend], live: str, client: KubeClient
) -> list[Result]:
    """Whether each other slot has as many ready endpoints as the live one: a promotion gives it everyone."""
    ready = {slot: await _ready(platform.route.namespace, backend, client) for slot, backend in backends.items()}
    serving = ready.get(live)
    if serving is None:
        return [unseen(_AREA, f"whether the other slots can carry everyone: the endpoints of {live} are not known")]
    results = []
    for slot, count in ready.items():
        if slot == live or slot not in platform.slots:
            continue
        if count is None:
            results.append(unseen(_AREA, f"whether {slot} can carry everyone: its endpoints are not known"))
        elif platform.workload_of(slot) is not None:
            results.append(good(_AREA, f"{slot} has {count} ready endpoints, and is scaled with its share"))
        elif count < serving:
            text = f"{slot} has {count} ready endpoints and {live} has {serving}: a promotion sends everyone to {slot}"
            results.append(finding(_AREA, text, f"Scale {slot} before its share grows, or name its workload"))
        else:
            results.append(good(_AREA, f"{slot} has {count} ready endpoints, {live} has {serving}"))
    return results


async def _ready(namespace: str, backend: Backend | ServiceBackend, client: KubeClient) -> int | None:
    if isinstance(backend, Backend) and (backend.group, backend.kind) != ("", "Service"):
        return None
    return await ready_endpoints(client, namespace, backend.name)
