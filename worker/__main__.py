"""``python -m worker [all|control|watch|sentinel]``: what ``tailramp worker`` and ``tailramp sentinel`` run.

Each imports what it runs when it runs it.  Temporal's client alone takes a second, for which neither a sentinel is to
wait nor the children of a supervisor.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tailramp.errors import InvalidFile
from tailramp.garbage import look_for_garbage_seldom
from worker.logging_setup import About, configure_logging
from worker.settings import Role, WorkerSettings, load_settings

if TYPE_CHECKING:
    from worker.follower import Followed


class NothingToWatch(Exception):
    """A sentinel was named no route, or what could be none."""


def _begin(*, as_json: bool, about: Callable[[], About | None] = lambda: None) -> WorkerSettings:
    """The settings, with logging as they say; ``as_json``: as JSON on standard output, for a program that reads it."""
    look_for_garbage_seldom()
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format, for_program=as_json, about=about)
    return settings


def run(role: str = "all", parent_pipe: int | None = None, *, as_json: bool = False) -> int:
    """Serve ``role``, or both.  Returns 0 after an orderly stop, 1 after a fatal error.  InvalidFile: bad settings."""
    if role == "all":
        from worker.supervisor import supervise

        settings = _begin(as_json=as_json)
        return asyncio.run(supervise(grace=settings.shutdown_seconds + 5, as_json=as_json))
    from worker.process import serve
    from worker.ramp_lines import about_here

    match Role(role):
        case Role.CONTROL:
            from worker.control import make_workers
        case Role.WATCH:
            from worker.watch import make_workers
    settings = _begin(as_json=as_json, about=about_here)
    return asyncio.run(serve(Role(role), settings, make_workers, parent_pipe=parent_pipe))


def sentinel(routes: Sequence[str], *, as_json: bool = False) -> int:
    """Watch the leases of ``routes``, route files or ``kubernetes:NAMESPACE``, or of what ``TAILRAMP_ROUTES`` names.

    Raises InvalidFile for bad settings, NothingToWatch where neither names a route.
    """
    from activities.routers.kube.record_lease import IN_CLUSTER, place_patterns
    from tailramp.forms import NAME
    from worker.sentinel import run_sentinel

    settings = _begin(as_json=as_json)
    patterns = list(routes) or place_patterns(settings.routes)
    for pattern in patterns:  # one that is misspelt would be waited for like a file that is yet to come
        if pattern.startswith(IN_CLUSTER) and not NAME.fits(pattern.removeprefix(IN_CLUSTER)):
            raise NothingToWatch(f"{pattern} names no namespace: write kubernetes:NAMESPACE, once for each of them")
    if not patterns:
        raise NothingToWatch(
            "no route is named: give route files or kubernetes:NAMESPACE, or set TAILRAMP_ROUTES to them"
        )
    return asyncio.run(run_sentinel(patterns, settings))


def follow(followed: "Followed", context: str | None, *, as_json: bool = False) -> int:
    """Keep the gateway beside this process as the route record says, in the cluster of ``context``.

    Raises InvalidFile for bad settings.
    """
    from activities.kube import KubeClient
    from worker.follower import run_follower

    settings = _begin(as_json=as_json)
    return asyncio.run(run_follower(followed, KubeClient(context=context), settings))


def leave(code: int) -> None:
    """End the process with exactly this code.

    A process that used Temporal's client can crash while the interpreter shuts down, after its work is done; exit codes
    would not be a contract.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    parser = argparse.ArgumentParser(prog="worker", description="Run tailramp's worker processes.")
    parser.add_argument("role", nargs="?", default="all", choices=["all", *Role, "sentinel"])
    parser.add_argument("routes", nargs="*", help="sentinel: route files, as paths or globs, or kubernetes:NAMESPACE")
    parser.add_argument("--json", action="store_true", help="a line of JSON per event on standard output")
    parser.add_argument("--parent-pipe", type=int, default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    try:
        if arguments.role == "sentinel":
            leave(sentinel(arguments.routes, as_json=arguments.json))
        leave(run(arguments.role, arguments.parent_pipe, as_json=arguments.json))
    except InvalidFile as error:
        sys.stderr.write(f"{error}\n")
        leave(5)
    except NothingToWatch as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
