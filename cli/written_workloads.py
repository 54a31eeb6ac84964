"""The workloads that ramps of a route may have written, for commands that write them without a ramp."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from cli import files
from cli.where import Where

if TYPE_CHECKING:
    from activities.kube import KubeClient
    from tailramp.route_record import RouteRecord, WorkloadReference
    from tailramp.spec import PlatformFile


def platform_of(where: Where) -> "PlatformFile | None":
    """The platform file; None where the record is found without one."""
    from tailramp.spec import load_platform

    if where.route_file is not None or where.context is not None:
        return None
    try:
        return load_platform(files.find_platform(where.platform))
    except click.UsageError:  # there is none, and the record was found in the cluster around
        return None


@asynccontextmanager
async def workloads_of(
    where: Where, settings: "PlatformFile | None", record: "RouteRecord"
) -> AsyncIterator[tuple[list["WorkloadReference"], Callable[["WorkloadReference"], "KubeClient | None"]]]:
    """Those that the platform file names, else the record; and the way to where each is, None if nobody knows one."""
    import aiohttp

    from activities.clients import Clients
    from activities.workloads import cluster_of, references

    named = [] if settings is None else references(settings, settings.slots)
    known = {workload.identity for workload in named}
    named += [workload for workload in record.workloads if workload.identity not in known]
    async with aiohttp.ClientSession() as http, Clients(http) as clients:

        def client_of(workload: "WorkloadReference") -> "KubeClient | None":
            if where.route_file is not None and workload.context is None:
                return None  # a file says nothing of clusters, and the one around here may be another
            own = workload.context
            return clients.kube(cluster_of(settings, own) if settings is not None else own or where.context)

        yield named, client_of
