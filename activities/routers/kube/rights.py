"""What a process must be allowed to do in a route's namespace: the Role of `deploy/kubernetes`, as the code uses it."""

import asyncio
from collections.abc import Sequence

from activities.kube import KubeClient, Resource
from activities.kube.resources import ENDPOINT_SLICES, LEASES, SERVICES
from activities.routers.kube.planner import Planner
from tailramp.errors import Problem

Right = tuple[Resource, str]
"""A kind of objects, and the verb."""

RIGHTS_ON_RECORDS: tuple[Right, ...] = tuple((LEASES, verb) for verb in ("get", "create", "patch"))


def rights_on_routes(planner: Planner) -> tuple[Right, ...]:
    return (
        *((planner.resource, verb) for verb in ("get", "list", "watch", "create", "patch", "delete")),
        *RIGHTS_ON_RECORDS,
        *((SERVICES, verb) for verb in ("get", "list")),
        (ENDPOINT_SLICES, "list"),
    )


async def missing_rights(client: KubeClient, namespace: str, needed: Sequence[Right]) -> list[Problem]:
    """Every right of those ``needed`` that the API server says this process does not have."""
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
