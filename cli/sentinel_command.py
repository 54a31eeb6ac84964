"""``tailramp sentinel``: the dead man's switch as a process."""

import click

from cli.console import Console, output_option
from cli.exit_codes import ExitCode


@click.command("sentinel")
@click.argument("routes", nargs=-1, metavar="[ROUTE_FILE | kubernetes:NAMESPACE]...")
@output_option
@click.pass_obj
def sentinel_command(console: Console, routes: tuple[str, ...]) -> ExitCode:
    """Take candidates out when nobody looks at them any more.

    Watches the leases in the route files, paths or globs, and of every route in a namespace of the cluster; without
    any, those that TAILRAMP_ROUTES names, by comma. It knows neither Temporal nor Prometheus. Run two of them, on
    different machines where the files are shared: both are active, and what the second one finds is cleared already.

    It runs until SIGTERM or Ctrl-C. With -o json each line of the log is a JSON object on standard output; `event` is
    started, cleared or ended in those that say so.
    """
    from worker.__main__ import NothingToWatch, sentinel

    try:
        return ExitCode(sentinel(routes, as_json=console.is_json))
    except NothingToWatch as error:
        raise click.UsageError(str(error)) from None
