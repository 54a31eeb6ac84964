"""``tailramp record``: the raw counters of a route, from Prometheus into a file that any policy can be run over."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli import files
from cli.console import Console, output_option
from cli.exit_codes import ExitCode
from cli.moments import iso
from tailramp.errors import Refused

if TYPE_CHECKING:
    from activities.metrics import PrometheusMetrics
    from activities.recording import Left
    from tailramp.evidence.kept import TimeBefore
    from tailramp.plan import Plan
    from tailramp.ramp import Began
    from tailramp.replay.recording import Header, Span
    from tailramp.spec import RampSpec
    from workflows.answers import RampStatus

_LEAST_PATIENCE: Final = timedelta(seconds=30)
_MOST_TICKS: Final = 2_000_000


class MomentType(click.ParamType[datetime]):
    """``24h`` ago, or ``2026-01-05T12:00:00+08:00``."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        from tailramp.units import parse_duration

        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(str(value).strip())
        except ValueError:
            try:
                return datetime.now(UTC) - parse_duration(value)
            except (ValueError, OverflowError):
                self.fail(f"{value!r} is no moment: write 24h, or 2026-01-05T12:00:00+08:00", param, ctx)
        if moment.tzinfo is None:
            self.fail(f"{value!r} has no zone: write 2026-01-05T12:00:00+08:00", param, ctx)
        return moment


@click.command("record")
@click.argument("file", type=click.Path(path_type=Path), default=files.CANARY)
@files.platform_option
@click.option(
    "--since", type=MomentType(), default="24h", show_default=True, help="From when on: so long ago, or a time."
)
@click.option("--until", type=MomentType(), default="0s", show_default=True, help="Until when: so long ago, or a time.")
@click.option("--ramp", is_flag=True, help="The latest ramp of the route, on the very ticks at which it looked.")
@click.option("--step", type=files.DurationType(), help="Between two values; else checks.tick.")
@click.option("--baseline", type=files.TextType(), help="The slot that everyone was on; else the first of the file.")
@click.option("--out", type=click.Path(path_type=Path), help="The file to write; else <route>.recording.jsonl.gz.")
@output_option
@click.pass_obj
def record_command(
    console: Console,
    file: Path,
    platform: Path | None,
    since: datetime,
    until: datetime,
    ramp: bool,
    step: timedelta | None,
    baseline: str | None,
    out: Path | None,
) -> ExitCode:
    """Save what Prometheus knows of a route's slots, for `tailramp replay`.

    FILE is the researcher's file. Saved are the raw counters that the checks of the two files read, of every slot, and
    no user's data. Interrupted, or refused by Prometheus on the way, it goes on where it stopped when it is called
    again.
    """
    from activities.recording import left_of
    from tailramp.spec import load_spec

    spec = load_spec(file, files.platform_beside(file, platform))
    if baseline is not None:
        files.known_slot("--baseline", baseline, spec.platform.slots)
    if ramp and (step is not None or baseline is not None):
        raise click.UsageError("--ramp has its own ticks and baseline: leave --step and --baseline out")
    out = out or Path(f"{spec.platform.route.name}.recording.jsonl.gz")
    if out.exists():
        raise Refused(f"{out} is there already: remove it, or name another --out")
    left = left_of(out)
    asked = _Asked(spec, since, until, step, baseline)
    header = asyncio.run(_header_of_ramp(asked) if ramp else _header_of_time(asked))
    if left is not None:
        header = _same(header, left, out)
        console.aside(f"goes on with what is there of {out}")
    done = asyncio.run(_record(console, spec, header, out, left))
    size = out.stat().st_size
    first, last = min(span.anchor for span in header.spans), max(span.end for span in header.spans)
    text = f"{out}: {done:,} ticks of {len(header.queries)} queries, {size / 1e3:,.0f} kB"
    console.answer(
        text,
        {
            "file": str(out),
            "bytes": size,
            "ticks": done,
            "queries": len(header.queries),
            "from": iso(first),
            "to": iso(last),
            "digest": header.spec,
        },
    )
    return ExitCode.DONE


@dataclass(frozen=True)
class _Asked:
    """What is to be recorded: ``step`` None is that of the platform file, ``baseline`` None its first slot."""

    spec: "RampSpec"
    since: datetime
    until: datetime
    step: timedelta | None
    baseline: str | None

    @property
    def last(self) -> int:
        """What was scraped later may not be stored yet."""
        now = time.time() - self.spec.platform.prometheus.lag
        return int(min(self.until.timestamp(), now))

    def header_of_time(self) -> "Header":
        """One grid over the whole time.  Raises Refused."""
        from tailramp.replay.counters import run_up
        from tailramp.replay.recording import Span
        from tailramp.replay.source import seats_of

        default, others = seats_of(self.spec, self.baseline)
        step = self._step()
        first, last = int(self.since.timestamp()), self.last
        if last - first < step or first <= 0:
            raise Refused("--since is not before --until: nothing would be recorded")
        if (last - first) // step > _MOST_TICKS:
            raise Refused(f"this is more than {_MOST_TICKS:,} ticks: record a shorter time, or with a longer --step")
        span = Span(start=first - run_up(step), end=first + (last - first) // step * step, anchor=first)
        models = [candidate.model for candidate in self.spec.candidates]
        return self._header(step, default, dict(zip(others, models, strict=False)), (span,))

    def header_of_ramp(self, status: "RampStatus") -> "Header":
        """The grids of a ramp.  Raises Refused."""
        if status.plan is None or status.anchor is None or status.watched is None:
            raise Refused(f"the ramp of {status.route} has not served anybody yet: there is nothing to record")
        step = self._step()
        candidates = {candidate.slot: candidate.model for candidate in status.candidates}
        return self._header(step, status.plan.baseline, candidates, _spans_of(status, step, self.last))

    def _step(self) -> int:
        step = self.step or self.spec.platform.checks.tick
        if step < timedelta(seconds=1):
            raise Refused("--step is a whole number of seconds, 1s or more")
        return int(step.total_seconds())

    def _header(self, step: int, baseline: str, candidates: dict[str, str], spans: "tuple[Span, ...]") -> "Header":
        from tailramp.checks import all_checks, slot_match
        from tailramp.evidence.checks import native_queries
        from tailramp.replay.recording import Header

        matches = [slot_match(self.spec.platform, slot) for slot in self.spec.platform.slots]
        return Header(
            route=self.spec.platform.route.full_name,
            spec=self.spec.digest,
            baseline=baseline,
            candidates=candidates,
            step=step,
            spans=spans,
            queries=_queries(self.spec),
            native=native_queries(all_checks(self.spec), matches),
        )


def _queries(spec: "RampSpec") -> tuple[str, ...]:
    """What the checks ask about every slot, and what other limits would ask."""
    from tailramp.checks import all_checks, slot_match
    from tailramp.evidence import HangingCheck, HistogramCheck

    queries: list[str] = []
    for slot in spec.platform.slots:
        match = slot_match(spec.platform, slot)
        for check in all_checks(spec):
            queries += check.queries(match).values()
            if isinstance(check, HistogramCheck):
                queries.append(check.all_edges_query(match))
            if isinstance(check, HangingCheck):
                queries.append(check.active_query(match))
    return tuple(dict.fromkeys(queries))


async def _header_of_ramp(asked: _Asked) -> "Header":
    from cli.ramps import Ramp
    from tailramp.evidence.kept import TimeBefore

    route = asked.spec.platform.route.full_name
    found = await Ramp.find(route)
    status = await found.ask()
    if status is None:
        raise Refused(f"no worker tells at which ticks the ramp of {route} looked: record it without --ramp")
    header = asked.header_of_ramp(status)
    if status.plan is None:
        return header
    known = await found.users_before()
    if known is None:
        earlier = await _earlier(asked.spec, status.plan, status.began)
    else:
        earlier = TimeBefore.read(known) if known else None
    return header.model_copy(update={"earlier": earlier})


async def _header_of_time(asked: _Asked) -> "Header":
    """With what a ramp that had begun with it would have known of its users."""
    from tailramp.planning import make_plan
    from tailramp.ramp import Began

    header = asked.header_of_time()
    if asked.spec.platform.checks.sequential.history is None:
        return header
    plan = make_plan(asked.spec, default=header.baseline, candidates=list(header.candidates))
    first = plan.steps[0].assignment
    earlier = await _earlier(asked.spec, plan, Began(at=header.spans[0].anchor, assignment=first))
    return header.model_copy(update={"earlier": earlier, "users": first} if earlier is not None else {})


async def _earlier(spec: "RampSpec", plan: "Plan", began: "Began | None") -> "TimeBefore | None":
    """What is known of the first step's users from before it."""
    from activities.time_before import read_time_before

    metrics = _patient(spec)
    try:
        return await read_time_before(metrics, spec, plan, began)
    finally:
        metrics.close()


def _spans_of(status: "RampStatus", step: int, last: int) -> "tuple[Span, ...]":
    from tailramp.ramp import Stretch
    from tailramp.replay.counters import run_up
    from tailramp.replay.recording import Span

    assert status.anchor is not None and status.watched is not None  # noqa: S101, PT018 - header_of_ramp has looked
    before = status.stretches[-1] if status.stretches else None
    settled = before is not None and before.settling and before.assignment == status.watched
    now = Stretch(
        anchor=status.anchor,
        until=max(last, status.anchor + step),
        assignment=status.watched,
        settling=not settled and not status.default_moved,
    )
    return tuple(
        Span(
            start=one.anchor - run_up(step),
            end=one.anchor + (one.until - one.anchor) // step * step,
            anchor=one.anchor,
            served=one.assignment,
            settling=one.settling,
        )
        for one in (*status.stretches, now)
    )


def _same(header: "Header", left: "Left", out: Path) -> "Header":
    """The header of what is left, if it is of the same recording but for its end.  Raises Refused."""
    from activities.recording import part_of

    def kept(one: "Header") -> object:
        return one.route, one.spec, one.baseline, one.step, one.queries, [span.served for span in one.spans]

    if kept(header) != kept(left.header):
        raise Refused(f"{part_of(out)} is left of another recording: remove it, or name another --out")
    return left.header


def _patient(spec: "RampSpec") -> "PrometheusMetrics":
    from activities.metrics import PrometheusMetrics

    settings = spec.platform.prometheus
    return PrometheusMetrics.of(settings.model_copy(update={"timeout": max(settings.timeout, _LEAST_PATIENCE)}))


async def _record(console: Console, spec: "RampSpec", header: "Header", out: Path, left: "Left | None") -> int:
    from activities.recording import record

    metrics, settings = _patient(spec), spec.platform.prometheus
    done, told = 0, 0.0
    try:
        async for progress in record(metrics, header, out, left, most=min(1000, settings.max_points)):
            done = progress.done
            if time.monotonic() - told > 1.0 and progress.done < progress.points:
                console.aside(f"{progress.done:,} of {progress.points:,} ticks")
                told = time.monotonic()
    finally:
        metrics.close()
    return done
