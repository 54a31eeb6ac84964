"""The two files, and the one spec that a ramp is started with.

``deploy/canary.yaml`` belongs to the researcher and says what to try; ``tailramp.yaml`` beside it belongs to the
platform team and says how.  Both are validated here completely before anything is touched, with every problem named by
file, line, field, value, reason and mend.
"""

from tailramp.spec.canary_file import CanaryFile, Candidate
from tailramp.spec.checks import Checks, LatencyKind
from tailramp.spec.custom_check import CustomCheck
from tailramp.spec.identity import Identity, IdentityKind, Source
from tailramp.spec.loading import empties_target, load_platform, load_spec
from tailramp.spec.platform_file import Alerts, Off, PlatformFile, Route, Slot, Trust
from tailramp.spec.problems import validate
from tailramp.spec.prometheus import BasicAuth, Prometheus
from tailramp.spec.ramp_policy import RampPolicy, StepPolicy
from tailramp.spec.ramp_spec import RampSpec
from tailramp.spec.router import (
    AnyRouter,
    Backend,
    EnvoyFileRouter,
    GatewayApiRouter,
    GatewayLabelRouter,
    IngressNginxRouter,
    KubernetesRouter,
    ServiceBackend,
)
from tailramp.spec.schema import json_schema
from tailramp.spec.workload import (
    DeploymentWorkload,
    ExternalWorkload,
    LeaderWorkerSetWorkload,
    ManagedWorkload,
    Replicas,
    StatefulSetWorkload,
)

__all__ = [
    "Alerts",
    "AnyRouter",
    "Backend",
    "BasicAuth",
    "CanaryFile",
    "Candidate",
    "Checks",
    "CustomCheck",
    "DeploymentWorkload",
    "EnvoyFileRouter",
    "ExternalWorkload",
    "GatewayApiRouter",
    "GatewayLabelRouter",
    "Identity",
    "IdentityKind",
    "IngressNginxRouter",
    "KubernetesRouter",
    "LatencyKind",
    "LeaderWorkerSetWorkload",
    "ManagedWorkload",
    "Off",
    "PlatformFile",
    "Prometheus",
    "RampPolicy",
    "RampSpec",
    "Replicas",
    "Route",
    "ServiceBackend",
    "Slot",
    "Source",
    "StatefulSetWorkload",
    "StepPolicy",
    "Trust",
    "empties_target",
    "json_schema",
    "load_platform",
    "load_spec",
    "validate",
]
