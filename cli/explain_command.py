"""``tailramp explain``: a ramp in sentences, for whoever is woken up by it."""

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import files
from cli.console import Console, one_line, output_option
from cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from cli.following import Follower
    from cli.watch.scene import CheckRow, Scene
    from tailramp.evidence import Check
    from tailramp.spec import RampSpec


@click.command("explain")
@files.route_argument
@files.platform_option
@output_option
@click.pass_obj
def explain_command(console: Console, route: str | None, platform: Path | None) -> ExitCode:
    """Say in sentences where a ramp is, why it waits, and what would take it back.

    For each check: its present number against its limit, and what is missing for a verdict.
    """
    from cli.watch.lines import as_data

    follower, scene = asyncio.run(_look(files.resolve_route(route, platform)))
    sections = _sections(scene, follower.spec)
    lines: list[str] = []
    for title, sentences in sections:
        if sentences:
            lines.append(console.say(title))
            lines += [f"  {console.say(one_line(sentence))}" for sentence in sentences]
    data: dict[str, Any] = {"ramp": scene.name, "phase": str(scene.phase), "share": scene.share}
    data |= {title.replace(" ", "_"): list(sentences) for title, sentences in sections}
    data["checks"] = [row.verdict.model_dump(mode="json") for row in scene.checks]
    data["latest"] = None if follower.stands is None else as_data(follower.stands)
    console.answer("\n".join(lines), data, said=True)
    return ExitCode.DONE


async def _look(route: str) -> "tuple[Follower, Scene]":
    from cli.following import Follower
    from cli.ramps import Ramp
    from cli.watch.scene import scene_of

    follower = Follower(await Ramp.find(route))
    async with contextlib.aclosing(follower.changes()) as changes:
        await anext(changes)
    over = follower.sighting is None or not follower.sighting.is_open
    status = None if over else await follower.ramp.ask()
    scene = scene_of(follower, status, datetime.now(UTC), unanswered=status is None, lost=None)
    assert scene is not None  # noqa: S101 - the first change was there
    return follower, scene


def _sections(scene: "Scene", spec: "RampSpec | None") -> list[tuple[str, list[str]]]:
    if scene.result is not None or scene.ended_at is not None:
        return [("where", [_where(scene)]), ("why", _why_ended(scene)), ("next", ["nothing: the ramp is over"])]
    return [
        ("where", [_where(scene)]),
        ("why it waits", _waits(scene)),
        ("next", [scene.next]),
        ("what would take it back", _takes_back(scene, spec)),
        ("trouble", [*scene.troubles]),
    ]


def _where(scene: "Scene") -> str:
    from tailramp.units import format_share

    whom = f"{format_share(scene.share)} of identified users are on the candidate"
    steps = [rung for rung in scene.rungs if rung.buckets]  # everyone's is the promotion, and no step
    current = next((rung for rung in steps if rung.standing == "current"), None)
    if current is None:
        return f"{scene.name} is {scene.phase}: {whom}"
    return f"{scene.name} is {scene.phase}, step {current.index} of {len(steps)}: {whom}"


def _why_ended(scene: "Scene") -> list[str]:
    if scene.result is None:
        return ["the workflow was ended from outside: nobody takes the candidate out"]
    # The sentence of a refusal is its problems, one after the other.
    return list(scene.result.problems) or [scene.result.detail]


def _waits(scene: "Scene") -> list[str]:
    from cli.holds import ends_by, told_beside
    from tailramp.ramp import Phase
    from tailramp.units import format_duration

    shown = {f"{row.slot} {row.name}" for row in scene.checks}
    sentences = [ends_by(wait, scene.causes) for wait in scene.waits]
    sentences += [*told_beside(scene.causes, shown), *scene.servers]
    progress = scene.progress
    if not sentences and progress is not None and progress.needed is not None and progress.running:
        sentences.append(f"its hold of {format_duration(progress.needed)} is not over")
    if not sentences and scene.phase is Phase.SETTLING:
        sentences.append("traffic has not reached the step yet, or no full window has passed since")
    return sentences + [f"{row.name}: {row.verdict.reason}" for row in scene.checks if row.verdict.kind != "PASS"]


def _takes_back(scene: "Scene", spec: "RampSpec | None") -> list[str]:
    from tailramp.units import format_duration

    if spec is None:
        return []
    policy = spec.platform.ramp
    sentences = [said for row in scene.checks for said in _what_fails(row, _consequence(row.slot, scene, spec))]
    blind = "takes everyone back" if policy.on_blind == "rollback" else "holds everyone where they are"
    sentences.append(f"no answer of Prometheus for {format_duration(policy.max_blind)} {blind}")
    lease = format_duration(policy.lease)
    sentences.append(f"if nobody has looked at the checks for {lease}, the sentinel takes everyone back")
    sentences.append('`tailramp abort`, `tailramp kill` or buckets: "" take everyone back at once')
    return sentences


def _consequence(slot: str, scene: "Scene", spec: "RampSpec") -> str:
    """What a failed check of the candidate in ``slot`` does."""
    automatic = {variant.slot: spec.candidate_of(variant.model).auto_rollback for variant in scene.candidates}
    if not automatic.get(slot, True):
        return "pauses the ramp and waits for a person"
    return "takes everyone back" if len(automatic) == 1 else f"takes the users of {slot} back"


def _what_fails(row: "CheckRow", goes: str) -> list[str]:
    """When each judge of a check says FAIL, and how near to that its numbers are; ``goes`` is what comes of it."""
    from tailramp.evidence.judge import JudgeName

    if row.check is None:
        return []
    said = {
        JudgeName.THRESHOLD: _by_threshold,
        JudgeName.RELATIVE: _by_comparison,
        JudgeName.SEQUENTIAL: _by_evidence,
    }
    return [said[name](row, row.check, goes) for name in row.check.judges]


def _by_threshold(row: "CheckRow", check: "Check", goes: str) -> str:
    from tailramp.units import format_share

    return (
        f"{row.name} {goes} once the share of {check.words.bad_ones} is above {format_share(check.limit)} "
        f"{_in_windows(check)}: {_share_now(row, check)}"
    )


def _by_comparison(row: "CheckRow", check: "Check", goes: str) -> str:
    from tailramp.evidence.comparison import WORSE_BY

    return (
        f"{row.name} {goes} once {check.words.bad_ones} are more than {WORSE_BY:g} times as frequent as on the "
        f"baseline {_in_windows(check)}: {_share_now(row, check)}"
    )


def _by_evidence(row: "CheckRow", _: "Check", goes: str) -> str:
    from tailramp.evidence.wording import amount

    numbers = row.verdict.numbers
    if numbers.evidence is None or numbers.evidence_needed is None:
        return f"{row.name} {goes} once it is proven to be worse than on the baseline"
    return (
        f"{row.name} {goes} once the evidence that it is worse than on the baseline reaches "
        f"{amount(numbers.evidence_needed)}: now {amount(numbers.evidence)}"
    )


def _in_windows(check: "Check") -> str:
    return "in one window" if check.rule.consecutive == 1 else f"in {check.rule.consecutive} windows in a row"


def _share_now(row: "CheckRow", check: "Check") -> str:
    """The present share, of what it is one, and how far from a verdict that is."""
    from tailramp.evidence.wording import percent

    numbers = row.verdict.numbers
    if numbers.rate is None:
        return f"no {check.unit} are counted yet"
    now = f"now {percent(numbers.rate)} of {numbers.n:,} {check.unit}"
    if numbers.streak:
        now += f" in {numbers.streak} of {numbers.needed} windows"
    missing = row.floor - numbers.seen
    return f"{now}; {missing:,} more {check.unit} are needed for a verdict" if missing > 0 else now
