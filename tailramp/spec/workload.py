"""What runs in a slot: who deploys the model there, and how many servers it needs.

A slot without a workload is deployed by other means and has to serve its model before a ramp begins.  With one,
tailramp puts the candidate's model into the free slot, waits until it is served, and lets the number of servers follow
the share.
"""

from typing import Annotated, Literal

from pydantic import Field

from tailramp.forms import Form
from tailramp.spec.fields import Count, FileModel
from tailramp.spec.router import ObjectName
from tailramp.units import Duration, parse_duration

Spelling = Literal["model", "served", "storageUri"]
"""``model``: as the canary file has it; the others: as the template of that name in ``models`` spells it."""

ArgumentName = Annotated[
    str,
    Form(
        pattern=r"^--?[A-Za-z][A-Za-z0-9_.-]{0,99}$",
        words="the name of an argument, with the - before it",
        example="--model",
        repair=lambda text: f"--{text}",
    ),
]
VariableName = Annotated[
    str,
    Form(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$",
        words="the name of a variable: letters, digits and _",
        example="MODEL_URI",
        repair=lambda text: text.replace("-", "_").replace(" ", "_"),
    ),
]
LabelKey = Annotated[
    str,
    Form(
        pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
        words="the name of a label or annotation, such as model-version or example.com/model",
        example="model-version",
        repair=lambda text: text.strip().replace(" ", "-"),
    ),
]

_READY = parse_duration("30m")


class Replicas(FileModel):
    """How many servers a slot needs.  A server is a pod; of a LeaderWorkerSet it is a group of pods."""

    full: Count = Field(ge=1, description="servers that carry all of the route's traffic", examples=[8])
    least: Count = Field(default=1, ge=1, description="servers of a candidate at the smallest share")
    idle: Count | None = Field(
        default=None,
        ge=0,
        description="servers that the old slot keeps once a promoted candidate has baked; without it all stay",
        examples=[0],
    )
    autoscaler: Literal["refuse", "raise"] = Field(
        default="refuse",
        description="where a HorizontalPodAutoscaler or ScaledObject sets the number: refuse the ramp, or raise its "
        "lower bound instead of the number",
    )


class ExternalWorkload(FileModel):
    """Deployed by other means: all that tailramp does is wait for the answer."""

    kind: Literal["external"] = Field(description="what runs in the slot")
    ready: Duration = Field(default=_READY, description="how long a ramp waits until the slot serves the model")


class ManagedWorkload(FileModel):
    """An object of the route's namespace whose pods serve the slot."""

    kind: str = Field(description="what runs in the slot")

    name: ObjectName = Field(description="of the object, in the route's namespace")
    container: ObjectName | None = Field(default=None, description="that runs the server, where a pod has several")
    arguments: dict[ArgumentName, Spelling] = Field(
        default={}, description="arguments that name the model", examples=[{"--model": "storageUri"}]
    )
    env: dict[VariableName, Spelling] = Field(
        default={}, description="variables that name the model", examples=[{"MODEL_URI": "storageUri"}]
    )
    annotations: dict[LabelKey, Spelling] = Field(
        default={}, description="annotations of the pods that name the model", examples=[{"example.com/model": "model"}]
    )
    replicas: Replicas | None = Field(
        default=None, description="lets the number of servers follow the share; without it nobody changes it"
    )
    ready: Duration = Field(default=_READY, description="how long servers may take until they are ready")
    context: str | None = Field(default=None, description="of the kubeconfig; else as the router")


class DeploymentWorkload(ManagedWorkload):
    """A Deployment."""

    kind: Literal["deployment"] = Field(description="what runs in the slot")


class StatefulSetWorkload(ManagedWorkload):
    """A StatefulSet."""

    kind: Literal["statefulset"] = Field(description="what runs in the slot")


class LeaderWorkerSetWorkload(ManagedWorkload):
    """A LeaderWorkerSet: a model that needs several machines runs in groups of pods, and each group is one server."""

    kind: Literal["leaderworkerset"] = Field(description="what runs in the slot")


AnyWorkload = Annotated[
    DeploymentWorkload | StatefulSetWorkload | LeaderWorkerSetWorkload | ExternalWorkload, Field(discriminator="kind")
]
