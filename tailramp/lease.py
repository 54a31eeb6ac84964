"""When a candidate's lease has lapsed, as seen by somebody who knows nothing but the route record.

A lease is renewed by every completed look at the candidate.  Whether it still is can only be told by watching it: the
observer notes when it last saw the renewals move, on its own monotonic clock.  Nobody's wall clock is compared with
anybody else's, so a clock that jumps can neither keep a candidate alive nor take it out.
"""

from dataclasses import dataclass

from tailramp.route_record import Clearer, Lease, RouteRecord, cleared

LAPSED = "lease_lapsed"


@dataclass(frozen=True)
class Lapse:
    """``lease`` of ``slot`` was not renewed for its time.  ``reason`` is why it was short, or that it lapsed."""

    slot: str
    lease: Lease
    ramp: str | None

    @property
    def reason(self) -> str:
        return self.lease.reason or LAPSED

    def clear(self, record: RouteRecord) -> RouteRecord | None:
        """The clearing change; None if the lease has been renewed after all, or the route changed hands."""
        if record.closed or record.ramp != self.ramp or _lease(record, self.slot) != self.lease:
            return None
        blamed = None if self.lease.reason is None else (self.slot,)  # nobody looked any more: at none of them
        return cleared(record, by=Clearer.SENTINEL, reason=self.reason, blamed=blamed)


class LeaseObserver:
    """Watches the leases of one route.  ``at`` is monotonic seconds, in rising order."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[str | None, Lease, float]] = {}

    def observe(self, record: RouteRecord, at: float) -> Lapse | None:
        """Take one look at the record into account; the first lapsed lease, if any has lapsed."""
        if record.closed:
            self._since.clear()
            return None
        seen = dict(self._since)
        self._since.clear()
        lapse = None
        for slot in record.candidates:
            lease = _lease(record, slot)
            ramp, known, since = seen.get(slot, (record.ramp, lease, at))
            if (ramp, known) != (record.ramp, lease):
                since = at
            self._since[slot] = (record.ramp, lease, since)
            if lapse is None and at - since >= lease.seconds:
                lapse = Lapse(slot, lease, record.ramp)
        return lapse

    def remaining(self, at: float) -> float | None:
        """Seconds until the first lease lapses, negative if one has; None if nobody needs one."""
        left = [lease.seconds - (at - since) for _, lease, since in self._since.values()]
        return min(left, default=None)


def _lease(record: RouteRecord, slot: str) -> Lease:
    """A candidate that is served without a lease has one that nobody renews."""
    return record.leases.get(slot, Lease())
