"""A StatefulSet as a workload."""

from activities.kube.client import Object
from activities.kube.resources import STATEFUL_SETS
from activities.workloads.shape import Standing, Template, as_selector, count, is_observed, match_labels
from tailramp.errors import Problem


class StatefulSetShape:
    resource = STATEFUL_SETS
    unit = "pods"

    def templates(self, found: Object) -> list[Template]:
        return [Template("/spec/template", found["spec"]["template"])]

    def standing(self, found: Object) -> Standing:
        status = found.get("status", {})
        total = count(found, "replicas")
        same = status.get("currentRevision") == status.get("updateRevision")
        return Standing(
            observed=is_observed(found),
            total=total,
            updated=total if same else count(found, "updatedReplicas"),
            available=count(found, "availableReplicas")
            if "availableReplicas" in status
            else count(found, "readyReplicas"),
        )

    def problems(self, found: Object) -> list[Problem]:
        strategy = found["spec"].get("updateStrategy") or {}
        name = found["metadata"]["name"]
        if strategy.get("type") == "OnDelete":
            mend = f"Set spec.updateStrategy.type: RollingUpdate of {name}"
            reason = "its pods take a changed template up only when somebody deletes them (OnDelete)"
            return [Problem("spec.updateStrategy", reason, mend)]
        if (partition := (strategy.get("rollingUpdate") or {}).get("partition")) and partition > 0:
            reason = f"pods below number {partition} keep the old template (partition)"
            return [Problem("spec.updateStrategy", reason, f"Set the partition of {name} to 0")]
        return []

    def pod_selector(self, found: Object) -> str:
        return as_selector(match_labels(found))

    def selector_labels(self, found: Object) -> frozenset[str]:
        return frozenset(match_labels(found))
