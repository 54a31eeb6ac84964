"""The command ``tailramp plan`` and how its answer reads."""

import asyncio
import math
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import files
from cli.console import Console, OutputFormat, output_or_yaml_option
from cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cli.plan.preview import Preview, StepPreview
    from cli.plan.world import Sight
    from tailramp.evidence import Check
    from tailramp.spec import RampSpec

    Say = Callable[[str], str]


@click.command("plan")
@click.argument("file", type=click.Path(path_type=Path), default=files.CANARY)
@files.platform_option
@click.option("--offline", is_flag=True, help="Ask nobody: what the files alone can show.")
@click.option("--users", type=click.IntRange(min=1), help="Identified users a day, to say how many each step exposes.")
@click.option("--diff", is_flag=True, help="Print every write as a unified diff of its object.")
@click.option(
    "--override", type=files.TextType(), metavar="REASON", help="Plan for a candidate that was taken out before."
)
@output_or_yaml_option
@click.pass_obj
def plan_command(
    console: Console,
    file: Path,
    platform: Path | None,
    offline: bool,
    users: int | None,
    diff: bool,
    override: str | None,
) -> ExitCode:
    """Show what a ramp would do, tell and write.

    Per step: who is exposed, for how long, how soon a check can tell a good candidate from a bad one at the rate that
    Prometheus has measured over the last five minutes, and below which rate it cannot. With --diff, every write to
    every object; with -o yaml what is sent: whole objects and files, and the operations of JSON patches, each a
    document with the time at which it comes. The route record is written along with them. Nothing is changed.

    What cannot be looked up is named; with --offline nothing is looked up but the route file. Exits with 5 if the ramp
    would be refused.
    """
    from cli.plan.preview import preview_of
    from cli.plan.world import from_files, look
    from tailramp.spec import load_spec

    spec = load_spec(file, files.platform_beside(file, platform))
    world = from_files(spec) if offline else asyncio.run(look(spec))
    preview = preview_of(spec, world, users=users, override=override)
    if world.sight is not None and preview.differences:
        world.problems += asyncio.run(_refused_by_server(spec, world.sight, preview, override))
    if console.format is OutputFormat.YAML:
        _print_yaml(console, preview)
        return ExitCode.REFUSED if world.problems else ExitCode.DONE
    text = "\n".join(_lines(preview, console.say, offline=offline, diff=diff))
    console.answer(text, _as_data(preview), said=True)
    return ExitCode.REFUSED if world.problems else ExitCode.DONE


def _print_yaml(console: Console, preview: "Preview") -> None:
    """Every write as a document, in order; what is not known or would be refused goes to standard error."""
    import yaml

    written = [difference.written for difference in preview.differences]
    click.echo(yaml.safe_dump_all(written, sort_keys=False, allow_unicode=True, explicit_start=True), nl=False)
    say = console.say
    for sentence in preview.world.unknown:
        click.echo(f"? {say('not looked up')}: {say(sentence)}", err=True)
    for sentence in preview.world.problems:
        click.echo(f"! {say('would be refused')}: {say(sentence)}", err=True)


async def _refused_by_server(spec: "RampSpec", sight: "Sight", preview: "Preview", override: str | None) -> list[str]:
    """What the API server refuses in a dry run of every write."""
    from activities.kube import KubeClient
    from activities.routers.kube.preview import planned_writes, refusals_of
    from cli.plan.differences import records_of
    from tailramp.spec import EnvoyFileRouter

    router, route, plan = spec.platform.router, spec.platform.route, preview.plan
    records = list(records_of(sight.record, spec, plan, override))
    writes = planned_writes(sight.binding, route.name, sight.main, plan.ruled_slots, records)
    context = None if isinstance(router, EnvoyFileRouter) else router.context
    async with KubeClient(context=context) as client:
        return await refusals_of(client, route.namespace, sight.binding, writes)


def _lines(preview: "Preview", say: "Say", *, offline: bool, diff: bool) -> list[str]:
    from cli.tables import facts
    from tailramp.units import format_duration, format_share

    plan, world = preview.plan, preview.world
    rows = [(say("route"), plan.route)]
    for variant in plan.candidates:
        target = variant.buckets
        rows += [
            (say("model"), say(f"{variant.model} in slot {variant.slot}, beside {plan.baseline}")),
            (say("target"), say(f"{target} ({format_share(target.share)} of identified users)")),
        ]
    rows += [
        (say("duration"), f"{format_duration(plan.shortest)} – {format_duration(preview.longest)}"),
        (say("rate"), _rate_said(preview, say, offline=offline)),
        *_power_said(preview, say),
        (say("hangs"), say(_hangs_said(preview))),
        *_evidence_said(preview, say),
        (say("writes"), _writes_said(preview, say, diff=diff)),
        *((say("servers"), said) for said in _servers_said(preview, say)),
    ]
    lines = [*facts(rows), "", *_steps_table(preview, say), "", *map(say, _LEGEND)]
    if not plan.promotes:
        lines.append(say("the last step is held, checks on, until it is aborted"))
    lines += [""] * bool(world.unknown or world.problems)
    lines += [f"? {say('not looked up')}: {say(sentence)}" for sentence in world.unknown]
    lines += [f"! {say('would be refused')}: {say(sentence)}" for sentence in world.problems]
    if diff:
        for difference in preview.differences:
            lines += ["", f"# {say(difference.label)}: {difference.object}", difference.diff]
    return lines


_LEGEND = (
    "answers: the candidate's within the hold",
    "PASS after, FAIL after: how soon every check can come to that",
)


def _steps_table(preview: "Preview", say: "Say") -> list[str]:
    from cli.tables import table
    from tailramp.units import format_duration, format_share

    with_users = any(step.users is not None for step in preview.steps)
    header = [say("step"), say("share"), *([say("users")] if with_users else []), say("hold"), say("answers")]
    header += [say("PASS after"), say("FAIL after"), say("buckets")]
    rows = [header]
    for step in preview.steps:
        approval = say(", then an approval") if step.step.approval else ""
        rows.append(
            [
                str(step.step.index),
                format_share(step.step.share),
                *([_count(step.users)] if with_users else []),
                format_duration(step.step.hold) + approval,
                _count(step.answers),
                *_slowest(step),
                str(step.step.buckets),
            ]
        )
    if preview.plan.promotes:
        bake = say(f"bake {format_duration(preview.plan.bake)}")
        blank = [""] * (len(header) - 5)
        rows.append(
            [str(len(rows)), "100 %", *([""] if with_users else []), bake, *blank[with_users:], say("everyone")]
        )
        rows[-1] += [""] * (len(header) - len(rows[-1]))
    return table(rows, right=frozenset({0, 1, *({2} if with_users else ()), 3 + with_users}))


def _slowest(step: "StepPreview") -> tuple[str, str]:
    """The seconds until every check can pass, and until the last of them can fail."""
    passes = [power.to_pass for power in step.power.values()]
    fails = [power.to_fail for power in step.power.values()]
    return _longest(passes), _longest(fails)


def _longest(seconds: list[float | None]) -> str:
    from tailramp.units import format_duration

    known = [value for value in seconds if value is not None]
    if not known or len(known) < len(seconds):
        return "?"
    return format_duration(timedelta(seconds=round(max(known))))


def _count(number: float | None) -> str:
    return "?" if number is None else f"{number:,.0f}"


def _per_second(rate: float) -> str:
    """Three digits, and no more of them than a measurement has."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _rate_said(preview: "Preview", say: "Say", *, offline: bool) -> str:
    if preview.rate is None:
        why = "nobody was asked" if offline else "Prometheus does not tell"
        return say(f"unknown ({why}): answers and seconds to a verdict cannot be computed")
    minutes = preview.world.rate_seconds // 60
    return say(f"{_per_second(preview.rate)} answers/s on the whole route, measured over the last {minutes} minutes")


def _power_said(preview: "Preview", say: "Say") -> list[tuple[str, str]]:
    from tailramp.checks import all_checks

    label = say("power")
    if not all_checks(preview.spec):
        return [(label, say("NONE: nothing would be checked"))]
    if preview.powerless:
        steps = ", ".join(dict.fromkeys(str(index) for index, _ in preview.powerless))
        return [(label, say(f"NONE at step {steps}: the hold is shorter than the windows that a FAIL needs"))]
    if preview.weakest is None:
        return []
    check, index, rate = preview.weakest
    least = f"no power below {_per_second(rate)} answers/s on the route ({check} at step {index})"
    return [(label, say(least)), ("", say("with fewer, a bad candidate is not noticed within the hold"))]


def _hangs_said(preview: "Preview") -> str:
    from tailramp.units import format_duration

    checks = preview.spec.platform.checks
    if checks.max_hang is not None:
        return f"a request in flight for more than {format_duration(checks.max_hang)} counts as hung"
    held = "NOT WATCHED: a candidate that stops answering is held, not taken back"
    if checks.in_flight is not None:
        return f"{held}. Set checks.maxHang, such as 2m"
    return f"{held}. Let the gateway answer 504 after a time limit, which counts as an error"


_COMMON = 0.01
_FEW = 0.005


def _evidence_said(preview: "Preview", say: "Say") -> list[tuple[str, str]]:
    """What the sequential test promises, what it takes for granted, and how soon it finds what at the first step."""
    from tailramp.checks import checks_by_slot
    from tailramp.units import format_share

    checks = [check for found in checks_by_slot(preview.spec, preview.plan).values() for check in found]
    tested = [check for check in checks if check.is_sequential]
    settings = preview.spec.platform.checks.sequential
    if not tested:
        return [(say("evidence"), say("limits alone: no sequential test compares the candidate with the baseline"))]
    promise = f"of ramps with a good candidate at most {format_share(settings.alpha)} are rolled back in 24 h"
    rows = [(say("evidence"), say(promise))]
    if assumed := _assumed(preview):
        rows.append(("", say(f"not calibrated, 1.5 times the usual noise is allowed for ({', '.join(assumed)})")))
    else:
        rows.append(("", say("noise as calibrated")))
    if settings.history is not None:
        rows.append(("", _users_said(preview, say, [check.name for check in tested])))
        if unmeasured := _carry_assumed(preview):
            changing = "how much users change from day to day is not calibrated, 0.5 is taken to stay"
            rows.append(("", say(f"{changing} ({', '.join(unmeasured)})")))
    return rows + [("", say(sentence)) for sentence in _found_after(preview, tested)]


def _found_after(preview: "Preview", tested: "Sequence[Check]") -> "Iterator[str]":
    """How many answers of the candidate the weakest test needs for a fault that is seldom, and for one that is not."""
    from tailramp.power import sequential_answers
    from tailramp.units import format_share

    weakest = min((check.sequential for check in tested if check.sequential), key=lambda rule: rule.weight)
    step = preview.steps[0].step
    for base, ratio in ((_COMMON, 2.0), (_FEW, 5.0)):
        answers = sequential_answers(weakest, base=base, ratio=ratio)
        shares = f"{format_share(ratio * base)} bad against the baseline's {format_share(base)}"
        sentence = f"{shares}: noticed after {answers:,.0f} answers"
        if preview.rate:
            sentence += f", {_seconds_said(answers / preview.rate / step.share)} at step {step.index}"
        yield sentence


def _users_said(preview: "Preview", say: "Say", tested: "Sequence[str]") -> str:
    """Whether the users are known from before the ramp: by which checks, or why not."""
    from tailramp.time_before import users_said, why_not

    known = preview.world.known
    if known is None and not why_not(preview.plan, preview.steps[0].step.assignment):
        return say("whether the users are known from before the ramp was not asked")
    return say(users_said(preview.plan, tested, known or ()))


def _assumed(preview: "Preview") -> list[str]:
    """The checks whose noise is not calibrated, or the sizes of it that are not: ``latency``, ``errors.tau``."""
    from tailramp.checks import checks_by_slot
    from tailramp.judges import assumed_noise

    found: list[str] = []
    for checks in checks_by_slot(preview.spec, preview.plan).values():
        for check in checks:
            sizes = assumed_noise(check, preview.spec.platform) if check.is_sequential else ()
            found += [check.name] if len(sizes) == 3 else [f"{check.name}.{size}" for size in sizes]
    return list(dict.fromkeys(found))


def _carry_assumed(preview: "Preview") -> list[str]:
    """The checks of which nobody has said or measured how much their users change from day to day."""
    from tailramp.checks import checks_by_slot
    from tailramp.judges import carry_is_assumed

    every = [check for checks in checks_by_slot(preview.spec, preview.plan).values() for check in checks]
    found = (check.name for check in every if check.is_sequential and carry_is_assumed(check, preview.spec.platform))
    return list(dict.fromkeys(found))


def _seconds_said(seconds: float) -> str:
    from tailramp.units import format_duration

    return format_duration(timedelta(minutes=math.ceil(seconds / 60)))


def _writes_said(preview: "Preview", say: "Say", *, diff: bool) -> str:
    count = len(preview.differences)
    if not count:
        return ""
    objects = ", ".join(dict.fromkeys(difference.object for difference in preview.differences))
    hint = "" if diff else "; --diff shows them"
    return say(f"{count} to {objects}{hint}")


def _servers_said(preview: "Preview", say: "Say") -> list[str]:
    """What is done with the workloads of the slots."""
    from cli.plan.servers import courses

    said = []
    for course in courses(preview.spec, preview.plan, preview.world.coming):
        parts = [say(f"{course.slot}: {course.kind} {course.name}")]
        if course.model:
            parts.append(say(f"{course.model} is put into it"))
        if course.servers:
            parts.append(say(f"servers {' → '.join(str(count) for count in course.servers)}"))
        if course.idle is not None:
            parts.append(say(f"{course.idle} after the bake"))
        if len(parts) > 1:
            said.append(", ".join(parts))
    return said


def _as_data(preview: "Preview") -> dict[str, Any]:
    from cli.plan.servers import courses

    plan, world = preview.plan, preview.world
    weakest = preview.weakest
    return {
        "route": plan.route,
        "baseline": plan.baseline,
        "candidates": [
            {"slot": v.slot, "model": v.model, "buckets": str(v.buckets), "share": v.buckets.share}
            for v in plan.candidates
        ],
        "digest": preview.spec.digest,
        "promotes": plan.promotes,
        "seconds": {"shortest": plan.shortest.total_seconds(), "longest": preview.longest.total_seconds()},
        "rate": preview.rate,
        "rates": world.rates,
        "least_rate": None if weakest is None else weakest[2],
        "noise_assumed": _assumed(preview) + [f"{name}.carry" for name in _carry_assumed(preview)],
        "users_known_by": None if world.known is None else sorted(world.known),
        "max_hang_seconds": max_hang.total_seconds() if (max_hang := preview.spec.platform.checks.max_hang) else None,
        "steps": [
            {
                "step": s.step.index,
                "share": s.step.share,
                "buckets": str(s.step.buckets),
                "hold_seconds": s.step.hold.total_seconds(),
                "approval": s.step.approval,
                "users": s.users,
                "answers": s.answers,
                "power": {
                    check: {"to_pass": p.to_pass, "to_fail": p.to_fail, "least_rate": p.least_rate}
                    for check, p in s.power.items()
                },
            }
            for s in preview.steps
        ],
        "writes": [{"when": d.label, "object": d.object, "diff": d.diff} for d in preview.differences],
        "servers": [asdict(course) for course in courses(preview.spec, plan, world.coming)],
        "unknown": world.unknown,
        "problems": world.problems,
    }
