"""``tailramp apply``: make the world match the two files, with nobody at the keyboard.

Safe to run again: what is already so is said, and nothing is done.
"""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cli import files
from cli.actor import asserted_actor
from cli.console import Console, output_option
from cli.exit_codes import ExitCode
from tailramp.errors import Refused, Unreachable

if TYPE_CHECKING:
    from cli.ramps import Ramp
    from tailramp.route_record import RouteRecord
    from tailramp.spec import PlatformFile, RampSpec

_VERIFIED_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1


@click.command("apply")
@click.argument("file", type=click.Path(path_type=Path), default=files.CANARY)
@files.platform_option
@files.wait_option
@files.override_option
@output_option
@click.pass_obj
def apply_command(
    console: Console, file: Path, platform: Path | None, wait: timedelta | None, override: str | None
) -> ExitCode:
    """Make the world match the files.

    Starts a ramp, or moves the target of the live one: more buckets become further steps, fewer go back at once, and
    `buckets: ""` takes everyone back and ends it. Whatever would reshuffle users or change the rules of a live ramp is
    refused with 5, naming the field.
    """
    from tailramp.spec import empties_target, load_platform, load_spec

    platform_path = files.platform_beside(file, platform)
    if empties_target(file):
        return asyncio.run(_empty(console, load_platform(platform_path)))
    return asyncio.run(_apply(console, load_spec(file, platform_path), wait, override))


async def _apply(console: Console, spec: "RampSpec", wait: timedelta | None, override: str | None) -> ExitCode:
    from cli.start_command import start

    live = await _live_ramp(spec.platform.route.full_name)
    if live is not None:
        return await _retarget(console, live, spec)
    record = await _record(spec.platform)
    default = record.assignment.default
    model = spec.candidate.model
    alone = len(spec.candidates) == 1
    if alone and record.slots.get(default) is not None and record.slots[default].model == model:
        text = f"{model} is the baseline of {record.route} already: nothing to do"
        console.answer(text, {"event": "unchanged", "route": record.route, "model": model})
        return ExitCode.DONE
    return await start(console, spec, wait, override)


async def _retarget(console: Console, ramp: "Ramp", spec: "RampSpec") -> ExitCode:
    from temporalio.client import WorkflowUpdateFailedError
    from temporalio.exceptions import ApplicationError

    from cli.temporal import in_words
    from workflows.messages import SetTarget
    from workflows.ramp import RampWorkflow

    try:
        with in_words(ramp.client, ramp.route):
            sentence = await ramp.handle.execute_update(
                RampWorkflow.set_target, SetTarget(actor=asserted_actor(), spec=spec)
            )
    except WorkflowUpdateFailedError as error:
        reason = error.cause.message if isinstance(error.cause, ApplicationError) else str(error.cause)
        raise Refused(f"{ramp.route}: {reason}") from None
    console.answer(f"{ramp.route}: {sentence}", {"event": "applied", "route": ramp.route, "sentence": sentence})
    return ExitCode.DONE


async def _empty(console: Console, platform: "PlatformFile") -> ExitCode:
    """The file's owner stops: needs no worker, and no more of the file than model and buckets."""
    route = platform.route.full_name
    ramp = await _live_ramp(route)
    if ramp is not None:
        return await _stop(console, ramp)
    record = await _record(platform)
    if not record.candidates:
        text = f"{route}: nobody is on a candidate; everyone is served by {record.assignment.default}"
        console.answer(text, {"event": "unchanged", "route": route, "model": None})
        return ExitCode.DONE
    after = await _clear(platform)
    text = f"{route}: no ramp is live, and {', '.join(record.candidates)} is out; epoch {after.epoch}"
    console.answer(text, {"event": "cleared", "route": route, "epoch": after.epoch})
    return ExitCode.DONE


async def _stop(console: Console, ramp: "Ramp") -> ExitCode:
    from cli.ramps import exit_code_of
    from cli.temporal import in_words
    from workflows.messages import Message
    from workflows.ramp import RampWorkflow

    with in_words(ramp.client, ramp.route):
        await ramp.handle.signal(RampWorkflow.empty_target, Message(actor=asserted_actor()))
    until = asyncio.get_running_loop().time() + _VERIFIED_SECONDS
    while True:
        sighting = await ramp.look(ask_worker=False)
        if not sighting.is_open or asyncio.get_running_loop().time() >= until:
            break
        await asyncio.sleep(_LOOK_SECONDS)
    data = {"event": "stopped", "route": ramp.route, "phase": str(sighting.phase), "verified": not sighting.is_open}
    if sighting.is_open:
        kill = f"`tailramp kill {ramp.route}` acts without a worker"
        console.answer(f"{sighting.name}: the stop is accepted and not verified yet ({sighting.phase}). {kill}", data)
        return ExitCode.UNVERIFIED
    code = exit_code_of(sighting.result)
    if code is not ExitCode.ROLLED_BACK:
        how = sighting.reason or sighting.execution.name.lower()
        console.answer(f"{sighting.name} had ended before the stop came: {sighting.phase} ({how})", data)
        return code
    console.answer(f"{sighting.name}: everyone is back, verified ({sighting.phase})", data)
    return ExitCode.DONE


async def _live_ramp(route: str) -> "Ramp | None":
    from cli.ramps import Ramp
    from cli.temporal import NoRamp

    try:
        ramp = await Ramp.find(route)
        sighting = await ramp.look(ask_worker=False)
    except NoRamp:
        return None
    except Unreachable as error:
        raise Unreachable(f"{error}. `tailramp kill {route}` takes a candidate out without Temporal") from None
    return ramp if sighting.is_open else None


async def _record(platform: "PlatformFile") -> "RouteRecord":
    from activities.routers import platform_record_router

    router = platform_record_router(platform)
    try:
        return await router.record()
    finally:
        await router.close()


async def _clear(platform: "PlatformFile") -> "RouteRecord":
    from activities.routers import platform_record_router
    from tailramp.ramp import Reason
    from tailramp.route_record import Clearer, cleared

    router = platform_record_router(platform)
    try:
        return await router.clear(lambda record: cleared(record, by=Clearer.ROLLBACK, reason=Reason.TARGET_EMPTIED))
    finally:
        await router.close()
