"""``tailramp gateway``: the side of Envoy or nginx, made from the platform file."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from cli.__main__ import root
from cli.console import Console
from gateway.route_document import RouteDocument
from tailramp.assignment import Assignment

MODELS = ("--model", "blue=chat-v1", "--model", "green=chat-v2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def platform(folder: Path, identity: dict[str, object] | None = None, **router: object) -> Path:
    content = {
        "apiVersion": "tailramp/v1",
        "route": {"namespace": "chat", "name": "completions", "publicModel": "chat"},
        "router": {
            "kind": "envoy-file",
            "file": str(folder / "routes" / "chat.json"),
            "admin": "http://127.0.0.1:9901",
            "gateway": "http://127.0.0.1:8080",
            **router,
        },
        "slots": {
            slot: {"url": f"http://llm-{slot}:8000", "metrics": f'slot="{slot}"', "gatewayMetrics": f'x="{slot}"'}
            for slot in ("blue", "green")
        },
        "identity": identity or {"header": "X-Uid", "salt": "s-2026", "saltId": "2026"},
        "prometheus": {"url": "http://prometheus:9090"},
    }
    path = folder / "tailramp.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def gateway(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(root, ["gateway", "--platform", str(path), *arguments], obj=Console())


def test_the_bootstrap_says_what_the_platform_file_says(folder: Path) -> None:
    done = gateway(platform(folder), "--listen", "0.0.0.0:8081", "--admin", "[::1]:9902")
    assert done.exit_code == 0, done.output
    bootstrap = json.loads(done.stdout)
    said = bootstrap["node"]["metadata"]["tailramp"]
    assert (said["route_config_name"], said["identity"]["name"], said["salt_id"]) == (
        "chat/completions",
        "x-uid",
        "2026",
    )
    listener = bootstrap["static_resources"]["listeners"][0]["address"]["socket_address"]
    assert (listener["address"], listener["port_value"]) == ("0.0.0.0", 8081)
    assert bootstrap["admin"]["address"]["socket_address"] == {"address": "::1", "port_value": 9902}
    assert [cluster["name"] for cluster in bootstrap["static_resources"]["clusters"]] == ["blue", "green"]
    assert not (folder / "routes").exists()


def test_the_first_route_file_serves_everyone_from_the_default_and_is_written_once(folder: Path) -> None:
    path, bootstrap = platform(folder), folder / "envoy" / "envoy.json"
    first = gateway(path, "--bootstrap", str(bootstrap), *MODELS, "--default", "green", "-o", "json")
    assert first.exit_code == 0, first.output
    route = folder / "routes" / "chat.json"
    assert json.loads(first.stdout) == {"bootstrap": str(bootstrap), "route": str(route), "route_written": True}
    record = RouteDocument.parse(route.read_text(encoding="utf-8")).record
    assert record.assignment == Assignment(default="green")
    assert {slot: described.model for slot, described in record.slots.items()} == {
        "blue": "chat-v1",
        "green": "chat-v2",
    }
    stood = route.read_bytes()
    again = gateway(path, "--bootstrap", str(bootstrap), *MODELS, "--default", "blue")
    assert again.exit_code == 0
    assert f"{route} is left as it is" in again.output
    assert route.read_bytes() == stood


@pytest.mark.parametrize(
    ("router", "arguments", "said"),
    [
        ({}, ("--model", "blue=chat-v1"), "--model is missing for green"),
        ({}, (*MODELS, "--model", "teal=chat-v3"), "--model names teal: the slots are blue, green"),
        ({}, (*MODELS, "--default", "teal"), "--default is teal: the slots are blue, green"),
        ({"probeSecret": "${TAILRAMP_PROBE_SECRET}"}, (), "say with --probe-secret-file"),
        ({}, ("--behind", "http://ingress"), "--behind and --routes are for a route of Kubernetes objects"),
        ({}, ("--admin", "0.0.0.0:8080"), "give the admin interface its own"),
    ],
)
def test_what_envoy_could_not_start_with_is_refused(
    folder: Path, router: dict[str, object], arguments: tuple[str, ...], said: str
) -> None:
    done = gateway(platform(folder, **router), *arguments)
    assert done.exit_code != 0
    assert said in f"{done.output}{done.exception}"


INGRESS = {
    "kind": "ingress-nginx",
    "ingress": "chat",
    "gateway": "http://chat.example:8080",
    "backends": {slot: {"name": slot, "port": 80} for slot in ("blue", "green")},
}


def test_before_an_ingress_everyone_is_handed_on_to_what_reads_it(folder: Path) -> None:
    path, routes = platform(folder), folder / "edge" / "routes.json"
    content = {**yaml.safe_load(path.read_text(encoding="utf-8")), "router": INGRESS}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    done = gateway(path)
    assert "say with --behind" in f"{done.output}{done.exception}"
    behind = ("--behind", "http://ingress-nginx:81", "--routes", str(routes))
    assert gateway(path, *behind, *MODELS).exit_code == 2
    assert not routes.exists()
    done = gateway(path, *behind)
    assert done.exit_code == 0, done.output
    (cluster,) = json.loads(done.stdout)["static_resources"]["clusters"]
    (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"] == {"address": "ingress-nginx", "port_value": 81}
    assert cluster["health_checks"][0]["http_health_check"]["host"] == "chat.example"
    (config,) = json.loads(routes.read_text(encoding="utf-8"))["resources"]
    assert config["name"] == "chat/completions"
    assert config["virtual_hosts"][0]["routes"][0]["route"]["cluster"] == cluster["name"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--listen", "8080"), "'8080' is not IP:PORT, such as"),
        (("--listen", "gateway:80"), "'gateway:80' is not IP:PORT, such as"),
        (("--listen", "0.0.0.0:99999"), "no port between 0 and 65535"),
        (("--listen", "0.0.0.0:0"), "write one from 1 to 65535"),
        (("--model", "chat-v1"), "such as blue=chat-v1"),
        (("--default", "blue"), "--default needs a --model"),
    ],
)
def test_arguments_that_cannot_be_are_wrong_usage(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    done = gateway(platform(folder), *arguments)
    assert done.exit_code == 2
    assert said in done.output


@pytest.mark.parametrize(
    ("identity", "options", "kind", "name"),
    [
        ({}, [], "header", "x-user-id"),
        ({"cookie": "uid"}, [], "cookie", "uid"),
        ({"apiKey": "Authorization"}, [], "api_key", "authorization"),
        ({"claim": "sub"}, ["--jwt-issuer", "https://id", "--jwks-file", "keys.json"], "claim", "sub"),
    ],
)
def test_the_gateway_looks_for_the_user_id_where_the_platform_file_says(
    folder: Path, identity: dict[str, str], options: list[str], kind: str, name: str
) -> None:
    users = {**identity, "salt": "s", "deny": ["9f86d081884c"]}
    path = platform(folder, users, probeSecret="${TAILRAMP_PROBE_SECRET}")
    done = gateway(path, "--probe-secret-file", "/etc/envoy/secret", *options)
    assert done.exit_code == 0, done.output
    bootstrap = json.loads(done.stdout)
    assert bootstrap["node"]["metadata"]["tailramp"]["identity"] == {"kind": kind, "name": name}
    assert ("JwtAuthentication" in done.stdout) == (kind == "claim")
    assert "9f86d081884c" in done.stdout


def test_a_claim_needs_to_be_told_whose_tokens_are_believed_and_nothing_else_does(folder: Path) -> None:
    secret = {"probeSecret": "${TAILRAMP_PROBE_SECRET}"}
    claim = platform(folder, {"claim": "sub", "salt": "s"}, **secret)
    refused = gateway(claim, "--probe-secret-file", "/etc/envoy/secret").exception
    assert "say with --jwt-issuer whose tokens are believed" in str(refused)
    header = platform(folder, {"salt": "s"}, **secret)
    refused = gateway(header, "--probe-secret-file", "/etc/envoy/secret", "--jwt-issuer", "x").exception
    assert "identity.claim, which is not set" in str(refused)


def label_platform(folder: Path, identity: dict[str, object] | None = None, **router: object) -> Path:
    path = platform(folder, identity)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["router"] = {
        "kind": "gateway-label",
        "admin": "http://chat-gateway-admin.llm:9901",
        "gateway": "http://chat-gateway.llm",
        "behind": "http://10.0.0.7:81",
        "file": str(folder / "gateway" / "routes.json"),
        **router,
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_nginx_gets_a_configuration_that_says_what_the_platform_file_says(folder: Path) -> None:
    path, conf = label_platform(folder, probeSecret="${TAILRAMP_PROBE_SECRET}"), folder / "nginx" / "nginx.conf"
    options = ["--program", "nginx", "--listen", "0.0.0.0:8081", "--admin", "[::1]:9902", "--bootstrap", str(conf)]
    options += ["--nginx-modules", "/usr/lib/nginx/modules", "--probe-secret-file", "/etc/tailramp-probe/secret"]
    done = gateway(path, *options)
    assert done.exit_code == 0, done.output
    assert done.output == f"{conf} is written\n"
    text = conf.read_text(encoding="utf-8")
    for said in [
        "listen 0.0.0.0:8081;",
        "listen [::1]:9902;",
        "server 10.0.0.7:81 max_fails=0;",
        'load_module "/usr/lib/nginx/modules/ngx_http_lua_module.so";',
        f'["route_file"] = "{folder / "gateway" / "routes.json"}"',
        f'["lease_file"] = "{folder / "gateway" / "lease" / "routes.json"}"',
        '["name"] = "x-uid"',
        '["name"] = "chat-gateway.llm"',
        '["secret_file"] = "/etc/tailramp-probe/secret"',
    ]:
        assert said in text, said
    assert "@" not in text
    printed = gateway(path, *options[:6], "--probe-secret-file", "/s", "--access-log", "/dev/stdout")
    assert "load_module" not in printed.stdout
    assert 'access_log "/dev/stdout" tailramp;' in printed.stdout


def test_nginx_asks_a_name_server_for_a_gateway_behind_that_has_a_name(folder: Path) -> None:
    path = label_platform(folder, behind="http://alb.llm.svc.cluster.local")
    refused = gateway(path, "--program", "nginx")
    assert "nginx cannot start with this: alb.llm.svc.cluster.local is a name" in str(refused.exception)
    done = gateway(path, "--program", "nginx", "--resolver", "10.96.0.10")
    assert "resolver 10.96.0.10:53 valid=5s;" in done.stdout
    assert 'default "alb.llm.svc.cluster.local:80";' in done.stdout


@pytest.mark.parametrize(
    ("identity", "options", "said"),
    [
        ({"claim": "sub"}, ["--jwt-issuer", "https://id", "--jwks-file", "keys.json"], "nginx verifies no tokens"),
        ({}, ["--model", "blue=chat-v1"], "`tailramp follow` writes this one"),
        ({}, ["--behind", "http://alb"], "--behind and --routes are for a route of Kubernetes objects"),
        ({}, ["--resolver", "kube-dns"], "the resolver 'kube-dns' is not an IP address"),
    ],
)
def test_what_nginx_cannot_do_is_refused(
    folder: Path, identity: dict[str, object], options: list[str], said: str
) -> None:
    path = label_platform(folder, {**identity, "salt": "s"}, probeSecret="${TAILRAMP_PROBE_SECRET}")
    done = gateway(path, "--program", "nginx", "--probe-secret-file", "/etc/secret", *options)
    assert done.exit_code != 0
    assert said in f"{done.output}{done.exception}"


def test_nginx_is_for_routes_by_label_alone_and_its_options_are_for_nginx(folder: Path) -> None:
    refused = gateway(platform(folder), "--program", "nginx")
    assert "--program nginx is for gateway-label, and router.kind is envoy-file" in str(refused.exception)
    refused = gateway(label_platform(folder), "--resolver", "10.96.0.10")
    assert "--resolver and --nginx-modules are for --program nginx" in str(refused.exception)
