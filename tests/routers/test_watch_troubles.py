"""A watch whose surroundings hang or break still ticks when a tick is due, and comes back when it has to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import pytest
from living_route import LivingRoute
from running_watch import put_around, request_for, watching

from activities import watch as watch_module
from activities.routers.protocol import Change, Renewal
from activities.users import UsersWatch
from activities.watched_route import WatchedRoute
from lab.process import wait_until
from tailramp.activity_contract import WatchRequest
from tailramp.evidence.ledger import Ledger
from tailramp.ramp import WatchOutcome
from tailramp.route_record import looked

COUNTED = threading.Event()
LATE = 40.0
"""What a busy machine may need for anything that is waited for."""


async def for_ever(*_: object) -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


def no_counts(_: Ledger) -> NoReturn:
    raise RecursionError("as JSON may")


def late_counts(_: Ledger) -> str:
    COUNTED.wait(30)  # in the thread that writes, where no time limit can end it
    return "counts"


async def has_been_blind(route: LivingRoute, request: WatchRequest, for_: timedelta) -> None:
    """An earlier watch of the same step has noted so."""
    since = datetime.now(UTC) - for_
    await route.router.renew(lambda record: looked(record, ramp=request.ramp, epoch=request.epoch, blind_since=since))


async def blind_since(route: LivingRoute) -> datetime | None:
    return (await route.router.record()).blind_since


async def test_a_watch_that_is_begun_anew_goes_on_being_blind_and_one_that_saw_does_not(route: LivingRoute) -> None:
    """Nobody answers at Prometheus's address.  A message ends a watch, and the next one begins."""
    request = await request_for(route, maxBlind="30s", onBlind="rollback")
    async with watching(route, request, scheduled_time=datetime.now(UTC) - timedelta(minutes=1)) as watch:
        await wait_until(lambda: watch.ticked_after(0), LATE, "a tick is over")
        since = await blind_since(route)
        assert since is not None
        assert since > datetime.now(UTC) - timedelta(seconds=30), "until now somebody had an answer, for all we know"
    async with watching(route, request) as watch:
        await wait_until(lambda: watch.ticked_after(1), LATE, "a tick is over")
        assert await blind_since(route) == since
    await has_been_blind(route, request, timedelta(seconds=29))
    async with watching(route, request) as watch:
        assert (await asyncio.wait_for(watch.task, LATE)).outcome is WatchOutcome.BLIND


@pytest.mark.parametrize("written", [no_counts, late_counts])
async def test_a_rollback_waits_for_no_counts_and_does_not_fail_of_them(
    route: LivingRoute, monkeypatch: pytest.MonkeyPatch, written: object
) -> None:
    monkeypatch.setattr(Ledger, "written", written)
    request = await request_for(route, maxBlind="30s", onBlind="rollback")
    await has_been_blind(route, request, timedelta(minutes=1))
    COUNTED.clear()
    try:
        async with watching(route, request) as watch:
            result = await asyncio.wait_for(watch.task, 25)
    finally:
        COUNTED.set()
    assert (result.outcome, result.counts) == (WatchOutcome.BLIND, "")
    lease = (await route.router.record()).leases["green"]
    assert (lease.seconds, lease.reason) == (5, "blind")


async def test_counts_are_written_while_the_lease_is(route: LivingRoute, monkeypatch: pytest.MonkeyPatch) -> None:
    writing = asyncio.Event()
    loop = asyncio.get_running_loop()

    def write(_: Ledger) -> str:
        loop.call_soon_threadsafe(writing.set)
        return "counts"

    async def renew_then(change: Change) -> Renewal:
        async with asyncio.timeout(LATE):
            await writing.wait()
        return await router.renew(change)

    router = route.router
    monkeypatch.setattr(Ledger, "written", write)
    monkeypatch.setattr(watch_module, "_ROLLBACK_WAITS_SECONDS", LATE)
    put_around(monkeypatch, router, renew=renew_then)
    request = await request_for(route, maxBlind="30s", onBlind="rollback")
    await has_been_blind(route, request, timedelta(minutes=1))
    async with watching(route, request) as watch:
        assert (await watch.task).counts == "counts"


async def test_what_else_may_hold_the_ramp_is_asked_at_once(
    route: LivingRoute, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = asyncio.Barrier(3)

    async def ready(slot: str) -> bool:
        await together.wait()
        return slot != "blue"

    async def short(_: WatchedRoute) -> str:
        await together.wait()
        return "short"

    async def amiss(_: UsersWatch, at: int) -> str:
        await together.wait()
        return f"amiss at {at}"

    put_around(monkeypatch, route.router, ready=ready)
    monkeypatch.setattr(WatchedRoute, "_baseline_short", short)
    monkeypatch.setattr(UsersWatch, "amiss", amiss)
    async with watching(route, await request_for(route)) as watch:
        result = await asyncio.wait_for(watch.task, LATE)
    assert result.outcome is WatchOutcome.BLOCKS_CHANGED
    assert result.sentence.endswith("the baseline blue has no ready server")


async def test_a_look_between_two_ticks_that_hangs_delays_no_tick(
    route: LivingRoute, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = route.router
    looked = asyncio.Event()

    async def disturbances() -> AsyncIterator[None]:
        yield
        await for_ever()

    async def renew(change: Change) -> Renewal:
        record = await router.record()
        if change(record) == record:
            looked.set()
            await for_ever()
        return await router.renew(change)

    put_around(monkeypatch, router, renew=renew, disturbances=disturbances)
    async with watching(route, await request_for(route)) as watch:
        await wait_until(looked.is_set, LATE, "the look hangs")
        await wait_until(lambda: watch.ticked_after(0), LATE, "the next tick is over")


async def test_a_watch_of_the_route_that_breaks_is_told_and_every_tick_still_looks(
    route: LivingRoute, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def disturbances() -> AsyncIterator[None]:
        raise KeyError("metadata")
        yield

    put_around(monkeypatch, route.router, disturbances=disturbances)
    async with watching(route, await request_for(route)) as watch:
        await wait_until(lambda: watch.ticked_after(0), LATE, "the next tick is over")
    assert [line for line in caplog.records if "nobody tells of changes" in line.message and line.exc_info]
