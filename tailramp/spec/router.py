"""How the route's data plane is reached."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from tailramp.forms import Url, UrlPath
from tailramp.secret_reference import SecretReference
from tailramp.spec.fields import Count, FileModel
from tailramp.units import Duration, parse_duration


class EnvoyFileRouter(FileModel):
    """A route configuration that Envoy watches as a file."""

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
