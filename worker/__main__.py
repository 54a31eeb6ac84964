"""``python -m worker [all|control|watch|sentinel]``: what ``tailramp worker`` and ``tailramp sentinel`` run."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from activities.kube import KubeClient
from tailramp.errors import InvalidFile
from worker.follower import Followed, run_follower
from worker.logging_setup import configure_logging
from worker.process import leave, serve
from worker.roles import Role
from worker.sentinel import run_sentinel
from worker.settings import load_settings
from worker.supervisor import supervise


def run(role: str = "all", parent_pipe: int | None = None) -> int:
    """Serve ``role``, or both.  Returns 0 after an orderly stop, 1 after a fatal error, 5 for bad settings."""
    try:
        settings = load_settings()
    except InvalidFile as error:
        sys.stderr.write(f"{error}\n")
        return 5
    configure_logging(settings.log_level, settings.log_format)
    if role == "all":
        return asyncio.run(supervise(grace=settings.shutdown_seconds + 5))
    return asyncio.run(serve(Role(role), settings, parent_pipe=parent_pipe))


def sentinel(routes: Sequence[str]) -> int:
    """Watch the leases of ``routes``, route files or ``kubernetes:NAMESPACE``, or of what ``TAILRAMP_ROUTES`` names."""
    try:
        settings = load_settings()
    except InvalidFile as error:
        sys.stderr.write(f"{error}\n")
        return 5
    patterns = list(routes) or [pattern for pattern in settings.routes.split(",") if pattern]
    if not patterns:
        sys.stderr.write(
            "no route is named: give route files or kubernetes:NAMESPACE, or set TAILRAMP_ROUTES to them\n"
        )
        return 2
    configure_logging(settings.log_level, settings.log_format)
    return asyncio.run(run_sentinel(patterns, settings))


def follow(followed: Followed, context: str | None) -> int:
    """Keep the gateway beside this process as the route record says, in the cluster of ``context``."""
    try:
        settings = load_settings()
    except InvalidFile as error:
        sys.stderr.write(f"{error}\n")
        return 5
    configure_logging(settings.log_level, settings.log_format)
    return asyncio.run(run_follower(followed, KubeClient(context=context), settings))


def main() -> None:
    parser = argparse.ArgumentParser(prog="worker", description="Run tailramp's worker processes.")
    parser.add_argument("role", nargs="?", default="all", choices=["all", *Role, "sentinel"])
    parser.add_argument("routes", nargs="*", help="sentinel: route files, as paths or globs, or kubernetes:NAMESPACE")
    parser.add_argument("--parent-pipe", type=int, default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role == "sentinel":
        leave(sentinel(arguments.routes))
    leave(run(arguments.role, arguments.parent_pipe))


if __name__ == "__main__":
    main()
