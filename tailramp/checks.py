"""From the two files to the checks that guard a ramp."""

import math
from typing import TYPE_CHECKING

from tailramp.errors import Refused
from tailramp.evidence import (
    Check,
    CheckBook,
    Grid,
    RatioCheck,
    SlotMatch,
    Source,
    ThresholdRule,
    gateway_errors,
    hanging,
    latency,
    server_errors,
    toxicity,
)
from tailramp.evidence.shelf import Shelf
from tailramp.evidence.wording import limit_percent
from tailramp.forms import SlotName
from tailramp.judges import with_judges
from tailramp.plan import Plan
from tailramp.spec import Candidate, CustomCheck, PlatformFile, RampSpec

if TYPE_CHECKING:
    from tailramp.dossiers import Dossiers
    from tailramp.evidence.page import Told


def shelf_of(
    spec: RampSpec,
    plan: Plan,
    grid: Grid,
    dossiers: "Dossiers | None" = None,
    *,
    settling: bool = False,
    told: "Told | None" = None,
) -> Shelf:
    """The books of all candidates of the plan, each with the checks of its own limits.

    ``dossiers`` are what the sequential judges speak for.  While a step is ``settling``, the checks that cold caches
    explain add nothing to them.  ``told`` hears of every tick that a judge is shown.
    """
    baseline = slot_match(spec.platform, plan.baseline)
    return Shelf(
        [
            CheckBook(
                checks,
                [slot_match(spec.platform, slot)],
                baseline,
                grid,
                dossiers=dossiers,
                listening=[check.name for check in checks if settling and not check.in_settle],
                told=told,
            )
            for slot, checks in checks_by_slot(spec, plan).items()
        ]
    )


def checks_by_slot(spec: RampSpec, plan: Plan) -> dict[SlotName, tuple[Check, ...]]:
    """The checks of each candidate of the plan."""
    candidates = len(spec.candidates)
    return {v.slot: checks_of(spec.platform, spec.candidate_of(v.model), candidates) for v in plan.candidates}


def all_checks(spec: RampSpec) -> tuple[Check, ...]:
    """The checks of all candidates; those that several share come once."""
    of_each = (checks_of(spec.platform, candidate, len(spec.candidates)) for candidate in spec.candidates)
    return tuple(dict.fromkeys(check for checks in of_each for check in checks))


def checks_of(platform: PlatformFile, candidate: Candidate, candidates: int = 1) -> tuple[Check, ...]:
    """Gateway errors, tokens' times and custom checks by the platform's limits, latency and toxicity by the
    candidate's; ``candidates`` share the promise of few false rollbacks.

    Raises Refused for a limit that the metrics cannot answer: what is not watched must not look as if it were.
    """
    settings = platform.checks
    limits = {"latency": candidate.max_latency is not None, "toxicity": candidate.max_toxicity is not None}
    for refusal in settings.refusals(**limits):
        raise Refused(f"{refusal.field}: {refusal.reason}. {refusal.mend}")
    rule = ThresholdRule(
        min_sample=settings.min_sample,
        floor=settings.floor,
        consecutive=settings.consecutive,
        window=settings.window.total_seconds(),
    )
    server = settings.server_preset
    checks: list[Check] = []
    if settings.max_errors is not None:
        checks.append(gateway_errors(settings.max_errors, rule, settings.gateway_preset.errors))
    if settings.max_server_errors is not None and server.errors is not None:
        checks.append(server_errors(settings.max_server_errors, rule, server.errors))
    if candidate.max_latency is not None and (timed := settings.timed) is not None:
        source = Source.GATEWAY if timed.at_gateway else Source.SERVER
        native = settings.native_histograms and not timed.at_gateway
        limit = candidate.max_latency.total_seconds()
        checks.append(latency(limit, rule, timed.histogram, source=source, native=native))
    times = (
        ("first-token", "time to first token", settings.max_first_token, server.first_token),
        ("per-output-token", "time per output token", settings.max_per_output_token, server.per_output_token),
    )
    for name, what, longest, histogram in times:
        if longest is not None and histogram is not None:
            native = settings.native_histograms
            checks.append(latency(longest.total_seconds(), rule, histogram, name=name, what=what, native=native))
    if candidate.max_toxicity is not None and (counters := settings.toxicity) is not None:
        checks.append(toxicity(candidate.max_toxicity, rule, counters))
    if settings.max_hang is not None and (found := settings.in_flight) is not None:
        in_flight, at_gateway = found
        source = Source.GATEWAY if at_gateway else Source.SERVER
        checks.append(hanging(settings.max_hang.total_seconds(), rule, in_flight, source))
    checks += [_custom(check, rule) for check in settings.custom]
    return with_judges(checks, platform, candidates)


def _custom(check: CustomCheck, rule: ThresholdRule) -> RatioCheck:
    sign, share = check.condition
    numbers = {"min_sample": check.min_sample, "floor": check.floor}
    above = f"above {limit_percent(share)}" if sign == ">" else f"at {limit_percent(share)} or above"
    return RatioCheck(
        name=check.name,
        source=Source(check.counted_by),
        total=check.total,
        bad=check.bad,
        bad_absent_is_zero=check.bad_absent_is_zero,
        # A judge asks whether the share is above the limit: above the float just below it means at it, too.
        limit=share if sign == ">" else math.nextafter(share, 0.0),
        rule=rule.model_copy(update={name: number for name, number in numbers.items() if number is not None}),
        breach=f"{check.name} {above}",
        unit=check.unit,
        bad_is=check.bad_is,
        in_settle=check.in_settle,
    )


def slot_match(platform: PlatformFile, slot: str) -> SlotMatch:
    """How the series of ``slot`` are told from those of the others."""
    settings = platform.slots[slot]
    return SlotMatch(slot=slot, metrics=settings.metrics, gateway=settings.gateway_metrics)
