"""What a ramp may change of the record that it holds, and the fence that every such change passes."""

from collections.abc import Collection, Mapping
from datetime import datetime

from tailramp.assignment import Assignment
from tailramp.errors import Fenced, Frozen, Refused
from tailramp.forms import SlotName
from tailramp.route_record.record import (
    LEASE_SECONDS,
    SHORT_LEASE_SECONDS,
    Lease,
    OffAnswer,
    RouteRecord,
    SlotRecord,
    WorkloadReference,
)
from tailramp.route_record.refusals import refusal, with_refusals


def fence(record: RouteRecord, *, ramp: str, epoch: int) -> None:
    """Refuse a forward write of ``ramp`` that was decided at ``epoch`` if the record has moved on since.

    A retry of a write finds its own epoch stored and may repeat itself; whoever cleared the route has raised the epoch,
    so that a writer who slept through the clear is refused.
    """

    def fenced(why: str) -> Fenced:
        return Fenced(f"{record.route} {why}")

    if record.kill is not None:
        raise fenced(f"was shut off by {record.kill.by}")
    if record.ramp != ramp:
        raise fenced(f"is held by {record.ramp or 'nobody'}, not by {ramp}")
    if record.closed:
        raise fenced(f"was cleared by {record.cleared_by}" if record.cleared_by else "is closed: the ramp is over")
    if record.epoch > epoch:
        raise fenced(f"is at epoch {record.epoch}, this write was decided at {epoch}")


_NO_PREVIOUS: Mapping[str, None] = {"previous_default": None, "previous_digest": None, "previous_servers": None}


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
            raise Fenced(f"this ramp was cleared by {record.cleared_by}")
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
    tried = {key for held in candidates.values() for key in (f"model:{held.model}", f"digest:{held.digest}")}
    return forgotten(record, candidates).model_copy(
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
        refused = with_refusals(record.model_copy(update={"refused": refused}), reason, (slot,))
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
        raise Fenced(f"{record.route}: {why}")
    return record.model_copy(update={"previous_servers": servers})


def against_retiring(record: RouteRecord, *, ramp: str, new: SlotName) -> str | None:
    """Why the slot that ``ramp`` has left must keep its servers, in words; None if it need not."""
    if record.kill is not None:
        return f"was shut off by {record.kill.by}"
    if record.assignment.default != new or record.assignment.rules:
        return f"{new} does not serve everyone"
    return None if record.ramp == ramp and record.cleared_by is None else "was cleared or taken over"
