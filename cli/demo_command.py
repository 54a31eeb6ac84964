"""``tailramp demo``: real servers, live users and two ramps on this machine, without a cluster."""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.console import Console, output_option
from cli.exit_codes import ExitCode
from tailramp.errors import Refused

if TYPE_CHECKING:
    from lab.scenario import Facts
    from lab.world import World

_STORIES = {
    "healthy": "{model} in slot {slot} is good: it goes to 100 % and becomes the baseline.",
    "slow": "{model} in slot {slot} turns slow at 25 %: watch it being taken out.",
    "errors": "{model} in slot {slot} starts to fail at 25 %: watch it being taken out.",
    "dead": "{model} in slot {slot} dies at 25 %: watch it being taken out.",
    "toxic": "{model} in slot {slot} turns toxic at 25 %: watch it being taken out.",
    "hanging": "{model} in slot {slot} stops answering at 25 %, without an error: watch it being taken out.",
    "shared-incident": "both models turn slow at 25 %: {model} in slot {slot} waits until both are well, and goes on.",
    "prometheus-down": "Prometheus dies at 25 %: watch {model} in slot {slot} being taken out, for want of evidence.",
    "low-traffic": "so few users come that nothing can be said about {model} in slot {slot}: it waits for a person.",
}
"""What happens in each scenario of lab.acts, which is not imported before it is played."""
_PROMISES = {
    "forged": "forged headers that reached the candidate",
    "no_id": "requests without an id that reached the candidate",
    "moved_back_and_forth": "users moved back and forth",
}


@click.command("demo")
@click.option(
    "--scenario",
    type=click.Choice(tuple(_STORIES)),
    help="Play one ramp and print the facts. All but healthy, shared-incident and low-traffic are rolled back by the "
    "ramp itself.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of users and latencies.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep logs, files and databases here; otherwise a temporary folder is used and removed.",
)
@click.option("--stay", is_flag=True, help="Leave everything running after the last act until Ctrl-C.")
@output_option
@click.pass_obj
def demo_command(console: Console, scenario: str | None, seed: int, directory: Path | None, stay: bool) -> ExitCode:
    """Ramp a toy LLM service on real servers, without a cluster.

    Starts Temporal with its UI, Envoy, Prometheus, two toy LLM servers, the worker and some hundred synthetic users.
    Without --scenario two acts are played in about two minutes: a good candidate goes to 100 %, a bad one is rolled
    back. The demo's platform file wants far less evidence than the default one, so that minutes are enough; do not copy
    it into production.

    Exits with 0 if every ramp ended as it should and no promise to a user was broken, otherwise with 5.
    """
    with contextlib.ExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tailramp-demo-")))
        return asyncio.run(_demo(console, directory, scenario, seed, stay))


async def _demo(console: Console, directory: Path, scenario: str | None, seed: int, stay: bool) -> ExitCode:
    from lab.acts import Scenario, UnforeseenError
    from lab.scenario import play
    from lab.world import HANG_CHECK, ROUTE, World

    console.aside("starting Temporal, Envoy, Prometheus and two toy LLM servers ...")
    async with World(directory / "world", seed, checks=HANG_CHECK) as world:
        world.start_worker()
        console.aside(f"Temporal's UI: {world.temporal.ui_url}/namespaces/default/workflows\n")
        acts = [(Scenario(scenario), "green")] if scenario else [(Scenario.HEALTHY, "green"), (Scenario.SLOW, "blue")]
        played = []
        for number, (act, candidate) in enumerate(acts, start=1):
            if candidate == "blue":
                await world.deploy("blue", "chat-v3")
            console.aside(_announcement(number, act, world, candidate))
            try:
                facts = await play(
                    world,
                    act,
                    candidate=candidate,
                    log=directory / f"clients-{number}.jsonl",
                    on_ramp=None if console.is_json else lambda _: _show(console, world, ROUTE),
                )
            except UnforeseenError as error:
                raise Refused(f"this is not how the scenario should go: {error}") from None
            played.append(facts)
            if not console.is_json:
                _print_facts(facts, console.say)
        if console.is_json:
            data = [facts.model_dump(mode="json") for facts in played]
            console.answer("", data[0] if scenario else {"acts": data})
        if stay:
            console.aside(f"Everything still runs. Temporal's UI: {world.temporal.ui_url}   Ctrl-C ends it.")
            await asyncio.Event().wait()
    return ExitCode.DONE if all(facts.as_promised for facts in played) else ExitCode.REFUSED


def _announcement(number: int, scenario: str, world: "World", candidate: str) -> str:
    story = _STORIES[scenario].format(model=world.models[candidate], slot=candidate)
    return (
        f"Act {number}: {story}\n"
        "(Its platform file lowers the evidence floor to 5 answers a step and windows of 20: good for a demo only.)\n"
    )


async def _show(console: Console, world: "World", route: str) -> None:
    """Print the ramp's changes until it ends."""
    from cli.ramps import Ramp
    from cli.watch.until import show_until

    await show_until(console, Ramp(world.client, route), None, from_start=True)


def _print_facts(facts: "Facts", say: Callable[[str], str]) -> None:
    from rich.console import Console as RichConsole
    from rich.table import Table

    table = Table(title=say("What the users saw, from their own log"), title_justify="left", show_header=False)
    answers = ", ".join(f"{variant} {count:,}" for variant, count in facts.responses.items())
    rows = [
        ("outcome", f"{facts.outcome} ({facts.reason})"),
        ("answers by slot", answers),
        ("users who changed over", f"{facts.users_seen_on_both:,}"),
        ("failed requests that the fault does not explain", f"{facts.failed_requests}"),
    ]
    rows += [(_PROMISES[name], str(count)) for name, count in facts.violations.items()]
    if facts.blocked_by is not None:
        rows.append(("the ramp said that it waits for", facts.blocked_by))
    if facts.seconds_fault_to_trigger is not None:
        rows.append(("fault → first scrape that shows it", f"{facts.seconds_fault_to_trigger:.1f} s"))
    if facts.seconds_trigger_to_last_candidate_request is not None:
        seconds = facts.seconds_trigger_to_last_candidate_request
        rows.append(("that scrape → last request to the candidate", f"{seconds:.1f} s"))
    for name, value in rows:
        table.add_row(say(name), value)
    RichConsole().print(table, "")
    if not facts.as_promised:
        click.echo(say("This is not how the scenario should end."))
