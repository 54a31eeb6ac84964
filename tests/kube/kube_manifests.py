"""The manifests of ``deploy/kubernetes`` as ``kubectl apply -k`` sends them, without images and generated objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from activities.kube import Resource
from activities.kube.resources import DEPLOYMENTS, HTTP_ROUTES, INGRESSES, SERVICES
from lab.control_plane import NAMESPACES

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
BASE = KUBERNETES / "base"
MONITORING = KUBERNETES / "monitoring"
RBAC = "rbac.authorization.k8s.io"
KINDS = {
    resource.kind: resource
    for resource in (
        NAMESPACES,
        SERVICES,
        DEPLOYMENTS,
        INGRESSES,
        HTTP_ROUTES,
        Resource("", "v1", "serviceaccounts", "ServiceAccount"),
        Resource(RBAC, "v1", "roles", "Role"),
        Resource(RBAC, "v1", "rolebindings", "RoleBinding"),
        Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"),
        Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
        Resource("monitoring.coreos.com", "v1", "servicemonitors", "ServiceMonitor"),
        Resource("monitoring.coreos.com", "v1", "prometheusrules", "PrometheusRule"),
    )
}


def kustomization(folder: Path) -> dict[str, Any]:
    """What ``kustomization.yaml`` of the folder says."""
    said: dict[str, Any] = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    return said


def documents(folder: Path) -> list[dict[str, Any]]:
    """The objects of the folder, and of the folders that it names."""
    made: list[dict[str, Any]] = []
    for name in kustomization(folder)["resources"]:
        path = folder / name
        made += documents(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    return made
