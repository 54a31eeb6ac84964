"""``tailramp gateway``: what Envoy or nginx starts with, made from the platform file.

How a user id becomes a bucket is decided twice, in the gateway and in the plan, and nothing works if the two disagree.
So the gateway's side is made from the same file, and the route's first file with it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

import click

from cli import files
from cli.console import Console, output_option
from cli.exit_codes import ExitCode
from tailramp.errors import Refused

if TYPE_CHECKING:
    from gateway.envoy import EnvoyGateway
    from gateway.nginx import NginxGateway
    from tailramp.spec import Identity, PlatformFile

_HTTP: Final = 80

Program = Literal["envoy", "nginx"]


class ListenType(click.ParamType[tuple[str, int]]):
    """``0.0.0.0:8080`` or ``[::]:8080``."""

    name = "ip:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        from pydantic import TypeAdapter, ValidationError

        from worker.settings import Listen

        try:
            address = TypeAdapter(Listen).validate_python(str(value))
        except ValidationError as error:
            self.fail(f"{value!r} {error.errors()[0]['msg'].removeprefix('Value error, ')}", param, ctx)
        if address is None or address.port == 0:
            self.fail(f"{value!r} has no port that somebody could be told: write one from 1 to 65535", param, ctx)
        return address


class ModelType(click.ParamType[tuple[str, str]]):
    """``blue=chat-v1``."""

    name = "slot=model"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        slot, separator, model = str(value).partition("=")
        if not (slot and separator and model):
            self.fail(f"{value!r}: write a slot and what runs in it, such as blue=chat-v1", param, ctx)
        return slot, model


@click.command("gateway")
@files.platform_option
@click.option(
    "--program",
    type=click.Choice(["envoy", "nginx"]),
    default="envoy",
    show_default=True,
    help="What the gateway runs in. nginx, with Lua, is for the router gateway-label.",
)
@click.option(
    "--listen",
    type=ListenType(),
    default="0.0.0.0:8080",
    show_default=True,
    help="Where users come in.",
)
@click.option(
    "--admin",
    type=ListenType(),
    default="127.0.0.1:9901",
    show_default=True,
    help="The gateway's admin interface: the worker and Prometheus read it, nobody else should.",
)
@click.option(
    "--probe-secret-file",
    type=click.Path(path_type=Path),
    help="Where the gateway finds the secret of the signed probes. Needed if the platform file names one.",
)
@click.option("--jwt-issuer", metavar="ISS", help="Whose tokens are believed, for identity.claim.")
@click.option("--jwt-audience", metavar="AUD", multiple=True, help="For whom a token must be; any without it.")
@click.option("--jwks-file", type=click.Path(path_type=Path), help="Where Envoy finds the issuer's public keys.")
@click.option("--access-log", type=click.Path(path_type=Path), help="A JSON line per request, without the user id.")
@click.option(
    "--bootstrap", type=click.Path(path_type=Path, dir_okay=False), help="Write the configuration here, not to output."
)
@click.option(
    "--resolver", metavar="IP", help="The name server that nginx asks where the gateway behind is, if that has a name."
)
@click.option(
    "--nginx-modules",
    type=click.Path(path_type=Path),
    help="The folder with nginx's modules, such as /usr/lib/nginx/modules; OpenResty needs none.",
)
@click.option("--behind", metavar="URL", help="The gateway that reads the bucket, for a route of Kubernetes objects.")
@click.option(
    "--routes",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write there the rule by which everyone is handed on to it.",
)
@click.option("--default", metavar="SLOT", help="Who serves everyone; else the first slot with a --model.")
@click.option("--model", "models", type=ModelType(), multiple=True, help="What runs in a slot; once for each slot.")
@output_option
@click.pass_obj
def gateway_command(
    console: Console,
    platform: Path | None,
    program: Program,
    listen: tuple[str, int],
    admin: tuple[str, int],
    probe_secret_file: Path | None,
    jwt_issuer: str | None,
    jwt_audience: tuple[str, ...],
    jwks_file: Path | None,
    access_log: Path | None,
    bootstrap: Path | None,
    resolver: str | None,
    nginx_modules: Path | None,
    behind: str | None,
    routes: Path | None,
    default: str | None,
    models: tuple[tuple[str, str], ...],
) -> ExitCode:
    """Make what Envoy or nginx starts with, from the platform file.

    Prints Envoy's bootstrap, for `envoy -c FILE`: header rules, buckets, signed probes and a cluster for each slot.
    With --model, the route file of the platform file is written too, with everyone on the default; one that is there
    already is left as it is, since a ramp may be using it.

    Where an Ingress or an HTTPRoute decides, this Envoy stands in front of it and computes the bucket: --behind says
    where everyone is handed on to, and --routes where the rule for that is written.

    With --program nginx it is the configuration of an nginx with Lua, or of OpenResty, that names the slot to the
    gateway behind it: `nginx -e stderr -c FILE`. It reads the files of `tailramp follow` as Envoy does.
    """
    from tailramp.spec import load_platform

    spec = load_platform(files.find_platform(platform))
    gateway = _gateway(
        spec,
        program=program,
        of_nginx={"resolver": resolver, "modules": nginx_modules},
        listen=listen,
        admin=admin,
        probe_secret_file=probe_secret_file,
        access_log=access_log,
        behind=(behind, routes),
        identity=_identity(spec.identity, jwt_issuer, jwt_audience, jwks_file),
    )
    _check_first_route(spec, routes, default, models)
    text = _text(gateway)
    written = _write_routes(spec, gateway.route_file, dict(models), default, hands_on=routes is not None)
    done = {"bootstrap": str(bootstrap) if bootstrap else None, "route": None, "route_written": False}
    lines = []
    if written is not None:
        done |= {"route": str(gateway.route_file), "route_written": written}
        lines = [f"{gateway.route_file} is written" if written else f"{gateway.route_file} is left as it is"]
    if bootstrap is None:
        click.echo(text, nl=False)
        for line in lines:
            console.aside(line)
        return ExitCode.DONE
    _write(bootstrap, text)
    console.answer("\n".join([f"{bootstrap} is written", *lines]), done)
    return ExitCode.DONE


def _text(gateway: "EnvoyGateway | NginxGateway") -> str:
    from gateway.envoy import EnvoyGateway

    if isinstance(gateway, EnvoyGateway):
        return json.dumps(gateway.bootstrap(), indent=2, ensure_ascii=False) + "\n"
    return gateway.configuration()


def _check_first_route(
    platform: "PlatformFile", routes: Path | None, default: str | None, models: tuple[tuple[str, str], ...]
) -> None:
    """Raises UsageError for options of a first route file where there is none to write."""
    if models and routes is not None:
        raise click.UsageError("--model is for the first route file of envoy-file: here everyone is handed on")
    if models and platform.router.kind == "gateway-label":
        raise click.UsageError("--model is for the first route file of envoy-file: `tailramp follow` writes this one")
    if default is not None and not models:
        raise click.UsageError("--default needs a --model for each slot: it is for the first route file")


def _write_routes(
    platform: "PlatformFile", file: Path, models: dict[str, str], default: str | None, *, hands_on: bool
) -> bool | None:
    """Write the routes that the gateway begins with: whether they were written, None if none were asked for."""
    from gateway.pass_on_document import pass_on_document

    if hands_on:
        return _write(file, pass_on_document(platform.route.full_name))
    return _write_first_route(platform, file, models, default) if models else None


def _gateway(
    platform: "PlatformFile",
    *,
    listen: tuple[str, int],
    admin: tuple[str, int],
    probe_secret_file: Path | None,
    access_log: Path | None,
    identity: dict[str, Any],
    behind: tuple[str | None, Path | None] = (None, None),
    program: Program = "envoy",
    of_nginx: Mapping[str, Any] | None = None,
) -> "EnvoyGateway | NginxGateway":
    """Raises Refused for settings that the program could not start with."""
    from pydantic import ValidationError

    router = platform.router
    if router.probe_secret is not None and probe_secret_file is None:
        raise Refused(
            "router.probeSecret is set: say with --probe-secret-file where the gateway finds the same secret. "
            "Without it the gateway accepts no signed probe"
        )
    settings = {
        "listener_host": listen[0],
        "listener_port": listen[1],
        "admin_host": admin[0],
        "admin_port": admin[1],
        "route_config_name": platform.route.full_name,
        **identity,
        **_behind(platform, *behind),
        "probe_path": router.probe_path,
        "probe_secret_file": probe_secret_file,
        "access_log": access_log,
    }
    asked = {name: value for name, value in (of_nginx or {}).items() if value is not None}
    try:
        if program == "envoy":
            from gateway.envoy import EnvoyGateway

            if asked:
                raise Refused("--resolver and --nginx-modules are for --program nginx")
            return EnvoyGateway(**settings)
        from gateway.nginx import NginxGateway

        if router.kind != "gateway-label":
            raise Refused(f"--program nginx is for gateway-label, and router.kind is {router.kind}: use Envoy")
        return NginxGateway(**settings, **asked)
    except ValidationError as error:
        told = "; ".join(detail["msg"].removeprefix("Value error, ") for detail in error.errors())
        if program == "nginx":
            raise Refused(f"nginx cannot start with this: {told}") from None
        raise Refused(f"Envoy cannot start with this: {told}") from None


def _behind(platform: "PlatformFile", behind: str | None, routes: Path | None) -> dict[str, Any]:
    """The route file, and where each slot is: at its servers, or, all of them or each by its label, at the gateway
    behind."""
    from gateway.pass_on_document import BEHIND
    from tailramp.spec import EnvoyFileRouter, GatewayLabelRouter

    router = platform.router
    if not isinstance(router, EnvoyFileRouter | GatewayLabelRouter):
        if behind is None or routes is None:
            raise Refused(
                f"router.kind is {router.kind}: say with --behind where the gateway is that reads the bucket, and with "
                "--routes where the rule is written that hands everyone on to it"
            )
        host = urlsplit(router.gateway).hostname
        clusters = {BEHIND: _endpoint("--behind", behind)}
        return {"route_file": routes.absolute(), "clusters": clusters, "behind_host": host}
    if behind is not None or routes is not None:
        raise Refused(f"--behind and --routes are for a route of Kubernetes objects: router.kind is {router.kind}")
    if isinstance(router, GatewayLabelRouter):
        behind = _endpoint("router.behind", router.behind)
        host = urlsplit(router.gateway).hostname
        places = {"route_file": router.file, "lease_file": router.lease_file, "behind_host": host}
        return {**places, "clusters": dict.fromkeys(platform.slots, behind)}
    clusters = {slot: _endpoint(f"slots.{slot}.url", settings.url) for slot, settings in platform.slots.items()}
    return {"route_file": router.file, "clusters": clusters}


def _identity(
    identity: "Identity", issuer: str | None, audiences: tuple[str, ...], jwks_file: Path | None
) -> dict[str, Any]:
    """What the gateway has to know of users: where their ids stand and how these become buckets.  Raises Refused."""
    from tailramp.spec import IdentityKind

    settings = identity.model_dump(include={"strategy", "salt", "salt_id", "resolution", "allow", "deny"})
    kind, name = identity.source
    if kind is not IdentityKind.CLAIM:
        if issuer or audiences or jwks_file:
            raise Refused("--jwt-issuer, --jwt-audience and --jwks-file are for identity.claim, which is not set")
        return {**settings, f"identity_{kind.value}": name}
    if issuer is None or jwks_file is None:
        raise Refused(
            f"identity.claim is {name}: say with --jwt-issuer whose tokens are believed, and with --jwks-file where "
            "Envoy finds the issuer's public keys"
        )
    jwt = {"issuer": issuer, "audiences": audiences, "jwks_file": jwks_file.absolute()}
    return {**settings, "identity_claim": name, "jwt": jwt}


def _endpoint(field: str, url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "http":
        raise Refused(
            f"{field} is {url}: this gateway speaks plain HTTP to the models. Put a proxy that speaks TLS "
            "beside it, or write your own Envoy configuration"
        )
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or _HTTP}"


def _write_first_route(platform: "PlatformFile", file: Path, models: dict[str, str], default: str | None) -> bool:
    """Write the route's first file unless one is there.  Raises Refused and UsageError for what is no slot."""
    from gateway.route_document import RouteDocument
    from tailramp.route_record import SlotRecord

    if unknown := sorted(set(models) - set(platform.slots)):
        raise Refused(f"--model names {', '.join(unknown)}: the slots are {', '.join(platform.slots)}")
    if missing := [slot for slot in platform.slots if slot not in models]:
        raise Refused(f"--model is missing for {', '.join(missing)}: name what runs in every slot")
    default = default or next(iter(models))
    files.known_slot("--default", default, platform.slots)
    slots = {slot: SlotRecord(model=models[slot]) for slot in platform.slots}
    document = RouteDocument.initial(platform.route.full_name, slots=slots, default=default)
    return _write(file, document.text(), only_new=True)


def _write(path: Path, text: str, *, only_new: bool = False) -> bool:
    """Write ``path`` and return True; with ``only_new`` a file that is there is left, and the answer is False."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x" if only_new else "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError as error:
        raise Refused(
            f"{path} cannot be written: {error.strerror}. Give this user write access to its folder"
        ) from None
    return True
