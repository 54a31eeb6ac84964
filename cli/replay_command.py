"""``tailramp replay``: what a policy would have decided about counts that were kept."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import files
from cli.console import Console, one_line, output_option
from cli.exit_codes import ExitCode
from cli.moments import clock, iso
from cli.replay_beside import peers_as_lines, recompute_record, write_plots

if TYPE_CHECKING:
    from tailramp.plan import Plan
    from tailramp.replay.assertions import Assertion
    from tailramp.replay.course import Course, Decided
    from tailramp.replay.source import Source
    from tailramp.spec import RampSpec


class AssertionType(click.ParamType["Assertion"]):
    name = "assertion"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Assertion":
        from tailramp.replay.assertions import Assertion

        try:
            return Assertion.parse(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


@click.command("replay")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("canary", type=click.Path(path_type=Path), default=files.CANARY)
@click.argument("platform_file", type=click.Path(path_type=Path), required=False)
@files.platform_option
@click.option("--baseline", type=files.TextType(), help="The slot that everyone was on; else the first of the file.")
@click.option(
    "--share",
    type=files.ShareType(),
    help="The candidates' part of the users, such as 5%; else their part of all answers.",
)
@click.option(
    "--history",
    type=click.Path(path_type=Path),
    help="Counts of the day before: the first step's users beside all others, for checks.sequential.history.",
)
@click.option("--without", type=files.TextType(), multiple=True, help="Leave this check out; may come again.")
@click.option(
    "--assert",
    "assertions",
    type=AssertionType(),
    multiple=True,
    metavar="WORDS",
    help="Exit with 5 unless this is so: promoted, 'rolled-back before 10m', 'not blocked'; may come again.",
)
@click.option("--compare", is_flag=True, help="Show what the rules of other tools would have done, too.")
@click.option(
    "--plots", type=click.Path(path_type=Path), metavar="FOLDER", help="Write a picture of each metric there, as SVG."
)
@click.option(
    "--record", "is_record", is_flag=True, help="FILE is a decision log: recompute its verdicts from its counts."
)
@output_option
@click.pass_obj
def replay_command(
    console: Console,
    file: Path,
    canary: Path,
    platform_file: Path | None,
    platform: Path | None,
    baseline: str | None,
    share: float | None,
    history: Path | None,
    without: tuple[str, ...],
    assertions: "tuple[Assertion, ...]",
    compare: bool,
    plots: Path | None,
    is_record: bool,
) -> ExitCode:
    """Run a policy over counts that were kept, and show what it would have decided.

    FILE is a recording of `tailramp record`, Prometheus' own answers to query_range as JSON, or counts per window and
    arm as CSV with the columns time,arm,metric,edge,count. CANARY and PLATFORM_FILE are the two files of the policy.
    Nothing is contacted.

    The users of the counts are where they were: another policy's steps change when it decides, not what was counted.

    With --record FILE is the decision log of a worker, and no other file is needed: each decision holds the counts and
    the rules that its verdicts rest on, and the exit code is 5 if the judges say anything else of them now.
    """
    if is_record:
        return recompute_record(console, file)
    from tailramp.replay.before import history_of
    from tailramp.replay.comparing import compare as compare_peers
    from tailramp.replay.course import play
    from tailramp.replay.opening import open_counts
    from tailramp.replay.ticks import counted

    wants_counts = compare or plots is not None
    platform = platform_file or files.platform_beside(canary, platform)
    spec, plan, source = _prepared(file, canary, platform, baseline, share, without)
    earlier = None if history is None else history_of(open_counts(history), spec, plan, source.first)
    course = play(spec, plan, source, earlier=earlier)
    failures = [failure for assertion in assertions if (failure := assertion.failure(course)) is not None]
    data = _as_data(spec, plan, course, failures)
    lines = _as_lines(console, spec, course, source)
    counts = counted(spec, plan, source) if wants_counts else []
    if compare:
        peers = compare_peers(counts, int(spec.platform.checks.tick.total_seconds()))
        data["compare"] = [{"rule": peer.rule, "slot": peer.slot, "rolled_back_at": iso(peer.at)} for peer in peers]
        lines += ["", *peers_as_lines(console, course, peers)]
    if plots is not None:
        written = write_plots(counts, course, plots)
        data["plots"] = [str(path) for path in written]
        lines += ["", *(str(path) for path in written)]
    lines += [console.say(failure) for failure in failures]
    console.answer("\n".join(lines), data, said=True)
    return ExitCode.REFUSED if failures else ExitCode.DONE


def _prepared(
    file: Path, canary: Path, platform: Path, baseline: str | None, share: float | None, without: tuple[str, ...]
) -> "tuple[RampSpec, Plan, Source]":
    """Raises InvalidFile, Refused, UsageError."""
    from tailramp.checks import checks_by_slot, slot_match
    from tailramp.planning import make_plan
    from tailramp.replay.counters import of_recording
    from tailramp.replay.opening import open_counts
    from tailramp.replay.policy import at_the_pace_of, leaving_out
    from tailramp.replay.recording import Recorded
    from tailramp.replay.source import seats_of
    from tailramp.replay.windows import CsvCounts
    from tailramp.spec import load_spec

    spec = leaving_out(load_spec(canary, platform), without)
    slots = list(spec.platform.slots)
    if baseline is not None:
        files.known_slot("--baseline", baseline, slots)
    counts = open_counts(file)
    tried: list[str] = []
    if isinstance(counts, Recorded):
        tried = [slot for slot in counts.header.candidates if slot in slots]
        baseline = baseline or (counts.header.baseline if counts.header.baseline in slots else None)
    default, candidates = seats_of(spec, baseline, tried)
    plan = make_plan(spec, default=default, candidates=candidates)
    checks = checks_by_slot(spec, plan)
    source: Source
    if isinstance(counts, CsvCounts):
        source = counts.bound(plan, checks, share)
    else:
        matches = {slot: slot_match(spec.platform, slot) for slot in (default, *plan.slots)}
        if isinstance(counts, Recorded):
            source = of_recording(counts, plan, checks, matches, share)
        else:
            source = counts.bound(plan, checks, matches, share)
    return at_the_pace_of(spec, source), plan, source


def _as_lines(console: Console, spec: "RampSpec", course: "Course", source: "Source") -> list[str]:
    from cli.tables import table
    from tailramp.units import format_duration, format_share
    from workflows.spec_wording import limits

    say = console.say
    shares = source.shares(course.plan, course.first)
    on = ", ".join(f"{slot} {format_share(round(share, 4))}" for slot, share in shares.items())
    length = format_duration(timedelta(seconds=course.last - course.first))
    lines = [
        say(f"{clock(course.first, '%Y-%m-%d %H:%M:%S %z')}, {length}, a count every {source.step} s; users: {on}"),
        say(f"policy: {course.plan.shares}; {limits(spec)}"),
        "",
    ]
    rows = []
    for one in course.decided:
        after = format_duration(timedelta(seconds=one.at - course.first))
        rows.append((clock(one.at, "%m-%d %H:%M:%S"), f"+{after}", say(one_line(sentence_of(one)))))
    lines += table(rows, widest=400) if rows else []
    return [*lines, "", say(_conclusion(course))]


def sentence_of(one: "Decided") -> str:
    """The decision in the words of a live ramp."""
    from tailramp.ramp import Phase
    from tailramp.units import format_duration
    from workflows import wording

    if one.outcome is not None:
        return wording.watched(one.plan, one.before, one.after, one.outcome.kind, one.outcome.sentence, one.verdicts)
    if one.approved:
        return f"{wording.place(one.plan, one.before)}: the approval of a person is taken for granted"
    if one.after.phase is Phase.BAKING:
        return f"100 %: everyone is served by {one.plan.candidate}; bake {format_duration(one.plan.bake)}"
    if one.after.phase is Phase.SUCCEEDED:
        return f"succeeded: {one.plan.candidate} serves everyone"
    return f"{wording.place(one.plan, one.after)} is served"


def _conclusion(course: "Course") -> str:
    from tailramp.ramp import Phase
    from tailramp.units import format_duration
    from workflows import wording

    def after(at: int) -> str:
        return format_duration(timedelta(seconds=at - course.first))

    if (at := course.rolled_back_at) is not None:
        return f"rolled back after {after(at)}: {course.state.stop}"
    if (at := course.promoted_at) is not None:
        ended = "" if course.state.phase is Phase.SUCCEEDED else "; the counts end within the bake"
        return f"promoted after {after(at)}{ended}"
    place = wording.place(course.plan, course.state)
    if course.state.paused:
        return f"the counts end at {place}: paused, waiting for a person"
    if course.state.blocked_by:
        return f"the counts end at {place}, which waits for {', '.join(sorted(course.state.blocked_by))}"
    return f"the counts end at {place}: neither promoted nor rolled back"


def _as_data(spec: "RampSpec", plan: "Plan", course: "Course", failures: list[str]) -> dict[str, Any]:
    return {
        "digest": spec.digest,
        "route": plan.route,
        "from": iso(course.first),
        "to": iso(course.last),
        "ticks": course.ticks,
        "phase": course.state.phase,
        "reason": course.state.stop,
        "blocked_by": sorted(course.state.blocked_by),
        "paused": course.state.paused,
        "promoted_at": iso(course.promoted_at),
        "rolled_back_at": iso(course.rolled_back_at),
        "failed_checks": list(course.failed_checks),
        "decisions": [
            {
                "at": iso(one.at),
                "after_seconds": one.at - course.first,
                "outcome": None if one.outcome is None else one.outcome.kind,
                "phase": one.after.phase,
                "step": one.after.step,
                "share": 0.0 if one.after.applied is None else plan.share_in(one.after.applied),
                "sentence": sentence_of(one),
                "verdicts": [verdict.model_dump(mode="json") for verdict in one.verdicts],
            }
            for one in course.decided
        ],
        "last": [verdict.model_dump(mode="json") for verdict in course.verdicts],
        "failed_assertions": failures,
    }
