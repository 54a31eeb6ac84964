"""A Deployment as a workload."""

from activities.kube.client import Object
from activities.kube.resources import DEPLOYMENTS
from activities.workloads.shape import (
    Standing,
    Template,
    as_selector,
    condition,
    count,
    is_observed,
    match_labels,
)
from tailramp.errors import Problem


class DeploymentShape:
    resource = DEPLOYMENTS
    unit = "pods"

    def templates(self, found: Object) -> list[Template]:
        return [Template("/spec/template", found["spec"]["template"])]

    def standing(self, found: Object) -> Standing:
        failure, progress = condition(found, "ReplicaFailure"), condition(found, "Progressing")
        trouble = ""
        if failure.get("status") == "True":
            trouble = str(failure.get("message") or failure.get("reason"))
        elif progress.get("reason") == "ProgressDeadlineExceeded":
            trouble = f"its progress deadline is over ({progress.get('message', '')})"
        return Standing(
            observed=is_observed(found),
            total=count(found, "replicas"),
            updated=count(found, "updatedReplicas"),
            available=count(found, "availableReplicas"),
            trouble=trouble,
        )

    def problems(self, found: Object) -> list[Problem]:
        if found["spec"].get("paused"):
            mend = f"`kubectl rollout resume deployment {found['metadata']['name']}`"
            return [Problem("spec.paused", "it is paused, so a changed template reaches no pod", mend)]
        return []

    def pod_selector(self, found: Object) -> str:
        return as_selector(match_labels(found))

    def selector_labels(self, found: Object) -> frozenset[str]:
        return frozenset(match_labels(found))
