"""Which cluster a client means, what it says of a kubeconfig that does not work, and how it outlives credentials."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from broken_api import BrokenApi
from kube_namespace import USER, Namespace
from kubernetes.aio.client import Configuration

from activities.kube import KubeClient, access, client
from activities.kube.access import configure
from activities.kube.resources import LEASES
from lab.process import wait_until
from tailramp.errors import Unreachable

CONFIG: dict[str, Any] = {
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "x",
}


def written(path: Path, *, server: str = "https://127.0.0.1:1", context: str = "x", **user: Any) -> Path:
    """A kubeconfig of one context."""
    config = copy.deepcopy(CONFIG)
    config["clusters"][0] = {"name": context, "cluster": {"server": server}}
    config["contexts"][0] = {"name": context, "context": {"cluster": context, "user": context}}
    config["users"][0] = {"name": context, "user": user or {"token": "t"}}
    config["current-context"] = context
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def by_command(script: str) -> dict[str, Any]:
    """Credentials by a command of the user's."""
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script]}}


async def host_of(kubeconfig: Path | None = None, context: str | None = None) -> str:
    configuration = Configuration()
    await configure(configuration, kubeconfig, context)
    return str(configuration.host)


# Which cluster.


async def test_the_first_file_that_names_a_current_context_decides_as_with_kubectl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, missing = tmp_path / "empty", tmp_path / "missing"
    empty.write_text("", encoding="utf-8")
    first = written(tmp_path / "first", server="https://production:6443", context="production")
    second = written(tmp_path / "second", server="https://staging:6443", context="staging")
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, (missing, empty, first, second))))
    assert await host_of() == "https://production:6443"
    assert await host_of(context="staging") == "https://staging:6443"
    assert await host_of(second) == "https://staging:6443"


async def test_a_kubeconfig_that_is_named_comes_before_the_cluster_around_a_job_of_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("t", encoding="utf-8")
    monkeypatch.setattr(access, "_SERVICE_ACCOUNT_TOKEN", token)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBECONFIG", str(written(tmp_path / "given", server="https://elsewhere:6443")))
    assert await host_of() == "https://elsewhere:6443"
    around: list[object] = []
    monkeypatch.setattr("kubernetes.aio.config.load_incluster_config", lambda **given: around.append(given))
    for named in (str(tmp_path / "nothing"), ""):
        monkeypatch.setenv("KUBECONFIG", named)
        await configure(Configuration(), None, None)
    assert len(around) == 2


# What does not work.


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("- a", "is no kubeconfig"),
        ("a: [", "is malformed"),
        (yaml.safe_dump({**CONFIG, "users": []}), "is malformed"),
        (yaml.safe_dump({**CONFIG, "clusters": []}), "Expected object with name c"),
        (yaml.safe_dump({**CONFIG, "current-context": ""}), "names no current context"),
        (yaml.safe_dump({**CONFIG, "clusters": [{"name": "c", "cluster": {"server": "k:6443"}}]}), "server 'k:6443'"),
        (
            yaml.safe_dump(
                {
                    **CONFIG,
                    "clusters": [
                        {"name": "c", "cluster": {"server": "https://k", "certificate-authority-data": "aGVsbG8="}}
                    ],
                }
            ),
            "no certificate",
        ),
    ],
    ids=["empty", "a list", "no YAML", "no user", "no cluster", "no context", "no scheme", "no certificate"],
)
async def test_a_kubeconfig_that_cannot_be_used_is_named_with_what_is_wrong(
    text: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text, encoding="utf-8")
    async with KubeClient(path) as reader:
        with pytest.raises(Unreachable, match="there is no way to the Kubernetes API") as error:
            await reader.find(LEASES, "llm", "tailramp-chat")
    assert said in str(error.value)


async def test_a_command_that_gives_no_credentials_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with KubeClient(written(tmp_path / "failing", **by_command("exit 3"))) as failing:
        with pytest.raises(Unreachable, match="sh, the command that the context x logs in with, gave no credentials"):
            await failing.find(LEASES, "llm", "tailramp-chat")
    ended = tmp_path / "ended"
    monkeypatch.setattr(access, "LOGIN_SECONDS", 0.2)
    async with KubeClient(written(tmp_path / "waiting", **by_command(f"sleep 2; mkdir '{ended}'"))) as waiting:
        with pytest.raises(Unreachable, match=r"the login of the context x did not end within 0\.2 s"):
            await waiting.find(LEASES, "llm", "tailramp-chat")
    await wait_until(lambda: asyncio.to_thread(ended.is_dir), 30, "the command has ended")


# Credentials that expire, and lists that do.


async def test_calls_that_meet_an_expired_token_together_all_go_on_with_the_next_one(
    namespace: Namespace, tmp_path: Path
) -> None:
    """The first that begins anew must not take the connection from under the others."""
    config = yaml.safe_load(namespace.kubeconfig.read_text(encoding="utf-8"))
    token = namespace.plane.api.tokens[USER]

    def credentials(text: str) -> str:
        status = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {"token": text}}
        return json.dumps(status)

    used = tmp_path / "used"
    script = f"if mkdir '{used}'; then echo '{credentials('expired')}'; else echo '{credentials(token)}'; fi"
    config["users"][0]["user"] = by_command(script)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config), encoding="utf-8")
    async with KubeClient(kubeconfig, seconds=60) as many:
        found = await asyncio.gather(*(many.find_all(LEASES, namespace.name) for _ in range(12)))
    assert used.is_dir(), "the first token was the wrong one"
    assert found == [[]] * 12


async def test_a_list_that_the_server_forgets_between_two_pages_is_begun_anew(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE", 2)
    for number in range(5):
        await namespace.admin.create(LEASES, namespace.name, {"metadata": {"name": f"lease-{number}"}})
    asked = 0

    def second_page(method: str, path: str) -> int | None:
        nonlocal asked
        asked += path.endswith("/leases")
        return 410 if asked == 2 else None

    async with (
        BrokenApi(namespace.plane.api, USER, tmp_path) as wire,
        KubeClient(wire.kubeconfig, seconds=60) as lister,
    ):
        wire.spoil(second_page, times=9)
        found = await lister.find_all(LEASES, namespace.name)
        assert wire.spoilt == 1
    assert [lease["metadata"]["name"] for lease in found] == [f"lease-{number}" for number in range(5)]


async def test_a_call_waits_as_long_as_the_server_says_and_a_rollback_never_longer_than_two_seconds(
    namespace: Namespace, tmp_path: Path
) -> None:
    async with (
        BrokenApi(namespace.plane.api, USER, tmp_path) as wire,
        KubeClient(wire.kubeconfig, seconds=60) as patient,
    ):
        await patient.find_all(LEASES, namespace.name)
        for said, least in (("1", 1.0), ("3600", 2.0)):
            wire.retry_after = said
            wire.spoil(lambda *_: 429, times=1)
            begun = time.monotonic()
            await patient.find_all(LEASES, namespace.name)
            assert wire.spoilt == 1
            assert least <= time.monotonic() - begun < 60
