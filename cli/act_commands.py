"""``tailramp pause``, ``resume``, ``promote``, ``ack`` and ``abort``: a person's word to a ramp.

Each is a signal: durable, and accepted even when no worker runs.  What it does is then looked for, so that the answer
is what happened and not what was asked.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from cli import files
from cli.actor import asserted_actor
from cli.console import Console, output_option
from cli.exit_codes import ExitCode
from tailramp.errors import Refused, Unreachable

if TYPE_CHECKING:
    from cli.ramps import Ramp, Sighting
    from workflows.answers import RampStatus

Function = TypeVar("Function", bound=Callable[..., Any])

CONFIRM_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.05


def _message_options(function: Function) -> Function:
    for option in (
        output_option,
        click.option(
            "--reason", type=files.TextType(), default="", help="Why, in your words; it stands in the records."
        ),
        files.platform_option,
        files.route_argument,
    ):
        function = option(function)
    return function


@click.command("pause")
@_message_options
@click.pass_obj
def pause_command(console: Console, route: str | None, platform: Path | None, reason: str) -> ExitCode:
    """Stop advancing; the checks go on.

    Users stay where they are, and a failed check still rolls back.
    """
    return _act(console, route, platform, lambda ramp: _pause_or_resume(ramp, reason, pause=True))


@click.command("resume")
@_message_options
@click.pass_obj
def resume_command(console: Console, route: str | None, platform: Path | None, reason: str) -> ExitCode:
    """Let a paused ramp go on.

    The hold's clock runs on from where it stood; time in the pause does not count.
    """
    return _act(console, route, platform, lambda ramp: _pause_or_resume(ramp, reason, pause=False))


@click.command("promote")
@_message_options
@click.option("--full", is_flag=True, help="Skip the holds of all steps up to the target.")
@click.pass_obj
def promote_command(console: Console, route: str | None, platform: Path | None, reason: str, full: bool) -> ExitCode:
    """Skip the rest of the present step's hold.

    At a step that waits for an approval, this is the approval. The checks still apply, and a pause outlasts it. The
    step is the one that the ramp is at now: should it have moved on meanwhile, nothing happens. Needs a running worker.
    """
    return _act(console, route, platform, lambda ramp: _promote(ramp, reason, full))


@click.command("abort")
@_message_options
@click.pass_obj
def abort_command(console: Console, route: str | None, platform: Path | None, reason: str) -> ExitCode:
    """Put everyone back on the baseline and end the ramp.

    Comes before pauses, promotions and gates. Returns as soon as the rollback has begun; `tailramp watch` shows its
    proof. Without any worker the word is kept until one runs, and `tailramp kill` acts at once.
    """
    return _act(console, route, platform, lambda ramp: _abort(ramp, reason))


@click.command("ack")
@_message_options
@click.pass_obj
def ack_command(console: Console, route: str | None, platform: Path | None, reason: str) -> ExitCode:
    """Acknowledge an alert or a failed check that holds a ramp.

    An alert of somebody else's then holds it no longer: the hold goes on with its checks. A failed check that paused
    the ramp (autoRollback: false) is noted as seen; the pause lasts until `tailramp resume`. Needs a running worker.
    """
    return _act(console, route, platform, lambda ramp: _acknowledge(ramp, reason))


def _act(
    console: Console,
    route: str | None,
    platform: Path | None,
    act: "Callable[[Ramp], Coroutine[Any, Any, tuple[str, Sighting]]]",
) -> ExitCode:
    """Carry out ``act`` on the route's ramp, and print its sentence and where the ramp then stands."""
    full_name = files.resolve_route(route, platform)
    sentence, sighting = asyncio.run(_acted(full_name, act))
    confirmed = sighting.status is not None
    console.answer(
        f"{sighting.name}: {sentence}",
        {
            "route": sighting.route,
            "ramp": sighting.ramp,
            "sentence": sentence,
            "confirmed": confirmed,
            "phase": str(sighting.phase),
            "next": sighting.next,
        },
    )
    return ExitCode.DONE


async def _acted(
    route: str, act: "Callable[[Ramp], Coroutine[Any, Any, tuple[str, Sighting]]]"
) -> "tuple[str, Sighting]":
    from cli.ramps import Ramp
    from cli.temporal import AlreadyOver

    try:
        ramp = await Ramp.find(route)
        try:
            return await act(ramp)
        except AlreadyOver:
            raise Refused(await _how_it_ended(ramp)) from None
    except Unreachable as error:
        raise Unreachable(f"{error}. `tailramp kill {route}` takes the candidate out without Temporal") from None


async def _how_it_ended(ramp: "Ramp") -> str:
    sighting = await ramp.look(ask_worker=False)
    how = sighting.reason or sighting.execution.name.lower()
    return f"{sighting.name} is over: {sighting.phase} ({how}): {sighting.last}"


async def _pause_or_resume(ramp: "Ramp", reason: str, *, pause: bool) -> "tuple[str, Sighting]":
    from workflows.messages import Message
    from workflows.ramp import RampWorkflow

    signal, word = (RampWorkflow.pause, "pause") if pause else (RampWorkflow.resume, "resume")
    await _send(ramp, signal, Message(actor=asserted_actor(), reason=reason))
    sighting = await _confirmed(ramp, lambda status: status.paused is pause or _goes_back(status))
    if sighting.status is None:
        return _accepted(word), sighting
    if _goes_back(sighting.status):
        raise Refused(f"{sighting.name} is {sighting.phase} ({sighting.reason}): there is nothing to {word}")
    return ("paused; the checks go on" if pause else f"runs; next: {sighting.next}"), sighting


async def _acknowledge(ramp: "Ramp", reason: str) -> "tuple[str, Sighting]":
    from cli.temporal import AlreadyOver, NoWorker
    from workflows.messages import Message
    from workflows.ramp import RampWorkflow

    sighting = await ramp.look()
    if not sighting.is_open:
        raise AlreadyOver("over")
    if sighting.status is None:
        raise NoWorker(f"no worker answers for {ramp.route}, so what holds it is not known: `tailramp worker` runs one")
    if not sighting.status.acknowledgeable:
        raise Refused(f"{sighting.name}: no alert and no failed check waits to be acknowledged. Next: {sighting.next}")
    await _send(ramp, RampWorkflow.acknowledge, Message(actor=asserted_actor(), reason=reason))
    after = await _confirmed(ramp, lambda status: not status.acknowledgeable)
    return f"acknowledged; next: {after.next}", after


async def _promote(ramp: "Ramp", reason: str, full: bool) -> "tuple[str, Sighting]":
    from cli.temporal import AlreadyOver, NoWorker
    from workflows.messages import Promote
    from workflows.ramp import RampWorkflow

    sighting = await ramp.look()
    before = sighting.status
    if not sighting.is_open:
        raise AlreadyOver("over")
    if before is None:
        raise NoWorker(
            f"no worker answers for {ramp.route}, so the step to promote is not known: `tailramp worker` runs one"
        )
    _check_promotable(sighting, before)
    await _send(ramp, RampWorkflow.promote, Promote(actor=asserted_actor(), reason=reason, step=before.step, full=full))
    after = await _confirmed(
        ramp, lambda s: s.last != before.last or s.step != before.step or s.phase is not before.phase
    )
    sentence = f"step {before.step} is promoted"
    if after.status is not None and after.status.paused:
        sentence += "; it stays paused until `tailramp resume`"
    return f"{sentence}; next: {after.next}", after


def _check_promotable(sighting: "Sighting", status: "RampStatus") -> None:
    from tailramp.ramp import Phase

    if sighting.reached_target:
        raise Refused(f"{sighting.name} holds its target: there is no step after it to promote to")
    if status.phase not in {Phase.SHIFTING, Phase.SETTLING, Phase.HOLDING} or status.reason is not None:
        raise Refused(f"{sighting.name} is {status.phase}: only a step can be promoted. Next: {status.next}")


async def _abort(ramp: "Ramp", reason: str) -> "tuple[str, Sighting]":
    from workflows.messages import Message
    from workflows.ramp import RampWorkflow

    await _send(ramp, RampWorkflow.abort, Message(actor=asserted_actor(), reason=reason))
    sighting = await _confirmed(ramp, _goes_back)
    if sighting.is_open and sighting.status is None:
        kill = f"`tailramp kill {ramp.route}` takes the candidate out now"
        return f"{_accepted('abort')}. {kill}", sighting
    if not sighting.is_open:
        return f"{sighting.phase} ({sighting.reason}): {sighting.last}", sighting
    return f"{sighting.phase} ({sighting.reason}); next: {sighting.next}", sighting


def _accepted(word: str) -> str:
    return f"the {word} is accepted, and no worker is running to carry it out: `tailramp worker` runs one"


def _goes_back(status: "RampStatus") -> bool:
    return status.phase.is_terminal or status.phase.is_rollback or status.reason is not None


async def _send(ramp: "Ramp", signal: Any, message: Any) -> None:
    from cli.temporal import RPC_TIMEOUT, in_words

    with in_words(ramp.client, ramp.route):
        await ramp.handle.signal(signal, message, rpc_timeout=RPC_TIMEOUT)


async def _confirmed(ramp: "Ramp", visible: "Callable[[RampStatus], bool]") -> "Sighting":
    """Look until the status shows it, no worker answers or time is up; returns the last look."""
    until = time.monotonic() + CONFIRM_SECONDS
    while True:
        sighting = await ramp.look()
        if not sighting.is_open or sighting.status is None or visible(sighting.status) or time.monotonic() >= until:
            return sighting
        await asyncio.sleep(_LOOK_SECONDS)
