"""``tailramp worker``: the processes that carry ramps out."""

import click

from cli.console import Console, output_option
from cli.exit_codes import ExitCode


@click.command("worker")
@click.option(
    "--role",
    type=click.Choice(["all", "control", "watch"]),
    default="all",
    show_default=True,
    help="control: decisions and rollback; watch: checks and forward writes; all: both, in processes of their own.",
)
@output_option
@click.pass_obj
def worker_command(console: Console, role: str) -> ExitCode:
    """Run the worker processes.

    They run until SIGTERM or Ctrl-C. Temporal's address and namespace come from TEMPORAL_ADDRESS,
    TEMPORAL_NAMESPACE and their like, as with Temporal's own tools; the worker's own settings from variables that
    begin with TAILRAMP_, such as TAILRAMP_RECORDS. With -o json each line of the log is a JSON object on standard
    output; `event` is started or ended in those that say so.
    """
    from worker.__main__ import run

    return ExitCode(run(role, as_json=console.is_json))
