"""``tailramp start``: from the two files to a ramp that has passed its preflight."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli import files
from cli.actor import asserted_actor
from cli.console import Console, output_option
from cli.exit_codes import ExitCode
from cli.failures import RefusedRamp
from tailramp.errors import Refused, Unreachable

if TYPE_CHECKING:
    from cli.ramps import Ramp, Sighting
    from tailramp.spec import RampSpec

_LOOK_SECONDS: Final = 0.1


@click.command("start")
@click.argument("file", type=click.Path(path_type=Path), default=files.CANARY)
@files.platform_option
@files.wait_option
@files.override_option
@click.option("--observe", is_flag=True, help="Watch and decide, and write nothing: somebody else moves the users.")
@click.option("--baseline", type=files.TextType(), help="With --observe: the present version's slot; else the first.")
@click.option("--share", type=files.ShareType(), help="With --observe: the candidate's users, such as 5%.")
@output_option
@click.pass_obj
def start_command(
    console: Console,
    file: Path,
    platform: Path | None,
    wait: timedelta | None,
    override: str | None,
    observe: bool,
    baseline: str | None,
    share: float | None,
) -> ExitCode:
    """Start a ramp.

    Returns when its preflight is over: with 0 if the ramp goes on, with 5 and all that is to be mended if not. With
    --wait it follows the ramp, as `tailramp watch` does, until everyone or, for a smaller target, the target is served.

    With --observe no ramp is started and no worker is needed: this command itself watches, for as long as --wait says,
    and tells what a ramp would have decided. It ends with 3 if that would have been to take everyone back.
    """
    from tailramp.spec import load_spec

    if not observe and (baseline is not None or share is not None):
        raise click.UsageError("--baseline and --share go with --observe: a ramp finds out for itself")
    if observe and override is not None:
        raise click.UsageError("--override and --observe exclude each other: nothing is tried")
    spec = load_spec(file, files.platform_beside(file, platform))
    if observe:
        from cli import observing

        _check_startable(spec)
        return observing.observe(console, spec, baseline, share, wait)
    return asyncio.run(start(console, spec, wait, override))


def _check_startable(spec: "RampSpec") -> None:
    """Raises Refused for what preflight would refuse whatever the world is like."""
    from cli.validate_command import preview

    if preview(spec) is None:
        raise Refused('the target is empty (buckets: ""): there is nothing to ramp')


async def start(console: Console, spec: "RampSpec", wait: timedelta | None, override: str | None = None) -> ExitCode:
    """Start a ramp and say what came of it.  Raises Refused, NoRamp, Unreachable."""
    from temporalio.exceptions import WorkflowAlreadyStartedError

    from cli.ramps import Ramp
    from cli.temporal import in_words
    from cli.watch.until import show_until
    from workflows.starting import start_ramp

    _check_startable(spec)
    route = spec.platform.route.full_name
    ramp = await Ramp.find(route)
    since = time.monotonic()
    try:
        with in_words(ramp.client, route):
            await start_ramp(ramp.client, spec, asserted_actor(), override)
    except WorkflowAlreadyStartedError:
        raise Refused(await _is_live(ramp)) from None
    sighting = await _after_preflight(ramp)
    code = _tell(console, sighting)
    if wait is None or not sighting.is_open:
        return code
    left = max(wait - timedelta(seconds=time.monotonic() - since), timedelta())
    return await show_until(console, ramp, left, until_target=True)


async def _is_live(ramp: "Ramp") -> str:
    from tailramp.units import format_share

    sighting = await ramp.look(ask_worker=False)
    return (
        f"a ramp of {ramp.route} is live: {sighting.name}, {sighting.phase}, {format_share(sighting.share)}. "
        f"`tailramp status {ramp.route}` shows it, `tailramp abort {ramp.route}` ends it"
    )


async def _after_preflight(ramp: "Ramp") -> "Sighting":
    """Wait until the preflight is over.  Raises Unreachable if nobody takes it up."""
    from cli.following import IDLE_SECONDS, no_worker
    from tailramp.ramp import Phase

    taken_at = time.monotonic()
    while True:
        sighting = await ramp.look(ask_worker=False)
        if not sighting.is_open:
            return sighting
        if sighting.phase is not Phase.PREFLIGHT and not sighting.phase.is_terminal:
            return await ramp.look()
        now = time.monotonic()
        if not sighting.untaken:
            taken_at = now
        elif now - taken_at >= IDLE_SECONDS:
            queue = no_worker(sighting.untaken[0])
            raise Unreachable(f"{sighting.name} is started and waits: {queue}. It goes on by itself then")
        await asyncio.sleep(_LOOK_SECONDS)


def _tell(console: Console, sighting: "Sighting") -> ExitCode:
    """Say where the ramp stands after its preflight.  Raises RefusedRamp with all that is to be mended."""
    from cli.look_commands import as_data
    from tailramp.ramp import Phase

    result = sighting.result
    if result is not None and result.phase is Phase.REFUSED:
        raise RefusedRamp(f"{sighting.name} cannot start", result.problems)
    data: dict[str, Any] = {"event": "started", **as_data(sighting)}
    if not sighting.is_open:
        console.answer(f"{sighting.name} is over: {sighting.phase} ({sighting.reason}): {sighting.last}", data)
        return sighting.exit_code
    if sighting.phase.is_rollback:
        text = f"{sighting.name} is on its way back already: {sighting.phase} ({sighting.reason}): {sighting.last}"
        then = f"`tailramp explain {sighting.route}` says why, `tailramp watch {sighting.route}` follows it."
        console.answer(f"{text}\n{then}", data)
        return ExitCode.UNVERIFIED
    status = sighting.status
    plan = f": {status.plan.shares}" if status is not None and status.plan is not None else ""
    text = f"{sighting.name} has started{plan}. Next: {sighting.next}"
    console.answer(f"{text}\n`tailramp watch {sighting.route}` follows it.", data)
    return ExitCode.DONE
