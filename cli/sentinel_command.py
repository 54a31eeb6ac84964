"""``tailramp sentinel``: the dead man's switch as a process."""

import click

from cli.exit_codes import ExitCode


@click.command("sentinel")
@click.argument("routes", nargs=-1, metavar="[ROUTE_FILE | kubernetes:NAMESPACE]...")
def sentinel_command(routes: tuple[str, ...]) -> int:
    """Take candidates out when nobody looks at them any more.

    Watches the leases in the route files, paths or globs, and of every route in a namespace of the cluster; without
    any, those that TAILRAMP_ROUTES names, by comma. It knows neither Temporal nor Prometheus. Run two of them, on
    different machines where the files are shared: both are active, and what the second one finds is cleared already.
    """
    from worker.__main__ import sentinel

    return ExitCode(sentinel(routes))
