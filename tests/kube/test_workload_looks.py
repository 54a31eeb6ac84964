"""What pods and events tell is heard from time to time, and told in between."""

from __future__ import annotations

from kube_namespace import Namespace
from kube_workload import SIZED, Slot, full
from stepping import Stepping

from activities.kube.resources import EVENTS


async def nothing(_: int) -> None:
    """Nothing happens before a call."""


async def test_what_events_tell_is_heard_anew_after_ten_seconds_and_told_meanwhile(place: Namespace) -> None:
    async with Stepping(place.kubeconfig, before=nothing) as client:
        slot = Slot(place, client, "statefulset", **SIZED)
        found = await slot.make()
        await slot.says(**full(0))
        workload = slot.workload

        async def told(seconds: float) -> tuple[str, int]:
            """What it says, and with how many calls."""
            before = client.calls
            return str(await workload.ready(2, seconds)), client.calls - before

        reference = {
            "kind": found["kind"],
            "name": "chat-green",
            "namespace": place.name,
            "uid": found["metadata"]["uid"],
        }
        assert await told(1000.0) == ("0 of 2 pods ready", 4)
        for number, message in enumerate(["exceeded quota: gpus", "exceeded quota: memory"]):
            event = {"metadata": {"name": f"e{number}"}, "involvedObject": reference, "reason": "FailedCreate"}
            at = f"2026-03-01T10:00:0{number}Z"
            await place.admin.create(EVENTS, place.name, {**event, "message": message, "lastTimestamp": at})
            since = 1000.0 + 10 * number
            before = "0 of 2 pods ready" + ", exceeded quota: gpus" * number
            assert await told(since + 9.9) == (before, 1)
            assert await told(since + 10.0) == (f"0 of 2 pods ready, {message}", 4)
