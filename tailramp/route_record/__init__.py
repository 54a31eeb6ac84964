"""The one durable record per route that outlives ramps, and every change that may be made to it.

It says who may write the route and what stands there.  ``kill``, the sentinel and ``list`` need only this record: never
the two files, never Temporal.  Where it is stored is the router's business (with Envoy by file it lies inside the route
file, so that rules and record change in one rename); what it means is decided here, once, for every router.

Changes come in two kinds.  Forward ones carry the ramp and the epoch at which they were decided, and raise ``Fenced``
when the record has moved on: a process that was frozen may wake at any instruction, and nothing that it then writes may
raise traffic.  Clearing ones take candidates out, raise the epoch and close the record to the ramp that held it.
"""

from tailramp.route_record.clearing import (
    cleared,
    frozen,
    killed,
    lifted,
    prepared,
    sent_to_previous,
    stranded,
    switched_off,
    thawed,
)
from tailramp.route_record.forward import (
    against_retiring,
    concluded,
    fence,
    forgotten,
    looked,
    naming_workloads,
    only_lowers,
    renewed,
    retiring,
    served,
    shortened,
    taken_over,
    without,
)
from tailramp.route_record.record import (
    BEYOND_ANY_RAMP,
    LEASE_SECONDS,
    SHORT_LEASE_SECONDS,
    Clearer,
    Lease,
    Mark,
    OffAnswer,
    RouteRecord,
    SlotRecord,
    WorkloadReference,
)
from tailramp.route_record.refusals import REFUSES_DIGEST, REFUSES_MODEL, refusal

__all__ = [
    "BEYOND_ANY_RAMP",
    "LEASE_SECONDS",
    "REFUSES_DIGEST",
    "REFUSES_MODEL",
    "SHORT_LEASE_SECONDS",
    "Clearer",
    "Lease",
    "Mark",
    "OffAnswer",
    "RouteRecord",
    "SlotRecord",
    "WorkloadReference",
    "against_retiring",
    "cleared",
    "concluded",
    "fence",
    "forgotten",
    "frozen",
    "killed",
    "lifted",
    "looked",
    "naming_workloads",
    "only_lowers",
    "prepared",
    "refusal",
    "renewed",
    "retiring",
    "sent_to_previous",
    "served",
    "shortened",
    "stranded",
    "switched_off",
    "taken_over",
    "thawed",
    "without",
]
