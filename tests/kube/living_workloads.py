"""A living route whose slots' servers are Deployments, and the platform file that says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from kube_namespace import Namespace
from living_kube import LivingKube
from slot_objects import RULES, slot_object

from activities.kube.resources import DEPLOYMENTS


@asynccontextmanager
async def living_workloads(namespace: Namespace, folder: Path, *, blue: int, green: int) -> AsyncIterator[LivingKube]:
    """Blue has so many servers of chat-v1, and green of chat-v0."""
    await namespace.allow(RULES)
    for slot, model, servers in (("blue", "chat-v1", blue), ("green", "chat-v0", green)):
        await namespace.admin.create(DEPLOYMENTS, namespace.name, slot_object("deployment", slot, model, servers))
    async with LivingKube(folder, namespace, "gateway-api") as living:
        yield living


def platform_file(living: LivingKube, folder: Path, **sizes: Any) -> Path:
    """``sizes`` are further settings of ``replicas``."""
    platform = living.platform.model_dump(by_alias=True, mode="json", exclude_unset=True)
    platform["models"] = {"image": "toy/{model}:1"}
    for slot in ("blue", "green"):
        replicas = {"full": 4, "idle": 0, **sizes}
        platform["slots"][slot]["workload"] = {"kind": "deployment", "name": f"chat-{slot}", "replicas": replicas}
    path = folder / "tailramp.yaml"
    path.write_text(yaml.safe_dump(platform), encoding="utf-8")
    return path
