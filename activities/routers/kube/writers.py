"""Who has written an object, by the API server's own account."""

from activities.kube.client import FIELD_MANAGER, Keepers, Object
from activities.routers.kube.planner import annotations_of, labels_of

_GITOPS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "fleet.cattle.io/bundle-id": "Fleet",
}
"""Labels and annotations by which controllers that put objects back mark what is theirs."""


def others(found: Object) -> str:
    """``kubectl-edit at 2026-03-01T10:00:00Z``: the last writer that is not tailramp, or ``nobody known``."""
    written = [
        (str(entry.get("time", "")), str(entry.get("manager", "")))
        for entry in found["metadata"].get("managedFields") or []
        if entry.get("manager") != FIELD_MANAGER and entry.get("subresource") != "status"
    ]
    keeper = keeper_of(found)
    by = f"{max(written)[1]} at {max(written)[0]}" if written else "nobody known"
    return f"{by}; {keeper} keeps this object as its repository says" if keeper else by


def written_by_us(found: Object) -> bool:
    """Whether the last write was tailramp's; False where another one has the same second."""
    written = [
        (str(entry.get("time", "")), entry.get("manager") == FIELD_MANAGER)
        for entry in found["metadata"].get("managedFields") or []
        if entry.get("subresource") != "status"
    ]
    latest = max((at for at, _ in written), default="")
    return bool(written) and all(ours for at, ours in written if at == latest)


def keeper_of(found: Object) -> str | None:
    """The GitOps controller that the object belongs to, if any."""
    marks = {**labels_of(found), **annotations_of(found)}
    return next((keeper for mark, keeper in _GITOPS.items() if mark in marks), None)


def owner_of(found: Object) -> str | None:
    """``InferenceService/chat``: the object whose controller writes this one, if any."""
    owners = found["metadata"].get("ownerReferences") or []
    return next((f"{owner['kind']}/{owner['name']}" for owner in owners if owner.get("controller")), None)


def held_by(keepers: Keepers) -> str:
    """Why an object that was deleted is still there, and what would mend it."""
    return f"it was deleted, and is kept by the finalizer {', '.join(keepers)} until whoever set it takes it away"
