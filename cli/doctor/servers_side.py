"""The servers of the slots: what preflight would say of them, how they are, and what an earlier ramp has left there."""

import asyncio
import time
from typing import TYPE_CHECKING

from cli.doctor.findings import Result, finding, good
from tailramp.errors import TailrampError
from tailramp.spec import PlatformFile

if TYPE_CHECKING:
    from activities.clients import Clients
    from tailramp.route_record import RouteRecord


async def examine_servers(platform: PlatformFile, record: "RouteRecord | None", clients: "Clients") -> list[Result]:
    """Of every slot that has a workload."""
    of_slots = await asyncio.gather(*(_slot(platform, slot, record, clients) for slot in platform.slots))
    return [result for results in of_slots for result in results]


async def _slot(platform: PlatformFile, slot: str, record: "RouteRecord | None", clients: "Clients") -> list[Result]:
    from activities.workloads import make_workload

    settings = platform.workload_of(slot)
    if settings is None:
        return []
    workload = make_workload(platform, slot, clients)
    try:
        problems = await workload.preflight(None)
        if problems:
            return [finding("servers", f"{p.field}: {p.reason}", p.mend) for p in problems]
        wanted = await workload.size() or 0
        progress, ramp = await workload.ready(wanted, time.time()), await workload.written_by()
    except TailrampError as error:
        return [finding("servers", f"{slot}: {error}", "Check the name, and the kubeconfig that this process uses")]
    results = [good("servers", f"{slot}: {progress}")]
    if not progress.is_done:
        mend = progress.mend or f"Look at the pods of {settings.kind} {settings.name}"
        results = [finding("servers", f"{slot}: {progress}", mend)]
    live = record is not None and record.assignment.default == slot
    full = settings.replicas.full if settings.replicas is not None else 0
    if live and progress.ready < full:
        text = f"{slot} serves everyone with {progress.ready} of the {full} servers that replicas.full asks for"
        results.append(finding("servers", text, "Scale it up: a ramp would do so before it moves anybody"))
    if ramp is not None and (record is None or record.ramp != ramp or record.closed):
        text = f"{slot}: {settings.kind} {settings.name} still holds what ramp {ramp} wrote"
        results.append(finding("servers", text, "The next ramp puts it back in the end, `tailramp uninstall` at once"))
    return results
