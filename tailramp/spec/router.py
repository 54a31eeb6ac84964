"""How the route's data plane is reached, one model per kind of router."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tailramp.forms import Form, Name, SlotName, Url, UrlPath
from tailramp.secret_reference import SecretReference
from tailramp.spec.fields import Count, FileModel
from tailramp.units import Duration, parse_duration

ObjectName = Annotated[
    str,
    Form(
        pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$",
        words="the name of an object in Kubernetes: a-z, 0-9, - and .",
        example="chat",
        repair=str.lower,
    ),
]
BackendName = Annotated[
    str,
    Form(
        pattern=r"^[a-z0-9]([-a-z0-9.@]{0,251}[a-z0-9])?$",
        words="the name of a backend: a-z, 0-9, -, . and @",
        example="chat-blue",
        repair=str.lower,
    ),
]
Port = Annotated[Count, Field(ge=1, le=65535, examples=[8000])]


class EnvoyFileRouter(FileModel):
    """A route configuration that Envoy watches as a file."""

    counts_requests: ClassVar[bool] = True
    """Whether the data plane tells how many requests it has sent to a slot."""

    kind: Literal["envoy-file"] = Field(description="which data plane")
    file: Path = Field(
        description="the route file; `pending/` beside it belongs to tailramp too", examples=["routes/chat.json"]
    )
    admin: Url = Field(description="Envoy's admin address: loaded configuration and counters are read there")
    gateway: Url = Field(description="where users come in: probes go there")
    probe_path: UrlPath = Field(default="/v1/models", description="a cheap GET that every variant answers")
    probe_secret: SecretReference | None = Field(
        default=None,
        description="such as ${TAILRAMP_PROBE_SECRET}: lets probes name their bucket; without it they cannot",
    )
    # 24 observations of 50 ms: twice the slowest take-up of a renamed file that was measured, with a wide margin.
    zero_observations: Count = Field(default=24, ge=2, description="observations without a new candidate request")
    zero_interval: Duration = Field(default=parse_duration("50ms"), description="between two of them")

    @property
    def data_plane(self) -> str:
        """Where the data plane tells which servers are ready."""
        return self.admin


class ServiceBackend(FileModel):
    """A Service of the route's namespace and one of its ports, by number or name."""

    name: ObjectName = Field(description="of the Service")
    port: Port | Name = Field(description="number or name", examples=["http"])


class Backend(FileModel):
    """What a route of the Gateway API can name as its backend: a Service unless group and kind say otherwise."""

    group: str = Field(default="", description="of the backend's kind")
    kind: str = Field(default="Service", description="such as InferencePool")
    name: BackendName = Field(description="of the backend")
    port: Port | None = Field(default=None, description="a Service needs one")


class KubernetesRouter(FileModel):
    """What every router has that writes objects of the Kubernetes API."""

    counts_requests: ClassVar[bool] = False

    gateway: Url = Field(description="where users come in: probes go there")
    probe_path: UrlPath = Field(default="/v1/models", description="a cheap GET that every variant answers")
    probe_secret: SecretReference | None = Field(
        default=None,
        description="such as ${TAILRAMP_PROBE_SECRET}: lets probes name their bucket; without it they cannot",
    )
    context: str | None = Field(default=None, description="of the kubeconfig; else the cluster that tailramp runs in")
    # The data plane has no counter that tailramp knows, so zero is shown by probes over more than twice the time that
    # a change may take to arrive: Traefik waits up to 2 s.
    zero_observations: Count = Field(default=20, ge=2, description="rounds of probes that find nobody on a candidate")
    zero_interval: Duration = Field(default=parse_duration("250ms"), description="between two of them")

    @property
    def data_plane(self) -> str:
        """Which servers are ready is asked of the API server itself."""
        return ""


class IngressNginxRouter(KubernetesRouter):
    """An Ingress and its canary, read by ingress-nginx or by whatever reads the same annotations."""

    kind: Literal["ingress-nginx"] = Field(description="which data plane")
    ingress: ObjectName = Field(description="the main Ingress, in the route's namespace")
    backends: dict[SlotName, ServiceBackend] = Field(description="the Service of each slot, used by nothing else")
    off: ServiceBackend | None = Field(default=None, description="answers everyone after `tailramp kill --off`")
    controller: Literal["ingress-nginx", "traefik", "higress"] = Field(
        default="ingress-nginx", description="what reads the Ingress: they differ in what they ignore"
    )


class GatewayApiRouter(KubernetesRouter):
    """An HTTPRoute of the Gateway API, and one more per candidate."""

    kind: Literal["gateway-api"] = Field(description="which data plane")
    http_route: ObjectName = Field(description="the main HTTPRoute, in the route's namespace")
    backends: dict[SlotName, Backend] = Field(description="the backend of each slot")
    off: Backend | None = Field(default=None, description="answers everyone after `tailramp kill --off`")
    match: Literal["auto", "regex", "exact"] = Field(
        default="auto",
        description="auto: a pattern where the gateway is known to read them as meant, else exact values",
    )


class GatewayLabelRouter(FileModel):
    """Our own Envoy or nginx in front of any gateway: it names the slot in `X-Model-Route`, and whatever stands behind
    it needs nothing but an exact match of that header."""

    counts_requests: ClassVar[bool] = True

    kind: Literal["gateway-label"] = Field(description="which data plane")
    admin: Url = Field(
        description="the admin address of our gateways; every address that its host name has is one of them",
        examples=["http://chat-gateway-admin.llm:9901"],
    )
    gateway: Url = Field(description="where users come in: probes go there")
    behind: Url = Field(description="the gateway behind, which reads X-Model-Route", examples=["http://alb.llm:80"])
    file: Path = Field(
        default=Path("/var/lib/tailramp/gateway/routes.json"),
        description="the route file beside each of our gateways, which `tailramp follow` writes",
    )
    probe_path: UrlPath = Field(default="/v1/models", description="a cheap GET that every variant answers")
    probe_secret: SecretReference | None = Field(
        default=None,
        description="such as ${TAILRAMP_PROBE_SECRET}: lets probes name their bucket; without it they cannot",
    )
    context: str | None = Field(default=None, description="of the kubeconfig; else the cluster that tailramp runs in")
    zero_observations: Count = Field(default=24, ge=2, description="observations without a new candidate request")
    zero_interval: Duration = Field(default=parse_duration("50ms"), description="between two of them")

    @property
    def lease_file(self) -> Path:
        """Until when the route file may be trusted; in a folder of its own, since Envoy watches that of its routes."""
        return self.file.parent / "lease" / self.file.name

    @property
    def data_plane(self) -> str:
        """Where the data plane tells which servers are ready."""
        return self.admin


AnyRouter = Annotated[
    EnvoyFileRouter | IngressNginxRouter | GatewayApiRouter | GatewayLabelRouter, Field(discriminator="kind")
]
