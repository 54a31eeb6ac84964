"""Our gateways in a cluster: accepted by the API server to the last field, and enough for a gateway."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from kube_manifests import KINDS, documents
from kube_namespace import Namespace
from living_label import GATEWAY, GATEWAY_ROLE_FILE, role_of

from activities.kube import Denied, KubeClient
from activities.kube.client import EventKind
from activities.kube.resources import LEASES
from cli.__main__ import main
from cli.gateway_command import _gateway, _identity
from lab.envoy_server import EnvoyServer
from lab.nginx_server import find_nginx, why_no_nginx
from lab.process import free_port
from tailramp.buckets import BucketFunction
from tailramp.spec import load_platform

NGINX = GATEWAY.with_name("gateway-label-nginx")
BEHIND = GATEWAY.with_name("gateway-behind")
"""The gateway before an Ingress or an HTTPRoute, which follows no record."""
BEHIND_KINDS = {"Deployment", "PodDisruptionBudget", "Service", "NetworkPolicy"}
FOLLOWING_KINDS = BEHIND_KINDS | {"ServiceAccount", "Role", "RoleBinding"}


def pod_of(folder: Path) -> dict[str, Any]:
    """The one pod template, with the init containers among its containers, by name."""
    (pod,) = [made["spec"]["template"]["spec"] for made in documents(folder) if made["kind"] == "Deployment"]
    return {**pod, "containers": {each["name"]: each for each in [*pod["initContainers"], *pod["containers"]]}}


@pytest.mark.parametrize(
    ("folder", "kinds"),
    [
        (GATEWAY, FOLLOWING_KINDS),
        (NGINX, FOLLOWING_KINDS),
        (BEHIND, BEHIND_KINDS),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
async def test_every_manifest_is_accepted_with_strict_fields(
    namespace: Namespace, folder: Path, kinds: set[str]
) -> None:
    made = documents(folder)
    assert {document["kind"] for document in made} == kinds
    for document in made:
        await namespace.admin.create(KINDS[document["kind"]], namespace.name, document, dry_run=True)


def test_the_platform_file_beside_them_makes_a_gateway() -> None:
    platform = load_platform(GATEWAY / "tailramp.yaml")
    gateway = _gateway(
        platform,
        listen=("0.0.0.0", 8080),
        admin=("0.0.0.0", 9901),
        probe_secret_file=Path("/etc/tailramp-probe/secret"),
        access_log=None,
        identity=_identity(platform.identity, None, (), None),
    )
    assert set(gateway.clusters.values()) == {"alb.llm:80"}
    assert gateway.behind_host == "chat-gateway.llm"
    assert gateway.lease_file == Path("/var/lib/tailramp/gateway/lease/routes.json")


@pytest.mark.parametrize("folder", [GATEWAY, NGINX, BEHIND], ids=lambda folder: folder.name)
def test_the_gateway_serves_until_its_answers_are_over_and_only_it_can_read_the_secret(folder: Path) -> None:
    """Envoy ends at once on SIGTERM, with whatever it is answering; what does not ask for probes needs no secret."""
    pod = pod_of(folder)
    containers = pod["containers"]
    gateway = "nginx" if folder == NGINX else "envoy"
    program, seconds = containers[gateway]["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    assert 60 <= int(seconds) <= pod["terminationGracePeriodSeconds"] - 5
    mounts = {name: {mount["name"] for mount in container["volumeMounts"]} for name, container in containers.items()}
    assert mounts.pop(gateway) == {"probe", "gateway"}
    assert set(mounts) == ({"bootstrap"} if folder == BEHIND else {"bootstrap", "follow"})
    assert all(mounted == {"platform", "gateway"} for mounted in mounts.values())


async def test_what_the_manifest_asks_for_is_a_gateway_that_hands_everyone_on(tmp_path: Path) -> None:
    """The command of the init container, with the folders and ports of this machine, and Envoy on what it writes."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers.get("X-User-Bucket", ""))
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port, secret = free_port(), tmp_path / "secret"
    secret.write_text("a secret of at least thirty-two bytes", encoding="utf-8")
    here = {
        "--platform": BEHIND / "tailramp.yaml",
        "--listen": f"127.0.0.1:{port}",
        "--admin": f"127.0.0.1:{free_port()}",
        "--probe-secret-file": secret,
        "--routes": tmp_path / "gateway" / "routes.json",
        "--bootstrap": tmp_path / "gateway" / "envoy.json",
    }
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        here["--behind"] = f"http://127.0.0.1:{runner.addresses[0][1]}"
        command, *options = pod_of(BEHIND)["containers"]["bootstrap"]["args"]
        named = [option.partition("=")[0] for option in options]
        assert set(named) == here.keys()
        assert await asyncio.to_thread(main, [command, *(f"{name}={here[name]}" for name in named)]) == 0
        bootstrap = json.loads((tmp_path / "gateway" / "envoy.json").read_text(encoding="utf-8"))
        async with EnvoyServer(tmp_path / "envoy", bootstrap), aiohttp.ClientSession() as http:
            headers = {"X-User-Id": "13800001234", "X-User-Bucket": "forged"}
            async with http.get(f"http://127.0.0.1:{port}/v1/chat", headers=headers) as response:
                assert response.status == 200
    finally:
        await runner.cleanup()
    compute = BucketFunction(load_platform(BEHIND / "tailramp.yaml").identity.salt)
    assert compute("13800001234") in asked
    assert "forged" not in asked


@pytest.mark.skipif(bool(why_no_nginx()), reason=why_no_nginx())
def test_what_the_manifest_of_nginx_asks_for_is_one_that_nginx_takes(tmp_path: Path) -> None:
    """The command of the init container, with the files of this machine, and the options of the gateway's own."""
    containers = pod_of(NGINX)["containers"]
    command, *options = containers["bootstrap"]["args"]
    said = dict(option.split("=", 1) for option in options)
    conf = tmp_path / "nginx.conf"
    assert containers["nginx"]["command"] == ["openresty", "-e", "stderr", "-c", said["--bootstrap"]]
    assert said.pop("--platform") == "/etc/tailramp/tailramp.yaml"
    here = {**said, "--platform": NGINX / "tailramp.yaml", "--bootstrap": conf}
    found = find_nginx()
    if found.modules is not None:
        here["--nginx-modules"] = found.modules
    assert main([command, *(f"{name}={value}" for name, value in here.items())]) == 0
    text = conf.read_text(encoding="utf-8")
    assert f"resolver {said['--resolver']}:53" in text
    conf.write_text(text.replace("/var/lib/tailramp/gateway", str(tmp_path)), encoding="utf-8")
    done = subprocess.run(
        [found.program, "-t", "-e", "stderr", "-c", conf], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["tailramp-another", ""])
async def test_a_gateway_sees_no_record_but_its_own(namespace: Namespace, name: str) -> None:
    await namespace.allow(role_of(GATEWAY_ROLE_FILE)["rules"])
    await namespace.admin.create(LEASES, namespace.name, {"metadata": {"name": "tailramp-another"}})
    async with KubeClient(namespace.kubeconfig) as client:
        with pytest.raises(Denied, match="cannot list"):
            await anext(client.watch(LEASES, namespace.name, name=name))


async def test_the_role_of_a_gateway_is_enough_to_follow_a_record(namespace: Namespace) -> None:
    await namespace.allow(role_of(GATEWAY_ROLE_FILE)["rules"])
    await follow(namespace)


@pytest.mark.parametrize("verb", role_of(GATEWAY_ROLE_FILE)["rules"][0]["verbs"])
async def test_nothing_of_the_role_of_a_gateway_could_be_left_out(namespace: Namespace, verb: str) -> None:
    (rule,) = role_of(GATEWAY_ROLE_FILE)["rules"]
    await namespace.allow([{**rule, "verbs": [other for other in rule["verbs"] if other != verb]}])
    with pytest.raises(Denied):
        await follow(namespace)


async def follow(namespace: Namespace) -> None:
    """Everything that a gateway does with the cluster."""
    async with KubeClient(namespace.kubeconfig) as client:
        watch = client.watch(LEASES, namespace.name, name="tailramp-chat")
        async with contextlib.aclosing(watch) as events:
            first = await anext(events)
            assert (first.kind, first.objects) == (EventKind.LISTED, [])
            await namespace.admin.create(LEASES, namespace.name, {"metadata": {"name": "another"}})
            await namespace.admin.create(LEASES, namespace.name, {"metadata": {"name": "tailramp-chat"}})
            second = await anext(events)
            assert (second.kind, second.objects[0]["metadata"]["name"]) == (EventKind.CHANGED, "tailramp-chat")
            await namespace.admin.delete(LEASES, namespace.name, "tailramp-chat")
            assert (await anext(events)).kind is EventKind.GONE
