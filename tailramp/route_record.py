"""The one durable record per route that outlives ramps, and every change that may be made to it.

It says who may write the route and what stands there.  ``kill``, the sentinel and ``list`` need only this record: never
the two files, never Temporal.  Where it is stored is the router's business (with Envoy by file it lies inside the route
file, so that rules and record change in one rename); what it means is decided here, once, for every router.

Changes come in two kinds.  Forward ones carry the ramp and the epoch at which they were decided, and raise ``Fenced``
when the record has moved on: a process that was frozen may wake at any instruction, and nothing that it then writes may
raise traffic.  Clearing ones take candidates out, raise the epoch and close the record to the ramp that held it.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from tailramp.assignment import Assignment
from tailramp.errors import Fenced, Frozen, Refused
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


def fence(record: RouteRecord, *, ramp: str, epoch: int) -> None:
    """Refuse a forward write of ``ramp`` that was decided at ``epoch`` if the record has moved on since.

    A retry of a write finds its own epoch stored and may repeat itself; whoever cleared the route has raised the epoch,
    so that a writer who slept through the clear is refused.
    """

    def fenced(why: str) -> Fenced:
        return Fenced(f"{record.route} {why}", holder=record.ramp, epoch=record.epoch)

    if record.kill is not None:
        raise fenced(f"was shut off by {record.kill.by}")
    if record.ramp != ramp:
        raise fenced(f"is held by {record.ramp or 'nobody'}, not by {ramp}")
    if record.closed:
        raise fenced(f"was cleared by {record.cleared_by}" if record.cleared_by else "is closed: the ramp is over")
    if record.epoch > epoch:
        raise fenced(f"is at epoch {record.epoch}, this write was decided at {epoch}")


_NO_PREVIOUS: Mapping[str, None] = {"previous_default": None, "previous_digest": None, "previous_servers": None}


# Forward changes.


REFUSES_MODEL = frozenset({"unhealthy", "alert", "blind", "lease_lapsed", "killed"})
"""Reasons of a rollback after which the model is refused until somebody overrides it."""
REFUSES_DIGEST = frozenset({"operator_abort", "cancelled"})
"""Reasons after which it is refused until the canary file changes: an unrelated merge must not restart it."""


def refusal(record: RouteRecord, *, model: str | None, digest: str | None) -> str | None:
    """Why this candidate may not be tried again without an override, or None."""
    return record.refused.get(f"model:{model}") or record.refused.get(f"digest:{digest}")


def _with_refusals(record: RouteRecord, reason: str, slots: Collection[SlotName]) -> dict[str, str]:
    refused = dict(record.refused)
    for slot in slots:
        served = record.slots.get(slot, SlotRecord())
        if reason in REFUSES_MODEL and served.model:
            refused[f"model:{served.model}"] = reason
        if reason in REFUSES_DIGEST and served.digest:
            refused[f"digest:{served.digest}"] = reason
    return refused


def taken_over(
    record: RouteRecord,
    *,
    ramp: str,
    baseline: SlotName,
    candidates: Mapping[SlotName, SlotRecord],
    override: str | None = None,
    off_answer: OffAnswer | None = None,
    data_plane: str = "",
) -> RouteRecord:
    """Give the route to ``ramp``, with nobody on a candidate.  Repeating it for the same ramp changes nothing.

    ``candidates`` is what each of their slots holds now.  Raises Fenced for a ramp that was cleared meanwhile, Frozen
    for a frozen route, Refused for one that is shut off or still serves another ramp's candidate.
    """
    if record.kill is not None:
        word = f"{record.kill.by}: {record.kill.reason}"
        raise Refused(f"{record.route} was shut off by {word}. `tailramp lift` allows ramps again")
    if record.freeze is not None:
        word = f"{record.freeze.by}: {record.freeze.reason}"
        raise Frozen(f"{record.route} is frozen by {word}. `tailramp lift` allows ramps again")
    if record.ramp == ramp:
        if record.closed:
            raise Fenced(f"this ramp was cleared by {record.cleared_by}", holder=ramp, epoch=record.epoch)
        return record
    for held in candidates.values():
        refused = refusal(record, model=held.model, digest=held.digest)
        if refused is not None and not override:
            raise Refused(
                f"{held.model} was taken out of {record.route} before ({refused}). "
                'Try it again with --override "reason", or change the canary file after an abort'
            )
    if record.candidates:
        raise Refused(
            f"{record.route} still serves {', '.join(record.candidates)} for ramp {record.ramp}. "
            "`tailramp kill` puts everyone back"
        )
    # What stood in a candidate's slot is gone: nobody may be sent back to it as if it were still there.
    gone = _NO_PREVIOUS if record.previous_default in candidates else {}
    tried = {key for held in candidates.values() for key in (f"model:{held.model}", f"digest:{held.digest}")}
    return record.model_copy(
        update={
            "ramp": ramp,
            "epoch": record.epoch + 1,
            "closed": False,
            "cleared_by": None,
            "cleared_reason": "",
            "original_default": baseline,
            "assignment": Assignment(default=baseline),
            "slots": {**record.slots, **candidates},
            "leases": {},
            "blind_since": None,
            "off_answer": off_answer or record.off_answer,
            "data_plane": data_plane,
            "refused": {key: why for key, why in record.refused.items() if key not in tried},
            **gone,
        }
    )


def served(
    record: RouteRecord, *, ramp: str, epoch: int, assignment: Assignment, lease_seconds: float = LEASE_SECONDS
) -> RouteRecord:
    """Serve ``assignment``.  Every candidate that it serves gets a lease of full length.  Raises Fenced or Frozen."""
    fence(record, ramp=ramp, epoch=epoch)
    if record.freeze is not None and not only_lowers(record.assignment, assignment):
        raise Frozen(f"{record.route} is frozen by {record.freeze.by}: {record.freeze.reason}")
    if record.epoch == epoch and record.assignment == assignment:
        return record  # an earlier attempt of this write has done it
    changed = record.model_copy(update={"epoch": epoch, "assignment": assignment})
    if assignment.default != record.assignment.default:
        before = record.assignment.default
        digest = record.slots[before].digest if before in record.slots else None
        changed = changed.model_copy(
            update={"previous_default": before, "previous_digest": digest, "previous_servers": None}
        )
    before_write = {slot: record.leases.get(slot, Lease()).renewals for slot in changed.candidates}
    leases = {slot: Lease(seconds=lease_seconds, renewals=count + 1) for slot, count in before_write.items()}
    return changed.model_copy(update={"leases": leases})


def without(
    record: RouteRecord,
    *,
    ramp: str,
    epoch: int,
    assignment: Assignment,
    reasons: Mapping[SlotName, str],
    lease_seconds: float = LEASE_SECONDS,
) -> RouteRecord:
    """Serve ``assignment``, which is without the slots in ``reasons``; each is refused from now on for its reason.

    Raises Fenced.
    """
    fence(record, ramp=ramp, epoch=epoch)
    refused = record.refused
    for slot, reason in reasons.items():
        refused = _with_refusals(record.model_copy(update={"refused": refused}), reason, (slot,))
    lowered = served(record, ramp=ramp, epoch=epoch, assignment=assignment, lease_seconds=lease_seconds)
    return lowered if refused == record.refused else lowered.model_copy(update={"refused": refused})


def only_lowers(before: Assignment, after: Assignment) -> bool:
    """Whether nobody is moved off the default."""
    return after.default == before.default and all(
        before.buckets_of(rule.slot).issuperset(rule.buckets) for rule in after.rules
    )


def renewed(record: RouteRecord, *, ramp: str, epoch: int) -> RouteRecord:
    """A completed look found no reason to roll back: every lease runs anew.  A shortened one stays short."""
    fence(record, ramp=ramp, epoch=epoch)
    return record.model_copy(update={"leases": {slot: _renewed(lease) for slot, lease in record.leases.items()}})


def looked(record: RouteRecord, *, ramp: str, epoch: int, blind_since: datetime | None) -> RouteRecord:
    """As ``renewed``, after a look that was answered, or has not been since ``blind_since``."""
    return renewed(record, ramp=ramp, epoch=epoch).model_copy(update={"blind_since": blind_since})


def _renewed(lease: Lease) -> Lease:
    return lease if lease.reason is not None else lease.model_copy(update={"renewals": lease.renewals + 1})


def shortened(record: RouteRecord, *, ramp: str, epoch: int, slot: str, reason: str) -> RouteRecord:
    """A completed look found a reason to roll ``slot`` back: should nobody do it, the sentinel will, soon."""
    fence(record, ramp=ramp, epoch=epoch)
    lease = record.leases.get(slot)
    if lease is None or lease.reason is not None:
        return record
    short = Lease(seconds=min(SHORT_LEASE_SECONDS, lease.seconds), renewals=lease.renewals + 1, reason=reason)
    return record.model_copy(update={"leases": {**record.leases, slot: short}})


def concluded(record: RouteRecord, *, ramp: str, epoch: int) -> RouteRecord:
    """A promoted ramp is over: what is the default now is the next ramp's baseline.  Raises Fenced."""
    if record.ramp == ramp and record.closed and record.cleared_by is None:
        return record
    fence(record, ramp=ramp, epoch=epoch)
    default = record.assignment.default
    over = {"closed": True, "original_default": default, "leases": {}, "blind_since": None}
    return record.model_copy(update={"epoch": epoch, **over})


def retiring(record: RouteRecord, *, ramp: str, new: SlotName, servers: int) -> RouteRecord:
    """The ramp that made ``new`` the default is over, and the slot that it left is about to keep ``servers``.

    Noted before they go, so that whoever sends everyone back there knows it, or has come first and is not overtaken.
    Raises Fenced unless ``new`` still serves everyone by that ramp's doing.
    """
    if (why := against_retiring(record, ramp=ramp, new=new)) is not None:
        raise Fenced(f"{record.route}: {why}", holder=record.ramp, epoch=record.epoch)
    return record.model_copy(update={"previous_servers": servers})


def against_retiring(record: RouteRecord, *, ramp: str, new: SlotName) -> str | None:
    """Why the slot that ``ramp`` has left must keep its servers, in words; None if it need not."""
    if record.kill is not None:
        return f"was shut off by {record.kill.by}"
    if record.assignment.default != new or record.assignment.rules:
        return f"{new} does not serve everyone"
    return None if record.ramp == ramp and record.cleared_by is None else "was cleared or taken over"


# Clearing changes.


def cleared(
    record: RouteRecord,
    *,
    by: Clearer,
    reason: str = "",
    ramp: str | None = None,
    epoch: int = 0,
    blamed: Collection[SlotName] | None = None,
) -> RouteRecord | None:
    """Everyone back on the original default, the record closed, its epoch raised: never a no-op.

    ``ramp`` None clears whoever holds the route.  A ramp clears only what is its own, and nothing under a kill mark:
    None says that the record is to be left as it is.  Whoever cleared first stays named.  ``reason`` is held against
    the candidates ``blamed``; None means against all that are served.
    """
    if ramp is not None and (record.kill is not None or record.ramp not in {ramp, None}):
        return None
    first = record.cleared_by is None or not record.closed
    return record.model_copy(
        update={
            "epoch": max(record.epoch + 1, epoch),
            "closed": True,
            "cleared_by": by if first else record.cleared_by,
            "cleared_reason": reason if first else record.cleared_reason,
            "assignment": Assignment(default=record.original_default),
            "leases": {},
            "blind_since": None,
            "stranded": False,
            "refused": _with_refusals(
                record, "killed" if by is Clearer.KILL else reason, record.candidates if blamed is None else blamed
            ),
        }
    )


def killed(record: RouteRecord, mark: Mark) -> RouteRecord:
    """Everyone back on the original default, and no worker may write the route until ``lift``."""
    closed = cleared(record, by=Clearer.KILL, reason=mark.reason)
    assert closed is not None  # noqa: S101 - a clear without a ramp always clears
    return closed.model_copy(update={"kill": mark})


def switched_off(record: RouteRecord, mark: Mark) -> RouteRecord:
    """Nobody is served by any slot until ``lift``: the whole route gives the configured answer."""
    return killed(record, mark).model_copy(update={"off": True})


def sent_to_previous(record: RouteRecord, mark: Mark, *, force: bool = False) -> RouteRecord:
    """Everyone back on the slot *and digest* that were default before the last promotion, also after its end.

    Raises Refused if there was none, if that slot has been prepared for another model since, or, without ``force``, if
    it keeps no server.
    """
    previous = record.previous_default
    if previous is None or previous == record.assignment.default:
        raise Refused(f"{record.route} has no earlier default that is still there")
    digest = record.slots[previous].digest if previous in record.slots else None
    if digest != record.previous_digest:
        raise Refused(f"slot {previous} no longer holds what it held when it was the default")
    if record.previous_servers == 0 and not force:
        raise Refused(
            f"{previous} keeps no server now that the ramp which left it is over (replicas.idle). Scale it up, wait "
            "until it is ready, and add --force"
        )
    back = record.model_copy(update={"original_default": previous})
    return killed(back, mark)


def prepared(record: RouteRecord) -> RouteRecord:
    """The record of the baseline-only file that lies ready: closed, far above any epoch that this ramp can reach."""
    closed = cleared(record, by=Clearer.ROLLBACK, reason="the prepared file", epoch=record.epoch + BEYOND_ANY_RAMP)
    assert closed is not None  # noqa: S101 - a clear without a ramp always clears
    return closed


def forgotten(record: RouteRecord, slots: Collection[SlotName]) -> RouteRecord:
    """One of ``slots`` is about to hold another model: nobody may be sent back to it as if the earlier were there."""
    if record.previous_default not in slots:
        return record
    return record.model_copy(update=_NO_PREVIOUS)


def naming_workloads(record: RouteRecord, workloads: Collection[WorkloadReference]) -> RouteRecord:
    """Something is about to be written into ``workloads``: who has the record alone must find them to put them back.

    Those of earlier ramps stay named, since nobody knows here whether everything was put back there.
    """
    again = {workload.identity for workload in workloads}
    earlier = (workload for workload in record.workloads if workload.identity not in again)
    return record.model_copy(update={"workloads": (*earlier, *workloads)})


def stranded(record: RouteRecord) -> RouteRecord:
    """Nobody could be taken back: whoever looks at the record must see it."""
    return record.model_copy(update={"stranded": True})


def frozen(record: RouteRecord, mark: Mark) -> RouteRecord:
    """Nothing new may start or grow."""
    return record.model_copy(update={"freeze": mark})


def thawed(record: RouteRecord, mark: Mark) -> RouteRecord:
    """Ramps may start and grow again as far as ``mark`` is concerned; any other mark stays."""
    return record.model_copy(update={"freeze": None}) if record.freeze == mark else record


def lifted(record: RouteRecord) -> RouteRecord:
    """Ramps may start and grow again; a route that was off serves everyone from its default."""
    return record.model_copy(update={"kill": None, "freeze": None, "off": False})
