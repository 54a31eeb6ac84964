"""``tailramp uninstall``: leave a route as it was found."""

from typing import TYPE_CHECKING

import click

from cli import files
from cli.console import Console, output_option
from cli.exit_codes import ExitCode
from cli.kill_commands import expect
from cli.where import Where, router_of, run, where_options, written_or_told
from cli.written_workloads import platform_of, workloads_of
from tailramp.errors import Refused

if TYPE_CHECKING:
    from tailramp.route_record import RouteRecord
    from tailramp.spec import PlatformFile


@click.command("uninstall")
@files.route_argument
@where_options
@click.option("--yes", is_flag=True, help="Do it; without this it only says what it would do.")
@output_option
@click.pass_obj
def uninstall_command(console: Console, route: str | None, where: Where, yes: bool) -> ExitCode:
    """Leave a route as it was found.

    Takes away the route record and what lies beside it: for a route file the folders pending/, clearing/ and ready/ and
    the lock; in a cluster the Lease, the canaries and the annotations. Workloads become what they were, except for the
    model that serves everyone; which workloads these are is said by the platform file, or else by the record. Nobody's
    traffic moves. Refusals of earlier candidates are forgotten.

    Refused with 5 while a candidate is served, a ramp holds the route, the route is shut off, or the gateway serves
    something else than the record says. Without a platform file the gateway is not asked; with --route-file only those
    workloads are put back whose record names a context.
    """
    router = router_of(console, where, route)
    settings = platform_of(where)

    def releasable(record: "RouteRecord") -> None:
        expect(record, route)
        _check(record)

    async def uninstall() -> "RouteRecord":
        from activities.workloads import RESOURCES, put_all_back

        record = await router.record()
        releasable(record)
        if yes:
            if settings is not None:
                await _check_gateway(settings)
            async with workloads_of(where, settings, record) as (workloads, client_of):
                left.extend(await put_all_back(record, workloads, RESOURCES, client_of))
            await router.release(releasable)
        return record

    left: list[str] = []
    with written_or_told():
        record = run(router, uninstall())
    data = {"route": record.route, "file": router.place, "default": record.assignment.default, "done": yes}
    if yes:
        text = f"{record.route} is no longer tailramp's; everyone stays on {record.assignment.default}"
    else:
        text = f"would take the record of {record.route} out of {router.place}: --yes does it"
    for line in left:
        console.aside(line)
    console.answer(text, {**data, "left": left})
    return ExitCode.DONE


async def _check_gateway(settings: "PlatformFile") -> None:
    """Raises Refused unless the gateway has loaded what the file says: the record alone proves nothing."""
    import aiohttp

    from activities.clients import Clients
    from activities.routers import make_router
    from tailramp.proof import Answer

    async with aiohttp.ClientSession() as http, Clients(http) as clients:
        loaded = (await make_router(settings, clients).read()).loaded
    if loaded.answer is not Answer.YES:
        raise Refused(f"nobody can say what the gateway serves: {loaded.missing()}. Mend that, or name --route-file")


def _check(record: "RouteRecord") -> None:
    """Raises Refused for a record that somebody still needs."""
    if record.candidates:
        served = ", ".join(record.candidates)
        raise Refused(f"{record.route} still serves {served}: `tailramp kill {record.route}` puts everyone back first")
    if record.ramp is not None and not record.closed:
        raise Refused(f"a ramp holds {record.route}: `tailramp abort {record.route}` ends it first")
    if record.off:
        raise Refused(f"{record.route} is shut off: `tailramp lift {record.route} --reason ...` switches it on first")
