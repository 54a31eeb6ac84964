"""``tailramp follow``: the process beside each of our gateways that keeps it as the route record says."""

from pathlib import Path

import click

from cli import files
from cli.console import Console, output_option
from cli.exit_codes import ExitCode
from tailramp.errors import Refused


@click.command("follow")
@files.platform_option
@click.option("--default", metavar="SLOT", required=True, help="Who serves everyone as long as there is no record.")
@click.option(
    "--admin",
    metavar="URL",
    default="http://127.0.0.1:9901",
    show_default=True,
    help="The admin interface of the gateway beside this process.",
)
@output_option
@click.pass_obj
def follow_command(console: Console, platform: Path | None, default: str, admin: str) -> ExitCode:
    """Keep the gateway beside this process as the route record says.

    For the router gateway-label: watches the route's Lease and writes the route file that Envoy or nginx reads, and
    beside it until when that may be trusted. Where this process dies, or is cut off from the cluster, the gateway sends
    everyone back to the original default once the candidates' leases have run out. Run one beside each gateway, before
    it starts.

    It runs until SIGTERM or Ctrl-C. With -o json each line of the log is a JSON object on standard output; `event` is
    started, written or ended in those that say so.
    """
    from tailramp.spec import GatewayLabelRouter, load_platform
    from worker.__main__ import follow
    from worker.follower import Followed

    spec = load_platform(files.find_platform(platform))
    router = spec.router
    if not isinstance(router, GatewayLabelRouter):
        raise Refused(f"router.kind is {router.kind}: only the gateways of gateway-label follow the record")
    files.known_slot("--default", default, spec.slots)
    route = spec.route
    followed = Followed(route.namespace, route.name, router.file, router.lease_file, default, admin)
    return ExitCode(follow(followed, router.context, as_json=console.is_json))
