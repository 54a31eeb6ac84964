"""``tailramp validate``: everything that the two files alone can show, before anything is touched."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import files
from cli.console import Console, output_option
from cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from tailramp.plan import Plan
    from tailramp.spec import RampSpec

    Say = Callable[[str], str]


@click.command("validate")
@click.argument("file", type=click.Path(path_type=Path), default=files.CANARY)
@files.platform_option
@output_option
@click.pass_obj
def validate_command(console: Console, file: Path, platform: Path | None) -> ExitCode:
    """Check the two files and show what a ramp would do.

    FILE is the researcher's file; the platform file is the tailramp.yaml beside it. `tailramp init` writes both to
    start from. Nothing is contacted: whether the services behind the files answer is found out by the preflight of
    `tailramp start`.
    """
    from tailramp.spec import load_spec

    platform = files.platform_beside(file, platform)
    spec = load_spec(file, platform)
    plan = preview(spec)
    valid = console.say(f"{file} and {platform} are valid.")
    text = "\n".join([valid, "", *_summary(spec, plan, console.say)])
    console.answer(text, _as_data(spec, plan, file, platform), said=True)
    return ExitCode.DONE


def preview(spec: "RampSpec") -> "Plan | None":
    """The steps of a ramp, or None for an empty target.  Raises Refused as preflight would.

    Which slot is live is read from the route when the ramp starts; the first slots stand in for it here, since
    shares, buckets and holds do not depend on it.
    """
    from tailramp.planning import make_plan

    if not any(len(candidate.buckets) for candidate in spec.candidates):
        return None
    default, *others = spec.platform.slots
    return make_plan(spec, default=default, candidates=others[: len(spec.candidates)])


def _summary(spec: "RampSpec", plan: "Plan | None", say: "Say") -> list[str]:
    from cli.tables import facts
    from tailramp.units import format_duration, format_share
    from workflows.spec_wording import limits

    rows = [(say("route"), spec.platform.route.full_name)]
    if plan is None:
        rows += [(say("model"), candidate.model) for candidate in spec.candidates]
        return facts([*rows, (say("target"), say('nobody (buckets: ""): there is nothing to ramp'))])
    for candidate in spec.candidates:
        failed = "rolls back" if candidate.auto_rollback else "pauses the ramp and waits for a person"
        rows += [
            (say("model"), candidate.model),
            (say("target"), say(f"{candidate.buckets} ({format_share(candidate.buckets.share)} of identified users)")),
            ("", say(f"a failed check {failed}")),
        ]
    strategy = spec.platform.identity.strategy
    if not strategy.is_salted:
        rows.append((say("buckets"), say(f"{strategy}: uneven; `tailramp skew` shows how much")))
    rows += [(say("missing"), say(reason)) for reason in _papers_missing(spec)]
    rows.append((say("checks"), say(limits(spec) or "NONE: nothing would take a bad candidate back")))
    settle = format_duration(spec.platform.ramp.max_settle)
    least = f"at least {format_duration(plan.shortest)}, and up to {settle} per step for traffic to settle"
    lines = [*facts(rows), "", *_steps(plan, say), "", say(least)]
    if not plan.promotes:
        lines.append(say("the last step is held, checks on, until it is aborted"))
    return lines


def _steps(plan: "Plan", say: "Say") -> list[str]:
    from cli.tables import table
    from tailramp.units import format_duration, format_share

    rows = [[say("step"), say("users"), say("hold"), say("buckets")]]
    rows += [[str(s.index), format_share(s.share), format_duration(s.hold), s.who] for s in plan.steps]
    if plan.promotes:
        bake = say(f"bake {format_duration(plan.bake)}")
        rows.append([str(len(rows)), "100 %", bake, say("everyone: the new default")])
    return table(rows)


def _papers_missing(spec: "RampSpec") -> list[str]:
    compliance = spec.platform.compliance
    return [] if compliance is None else [reason for _, reason, _ in compliance.missing()]


def _as_data(spec: "RampSpec", plan: "Plan | None", file: Path, platform: Path) -> dict[str, Any]:
    return {
        "valid": True,
        "files": {"canary": str(file), "platform": str(platform)},
        "digest": spec.digest,
        "route": spec.platform.route.full_name,
        "candidates": [
            {
                "model": candidate.model,
                "buckets": str(candidate.buckets),
                "share": candidate.buckets.share,
                "auto_rollback": candidate.auto_rollback,
                "limits": {
                    "errors": spec.platform.checks.max_errors,
                    "latency_seconds": _seconds(candidate.max_latency),
                    "toxicity": candidate.max_toxicity,
                },
            }
            for candidate in spec.candidates
        ],
        "steps": []
        if plan is None
        else [
            {"step": s.index, "share": s.share, "buckets": s.who, "hold_seconds": s.hold.total_seconds()}
            for s in plan.steps
        ],
        "missing": _papers_missing(spec),
        "promotes": plan is not None and plan.promotes,
        "shortest_seconds": None if plan is None else plan.shortest.total_seconds(),
    }


def _seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()
