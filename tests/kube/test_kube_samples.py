"""The sample routes: accepted by the API server to the last field, and each pair of files a ramp on its route."""

from __future__ import annotations

import pytest
from kube_manifests import KINDS, KUBERNETES, documents
from kube_namespace import Namespace
from record_changes import BLUE

from activities.kube import KubeClient
from activities.routers.kube import KubernetesRouter, binding_of
from tailramp.planning import make_plan
from tailramp.spec import load_spec

SAMPLES = KUBERNETES / "samples"


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
