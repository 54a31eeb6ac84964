"""Candidates that were taken out, and for which reasons they are not tried again without a person's word."""

from collections.abc import Collection

from tailramp.forms import SlotName
from tailramp.route_record.record import RouteRecord, SlotRecord

REFUSES_MODEL = frozenset({"unhealthy", "alert", "blind", "lease_lapsed", "killed"})
"""Reasons of a rollback after which the model is refused until somebody overrides it."""
REFUSES_DIGEST = frozenset({"operator_abort", "cancelled"})
"""Reasons after which it is refused until the canary file changes: an unrelated merge must not restart it."""


def refusal(record: RouteRecord, *, model: str | None, digest: str | None) -> str | None:
    """Why this candidate may not be tried again without an override, or None."""
    return record.refused.get(f"model:{model}") or record.refused.get(f"digest:{digest}")


def with_refusals(record: RouteRecord, reason: str, slots: Collection[SlotName]) -> dict[str, str]:
    refused = dict(record.refused)
    for slot in slots:
        served = record.slots.get(slot, SlotRecord())
        if reason in REFUSES_MODEL and served.model:
            refused[f"model:{served.model}"] = reason
        if reason in REFUSES_DIGEST and served.digest:
            refused[f"digest:{served.digest}"] = reason
    return refused
