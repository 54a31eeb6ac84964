"""What was asked for, in the words that people read: the sentences that need the files."""

from tailramp.plan import Plan
from tailramp.ramp import Phase, RampState, WatchMode, is_final
from tailramp.spec import Candidate, LatencyKind, RampSpec
from tailramp.units import format_duration, format_share


def started(spec: RampSpec, actor: str) -> str:
    models = candidates(spec)
    targets = " + ".join(str(candidate.buckets) for candidate in spec.candidates)
    return f"{actor} starts {models} on {spec.platform.route.full_name}, target {targets}"


def candidates(spec: RampSpec) -> str:
    """``chat-v2 + chat-13b``."""
    return " + ".join(candidate.model for candidate in spec.candidates)


def limits(spec: RampSpec) -> str:
    """``errors ≤ 5 %, p99 ≤ 2s, toxicity ≤ 5 %``; of several candidates, those that all of them share come once."""
    of_each = [_limits_of(spec, candidate) for candidate in spec.candidates]
    if len(set(of_each)) == 1:
        return of_each[0]
    return "; ".join(f"{candidate.model}: {told}" for candidate, told in zip(spec.candidates, of_each, strict=True))


def _limits_of(spec: RampSpec, candidate: Candidate) -> str:
    """What the candidate is held to, and what else the platform file checks."""
    checks = spec.platform.checks
    shares = (("errors", checks.max_errors), ("server errors", checks.max_server_errors))
    p99 = {LatencyKind.FIRST_TOKEN: "p99 to the first token", LatencyKind.GATEWAY: "p99 at the gateway"}
    times = (
        (p99.get(checks.latency, "p99"), candidate.max_latency),
        ("p99 to the first token", checks.max_first_token),
        ("p99 per output token", checks.max_per_output_token),
        ("in flight", checks.max_hang),
    )
    parts = [f"{name} ≤ {format_share(limit)}" for name, limit in shares if limit is not None]
    parts += [f"{name} ≤ {format_duration(limit)}" for name, limit in times if limit is not None]
    if candidate.max_toxicity is not None:
        parts.append(f"toxicity ≤ {format_share(candidate.max_toxicity)}")
    parts += [f"not {check.name} {check.fail_when}" for check in checks.custom]
    return ", ".join(parts)


def watch_summary(spec: RampSpec, plan: Plan, state: RampState, mode: WatchMode) -> str:
    """One line for Temporal's UI: ``hold 25 % (00-24) 10m: errors ≤ 5 %, p99 ≤ 2s``."""
    subject = "100 %" if state.phase is Phase.BAKING else plan.step(state.step).label
    match mode:
        case WatchMode.SETTLE:
            return f"settle {subject}: until traffic has reached the step"
        case WatchMode.HOLD:
            hold = "without end" if is_final(plan, state) else format_duration(plan.step(state.step).hold)
            return f"hold {subject} {hold}: {limits(spec)}"
        case WatchMode.GUARD:
            why = "paused" if state.paused else f"waiting for {', '.join(sorted(state.blocked_by))}"
            return f"{why} at {subject}, guards on: {limits(spec)}"
        case WatchMode.BAKE:
            return f"bake {subject} {format_duration(plan.bake)}: {limits(spec)}"
