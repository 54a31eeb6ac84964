"""A LeaderWorkerSet as a workload: each server is a group of pods, a leader and its workers."""

from activities.kube.client import Object
from activities.kube.resources import LEADER_WORKER_SETS
from activities.workloads.notes import Notes, said_by_controller
from activities.workloads.shape import Standing, Template, condition, count, is_observed
from tailramp.errors import Problem

_NAME_LABEL = "leaderworkerset.sigs.k8s.io/name"


class LeaderWorkerSetShape:
    resource = LEADER_WORKER_SETS
    unit = "groups"

    def templates(self, found: Object) -> list[Template]:
        """Both the leader's and the workers': all pods of a group load the same weights."""
        inside = found["spec"]["leaderWorkerTemplate"]
        names = [name for name in ("leaderTemplate", "workerTemplate") if inside.get(name)]
        return [Template(f"/spec/leaderWorkerTemplate/{name}", inside[name]) for name in names]

    def standing(self, found: Object) -> Standing:
        total = count(found, "replicas")
        return Standing(
            observed=_is_observed(found),
            total=total,
            updated=count(found, "updatedReplicas"),
            available=count(found, "readyReplicas"),
        )

    def problems(self, found: Object) -> list[Problem]:
        rolling = (found["spec"].get("rolloutStrategy") or {}).get("rollingUpdateConfiguration") or {}
        if rolling.get("partition"):
            reason = f"groups below number {rolling['partition']} keep the old template (partition)"
            mend = f"Set the partition of {found['metadata']['name']} to 0"
            return [Problem("spec.rolloutStrategy", reason, mend)]
        return []

    def pod_selector(self, found: Object) -> str:
        return f"{_NAME_LABEL}={found['metadata']['name']}"

    def selector_labels(self, found: Object) -> frozenset[str]:  # noqa: ARG002 - its own labels carry a prefix of their own
        return frozenset()


def _is_observed(found: Object) -> bool:
    """Whether the controller has seen the present template.

    Versions before 0.8 tell no observedGeneration.  They say that an update is under way, but only once they have seen
    it: until then there stands what they had said before the template was changed.
    """
    if "observedGeneration" in found.get("status", {}):
        return is_observed(found)
    notes = Notes.on(found)
    is_news = notes is None or notes.said != said_by_controller(found)
    return is_news and condition(found, "UpdateInProgress").get("status") != "True"
