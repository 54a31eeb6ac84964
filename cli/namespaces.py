"""What is done to whole namespaces of a cluster: which they are, and the client that reaches them."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.console import Console
from cli.exit_codes import ExitCode
from cli.where import Where
from tailramp.errors import Unreachable
from tailramp.forms import NAME

if TYPE_CHECKING:
    from activities.kube import KubeClient
    from activities.routers.kube.namespace_freeze import Marking

Function = TypeVar("Function", bound=Callable[..., Any])


class NamespaceType(click.ParamType[str]):
    """Of the cluster; a name that the API server cannot know is told apart from one that it does not."""

    name = "namespace"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not NAME.fits(str(value)):
            self.fail(f"{value!r} is no namespace: write its name, in a-z, 0-9 and -", param, ctx)
        return str(value)


def namespaces_options(function: Function) -> Function:
    """``--namespace`` and ``--all-namespaces``, as the arguments ``namespaces`` and ``every``."""

    @functools.wraps(function)
    def with_namespaces(*arguments: Any, namespace: tuple[str, ...], all_namespaces: bool, **options: Any) -> Any:
        if namespace and all_namespaces:
            raise click.UsageError("--namespace names some and --all-namespaces means all: choose one")
        return function(*arguments, namespaces=namespace, every=all_namespaces, **options)

    decorated = click.option(
        "--all-namespaces", is_flag=True, help="Every namespace of the cluster in which there is a route record."
    )(with_namespaces)
    return click.option(
        "--namespace",
        type=NamespaceType(),
        metavar="NAME",
        multiple=True,
        help="Every route of this namespace of the cluster; may be repeated.",
    )(decorated)  # type: ignore[return-value]


def no_route(route: str | None, where: Where) -> None:
    """Raises UsageError where a single route is named as well."""
    if route is not None or where.route_file is not None:
        raise click.UsageError("--namespace and --all-namespaces are for every route there: name no route beside them")


def in_namespaces(
    where: Where, namespaces: tuple[str, ...], every: bool, work: "Callable[[KubeClient, str], Awaitable[Marking]]"
) -> "dict[str, Marking]":
    """Do ``work`` in one namespace after the other; returns what became of it, by namespace."""
    from activities.kube import KubeClient
    from activities.routers.kube.namespace_freeze import namespaces_with_routes

    async def all_of_them() -> "dict[str, Marking]":
        async with KubeClient(context=where.context) as client:
            chosen = await namespaces_with_routes(client) if every else list(dict.fromkeys(namespaces))
            return {namespace: await work(client, namespace) for namespace in chosen}

    return asyncio.run(all_of_them())


def failures_as_data(done: "dict[str, Marking]") -> dict[str, str]:
    return {place: str(error) for marking in done.values() for place, error in marking.failures.items()}


def tell_failures(console: Console, done: "dict[str, Marking]") -> ExitCode:
    """Name on standard error whatever could not be done.  Returns the exit code of all of it."""
    failures = {place: error for marking in done.values() for place, error in marking.failures.items()}
    if not failures:
        return ExitCode.DONE
    if not console.is_json:
        console.aside("This could not be done, and all the rest was. Mend it and run the command again:")
        for place, error in failures.items():
            console.complain(f"  {place}: {console.say(str(error))}", None, said=True)
    unreachable = all(isinstance(error, Unreachable) for error in failures.values())
    return ExitCode.UNREACHABLE if unreachable else ExitCode.REFUSED
