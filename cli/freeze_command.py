"""``tailramp freeze``: nothing new may start or grow on a route, in a namespace or in a cluster."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cli import files
from cli.actor import asserted_actor
from cli.console import Console, output_option
from cli.exit_codes import ExitCode
from cli.kill_commands import expect, mark_as_data
from cli.namespaces import failures_as_data, in_namespaces, namespaces_options, no_route, tell_failures
from cli.where import Where, router_of, run, where_options, written_or_told

if TYPE_CHECKING:
    from tailramp.route_record import Mark, RouteRecord


@click.command("freeze")
@files.route_argument
@where_options
@namespaces_options
@click.option(
    "--reason", type=files.TextType(), required=True, help="Why, in your words; it stands in the route record."
)
@output_option
@click.pass_obj
def freeze_command(
    console: Console, route: str | None, where: Where, namespaces: tuple[str, ...], every: bool, reason: str
) -> ExitCode:
    """Let nothing start or grow on a route until `tailramp lift`.

    A live ramp keeps what it serves, with its checks on; rollbacks, shrinks and `kill` still work. Needs the route
    record and nothing else.

    With --namespace, every route of a namespace of the cluster, those included that have had no ramp yet; with
    --all-namespaces, those of every namespace in which there is a route record.
    """
    from tailramp.route_record import Mark, frozen

    mark = Mark(at=datetime.now(UTC), by=asserted_actor(), reason=reason)
    if namespaces or every:
        return _freeze_namespaces(console, route, where, namespaces, every, mark)
    router = router_of(console, where, route)

    async def freeze() -> "RouteRecord":
        expect(await router.record(), route)
        return (await router.renew(lambda record: frozen(record, mark))).record

    with written_or_told():
        record = run(router, freeze())
    name = record.route
    data = {"route": name, "freeze": mark_as_data(record.freeze), "epoch": record.epoch}
    console.answer(f"{name} is frozen. `tailramp lift {name} --reason ...` ends it.", data)
    return ExitCode.DONE


def _freeze_namespaces(
    console: Console, route: str | None, where: Where, namespaces: tuple[str, ...], every: bool, mark: "Mark"
) -> ExitCode:
    from activities.routers.kube.namespace_freeze import freeze_namespace

    no_route(route, where)
    done = in_namespaces(where, namespaces, every, lambda client, namespace: freeze_namespace(client, namespace, mark))
    lines = [
        f"{namespace} is frozen, with {len(marking.routes)} routes. "
        f"`tailramp lift --namespace {namespace} --reason ...` ends it."
        if marking.mark is not None
        else f"{namespace} takes new ramps still, and {len(marking.routes)} of its routes are frozen."
        for namespace, marking in done.items()
    ]
    frozen = {namespace: [str(found) for found in marking.routes] for namespace, marking in done.items()}
    data = {"frozen": frozen, "failed": failures_as_data(done)}
    console.answer("\n".join(lines) or "no namespace has a route record", data)
    return tell_failures(console, done)
