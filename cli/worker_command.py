"""``tailramp worker``: the processes that carry ramps out."""

import click

from cli.exit_codes import ExitCode


@click.command("worker")
@click.option(
    "--role",
    type=click.Choice(["all", "control", "watch"]),
    default="all",
    show_default=True,
    help="control: decisions and rollback; watch: checks and forward writes; all: both, in processes of their own.",
)
def worker_command(role: str) -> ExitCode:
    """Run the worker processes.

    They run until SIGTERM or Ctrl-C. Temporal's address and namespace come from TEMPORAL_ADDRESS,
    TEMPORAL_NAMESPACE and their like, as with Temporal's own tools; the worker's own settings from TAILRAMP_RECORDS,
    TAILRAMP_MAX_RAMPS, TAILRAMP_SHUTDOWN_SECONDS and TAILRAMP_LOG_LEVEL.
    """
    from worker.__main__ import run

    return ExitCode(run(role))
