"""Where a route's record is, for the commands that need it and nothing else.

It lies in the route file, or in a Lease beside the route's objects in a cluster.  The platform file says which; who has
none names the file, or the route and the kubeconfig's context.
"""

import asyncio
import contextlib
import functools
import os
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli import files
from cli.console import Console
from tailramp.errors import InvalidFile, Unreachable

if TYPE_CHECKING:
    from activities.routers import Router

T = TypeVar("T")
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Where:
    """What was said on the command line; ``context`` is one of the kubeconfig."""

    route_file: Path | None = None
    context: str | None = None
    platform: Path | None = None


def where_options(function: Function) -> Function:
    """``--route-file``, ``--context`` and ``--platform``, as the argument ``where``."""

    @functools.wraps(function)
    def with_where(
        *arguments: Any, route_file: Path | None, context: str | None, platform: Path | None, **options: Any
    ) -> Any:
        return function(*arguments, where=Where(route_file, context, platform), **options)

    decorated = files.platform_option(with_where)
    decorated = click.option(
        "--context",
        metavar="NAME",
        help="The route is in the cluster of this context of the kubeconfig; then no platform file is needed.",
    )(decorated)
    return click.option(
        "--route-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The route file itself; then no platform file is needed.",
    )(decorated)  # type: ignore[return-value]


def router_of(console: Console, where: Where, route: str | None) -> "Router":
    """A router that knows the record alone.  Raises UsageError if nothing says where that is, InvalidFile."""
    from activities.routers import platform_record_router, record_router

    if where.route_file is not None and where.context is not None:
        raise click.UsageError("--route-file is a file and --context a cluster: choose one")
    if where.route_file is not None:
        return record_router(where.route_file)
    if where.context is not None:
        return _in_cluster(route, where.context)
    from tailramp.spec import load_platform

    try:
        return platform_record_router(load_platform(files.find_platform(where.platform)))
    except InvalidFile:
        console.aside("The platform file cannot be used. With --route-file FILE or --context NAME none is needed.")
        raise
    except click.UsageError as error:
        if route is not None and _has_cluster():
            return _in_cluster(route, None)
        raise click.UsageError(f"{error.message}, or name the route file with --route-file") from None


def _in_cluster(route: str | None, context: str | None) -> "Router":
    from activities.routers import record_router
    from activities.routers.kube import LeaseRoute

    if route is None:
        raise click.UsageError("Which route? Name it, as in `default/chat`: --context names a cluster of many")
    namespace, _, name = route.partition("/")
    return record_router(LeaseRoute(namespace, name, context))


def _has_cluster() -> bool:
    """Whether anything here says where a cluster is."""
    kubeconfig = Path.home() / ".kube" / "config"
    return bool(os.environ.get("KUBECONFIG") or os.environ.get("KUBERNETES_SERVICE_HOST")) or kubeconfig.is_file()


def run(router: "Router", work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` with ``router`` to its end, and close what the router has opened."""

    async def to_the_end() -> T:
        try:
            return await work
        finally:
            await router.close()

    return asyncio.run(to_the_end())


@contextlib.contextmanager
def written_or_told() -> Iterator[None]:
    """Turn what the file system refuses into words: a full disk, a missing permission."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Unreachable(
            f"the route file cannot be written: {where}{error.strerror}. Run this where it can be"
        ) from None
