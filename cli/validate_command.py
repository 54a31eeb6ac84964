"""``tailramp validate``: everything that the two files alone can show, before anything is touched."""

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
    lines = [f"{file} and {platform} are valid.", "", *_summary(spec, plan)]
    console.answer("\n".join(lines), _as_data(spec, plan, file, platform))
    return ExitCode.DONE


def preview(spec: "RampSpec") -> "Plan | None":
    """The steps of a ramp, or None for an empty target.  Raises Refused as preflight would.

    Which slot is live is read from the route when the ramp starts; the first slots stand in for it here, since
    shares, buckets and holds do not depend on it.
    """
    from tailramp.plan import make_plan

    if not any(len(candidate.buckets) for candidate in spec.candidates):
        return None
    default, *others = spec.platform.slots
    return make_plan(spec, default=default, candidates=others[: len(spec.candidates)])


def _summary(spec: "RampSpec", plan: "Plan | None") -> list[str]:
    from tailramp.units import format_duration
    from workflows.wording import limits

    policy = spec.platform.ramp
    lines = [f"route      {spec.platform.route.full_name}"]
    if plan is None:
        lines += [f"model      {candidate.model}" for candidate in spec.candidates]
        return [*lines, 'target     nobody (buckets: ""): there is nothing to ramp']
    for candidate in spec.candidates:
        lines += [
            f"model      {candidate.model}",
            f"target     {candidate.buckets} ({candidate.buckets.share * 100:g} % of identified users)",
            f"a failed check {'rolls back' if candidate.auto_rollback else 'pauses the ramp and waits for a person'}",
        ]
    if not spec.platform.identity.strategy.is_salted:
        lines.append(f"buckets    {spec.platform.identity.strategy}: uneven; `tailramp skew` shows how much")
    lines += [f"missing    {reason}" for reason in _papers_missing(spec)]
    lines += [f"checks     {limits(spec) or 'NONE: nothing would take a bad candidate back'}", ""]
    rows = [(str(s.index), f"{s.share * 100:g} %", format_duration(s.hold), s.who) for s in plan.steps]
    if plan.promotes:
        rows.append((str(len(rows) + 1), "100 %", f"bake {format_duration(plan.bake)}", "everyone: the new default"))
    header = ("step", "users", "hold", "buckets")
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(3)]
    lines += [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), _shortened(row[3])])
        for row in [header, *rows]
    ]
    settle = format_duration(policy.max_settle)
    lines += ["", f"at least {format_duration(plan.shortest)}, and up to {settle} per step for traffic to settle"]
    if not plan.promotes:
        lines.append("the last step is held, checks on, until it is aborted")
    return lines


def _papers_missing(spec: "RampSpec") -> list[str]:
    compliance = spec.platform.compliance
    return [] if compliance is None else [reason for _, reason, _ in compliance.missing()]


def _shortened(text: str, length: int = 60) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


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
