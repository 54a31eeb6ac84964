"""``tailramp uninstall``: leave a route as it was found."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import files
from cli.console import Console, output_option
from cli.exit_codes import ExitCode
from cli.kill_commands import expect, route_file_option, written_or_told
from tailramp.errors import Refused

if TYPE_CHECKING:
    from tailramp.route_record import RouteRecord
    from tailramp.spec import PlatformFile


@click.command("uninstall")
@files.route_argument
@route_file_option
@files.platform_option
@click.option("--yes", is_flag=True, help="Do it; without this it only says what it would do.")
@output_option
@click.pass_obj
def uninstall_command(
    console: Console, route: str | None, route_file: Path | None, platform: Path | None, yes: bool
) -> ExitCode:
    """Leave a route as it was found.

    Takes the route record out of the route file, and what lies beside it: pending/, clearing/, ready/ and the lock.
    Everyone is served as before. It is refused while a candidate is served, while a ramp holds the route, while the
    route is shut off, and while the gateway serves something else than the file says; with --route-file the gateway is
    not asked. Refusals of earlier candidates are forgotten with the record.
    """
    from activities.routers.route_file import RouteFile
    from tailramp.spec import load_platform

    settings = None if route_file is not None else load_platform(files.find_platform(platform))
    path = route_file or _route_file_of(settings)
    file = RouteFile(path)

    def releasable(record: "RouteRecord") -> None:
        expect(record, route)
        _check(record)

    record = file.read().record
    releasable(record)
    data = {"route": record.route, "file": str(path), "default": record.assignment.default, "done": yes}
    if not yes:
        console.answer(f"would take the record of {record.route} out of {path}: --yes does it", data)
        return ExitCode.DONE
    if settings is not None:
        asyncio.run(_check_gateway(settings))
    with written_or_told():
        file.release(releasable)
    console.answer(f"{record.route} is no longer tailramp's; everyone stays on {record.assignment.default}", data)
    return ExitCode.DONE


def _route_file_of(settings: "PlatformFile | None") -> Path:
    from tailramp.spec import EnvoyFileRouter

    if settings is None or not isinstance(settings.router, EnvoyFileRouter):
        raise Refused("router.kind: only the router envoy-file has a route file")
    return settings.router.file


async def _check_gateway(settings: "PlatformFile") -> None:
    """Raises Refused unless the gateway has loaded what the file says: the record alone proves nothing."""
    import aiohttp

    from activities.clients import Clients
    from activities.routers import make_router
    from tailramp.proof import Answer

    async with aiohttp.ClientSession() as http:
        loaded = (await make_router(settings, Clients(http)).read()).loaded
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
