"""Changes that take candidates out, and the marks of people: none of them can be fenced off."""

from collections.abc import Collection

from tailramp.assignment import Assignment
from tailramp.errors import Refused
from tailramp.forms import SlotName
from tailramp.route_record.record import BEYOND_ANY_RAMP, Clearer, Mark, RouteRecord
from tailramp.route_record.refusals import with_refusals


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
            "refused": with_refusals(
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
