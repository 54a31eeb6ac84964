"""``tailramp calibrate``: how large the noise of a service is, from its own counts, into the platform file."""

import asyncio
import contextlib
import difflib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli import files
from cli.console import Console, output_option
from cli.exit_codes import ExitCode
from cli.failures import RefusedRamp
from tailramp.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tailramp.calibrating import Found, Row
    from tailramp.evidence import Check
    from tailramp.evidence.sequential.calibration import Estimate
    from tailramp.spec import RampSpec

_PLACE: Final = ("checks", "sequential", "noise")
_LONGEST: Final = timedelta(days=14)

_Noise = dict[str, dict[str, tuple[float, ...]]]
"""Numbers of the platform file, by check and size."""


@dataclass(frozen=True)
class _Measured:
    """What was ``found`` of the ``checks`` in the ``chosen`` slots, from ``since`` before unix time ``end`` to it.

    ``same_model``: whether those were named for having served the same; ``sizes``: which of each check are told.
    """

    chosen: tuple[str, ...]
    same_model: bool
    since: timedelta
    end: int
    checks: "Sequence[Check]"
    found: "Sequence[Found]"
    sizes: "Sequence[str]"

    @property
    def noise(self) -> _Noise:
        """Of each check what is told of it; nothing of a check that nothing is told of."""
        from tailramp.calibrating import assumed_of

        noise = {}
        for check, one in zip(self.checks, self.found, strict=True):
            told = {size: numbers for size, numbers in one.noise(assumed_of(check)).items() if size in self.sizes}
            if told:
                noise[one.check] = told
        return noise

    @property
    def missing(self) -> list[str]:
        """What is not told of each check, and why."""
        return [
            f"{one.check}: {size}: {why}"
            for one in self.found
            for size, why in one.missing.items()
            if size in self.sizes
        ]


def _label_option(option: str, default: str, text: str) -> Callable[[Callable[..., ExitCode]], Callable[..., ExitCode]]:
    return click.option(option, metavar="LABEL", default=default, show_default=True, type=files.TextType(), help=text)


@click.command("calibrate")
@click.argument("file", type=click.Path(path_type=Path), default=files.CANARY)
@files.platform_option
@click.option(
    "--since",
    type=files.DurationType(),
    default="24h",
    show_default=True,
    help="How far to look back, over a time in which nothing was wrong.",
)
@click.option(
    "--slots",
    metavar="SLOT,SLOT",
    type=files.TextType(),
    help="Slots that served the same model all the time; else the busiest slot is compared with itself.",
)
@_label_option("--bucket-label", "bucket", "The label that names the bucket of a user.")
@_label_option("--server-label", "instance", "The label that tells one server from another.")
@click.option("--dry-run", is_flag=True, help="Show the change of the platform file, and leave it as it is.")
@output_option
@click.pass_obj
def calibrate_command(
    console: Console,
    file: Path,
    platform: Path | None,
    since: timedelta,
    slots: str | None,
    bucket_label: str,
    server_label: str,
    dry_run: bool,
) -> ExitCode:
    """Measure how much a service's answers differ although nothing is wrong.

    FILE is the researcher's file: its limits say which bucket edges are compared. From the service's own Prometheus
    come tau (how much the users of one bucket differ from those of another), phi0 (how many bad answers come together)
    and sigma0 (how much servers differ for minutes), and into the platform file, under checks.sequential.noise, go the
    upper ends of their intervals; nothing else in it changes.

    With checks.sequential.history and --since 3d or longer also carry (how much of what tells the users of buckets
    apart is the same a day later), by the lower end.

    What there are too few data for is named, and stays at 1.5 times the usual. Exits with 5 if that is everything.
    """
    from tailramp.spec import load_spec

    path = files.platform_beside(file, platform)
    spec = load_spec(file, path)
    before = _text_of(path)
    checks = _checks_of(spec)
    same_model = _slots_of(spec, slots)
    labels = (_label(bucket_label, "--bucket-label"), _label(server_label, "--server-label"))
    if not timedelta(minutes=10) <= since <= _LONGEST:
        raise click.BadParameter("write between 10m and 14d", param_hint="--since")
    measured = asyncio.run(_measure(console, spec, checks, same_model, since, labels))
    after = _with_noise(before, _enough(measured))
    diff = "".join(difflib.unified_diff(before.splitlines(True), after.splitlines(True), str(path), str(path)))
    if not dry_run and after != before:
        _write(path, before, after)
    text = "\n".join(_lines(console, measured, path, diff if dry_run else None))
    console.answer(text, _as_data(measured, path, diff, dry_run=dry_run), said=True)
    return ExitCode.DONE


def _checks_of(spec: "RampSpec") -> "list[Check]":
    from tailramp.checks import all_checks

    checks = {check.name: check for check in all_checks(spec) if check.is_sequential}
    if not checks:
        raise Refused(
            "no check has the sequential judge, and the others need no calibration. Name it in checks.judges of the "
            "platform file"
        )
    return list(checks.values())


def _slots_of(spec: "RampSpec", given: str | None) -> tuple[str, ...]:
    """The slots of ``--slots``.  Raises BadParameter."""
    names = tuple(dict.fromkeys(name.strip() for name in given.split(","))) if given is not None else ()
    for name in names:
        files.known_slot("--slots", name, spec.platform.slots)
    if len(names) == 1:
        raise click.BadParameter("one slot alone needs no --slots: name two that served the same", param_hint="--slots")
    return names


def _label(name: str, option: str) -> str:
    from tailramp.calibrating import is_label

    if not is_label(name):
        raise click.BadParameter(f"{name!r} is no name of a label", param_hint=option)
    return name


async def _measure(
    console: Console,
    spec: "RampSpec",
    checks: "Sequence[Check]",
    same_model: tuple[str, ...],
    since: timedelta,
    labels: tuple[str, str],
) -> _Measured:
    from activities.calibrating import Calibration, Labels, Period
    from activities.metrics import PrometheusMetrics
    from tailramp.calibrating import SIZES
    from tailramp.checks import slot_match

    settings = spec.platform.prometheus
    end = int(time.time() - settings.lag)
    tick = spec.platform.checks.tick.total_seconds()
    window = max(1, round(max(tick, settings.scrape_interval.total_seconds())))
    period = Period(end - int(since.total_seconds()) // window * window, end, window)
    metrics = PrometheusMetrics.of(settings)
    try:
        calibration = Calibration(metrics, period, Labels(*labels), console.aside)
        slots = [slot_match(spec.platform, slot) for slot in spec.platform.slots]
        chosen, found = await calibration.run(checks, slots, same_model)
    finally:
        metrics.close()
    # Nobody else uses the carry.
    sizes = SIZES if spec.platform.checks.sequential.history is not None else SIZES[:-1]
    return _Measured(chosen, bool(same_model), since, end, checks, found, sizes)


def _enough(measured: _Measured) -> _Noise:
    """The noise that was measured.  Raises RefusedRamp, with what is missing, if there is none."""
    if noise := measured.noise:
        return noise
    raise RefusedRamp(
        "there are too few data to estimate anything; 1.5 times the usual noise stays in use",
        tuple(measured.missing),
    )


def _text_of(path: Path) -> str:
    """The file as it is, with the ends of its lines."""
    try:
        with path.open(encoding="utf-8", newline="") as opened:
            return opened.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path} cannot be read: {error}") from None


def _with_noise(text: str, noise: _Noise) -> str:
    from tailramp.yaml_insertion import with_value

    for check, sizes in noise.items():
        for size, numbers in sizes.items():
            text = with_value(text, (*_PLACE, check, size), f"[{', '.join(f'{number:g}' for number in numbers)}]")
    return text


def _write(path: Path, before: str, after: str) -> None:
    """Replace the file whole, with its mode; not if somebody has changed it since it was read.  Raises Refused."""
    if _text_of(path) != before:
        raise Refused(f"{path} was changed meanwhile, and is left as it is. Run this again")
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as opened:
            opened.write(after)
            opened.flush()
            os.fsync(opened.fileno())
        temporary.chmod(target.stat().st_mode & 0o7777)
        temporary.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise Refused(f"{path} cannot be written: {error.strerror}. --dry-run prints the change") from None


def _head(measured: _Measured) -> str:
    from tailramp.units import format_duration

    chosen = measured.chosen
    whose = f"{' and '.join(chosen)}, the same model" if measured.same_model else f"{chosen[0]}, the busiest slot"
    until = datetime.fromtimestamp(measured.end, UTC)
    return f"{whose}: {format_duration(measured.since)} up to {until:%Y-%m-%d %H:%M} UTC"


def _lines(console: Console, measured: _Measured, path: Path, diff: str | None) -> list[str]:
    """What a person reads; ``diff`` of the platform file if it was left as it is."""
    say = console.say
    missing = measured.missing
    lines = [say(_head(measured)), "", *_estimates(console, measured), ""]
    if not missing:
        lines.append(say("Of each size the upper end is used."))
    else:
        lines.append(say("Of each size the upper end is used; ? is not told, and stays at 1.5 times the usual:"))
    if "carry" in measured.sizes:
        lines.append(say("Of carry it is the lower end; where it is not told, 0.5."))
    lines += map(say, missing)
    if diff is None:
        lines += ["", say(f"Written into {path}. A live ramp keeps its numbers; the next one has these.")]
    else:
        lines += ["", diff.rstrip("\n") or say(f"{path} would not change.")]
    return lines


def _estimates(console: Console, measured: _Measured) -> list[str]:
    """The table of all estimates."""
    from cli.tables import table

    say = console.say
    rows = [[say("check"), say("above"), say("answers"), say("bad"), *measured.sizes]]
    for check, one in zip(measured.checks, measured.found, strict=True):
        rows += [
            [
                one.check,
                _edge_said(check, row),
                f"{row.n:,.0f}",
                f"{row.bad:,.0f}",
                *(_estimate_said(getattr(row, size)) for size in measured.sizes),
            ]
            for row in one.rows
        ]
    return table(rows, right=frozenset({1, 2, 3}))


def _edge_said(check: "Check", row: "Row") -> str:
    from tailramp.evidence import HistogramCheck

    if row.edge is None or not isinstance(check, HistogramCheck):
        return ""
    return f"{row.edge / check.time_unit.per_second:g} s"


def _estimate_said(estimate: "Estimate | None") -> str:
    return "?" if estimate is None else f"{estimate.value:.2g} ({estimate.low:.2g}-{estimate.high:.2g})"


def _as_data(measured: _Measured, path: Path, diff: str, *, dry_run: bool) -> dict[str, Any]:
    noise = measured.noise
    return {
        "slots": list(measured.chosen),
        "from": measured.end - measured.since.total_seconds(),
        "to": measured.end,
        "checks": [
            {
                "check": one.check,
                "rows": [_row_as_data(row) for row in one.rows],
                "noise": {size: list(numbers) for size, numbers in noise.get(one.check, {}).items()},
                "missing": {size: why for size, why in one.missing.items() if size in measured.sizes},
            }
            for one in measured.found
        ],
        "file": str(path),
        "written": not dry_run,
        "diff": diff,
    }


def _row_as_data(row: "Row") -> dict[str, Any]:
    from tailramp.calibrating import SIZES

    estimates = {size: _estimate_as_data(getattr(row, size)) for size in SIZES}
    return {"edge": row.edge, "answers": row.n, "bad": row.bad, **estimates}


def _estimate_as_data(estimate: "Estimate | None") -> dict[str, float] | None:
    return None if estimate is None else {"value": estimate.value, "low": estimate.low, "high": estimate.high}
