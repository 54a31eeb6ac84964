"""`deploy/kubernetes/gateway-label`: accepted by the API server to the last field, and enough for a gateway."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_namespace import Namespace
from living_label import GATEWAY, GATEWAY_ROLE_FILE, role_of

from activities.kube import Denied, KubeClient, Resource
from activities.kube.client import EventKind
from activities.kube.resources import LEASES, SERVICES
from cli.gateway_command import _gateway, _identity
from tailramp.spec import load_platform

RBAC = "rbac.authorization.k8s.io"
KINDS = {
    "ServiceAccount": Resource("", "v1", "serviceaccounts", "ServiceAccount"),
    "Role": Resource(RBAC, "v1", "roles", "Role"),
    "RoleBinding": Resource(RBAC, "v1", "rolebindings", "RoleBinding"),
    "Deployment": Resource("apps", "v1", "deployments", "Deployment"),
    "PodDisruptionBudget": Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    "Service": SERVICES,
    "NetworkPolicy": Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
}


def documents() -> list[dict[str, Any]]:
    listed = yaml.safe_load((GATEWAY / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    return [made for name in listed for made in yaml.safe_load_all((GATEWAY / name).read_text(encoding="utf-8"))]


async def test_every_manifest_is_accepted_with_strict_fields(namespace: Namespace) -> None:
    made = documents()
    assert {document["kind"] for document in made} == KINDS.keys()
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


def test_envoy_serves_until_its_answers_are_over_and_only_it_can_read_the_secret() -> None:
    """It ends at once on SIGTERM, with whatever it is answering; what does not ask for probes needs no secret."""
    (pod,) = [document["spec"]["template"]["spec"] for document in documents() if document["kind"] == "Deployment"]
    containers = {container["name"]: container for container in [*pod["initContainers"], *pod["containers"]]}
    program, seconds = containers["envoy"]["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    assert 60 <= int(seconds) <= pod["terminationGracePeriodSeconds"] - 5
    mounts = {name: {mount["name"] for mount in container["volumeMounts"]} for name, container in containers.items()}
    assert mounts == {
        "bootstrap": {"platform", "gateway"},
        "follow": {"platform", "gateway"},
        "envoy": {"probe", "gateway"},
    }


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
