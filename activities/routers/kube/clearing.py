"""Taking candidates out, whatever the API server says to it.

Everything is sent at once: the deletion of each canary, the main route's way back where its default may have moved, and
the closed record.  A canary that cannot be deleted, or that a finalizer keeps, is pointed at the baseline, and if that
is refused too it is told to match nobody.  Then the main route is written once more, after the record: see ``engine``
for why.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from activities.kube import Changed, KubeClient, NotFound
from activities.kube.client import Object, Operation
from activities.kube.json_patch import annotate, is_that, is_unchanged, pointer
from activities.routers.kube.binding import Binding
from activities.routers.kube.planner import (
    DEFAULT,
    EPOCH,
    RAMP,
    ROUTE_LABEL,
    SLOT_LABEL,
    Planner,
    annotations_of,
    labels_of,
    names,
)
from activities.routers.kube.record_lease import ATTEMPTS, RecordLease, Stored, restless
from activities.routers.kube.writers import held_by, others
from activities.routers.protocol import Clear
from tailramp.errors import Refused, TailrampError, Unreachable
from tailramp.route_record import RouteRecord

log = logging.getLogger("tailramp.router")


@dataclass(frozen=True)
class Clearing:
    """What a clear needs of its router."""

    client: KubeClient
    namespace: str
    route: str
    lease: RecordLease
    stored: Callable[[], Awaitable[Stored]]
    planner: Callable[[Binding], Planner]


async def clear_route(clearing: Clearing, change: Clear) -> RouteRecord:
    """Clear once, and again while somebody else writes meanwhile.

    Raises Unreachable, saying what is out and what is not, if anything could not be done: to be tried again.
    """
    for _ in range(ATTEMPTS):
        stored = await clearing.stored()
        record = change(stored.record)
        if record is None:
            return stored.record
        if record.off and stored.binding.off is None:
            raise Refused(
                f"{record.route} has nothing that answers when it is off: set router.off to a backend that does"
            )
        attempt = _Attempt(clearing, stored, record)
        await attempt.send()
        if attempt.overtaken:
            continue
        await attempt.seal()
        if await attempt.is_done():
            if attempt.failures:
                raise Unreachable(f"{record.route}: {'; '.join(attempt.failures)}")
            return record
    raise restless(f"{clearing.namespace}/{clearing.route}")


def _count_escalation(way: str) -> None:
    from activities import telemetry  # `kill` must not wait for the library that counts

    telemetry.ESCALATIONS.labels(way).inc()


class _Attempt:
    """One clear.  ``overtaken``: the record was written by somebody else meanwhile.  ``failures``: what remains."""

    def __init__(self, clearing: Clearing, stored: Stored, record: RouteRecord) -> None:
        self._client = clearing.client
        self._namespace = clearing.namespace
        self._selector = f"{ROUTE_LABEL}={clearing.route}"
        self._lease = clearing.lease
        self._read_again = clearing.stored
        self._stored = stored
        self._record = record
        self._binding = stored.binding
        self._planner = clearing.planner(stored.binding)
        self._target = None if record.off else record.assignment.default
        # Who moves the default says so in the record first.
        before = stored.record
        self._default_stands = (
            stored.lease is not None
            and not (before.off or record.off)
            and before.assignment.default == record.assignment.default
        )
        self.overtaken = False
        self.failures: list[str] = []

    async def send(self) -> None:
        """Everything at once; nothing waits for anything else."""
        uids = self._binding.uids
        if self._stored.lease is None:  # a record that was lost: whatever could be there may be
            uids = {self._planner.canary_name(slot): "" for slot in self._binding.backends} | uids
        await asyncio.gather(
            *(self._guarded(self._remove(name, uid or None)) for name, uid in uids.items()),
            self._close_record(),
            *([] if self._default_stands else [self._write_main({})]),
        )

    async def seal(self) -> None:
        """Raise the epoch of the main route, now that the record is closed, and see to it that it points home."""
        marks = {
            RAMP: self._record.ramp or "",
            EPOCH: str(self._record.epoch),
            DEFAULT: self._record.original_default,
        }
        await self._write_main(marks)

    async def is_done(self) -> bool:
        """Whether what stands now is what was meant; whatever was put back meanwhile is taken out again."""
        try:
            main = await self._main()
            canaries = await self._client.find_all(self._planner.resource, self._namespace, self._selector)
        except TailrampError as error:
            self.failures.append(f"it cannot be read back: {error}")
            return True
        if self.overtaken or (main is not None and self._planner.pointed(main, self._target) and not self.failures):
            return False
        for canary in canaries:
            if self._serves_somebody(main, canary):
                await self._guarded(self._take_out_again(canary))
        return not self.overtaken

    async def _take_out_again(self, canary: Object) -> None:
        if await self._is_of_a_later_ramp(canary):
            return
        log.warning("%s serves somebody again: %s", names({**canary, "kind": "canary"}), others(canary))
        await self._remove(canary["metadata"]["name"], canary["metadata"]["uid"])

    async def _is_of_a_later_ramp(self, found: Object) -> bool:
        """Whether a ramp that holds the route by now has written the object: then its record decides anew.

        This process may have been frozen since it closed the record of the ramp before.
        """
        ramp = annotations_of(found).get(RAMP)
        if ramp is None or ramp == self._record.ramp or (await self._read_again()).record.ramp != ramp:
            return False
        self.overtaken = True
        return True

    def _serves_somebody(self, main: Object | None, canary: Object) -> bool:
        slot = labels_of(canary).get(SLOT_LABEL, "")
        if not self._planner.sent_back(canary, self._record.assignment.default):
            return False
        return main is None or slot not in self._binding.backends or bool(self._planner.armed(main, canary, slot, None))

    async def _close_record(self) -> None:
        try:
            await self._lease.write(self._stored, self._record, self._binding)
        except (Changed, NotFound):
            self.overtaken = True
        except TailrampError as error:
            self.failures.append(f"the record could not be closed: {error}")

    async def _write_main(self, marks: dict[str, str]) -> None:
        """Annotate the main route, and send everyone back to the slot that was the default before, if it points
        elsewhere.
        """

        async def write() -> None:
            for _ in range(ATTEMPTS):
                main = await self._main()
                if main is None or await self._is_of_a_later_ramp(main):
                    return
                pointed = self._planner.pointed(main, self._target)
                if not (operations := [*pointed, *annotate(main, marks)]):
                    return
                try:
                    await self._patch(main, [*(is_unchanged(main) if pointed else _is_of_its_ramp(main)), *operations])
                except Changed:
                    continue
                return
            raise Unreachable(f"the main route was written {ATTEMPTS} times meanwhile")

        await self._guarded(write())

    async def _remove(self, name: str, uid: str | None) -> None:
        """Delete a canary; failing that, point it at the baseline; failing that, let it match nobody."""
        try:
            keepers = await self._client.delete(self._planner.resource, self._namespace, name, uid=uid)
        except NotFound:
            return
        except TailrampError as error:
            why: TailrampError | str = error
        else:
            if not keepers:
                return
            why = held_by(keepers)
        canary = await self._client.find(self._planner.resource, self._namespace, name)
        if canary is None:
            return
        if isinstance(why, Changed):
            await self._remove_another(canary)
        else:
            await self._neutralise(canary, str(why))

    async def _remove_another(self, canary: Object) -> None:
        """Somebody has put an object of the same name in the place of ours."""
        if ROUTE_LABEL not in labels_of(canary):
            raise Unreachable(f"{names(canary)} is somebody else's: {others(canary)}")
        if await self._is_of_a_later_ramp(canary):
            return
        log.warning("%s was put back: %s", names(canary), others(canary))
        name, uid = canary["metadata"]["name"], canary["metadata"]["uid"]
        try:
            keepers = await self._client.delete(self._planner.resource, self._namespace, name, uid=uid)
        except NotFound:
            return
        if keepers:
            await self._neutralise(canary, held_by(keepers))

    async def _neutralise(self, canary: Object, why: str) -> None:
        ways = (
            ("sent back", f"it points at {self._record.assignment.default} now", self._send_back),
            ("disarmed", "it matches nobody now", self._disarm),
        )
        refusals = [why]
        for name, what, way in ways:
            try:
                await way(canary)
            except NotFound:
                return
            except TailrampError as error:
                refusals.append(str(error))
                continue
            log.error("%s could not be deleted (%s): %s", names(canary), why, what)
            _count_escalation(name)
            return
        log.error("%s is still served: %s", names(canary), "; ".join(refusals))
        _count_escalation("none")
        raise Unreachable(f"{names(canary)} is still served: {'; '.join(refusals)}")

    async def _send_back(self, canary: Object) -> None:
        if operations := self._planner.sent_back(canary, self._record.assignment.default):
            await self._patch(canary, [*is_that(canary), *operations])

    async def _disarm(self, canary: Object) -> None:
        main = await self._main()
        if main is None:
            raise Unreachable("there is no main route to copy the paths from")
        if operations := self._planner.armed(main, canary, labels_of(canary).get(SLOT_LABEL, ""), None):
            await self._patch(canary, [*is_that(canary), *operations])

    async def _guarded(self, work: Awaitable[None]) -> None:
        """Note what went wrong and go on: one thing that cannot be done must not keep the others from being done."""
        try:
            await work
        except TailrampError as error:
            self.failures.append(str(error))

    async def _main(self) -> Object | None:
        return await self._client.find(self._planner.resource, self._namespace, self._binding.main)

    async def _patch(self, found: Object, operations: list[Operation]) -> None:
        name = found["metadata"]["name"]
        await self._client.patch(self._planner.resource, self._namespace, name, operations)


def _is_of_its_ramp(main: Object) -> list[Operation]:
    """No other ramp may have taken the route over since it was read."""
    ramp = annotations_of(main).get(RAMP)
    path = pointer("metadata", "annotations", RAMP)
    return [*is_that(main), *([] if ramp is None else [{"op": "test", "path": path, "value": ramp}])]
