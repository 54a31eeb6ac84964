"""The object of a slot's servers, of any kind that there is, and the rights that tailramp needs for it."""

from __future__ import annotations

from typing import Any

import yaml
from kube_namespace import ROLE_FILE

WORKLOAD_ROLE = ROLE_FILE.parents[1] / "workload-access" / "role.yaml"
RULES: list[dict[str, Any]] = [
    rule for file in (ROLE_FILE, WORKLOAD_ROLE) for rule in yaml.safe_load(file.read_text(encoding="utf-8"))["rules"]
]


def slot_object(kind: str, slot: str, model: str, replicas: int) -> dict[str, Any]:
    labels = {"app": f"chat-{slot}"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "server", "image": f"toy/{model}:1"}]},
    }
    spec: dict[str, Any] = {"replicas": replicas}
    if kind == "leaderworkerset":
        spec["leaderWorkerTemplate"] = {"size": 2, "leaderTemplate": template, "workerTemplate": template}
    else:
        spec |= {"selector": {"matchLabels": labels}, "template": template}
    if kind == "statefulset":
        spec["serviceName"] = f"chat-{slot}"
    return {"metadata": {"name": f"chat-{slot}"}, "spec": spec}
