"""What a process must be allowed to do in a route's namespace: the Role of `deploy/kubernetes`, as the code uses it."""

import asyncio

from activities.kube import KubeClient
from activities.kube.resources import ENDPOINT_SLICES, LEASES, SERVICES
from activities.routers.kube.planner import Planner
from tailramp.errors import Problem


async def missing_rights(client: KubeClient, namespace: str, planner: Planner) -> list[Problem]:
    """Every right that the API server says this process does not have."""
    needed = [
        *((planner.resource, verb) for verb in ("get", "list", "watch", "create", "patch", "delete")),
        *((LEASES, verb) for verb in ("get", "create", "patch")),
        *((SERVICES, verb) for verb in ("get", "list")),
        (ENDPOINT_SLICES, "list"),
    ]
    allowed = await asyncio.gather(*(client.review(kind, namespace, verb) for kind, verb in needed))
    return [
        Problem(
            "router",
            f"this process may not {verb} {kind.plural} in namespace {namespace}",
            "Give it the Role of deploy/kubernetes there",
        )
        for (kind, verb), may in zip(needed, allowed, strict=True)
        if not may
    ]
