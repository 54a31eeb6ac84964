"""A watch that reads what it missed lets others work meanwhile, and keeps its leases: for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from living_route import LivingRoute
from running_watch import RunningWatch, put_around, request_for, watching

from activities import pauses
from lab.process import wait_until
from tailramp.evidence import Reading
from tailramp.evidence.shelf import Shelf

AN_HOUR = 3600


class CatchingUp:
    """`looked` holds how often the lease had been renewed when the present was looked at; `judged` grows with ticks.

    `before` is how often it had been renewed when the watch began.
    """

    def __init__(self, watch: RunningWatch, before: int, looked: list[int], judged: list[int]) -> None:
        self.watch, self.before, self.looked, self.judged = watch, before, looked, judged


@asynccontextmanager
async def catching_up(route: LivingRoute, monkeypatch: pytest.MonkeyPatch, **info: Any) -> AsyncIterator[CatchingUp]:
    """Two minutes are missed, 85 ticks with the run-up; each takes a good part of the time after which others have the
    loop, and all together more than six times as long as a lease is left alone.
    """
    take, looked, judged = Shelf.take, list[int](), list[int]()

    def slowly(shelf: Shelf, reading: Reading) -> None:
        time.sleep(0.01)  # a busy machine: judging holds the loop, so this must, too
        judged.append(reading.at)
        take(shelf, reading)

    async def ready(_: str) -> bool:
        looked.append((await route.router.record()).leases["green"].renewals)
        return True

    request = await request_for(route, 123, tick=5)  # the next tick is due in two or three seconds
    monkeypatch.setattr(Shelf, "take", slowly)
    monkeypatch.setattr(pauses, "LONGEST_TURN_SECONDS", 0.0125)
    monkeypatch.setattr(pauses, "RENEWAL_SECONDS", 0.125)
    put_around(monkeypatch, route.router, ready=ready)
    before = (await route.router.record()).leases["green"].renewals
    async with watching(route, request, **info) as watch:
        yield CatchingUp(watch, before, looked, judged)


async def test_others_have_the_loop_between_two_ticks_that_take_long(
    route: LivingRoute, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with catching_up(route, monkeypatch) as catching:
        in_one_turn, before = list[int](), 0
        while not catching.looked:
            await asyncio.sleep(0)
            in_one_turn.append(len(catching.judged) - before)
            before = len(catching.judged)
    assert before > 80
    assert max(in_one_turn) <= 2


async def test_leases_are_renewed_while_a_watch_catches_up(route: LivingRoute, monkeypatch: pytest.MonkeyPatch) -> None:
    async with catching_up(route, monkeypatch) as catching:
        await wait_until(lambda: catching.looked, 60, "the present is looked at")
        assert catching.looked[0] >= catching.before + 1 + 3
        assert catching.watch.beats[0]["unlooked_since"] is not None
        await wait_until(
            lambda: catching.watch.beats[-1]["unlooked_since"] is None, 40, "a heartbeat tells of the look"
        )


async def test_a_watch_that_does_not_get_to_the_present_keeps_no_lease(
    route: LivingRoute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pauses, "LONGEST_UNLOOKED_SECONDS", 0.3)
    async with catching_up(route, monkeypatch) as catching:
        await wait_until(lambda: catching.looked, 60, "the present is looked at")
        assert catching.looked[0] <= catching.before + 1 + 2


async def test_nor_do_watches_that_die_of_it_one_after_the_other(
    route: LivingRoute, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = {"doing": "reading what was missed", "renewed": None, "unlooked_since": time.time() - AN_HOUR}
    async with catching_up(route, monkeypatch, heartbeat_details=[earlier]) as catching:
        await wait_until(lambda: catching.looked, 60, "the present is looked at")
        assert catching.looked[0] == catching.before + 1
