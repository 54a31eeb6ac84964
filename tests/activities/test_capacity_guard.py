"""Whatever happens to ramps, one after the other: nobody is ever served by too few servers, and the slot that everybody
would return to always has all that it needs.

The activities are the real ones, with the real workloads and the real changes of the record, in a cluster in memory.
What they meet is drawn: shares up and down, aborts, promotions, kills, ramps that follow, and workers that fall asleep
before a write and wake whenever they like, long after the ramp has gone on without them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import pytest
from cluster_in_memory import ClusterInMemory
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import capacity
from activities.capacity import CapacityActivities
from activities.kube import KubeClient
from activities.kube.client import Object
from activities.leaving import LeavingActivities
from activities.preflight import take_over
from activities.workloads import RESOURCES, keep_servers, references
from activities.workloads.notes import NOTES
from tailramp.activity_contract import LeaveRequest, PrepareRequest, RetireRequest, RoomRequest
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.errors import TailrampError
from tailramp.plan import Plan
from tailramp.planning import make_plan
from tailramp.replicas import needed
from tailramp.route_record import (
    Clearer,
    Mark,
    RouteRecord,
    cleared,
    concluded,
    killed,
    lifted,
    sent_to_previous,
    served,
)
from tailramp.spec import RampSpec, load_spec

SLOTS = ("blue", "green", "red")
MARK = Mark(at=datetime(2026, 3, 1, tzinfo=UTC), by="ada", reason="a test")


@functools.cache
def spec_of(folder: Path, model: str, full: int, idle: int | None) -> RampSpec:
    sizes = {"full": full, **({} if idle is None else {"idle": idle})}
    platform = {
        "apiVersion": "tailramp/v1",
        "route": {"namespace": "llm", "name": "chat"},
        "router": {
            "kind": "gateway-api",
            "httpRoute": "chat",
            "gateway": "http://127.0.0.1:1",
            "backends": {slot: {"name": f"chat-{slot}", "port": 80} for slot in SLOTS},
        },
        "slots": {
            slot: {
                "url": f"http://{slot}",
                "metrics": f'slot="{slot}"',
                "gatewayMetrics": f'slot="{slot}"',
                "workload": {"kind": "deployment", "name": f"chat-{slot}", "replicas": sizes},
            }
            for slot in SLOTS
        },
        "models": {"image": "toy/{model}:1"},
        "identity": {"salt": "demo-2026"},
        "prometheus": {"url": "http://127.0.0.1:1"},
    }
    canary = {"canary": {"model": model, "buckets": "00-99", "maxLatency": "2000ms"}}
    for name, data in (("canary.yaml", canary), ("tailramp.yaml", platform)):
        (folder / name).write_text(json.dumps(data), encoding="utf-8")
    return load_spec(folder / "canary.yaml", folder / "tailramp.yaml")


class World:
    """One route, its record, and what becomes of its slots' servers."""

    def __init__(self, folder: Path, full: int, idle: int | None, found: dict[str, int]) -> None:
        self._folder, self._full, self._idle = folder, full, idle
        self.cluster = ClusterInMemory(self.written)
        for slot in SLOTS:
            self.cluster.make(f"chat-{slot}", f"toy/chat-of-{slot}:1", found[slot])
        everyone = Assignment(default="blue")
        self.record = RouteRecord(route="llm/chat", original_default="blue", assignment=everyone)
        self.spec: RampSpec | None = None
        self.plan: Plan | None = None
        self.ramps = 0
        self.sleeping: list[tuple[asyncio.Event, asyncio.Task[Any]]] = []
        clients: Any = SimpleNamespace(http=None, kube=lambda _: self.cluster)
        self.forward, self.back = CapacityActivities(clients), LeavingActivities(clients)

    # What is never true.

    def servers(self, slot: str) -> int:
        return int(self.cluster.objects[f"chat-{slot}"]["spec"]["replicas"])

    def enough(self) -> None:
        """Whoever is served, and whoever may be back in a second, finds all servers."""
        if not self.record.candidates:
            return
        assert self.spec is not None
        for slot in SLOTS:
            sizes = self.spec.platform.workload_of(slot)
            assert sizes is not None
            assert sizes.replicas is not None
            least = needed(sizes.replicas, slot, self.record.assignment, self.record.original_default)
            assert self.servers(slot) >= least, f"{slot} has {self.servers(slot)} of {least}: {self.record}"

    def written(self, before: Object, after: Object) -> None:
        slot = after["metadata"]["name"].removeprefix("chat-")
        fewer = after["spec"]["replicas"] < before["spec"]["replicas"]
        goes_back = NOTES not in after["metadata"].get("annotations", {})  # to what somebody wanted before the ramp
        if fewer and not goes_back and slot == self.record.assignment.default:
            assert after["spec"]["replicas"] >= self._full, f"{slot} serves everybody and loses servers"
        self.enough()

    # What the record says, as a router.

    def router(self, *_: object) -> Any:
        async def record() -> RouteRecord:
            return self.record

        async def renew(change: Callable[[RouteRecord], RouteRecord]) -> None:
            self.record = change(self.record)

        return SimpleNamespace(record=record, renew=renew)

    def move(self, change: Callable[[RouteRecord], RouteRecord | None]) -> None:
        self.record = change(self.record) or self.record
        self.enough()

    # What happens.

    @property
    def ramp(self) -> str:
        return f"ramp-{self.ramps}"

    @property
    def holds(self) -> bool:
        return self.plan is not None and self.record.ramp == self.ramp and not self.record.closed

    async def run(self, activity: Callable[[Any], Awaitable[Any]], request: Any, *, asleep: int | None) -> None:
        """One attempt of an activity; one that falls asleep, before its ``asleep``-th write, counts as timed out, and
        whoever asked goes on."""
        environment = ActivityEnvironment()
        environment.info = replace(ActivityEnvironment.default_info(), scheduled_time=datetime.now(UTC))
        event = self.cluster.sleeper = None if asleep is None else asyncio.Event()
        self.cluster.awake = asleep or 0
        task = asyncio.ensure_future(environment.run(activity, request))
        falls_asleep = asyncio.ensure_future(self.cluster.asleep.wait())
        await asyncio.wait({task, falls_asleep}, return_when=asyncio.FIRST_COMPLETED)
        falls_asleep.cancel()
        self.cluster.asleep.clear()
        self.cluster.sleeper = None
        if not task.done():
            assert event is not None
            self.sleeping.append((event, task))
            return
        with contextlib.suppress(TailrampError, ApplicationError):
            await task

    async def wake(self) -> None:
        event, task = self.sleeping.pop(0)
        event.set()
        with contextlib.suppress(TailrampError, ApplicationError):
            await task

    async def start(self, *, asleep: int | None) -> None:
        self.move(lifted)
        self.ramps += 1
        self.spec = spec_of(self._folder, f"chat-{self.ramps}", self._full, self._idle)
        request = PrepareRequest(spec=self.spec, ramp=self.ramp, override="a test")
        await self.run(self.forward.prepare_candidates, request, asleep=asleep)
        if asleep is not None:  # the worker is gone, and another one does it
            await self.run(self.forward.prepare_candidates, request, asleep=None)
        (slot,) = (
            slot for slot in SLOTS if f"toy/chat-{self.ramps}:1" in str(self.cluster.objects[f"chat-{slot}"]["spec"])
        )
        self.plan = make_plan(self.spec, default=self.record.assignment.default, candidates=[slot])
        self.move(take_over(self.plan, request))

    def serve(self, assignment: Assignment) -> None:
        epoch = self.record.epoch + 1
        self.move(lambda record: served(record, ramp=self.ramp, epoch=epoch, assignment=assignment))

    async def room(self, assignment: Assignment, *, waits: bool, asleep: int | None) -> None:
        assert self.spec is not None
        assert self.plan is not None
        request = RoomRequest(
            spec=self.spec,
            ramp=self.ramp,
            plan=self.plan,
            epoch=self.record.epoch,
            serving=self.record.assignment,
            assignment=assignment,
            waits=waits,
        )
        await self.run(self.forward.make_room, request, asleep=asleep)
        if waits and asleep is not None:
            await self.run(self.forward.make_room, request, asleep=None)

    async def to(self, share: int, *, asleep: int | None) -> None:
        assert self.plan is not None
        rule = Rule(slot=self.plan.candidate, buckets=BucketSet.parse(f"00-{share:02d}"))
        target = Assignment(default=self.plan.baseline, rules=(rule,))
        if target.share_of(rule.slot) > self.record.assignment.share_of(rule.slot):
            await self.room(target, waits=True, asleep=asleep)
            self.serve(target)
        else:
            self.serve(target)
            await self.room(target, waits=False, asleep=asleep)

    async def promote(self, *, asleep: int | None) -> None:
        assert self.plan is not None
        await self.room(self.plan.promoting, waits=True, asleep=asleep)
        self.serve(self.plan.promoting)
        self.serve(self.plan.baking)

    async def conclude(self, *, asleep: int | None) -> None:
        assert self.spec is not None
        assert self.plan is not None
        epoch = self.record.epoch + 1
        self.move(lambda record: concluded(record, ramp=self.ramp, epoch=epoch))
        request = RetireRequest(spec=self.spec, ramp=self.ramp, old=self.plan.baseline, new=self.plan.candidate)
        await self.run(self.back.retire_old_slot, request, asleep=asleep)

    async def abort(self, *, asleep: int | None) -> None:
        assert self.spec is not None
        self.move(lambda record: cleared(record, by=Clearer.ROLLBACK, reason="operator_abort", ramp=self.ramp))
        await self.run(self.back.leave_workloads, LeaveRequest(spec=self.spec, ramp=self.ramp), asleep=asleep)

    async def keep(self) -> None:
        """What follows on sending everyone back where a ramp was letting servers go."""
        if self.record.previous_servers is not None:
            assert self.spec is not None
            named = references(self.spec.platform, SLOTS)
            (kept,) = await keep_servers(self.record, named, RESOURCES, lambda _: cast("KubeClient", self.cluster))
            assert kept.servers == self.servers(self.record.assignment.default)

    async def happens(self, happening: Happening) -> None:
        """One of what is drawn; nothing where it cannot be."""
        served_by, asleep = self.record.assignment, happening.asleep
        promoted = self.holds and self.plan is not None and served_by.default == self.plan.candidate
        match happening.what:
            case "start" if self.record.ramp is None or self.record.closed:
                await self.start(asleep=asleep)
            case "share" if self.holds and not promoted:
                await self.to(happening.share, asleep=asleep)
            case "promote" if self.holds and not promoted and served_by.rules:
                await self.promote(asleep=asleep)
            case "conclude" if promoted:
                await self.conclude(asleep=asleep)
            case "abort" if self.holds:
                await self.abort(asleep=asleep)
            case "kill" if self.holds:
                self.move(lambda record: killed(record, MARK))
            case "to previous" if self.record.previous_default and self.servers(self.record.previous_default):
                with contextlib.suppress(TailrampError):
                    self.move(lambda record: sent_to_previous(record, MARK, force=True))
                    await self.keep()
        for _ in range(min(happening.wakes, len(self.sleeping))):
            await self.wake()


@contextlib.contextmanager
def around(world: World) -> Iterator[None]:
    """What the activities ask of anything but the cluster."""

    async def model(_: object, url: str) -> frozenset[str]:
        slot = url.removeprefix("http://")
        template = world.cluster.objects[f"chat-{slot}"]["spec"]["template"]
        return frozenset({template["spec"]["containers"][0]["image"].removeprefix("toy/").removesuffix(":1")})

    async def models(http: object, _: object) -> dict[str, frozenset[str]]:
        return {slot: await model(http, f"http://{slot}") for slot in SLOTS}

    async def nothing(*_: object) -> list[object]:
        return []

    with (
        mock.patch.object(capacity, "make_router", world.router),
        mock.patch.object(capacity, "models_of", model),
        mock.patch.object(capacity, "served_models", models),
        mock.patch.object(CapacityActivities, "_examine", nothing),
    ):
        yield


@dataclass(frozen=True)
class Happening:
    """``asleep``: the worker falls asleep before its so many-th write; ``wakes``: then so many sleepers wake."""

    what: str
    share: int
    asleep: int | None
    wakes: int


def happening(what: st.SearchStrategy[str]) -> st.SearchStrategy[Happening]:
    asleep = st.none() | st.integers(0, 2)
    return st.builds(Happening, what, st.integers(0, 98), asleep, st.sampled_from([0, 0, 1, 2]))


def in_turn(*names: str) -> st.SearchStrategy[list[Happening]]:
    return st.tuples(*(happening(st.just(name)) for name in names)).map(list)


RAMP = st.tuples(
    in_turn("start"),
    st.lists(happening(st.just("share")), min_size=1, max_size=3),
    st.one_of(
        in_turn("abort"),
        in_turn("kill"),
        in_turn("promote", "abort"),
        in_turn("promote", "kill"),
        in_turn("promote", "conclude"),
        in_turn("promote", "conclude", "to previous"),
    ),
).map(lambda parts: [each for part in parts for each in part])
RAMPS = st.lists(RAMP, min_size=1, max_size=3).map(lambda ramps: [each for ramp in ramps for each in ramp])
FOUND = st.fixed_dictionaries({slot: st.integers(1, 12) for slot in SLOTS})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guard")


def life_of(*parts: tuple[str, int, int | None, int]) -> list[Happening]:
    return [Happening(*part) for part in parts]


WELL = {"full": 3, "idle": 0, "found": {"blue": 3, "green": 1, "red": 1}}
STARTED = ("start", 0, None, 0)
PROMOTED = (STARTED, ("share", 49, None, 0), ("promote", 0, None, 0))


@pytest.mark.timeout(300)  # it does nothing but compute: half a minute, where nobody else does
@example(**WELL, life=life_of(STARTED, ("share", 33, 0, 0), ("share", 66, None, 1)))  # fewer were asked for before
@example(**WELL, life=life_of(*PROMOTED, ("conclude", 0, 1, 0), ("to previous", 0, None, 1)))
@example(**WELL, life=life_of(*PROMOTED, ("conclude", 0, 0, 0), ("to previous", 0, None, 1)))
@example(
    **WELL,
    life=life_of(STARTED, ("share", 98, None, 0), ("share", 33, 0, 0), ("share", 98, None, 1), ("abort", 0, None, 0)),
)
@given(full=st.sampled_from([1, 3, 8]), idle=st.sampled_from([None, 0, 2]), found=FOUND, life=RAMPS)
@settings(max_examples=300, phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink))
def test_nobody_ever_finds_too_few_servers_where_he_is_or_where_he_would_return_to(
    folder: Path, full: int, idle: int | None, found: dict[str, int], life: list[Happening]
) -> None:
    async def lives() -> None:
        world = World(folder, full, idle, found)
        with around(world):
            try:
                for each in life:
                    await world.happens(each)
                while world.sleeping:
                    await world.wake()
            finally:
                for _, task in world.sleeping:
                    task.cancel()
                await asyncio.gather(*(task for _, task in world.sleeping), return_exceptions=True)

    asyncio.run(lives())
