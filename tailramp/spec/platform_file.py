"""``tailramp.yaml``, the platform team's file: everything about the route that no researcher should have to know."""

from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from tailramp.errors import WrongValue
from tailramp.evidence.judge import JudgeName
from tailramp.forms import Matchers, ModelName, Name, SlotName, Url
from tailramp.spec.checks import Checks
from tailramp.spec.compliance import Compliance, Require
from tailramp.spec.fields import Count, FileModel
from tailramp.spec.identity import Identity, IdentityKind
from tailramp.spec.models import Models
from tailramp.spec.prometheus import Prometheus
from tailramp.spec.ramp_policy import RampPolicy
from tailramp.spec.router import AnyRouter, EnvoyFileRouter, GatewayLabelRouter
from tailramp.spec.workload import AnyWorkload, ManagedWorkload
from tailramp.units import format_duration


class Route(FileModel):
    namespace: Name = Field(default="default", description="as in Kubernetes; with the name it is the unit of locking")
    name: Name = Field(description="the route's name")
    public_model: ModelName | None = Field(
        default=None,
        description="the model name that clients send; a candidate is refused if its server does not answer to it and "
        "the baseline's does",
    )

    @property
    def full_name(self) -> str:
        return f"{self.namespace}/{self.name}"


class Slot(FileModel):
    """One of the interchangeable places behind the route."""

    url: Url = Field(description="its own address, to ask which model it serves")
    metrics: Matchers = Field(description="label matchers of its servers", examples=['slot="green"'])
    gateway_metrics: Matchers = Field(
        description="label matchers of its traffic in the gateway's metrics",
        examples=['envoy_cluster_name="green"'],
    )
    workload: AnyWorkload | None = Field(
        default=None, description="what runs there; leave it out if the model is there before a ramp begins"
    )


class Off(FileModel):
    """What the whole route answers after ``tailramp kill --off``."""

    status: Count = Field(default=503, ge=400, le=599, description="the HTTP status of every answer")
    message: str = Field(
        default="This service is switched off. 服务已关闭。",
        min_length=1,
        max_length=2000,
        description="what people read, as error.message in JSON",
    )


class Trust(StrEnum):
    """Whose alerts with the action ``rollback`` take a candidate out at once."""

    OWN = "own"
    ALL = "all"


class Alerts(FileModel):
    """What a firing alert does that tailramp did not write itself."""

    trust: Trust = Field(
        default=Trust.OWN,
        description="own: those that compare the candidate with the baseline, any other holds the ramp; all: every one",
    )


class PlatformFile(FileModel):
    """``tailramp.yaml``: everything that the platform team owns."""

    api_version: Literal["tailramp/v1"] = Field(description="the form of this file")
    route: Route = Field(description="what the traffic of this ramp is called")
    router: AnyRouter = Field(description="how the gateway is told whom to send where")
    slots: dict[SlotName, Slot] = Field(
        min_length=2, description="two or more; which one is live is read from the route"
    )
    identity: Identity = Field(description="where the user id stands and how it becomes a bucket")
    prometheus: Prometheus = Field(description="where the metrics are")
    ramp: RampPolicy = Field(default=RampPolicy(), description="the schedule and its bounds")
    checks: Checks = Field(default=Checks(), description="what is asked about a candidate")
    alerts: Alerts = Field(default=Alerts(), description="what a firing alert does")
    models: Models = Field(default=Models(), description="how a model's name is spelt elsewhere")
    compliance: Compliance | None = Field(
        default=None, description="papers of a service for the public; leave it out for an internal tool"
    )
    off: Off = Field(default=Off(), description="what the route answers when it is shut off")

    @model_validator(mode="after")
    def _every_slot_has_a_backend(self) -> Self:
        if isinstance(self.router, EnvoyFileRouter | GatewayLabelRouter):
            return self
        if lacking := sorted(self.slots.keys() - self.router.backends.keys()):
            raise ValueError(
                f"router.backends does not say what {', '.join(lacking)} is: name a backend for every slot"
            )
        return self

    @model_validator(mode="after")
    def _spellings_have_their_template(self) -> Self:
        for slot, settings in self.slots.items():
            workload = settings.workload
            if not isinstance(workload, ManagedWorkload) or self.models.storage_uri is not None:
                continue
            for group in ("arguments", "env", "annotations"):
                for name, spelling in getattr(workload, group).items():
                    if spelling == "storageUri":
                        raise WrongValue(
                            "the platform file has no models.storageUri",
                            "Add models: {storageUri: oss://llm-models/{model}}, or write model or served",
                            ("slots", slot, "workload", group, name),
                        )
        return self

    @model_validator(mode="after")
    def _lease_outlives_a_look(self) -> Self:
        lease, tick = self.ramp.lease, self.checks.tick
        if lease < 2 * tick:
            reason = f"ramp.lease ({format_duration(lease)}) is renewed at every checks.tick ({format_duration(tick)})"
            raise WrongValue(reason, f"Write {format_duration(2 * tick)} or more", ("ramp", "lease"))
        return self

    @model_validator(mode="after")
    def _papers_are_there_where_they_are_required(self) -> Self:
        if self.compliance is not None and self.compliance.require is Require.REFUSE:
            for field, reason, mend in self.compliance.missing():
                raise WrongValue(reason, f"{mend}, or compliance.require: warn", ("compliance", field))
        return self

    @model_validator(mode="after")
    def _the_gateway_can_read_the_user_id(self) -> Self:
        kind = self.identity.source.kind
        if kind is IdentityKind.BODY_FIELD:
            raise WrongValue(
                f"the {self.router.kind} router's gateway reads no request bodies: it would have to hold them back",
                "Let clients send the id in a header too, and name it as header, cookie, claim or apiKey",
                ("identity", "bodyField"),
            )
        if kind is IdentityKind.CLAIM and self.router.probe_secret is None:
            raise WrongValue(
                "nobody but its issuer can make a token, so only signed probes can ask for a user",
                "Set router.probeSecret: ${TAILRAMP_PROBE_SECRET}, or take the id from a header, cookie or apiKey",
                ("identity", "claim"),
            )
        return self

    @model_validator(mode="after")
    def _evidence_has_a_judge(self) -> Self:
        if self.ramp.by_evidence and JudgeName.SEQUENTIAL not in self.checks.judges:
            mend = "Add sequential to checks.judges, or write ramp.advance: schedule"
            raise WrongValue("a ramp grows by the evidence of the sequential test", mend, ("ramp", "advance"))
        return self

    @model_validator(mode="after")
    def _a_hang_outlives_two_scrapes(self) -> Self:
        hang, scrape = self.checks.max_hang, self.prometheus.scrape_interval
        if hang is not None and hang < 2 * scrape:
            reason = f"checks.maxHang ({format_duration(hang)}) is seen only at a scrape, and they come every"
            mend = f"Write {format_duration(2 * scrape)} or more"
            raise WrongValue(f"{reason} {format_duration(scrape)}", mend, ("checks", "maxHang"))
        return self

    def workload_of(self, slot: SlotName) -> ManagedWorkload | None:
        """The object that tailramp may write in ``slot``; None for one that is deployed by other means."""
        workload = self.slots[slot].workload if slot in self.slots else None
        return workload if isinstance(workload, ManagedWorkload) else None

    @property
    def writes_workloads(self) -> bool:
        """Whether any slot is deployed or sized by tailramp, or waited for."""
        return any(slot.workload is not None for slot in self.slots.values())
