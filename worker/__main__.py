"""``python -m worker [all|control|watch]``: what ``tailramp worker`` runs."""

import argparse
import asyncio
import sys

from tailramp.errors import InvalidFile
from worker.process import configure_logging, leave, serve
from worker.roles import Role
from worker.settings import load_settings
from worker.supervisor import supervise


def run(role: str = "all", parent_pipe: int | None = None) -> int:
    """Serve ``role``, or both.  Returns 0 after an orderly stop, 1 after a fatal error, 5 for bad settings."""
    try:
        settings = load_settings()
    except InvalidFile as error:
        sys.stderr.write(f"{error}\n")
        return 5
    configure_logging(settings.log_level)
    if role == "all":
        return asyncio.run(supervise(grace=settings.shutdown_seconds + 5))
    return asyncio.run(serve(Role(role), settings, parent_pipe=parent_pipe))


def main() -> None:
    parser = argparse.ArgumentParser(prog="worker", description="Run tailramp's worker processes.")
    parser.add_argument("role", nargs="?", default="all", choices=["all", *Role])
    parser.add_argument("--parent-pipe", type=int, default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    leave(run(arguments.role, arguments.parent_pipe))


if __name__ == "__main__":
    main()
