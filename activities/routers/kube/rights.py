"""What a process must be allowed to do in a route's namespace: the Role of `deploy/kubernetes`, as the code uses it."""

from collections.abc import Sequence

from activities.kube import KubeClient
from activities.kube.resources import ENDPOINT_SLICES, LEASES, SERVICES
from activities.kube.rights import Right, missing_rights
from activities.routers.kube.planner import Planner
from tailramp.errors import Problem

RIGHTS_ON_RECORDS: tuple[Right, ...] = tuple(Right(verb, LEASES) for verb in ("get", "create", "patch"))


def rights_on_routes(planner: Planner) -> tuple[Right, ...]:
    return (
        *(Right(verb, planner.resource) for verb in ("get", "list", "watch", "create", "patch", "delete")),
        *RIGHTS_ON_RECORDS,
        *(Right(verb, SERVICES) for verb in ("get", "list")),
        Right("list", ENDPOINT_SLICES),
    )


async def rights_problems(client: KubeClient, namespace: str, needed: Sequence[Right]) -> list[Problem]:
    """Every right of those ``needed`` that the API server says this process does not have."""
    return [
        Problem(
            "router",
            f"this process may not {right} in namespace {namespace}",
            "Give it the Role of deploy/kubernetes there",
        )
        for right in await missing_rights(client, namespace, needed)
    ]
