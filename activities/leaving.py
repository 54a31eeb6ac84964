"""The activities that put workloads back, or make the old slot smaller, after their users have left.

They run beside a rollback, in the process that takes everyone back: so this loads nothing of what gathers evidence.
"""

from collections.abc import Callable

from temporalio import activity

from activities.clients import Clients
from activities.heartbeat import heartbeating
from activities.routers import Router, make_router
from activities.traffic import final_refusals
from activities.workloads import Holder, make_workload
from tailramp.activity_contract import LeaveReport, LeaveRequest, Request, RetireRequest
from tailramp.activity_names import LEAVE_WORKLOADS, RETIRE
from tailramp.errors import Fenced, Refused
from tailramp.forms import SlotName
from tailramp.route_record import RouteRecord, against_retiring, retiring
from tailramp.spec import PlatformFile, Replicas


class LeavingActivities:
    """What is done with workloads after their users have left: on the rollback queue."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @activity.defn(name=LEAVE_WORKLOADS)
    async def leave_workloads(self, request: LeaveRequest) -> LeaveReport:
        """Put back what this ramp wrote into workloads; what somebody else has changed since is named and left."""
        platform = request.spec.platform
        router = make_router(platform, self._clients)
        async with heartbeating("putting back"), final_refusals():
            default = (await router.record()).assignment.default
            restored, left = list[SlotName](), list[str]()
            for slot in platform.slots:

                def against(record: RouteRecord, slot: SlotName = slot) -> str | None:
                    rules = {rule.slot for rule in record.assignment.rules}
                    if slot in rules or record.assignment.default != default:
                        return f"{slot} serves users"
                    return foreign(record, request.ramp)

                workload = make_workload(platform, slot, self._clients)
                try:
                    one = await workload.restore(holder_of(request, router, against), serves=slot == default)
                except Fenced:
                    raise
                except Refused as error:
                    left.append(f"the workload of {slot} is left as it is: {error}")
                    continue
                restored += [slot] if one.touched and not one.left else []
                left += one.left
            return LeaveReport(restored=tuple(restored), left=tuple(left))

    @activity.defn(name=RETIRE)
    async def retire_old_slot(self, request: RetireRequest) -> LeaveReport:
        """The candidate has baked: what it runs is the new normal, and the old slot may become smaller."""
        platform = request.spec.platform
        router = make_router(platform, self._clients)
        ramp, new = request.ramp, request.new
        async with heartbeating("retiring"), final_refusals():
            holder = holder_of(request, router, lambda record: against_retiring(record, ramp=ramp, new=new))
            await make_workload(platform, new, self._clients).retire(None, holder)
            sizes = sizes_of(platform, request.old)
            servers = None if sizes is None else sizes.idle
            if servers is not None:
                await router.renew(lambda record: retiring(record, ramp=ramp, new=new, servers=servers))
            await make_workload(platform, request.old, self._clients).retire(servers, holder)
            return LeaveReport()


def foreign(record: RouteRecord, ramp: str) -> str | None:
    """That another ramp holds the route, in words; None if none does."""
    return None if record.ramp in {ramp, None} or record.closed else f"is held by ramp {record.ramp}"


def holder_of(
    request: Request, router: Router, against: Callable[[RouteRecord], str | None], order: int | None = None
) -> Holder:
    """The ramp of ``request`` as a writer; ``against`` says what the record has against a write, or None."""

    async def check() -> None:
        record = await router.record()
        why = against(record) if record.kill is None else f"was shut off by {record.kill.by}"
        if why is not None:
            raise Fenced(f"{record.route}: {why}")

    return Holder(request.ramp, check, order)


def sizes_of(platform: PlatformFile, slot: SlotName) -> Replicas | None:
    """How the servers of ``slot`` follow the share; None if they do not."""
    workload = platform.workload_of(slot)
    return None if workload is None else workload.replicas
