"""A writer that sleeps through a clear wakes at any instruction, and nothing that it then writes raises traffic.

Every forward write is driven to each of its calls of the API in turn; there the route is cleared by somebody else, and
the writer goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from kube_namespace import Namespace
from kube_objects import Objects
from living_kube import outcome_of
from record_changes import GREEN, LATER_RAMP, RAMP, conclude, kill, roll_back, serve, take_over
from stepping import At, Stepping, die

from activities.routers.kube import KubernetesRouter
from lab.sample_route import on_green
from tailramp.assignment import Assignment
from tailramp.errors import Refused, TailrampError
from tailramp.route_record import RouteRecord

Act = Callable[[KubernetesRouter], Awaitable[object]]


@pytest.fixture(params=["ingress-nginx", "gateway-api"])
async def objects(request: pytest.FixtureRequest, namespace: Namespace) -> AsyncIterator[Objects]:
    async with Objects(namespace, request.param) as made:
        yield made


ACTS: dict[str, tuple[Assignment | None, Act]] = {
    "take over": (None, lambda router: router.prepare(take_over(), ["green"])),
    "first step": (Assignment(default="blue"), lambda router: router.apply(serve(on_green("00-04"), 2))),
    "grow": (on_green("00-04"), lambda router: router.apply(serve(on_green("00-49"), 3))),
    "promote": (on_green("00-49"), lambda router: router.apply(serve(GREEN, 3))),
    "conclude": (GREEN, lambda router: router.prepare(conclude(4))),
}
CLEARS: dict[str, Callable[[RouteRecord], RouteRecord | None]] = {"kill": kill, "rollback": roll_back(9)}


async def assert_nobody_is_on_a_candidate(objects: Objects) -> None:
    view = await objects.router.read()
    assert view.record.candidates == ()
    for finding in view.loaded.findings:
        assert finding.answer != "no", finding


@pytest.mark.parametrize("clear", ["kill", pytest.param("rollback", marks=pytest.mark.faults)])
@pytest.mark.parametrize("name", ACTS)
async def test_a_writer_that_was_frozen_at_any_call_raises_nothing_after_a_clear(
    objects: Objects, name: str, clear: str
) -> None:
    """Each number of a call is a point at which the writer is frozen until the clear is done."""
    served, act = ACTS[name]

    async def clear_meanwhile() -> None:
        if (await objects.router.record()).ramp == RAMP:
            await objects.router.clear(CLEARS[clear])

    for point in range(100):
        await objects.begin(served)
        frozen = At(point, clear_meanwhile)
        async with Stepping(objects.kubeconfig, before=frozen) as client:
            ended = await outcome_of(act(objects.router_with(client)))
        assert ended is None or isinstance(ended, Refused), ended
        record = await objects.router.record()
        if frozen.reached and record.closed and record.cleared_by is not None:
            await assert_nobody_is_on_a_candidate(objects)
        if not frozen.reached:
            break
    assert point > 3, "the act was too short to be stopped anywhere"


@pytest.mark.parametrize("name", ACTS)
async def test_a_writer_that_was_killed_at_any_call_is_finished_by_the_next_one(objects: Objects, name: str) -> None:
    served, act = ACTS[name]
    for point in range(100):
        await objects.begin(served)
        killed = At(point, die, and_later=True)
        async with Stepping(objects.kubeconfig, before=killed) as client:
            await outcome_of(act(objects.router_with(client)))
        await act(objects.router)
        view = await objects.router.read()
        assert [finding for finding in view.loaded.findings if finding.answer == "no"] == [], (point, view.record)
        if not killed.reached:
            break
    assert point > 3


@pytest.mark.parametrize("served", [on_green("00-49"), GREEN], ids=["step", "promoted"])
async def test_a_clear_that_was_killed_at_any_call_is_finished_by_another(objects: Objects, served: Assignment) -> None:
    """The worker's rollback dies; the sentinel's or `kill`'s, or the next worker's, goes on."""
    for point in range(100):
        await objects.begin(served)
        killed = At(point, die, and_later=True)
        async with Stepping(objects.kubeconfig, before=killed) as client:
            await outcome_of(objects.router_with(client).clear(roll_back(9)))
        await objects.router.clear(roll_back(9))
        assert (await objects.router.record()).closed
        await assert_nobody_is_on_a_candidate(objects)
        assert await objects.canary() is None
        if not killed.reached:
            break
    assert point > 4


async def test_worker_sentinel_and_kill_clear_at_once(objects: Objects) -> None:
    await objects.begin(GREEN)
    ended = await asyncio.gather(
        objects.router.clear(roll_back(9)),
        objects.router.clear(kill),
        objects.router.clear(roll_back(9)),
        objects.router.apply(serve(on_green("00-99"), 5)),
        return_exceptions=True,
    )
    assert all(isinstance(end, RouteRecord | TailrampError) for end in ended), ended
    assert (await objects.router.record()).kill is not None
    await assert_nobody_is_on_a_candidate(objects)


async def test_the_clear_of_a_ramp_that_is_over_touches_nothing_of_the_next_one(objects: Objects) -> None:
    await objects.begin(on_green("00-04"))
    await objects.router.clear(roll_back(9))
    await objects.router.prepare(take_over(LATER_RAMP, override="again"), ["green"])
    record = await objects.router.record()
    canary = await objects.canary()
    assert await objects.router.clear(roll_back(20)) == record
    assert await objects.canary() == canary
    with pytest.raises(Refused, match="is held by"):
        await objects.router.apply(serve(on_green("00-49"), 99))


@pytest.mark.parametrize("later", [on_green("00-49"), GREEN], ids=["step", "promoted"])
async def test_a_clear_that_slept_while_the_next_ramp_took_over_touches_nothing_of_it(
    objects: Objects, later: Assignment
) -> None:
    """It may have closed the record of its own ramp before it fell asleep, and deletes and writes the rest after."""
    point, reached = 1, True
    while reached:
        await objects.begin(on_green("00-04"))

        async def next_ramp() -> None:
            await objects.router.clear(roll_back(9))
            await objects.router.prepare(take_over(LATER_RAMP, override="again"), ["green"])
            await objects.router.apply(serve(later, (await objects.router.record()).epoch + 1, LATER_RAMP))

        at = At(point, next_ramp)
        async with Stepping(objects.kubeconfig, before=at) as client:
            await objects.router_with(client).clear(roll_back(9))
        reached, point = at.reached, point + 1
        if reached:
            view = await objects.router.read()
            assert (view.record.ramp, view.record.assignment) == (LATER_RAMP, later)
            assert [finding.seen for finding in view.loaded.findings if finding.answer == "no"] == []
            assert (await objects.main())["metadata"]["annotations"]["tailramp/ramp"] == LATER_RAMP
    assert point > 4


async def test_an_orphan_of_a_preflight_that_came_too_late_serves_nobody_and_is_cleaned_up(objects: Objects) -> None:
    """It was frozen before it made its canary; meanwhile its ramp was killed."""
    made = 0

    async def kill_before_the_canary_is_made(number: int) -> None:
        nonlocal made
        made = number

    async with Stepping(objects.kubeconfig, before=kill_before_the_canary_is_made) as client:
        await objects.router_with(client).prepare(take_over(), ["green"])
    await objects.reset()

    async def clear(number: int) -> None:
        if number == made - 2:  # the last three are: make the canary, mark the main route, note the canary's uid
            await objects.router.clear(roll_back(9))

    async with Stepping(objects.kubeconfig, before=clear) as client:
        with pytest.raises(Refused):
            await objects.router_with(client).prepare(take_over(), ["green"])
    await assert_nobody_is_on_a_candidate(objects)
    await objects.router.prepare(take_over(LATER_RAMP), ["green"])
    canary = await objects.canary()
    assert canary is not None
    assert canary["metadata"]["annotations"]["tailramp/ramp"] == LATER_RAMP
