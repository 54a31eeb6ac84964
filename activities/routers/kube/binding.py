"""Which objects a route is made of: what a router must know beside the record to write, and to clear without a file.

It lies in the Lease with the record, so that `kill` and the sentinel need nothing else.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tailramp.forms import SlotName
from tailramp.spec import Backend, GatewayApiRouter, IngressNginxRouter, PlatformFile, ServiceBackend

Kind = Literal["ingress-nginx", "gateway-api", "gateway-label"]


class Reference(BaseModel):
    """A backend as routes name it.  ``port`` is a number, the name of a Service's port, or None for kinds without."""

    model_config = ConfigDict(frozen=True)

    group: str = ""
    kind: str = "Service"
    name: str
    port: int | str | None = None

    @classmethod
    def of(cls, backend: Backend | ServiceBackend) -> "Reference":
        if isinstance(backend, Backend):
            return cls(group=backend.group, kind=backend.kind, name=backend.name, port=backend.port)
        return cls(name=backend.name, port=backend.port)


class Binding(BaseModel):
    """``main`` is the name of the main route; ``backends`` what each slot is; ``off`` what answers when it is off.  A
    route whose gateways follow the record itself (``gateway-label``) has none of them.

    ``uids`` are those of the canaries that this ramp's preflight made, by name.  ``exact``: header values are listed
    instead of matched by a pattern.  ``controller``: what reads the objects, where that makes a difference.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    main: str
    backends: dict[SlotName, Reference] = Field(default_factory=dict)
    off: Reference | None = None
    exact: bool | None = None
    controller: str = ""
    uids: dict[str, str] = Field(default_factory=dict)


def binding_of(platform: PlatformFile) -> Binding:
    """What the platform file says of the objects.  Raises ValueError for a router that writes none."""
    controller: str
    match platform.router:
        case IngressNginxRouter() as router:
            main, controller, exact = router.ingress, router.controller, None
        case GatewayApiRouter() as router:
            main, controller = router.http_route, ""
            exact = None if router.match == "auto" else router.match == "exact"
        case other:
            raise ValueError(f"the router {other.kind} writes no objects of the Kubernetes API")
    return Binding(
        kind=router.kind,
        main=main,
        backends={slot: Reference.of(backend) for slot, backend in router.backends.items()},
        off=None if router.off is None else Reference.of(router.off),
        exact=exact,
        controller=controller,
    )
