"""The manifests of the processes and of their monitoring: accepted to the last field, and right in whom they name."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from kube_manifests import BASE, KINDS, KUBERNETES, MONITORING, documents, kustomization

from activities.kube.resources import PODS, SERVICES
from lab import programs
from lab.control_plane import NAMESPACES
from lab.given_cluster import Plane
from worker.settings import PREFIX, WorkerSettings

NAME = "tailramp"
"""Of the namespace of the processes."""
PROCESSES = ["tailramp-control", "tailramp-sentinel", "tailramp-watch"]
STATUS_PORT = 9464
NOT_OBJECTS = {"kustomization.yaml", "tailramp.yaml", "canary.yaml"}
"""Names of YAML files that are for kustomize or for tailramp itself."""


def of_kind(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [document for document in documents(folder) if document["kind"] == kind]


def settings() -> dict[str, str]:
    lines = (BASE / "settings.env").read_text(encoding="utf-8").splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def selector(labels: dict[str, str]) -> str:
    assert labels, "an empty selector selects everything"
    return ",".join(f"{name}={value}" for name, value in labels.items())


@pytest.fixture(scope="module")
def plane_of_processes(plane: Plane) -> Plane:
    """With the namespace of the processes, and the resources of the Prometheus Operator that are used there."""

    async def prepare() -> None:
        crds = [f"{KINDS[document['kind']].plural}.monitoring.coreos.com" for document in documents(MONITORING)]
        await plane.api.define(programs.ensure_folder("prometheus-operator"), crds)
        async with plane.api.client() as admin:
            await admin.create(NAMESPACES, None, *of_kind(BASE, "Namespace"))

    asyncio.run(prepare())
    return plane


@pytest.mark.own_api_server
@pytest.mark.parametrize("folder", [BASE, MONITORING], ids=lambda folder: folder.name)
async def test_the_manifests_are_what_the_api_server_accepts(plane_of_processes: Plane, folder: Path) -> None:
    """Every field is known to the API: a misspelt one would be dropped in silence, a probe or a limit with it."""
    async with plane_of_processes.api.client() as admin:
        for document in documents(folder):
            if document["kind"] != "Namespace":
                await admin.create(KINDS[document["kind"]], NAME, document, dry_run=True)


@pytest.mark.own_api_server
async def test_the_service_monitor_leads_to_the_status_port_of_every_process(plane_of_processes: Plane) -> None:
    """Whom a selector means is asked of the API server, which also holds the pods against the namespace's security."""
    (monitor,) = of_kind(MONITORING, "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    async with plane_of_processes.api.client() as admin:
        for service in of_kind(BASE, "Service"):
            await admin.create(SERVICES, NAME, service)
        for deployment in of_kind(BASE, "Deployment"):
            pod = deployment["spec"]["template"]
            made = {**pod, "metadata": {**pod["metadata"], "name": deployment["metadata"]["name"]}}
            await admin.create(PODS, NAME, made)

        found = await admin.find_all(SERVICES, NAME, selector(monitor["spec"]["selector"]["matchLabels"]))
        assert [service["metadata"]["name"] for service in found] == [NAME]
        (port,) = [port for port in found[0]["spec"]["ports"] if port["name"] == endpoint["port"]]
        pods = await admin.find_all(PODS, NAME, selector(found[0]["spec"]["selector"]))
        assert sorted(pod["metadata"]["name"] for pod in pods) == PROCESSES
        for pod in pods:
            (container,) = pod["spec"]["containers"]
            numbers = {each["name"]: each["containerPort"] for each in container["ports"]}
            assert numbers[port["targetPort"]] == STATUS_PORT

        (policy,) = of_kind(BASE, "NetworkPolicy")
        guarded = await admin.find_all(PODS, NAME, selector(policy["spec"]["podSelector"]["matchLabels"]))
        assert sorted(pod["metadata"]["name"] for pod in guarded) == PROCESSES
    assert policy["spec"]["ingress"] == [{"ports": [{"protocol": "TCP", "port": STATUS_PORT}]}]


def test_the_processes_serve_what_is_scraped_at_the_port_that_the_pods_name() -> None:
    said = {name: value for name, value in settings().items() if name.endswith("_HTTP")}
    assert said == {
        f"{PREFIX}{process.removeprefix('tailramp-').upper()}_HTTP": f"0.0.0.0:{STATUS_PORT}" for process in PROCESSES
    }


def test_what_names_a_namespace_is_in_that_of_the_processes() -> None:
    """A ServiceMonitor that says nothing else looks for Services in its own namespace alone."""
    for folder in (BASE, MONITORING):
        assert kustomization(folder)["namespace"] == NAME
        namespaced = [document for document in documents(folder) if document["kind"] != "Namespace"]
        assert {document["metadata"]["namespace"] for document in namespaced} == {NAME}
    (monitor,) = of_kind(MONITORING, "ServiceMonitor")
    assert "namespaceSelector" not in monitor["spec"]


def test_every_process_runs_twice() -> None:
    deployments = {each["metadata"]["name"]: each["spec"]["replicas"] for each in of_kind(BASE, "Deployment")}
    assert deployments == dict.fromkeys(PROCESSES, 2)


def test_every_setting_of_the_manifests_is_one_that_the_processes_read() -> None:
    known = {f"{PREFIX}{field.upper()}" for field in WorkerSettings.model_fields} | {"TEMPORAL_ADDRESS"}
    assert set(settings()) <= known


def test_every_kustomization_names_what_is_there_and_leaves_no_object_out() -> None:
    folders = [file.parent for file in KUBERNETES.rglob("kustomization.yaml")]
    assert {BASE, MONITORING} < set(folders)
    named: list[Path] = []
    for folder in folders:
        said = kustomization(folder)
        for name in said["resources"]:
            path = (folder / name).resolve()
            assert path.is_file() or (path / "kustomization.yaml").is_file(), f"{folder}: {name}"
            named += [path] if path.is_file() else []
        for generator in said.get("configMapGenerator", []):
            for name in [*generator.get("files", []), *generator.get("envs", [])]:
                assert (folder / name).is_file(), f"{folder}: {name}"
    objects = [path for path in KUBERNETES.rglob("*.yaml") if path.name not in NOT_OBJECTS]
    assert sorted(named) == sorted(objects)
