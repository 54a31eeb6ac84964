"""``tailramp sentinel``: the dead man's switch as a process."""

import click

from cli.exit_codes import ExitCode


@click.command("sentinel")
@click.argument("route_files", nargs=-1, metavar="[ROUTE_FILE]...")
def sentinel_command(route_files: tuple[str, ...]) -> int:
    """Take candidates out when nobody looks at them any more.

    Watches the leases in the route files, paths or globs; without any, those that TAILRAMP_ROUTES names, by comma. It
    knows neither Temporal nor Prometheus. Run two of them, on different machines where the files are shared: both are
    active, and what the second one finds is cleared already.
    """
    from worker.__main__ import sentinel

    return ExitCode(sentinel(route_files))
