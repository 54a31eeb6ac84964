"""``tailramp freeze``: nothing new may start or grow on a route."""

from datetime import UTC, datetime

import click

from cli import files
from cli.actor import asserted_actor
from cli.console import Console, output_option
from cli.exit_codes import ExitCode
from cli.kill_commands import expect
from cli.where import Where, router_of, run, where_options, written_or_told


@click.command("freeze")
@files.route_argument
@where_options
@click.option(
    "--reason", type=files.TextType(), required=True, help="Why, in your words; it stands in the route record."
)
@output_option
@click.pass_obj
def freeze_command(console: Console, route: str | None, where: Where, reason: str) -> ExitCode:
    """Let nothing start or grow on a route until `tailramp lift`.

    A live ramp keeps what it serves, with its checks on; rollbacks, shrinks and `kill` still work. Needs the route
    record and nothing else.
    """
    from tailramp.route_record import Mark, frozen

    mark = Mark(at=datetime.now(UTC), by=asserted_actor(), reason=reason)
    router = router_of(console, where, route)

    async def freeze() -> str:
        expect(await router.record(), route)
        return (await router.renew(lambda record: frozen(record, mark))).record.route

    with written_or_told():
        name = run(router, freeze())
    console.answer(f"{name} is frozen. `tailramp lift {name} --reason ...` ends it.", {"route": name, "frozen": True})
    return ExitCode.DONE
