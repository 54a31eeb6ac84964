"""What the record of a route holds: its ramp, its slots, who is served, leases and marks."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from tailramp.assignment import Assignment
from tailramp.forms import SlotName

LEASE_SECONDS = 90.0
"""How long a candidate may be served without a completed look at it, unless the spec says otherwise."""
SHORT_LEASE_SECONDS = 5.0
"""The most of it that is left after a look that found a reason to roll back: whoever should act may be unable to."""
BEYOND_ANY_RAMP = 1_000_000
"""How far above the epoch of a ramp the prepared, baseline-only record lies: no ramp writes so often."""


class Clearer(StrEnum):
    """Who may take candidates out."""

    ROLLBACK = "rollback"
    SENTINEL = "sentinel"
    KILL = "kill"


class SlotRecord(BaseModel):
    """What runs in a slot, as far as tailramp put or found it there."""

    model_config = ConfigDict(frozen=True)

    model: str | None = None
    digest: str | None = None


class Lease(BaseModel):
    """A candidate's right to be served.

    Lapsed means that ``renewals`` stood still for ``seconds`` on the observer's own monotonic clock: wall clocks decide
    nothing.  ``reason`` is set when a bad verdict shortened it; only a write at a higher epoch makes it long again.
    """

    model_config = ConfigDict(frozen=True)

    seconds: float = LEASE_SECONDS
    renewals: int = 0
    reason: str | None = None


class Mark(BaseModel):
    """Somebody's word on the route: that it was shut off, or that nothing may grow."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    by: str
    reason: str


class OffAnswer(BaseModel):
    """What the whole route answers while it is off."""

    model_config = ConfigDict(frozen=True)

    status: int = 503
    message: str = "This service is switched off. 服务已关闭。"


class WorkloadReference(BaseModel):
    """An object that ramps of this route write to have servers in ``slot``; in the route's namespace.

    ``context`` is of the kubeconfig, where the platform file names one for it; ``sized``: ramps decide how many servers
    it has, and so write what scales it.
    """

    model_config = ConfigDict(frozen=True)

    slot: SlotName
    kind: str
    name: str
    context: str | None = None
    sized: bool = False

    @property
    def identity(self) -> tuple[str, str, str | None]:
        return self.kind, self.name, self.context


class RouteRecord(BaseModel):
    """See the module.  ``epoch`` only ever rises; ``ramp`` is the id of the ramp that holds the route, or None."""

    model_config = ConfigDict(frozen=True)

    route: str
    ramp: str | None = None
    epoch: int = 0
    closed: bool = Field(default=False, description="the holder is over: it may write nothing more")
    cleared_by: Clearer | None = Field(default=None, description="who took the candidates out, if anybody did")
    cleared_reason: str = ""
    router: str = "envoy-file"
    objects: tuple[str, ...] = ()
    slots: dict[SlotName, SlotRecord] = Field(default_factory=dict)
    workloads: tuple[WorkloadReference, ...] = Field(
        default=(), description="what ramps have written, or were about to, to have servers in the slots"
    )
    original_default: SlotName
    previous_default: SlotName | None = None
    previous_digest: str | None = None
    previous_servers: int | None = Field(
        default=None, description="how many the previous default keeps, at least, now that the ramp is over; None: all"
    )
    assignment: Assignment
    leases: dict[SlotName, Lease] = Field(default_factory=dict)
    kill: Mark | None = None
    off: bool = Field(default=False, description="nobody is served: the whole route gives ``off_answer``")
    off_answer: OffAnswer = OffAnswer()
    freeze: Mark | None = None
    data_plane: str = Field(default="", description="where the data plane tells which servers are ready")
    stranded: bool = Field(
        default=False, description="somebody wanted to go back, and the slot to go back to had no ready server"
    )
    blind_since: datetime | None = Field(
        default=None,
        description="when the checks were answered last, while they are not: a later watch goes on from it",
    )
    refused: dict[str, str] = Field(
        default_factory=dict, description="``model:<name>`` or ``digest:<digest>`` of a candidate → why it is refused"
    )

    @property
    def candidates(self) -> tuple[str, ...]:
        """Slots other than the original default that users are sent to now."""
        slots = [self.assignment.default, *(rule.slot for rule in self.assignment.rules)]
        return tuple(dict.fromkeys(slot for slot in slots if slot != self.original_default))
