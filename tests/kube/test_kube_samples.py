"""The sample routes: accepted by the API server to the last field, and each pair of files a ramp on its route."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_namespace import Namespace
from record_changes import BLUE

from activities.kube import KubeClient, Resource
from activities.kube.resources import HTTP_ROUTES, INGRESSES, SERVICES
from activities.routers.kube import KubernetesRouter, binding_of
from tailramp.planning import make_plan
from tailramp.spec import load_spec

SAMPLES = Path(__file__).parents[2] / "deploy" / "kubernetes" / "samples"
KINDS = {
    "Deployment": Resource("apps", "v1", "deployments", "Deployment"),
    "Service": SERVICES,
    "Ingress": INGRESSES,
    "HTTPRoute": HTTP_ROUTES,
}


def documents(folder: Path) -> list[dict[str, Any]]:
    """What `kubectl apply -k` of the folder sends."""
    made: list[dict[str, Any]] = []
    for name in yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]:
        path = folder / name
        made += documents(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    return made


@pytest.mark.parametrize("kind", ["ingress-nginx", "gateway-api", "gateway-label"])
async def test_a_sample_is_accepted_and_is_a_route_with_two_slots(namespace: Namespace, kind: str) -> None:
    made = documents(SAMPLES / kind)
    assert sorted(document["metadata"]["name"] for document in made if document["kind"] == "Service") == [
        "chat-blue",
        "chat-green",
    ]
    for document in made:
        await namespace.admin.create(KINDS[document["kind"]], namespace.name, document)
    spec = load_spec(SAMPLES / "canary.yaml", SAMPLES / kind / "tailramp.yaml")
    assert set(spec.platform.slots) == {"blue", "green"}
    if kind == "gateway-label":
        return
    async with KubeClient(namespace.kubeconfig) as client:
        router = KubernetesRouter(client, namespace.name, "chat", binding_of(spec.platform))
        assert (await router.record()).assignment == BLUE
        problems = await router.preflight(make_plan(spec, default="blue", candidates=["green"]))
    # No controllers run here: nobody computes endpoints, and no gateway accepts a route.
    said = [problem.reason for problem in problems]
    assert [reason for reason in said if "endpoint" not in reason and "accepted by gateway" not in reason] == []
