"""From the two files to the checks that guard a ramp."""

from tailramp.evidence import Check, RatioCheck, SlotMatch, ThresholdRule, gateway_errors, latency, toxicity
from tailramp.spec import PlatformFile, RampSpec


def checks_of(spec: RampSpec) -> tuple[Check, ...]:
    """Gateway errors by the platform's limit, latency and toxicity by the candidate's."""
    settings, candidate = spec.platform.checks, spec.candidate
    rule = ThresholdRule(
        min_sample=settings.min_sample,
        floor=settings.floor,
        consecutive=settings.consecutive,
        window=settings.window.total_seconds(),
    )
    checks: list[Check] = []
    if settings.max_errors is not None:
        checks.append(gateway_errors(settings.max_errors, rule))
    if candidate.max_latency is not None:
        check = latency(candidate.max_latency.total_seconds(), rule)
        checks.append(check.model_copy(update={"buckets": f"{settings.latency_histogram}_bucket{{match}}"}))
    if candidate.max_toxicity is not None:
        preset: RatioCheck = toxicity(candidate.max_toxicity, rule)
        queries = {"total": f"{settings.scored_counter}{{match}}", "bad": f"{settings.toxic_counter}{{match}}"}
        checks.append(preset.model_copy(update=queries))
    return tuple(checks)


def slot_match(platform: PlatformFile, slot: str) -> SlotMatch:
    """How the series of ``slot`` are told from those of the others."""
    settings = platform.slots[slot]
    return SlotMatch(slot=slot, metrics=settings.metrics, gateway=settings.gateway_metrics)
