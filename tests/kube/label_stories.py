"""What happens on a route by label, whatever program our gateway is: told once, and tried with each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cluster_command import run
from living_kube import Answers
from living_label import LivingLabel
from record_changes import BLUE, GREEN, renew, roll_back, serve, take_over

from activities.kube.resources import INGRESSES
from lab.process import wait_until
from lab.sample_route import on_green
from tailramp.assignment import Assignment
from tailramp.route_record import lifted


async def give(route: LivingLabel, assignment: Assignment, epoch: int, lease_seconds: float = 90.0) -> None:
    await route.label_router.apply(serve(assignment, epoch, lease_seconds=lease_seconds))


async def begin(route: LivingLabel, assignment: Assignment, lease_seconds: float = 90.0) -> None:
    """A ramp that serves ``assignment``, whose lease has just been renewed, or is renewed for the first time."""
    await route.label_router.prepare(take_over(), ["green"])
    await give(route, assignment, 2, lease_seconds)
    async with renewed_on_and_on(route):  # a proof may take longer than a short lease
        await route.served(assignment)


@asynccontextmanager
async def renewed_on_and_on(route: LivingLabel) -> AsyncIterator[None]:
    async def renew_on() -> None:
        while True:
            await route.label_router.renew(renew(2))
            await asyncio.sleep(0.3)

    renewing = asyncio.create_task(renew_on())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


async def asked(users: Answers, count: int) -> None:
    """Wait until users have asked so often again."""
    before = len(users.log)

    async def enough() -> bool:
        return len(users.log) >= before + count

    await wait_until(enough, 60, f"{count} more answers")


async def ramp_among_users(route: LivingLabel) -> None:
    """Every step is served exactly, no request fails, and nothing of the gateway behind is ever changed."""
    objects = await route.admin.find_all(INGRESSES, route.namespace)
    router = route.label_router
    assert await router.preflight(route.plan) == []
    snapshot = await router.snapshot()
    await router.prepare(take_over(), ["green"])
    async with route.users() as users:
        steps = [on_green("00-04"), on_green("00-49"), on_green("00-09"), GREEN]
        for epoch, assignment in enumerate(steps, 2):
            users.allowed = (*users.allowed, assignment)
            await give(route, assignment, epoch)
            await route.loaded()
            await route.served(assignment)
            users.allowed = (assignment,)
            await asked(users, 60)
        users.allowed = (GREEN, BLUE)
        await router.clear(roll_back(9))
        await route.loaded()
        await route.served(BLUE)
        users.allowed = (BLUE,)
        await asked(users, 60)
    assert (users.failed, users.wrong) == ([], [])
    assert (await router.restore(snapshot)).equal
    assert await route.admin.find_all(INGRESSES, route.namespace) == objects


async def lose_the_follower(route: LivingLabel, assignment: Assignment) -> None:
    """Whoever is on a candidate goes back when the lease ends, and comes again with a new follower."""
    await begin(route, assignment, lease_seconds=2.0)
    await route.follower.kill()
    await route.served(BLUE)
    # Nobody has cleared anything: the record still says what it said, and the gateway comes back to it.
    assert (await route.label_router.record()).assignment == assignment
    route.start_follower()
    async with renewed_on_and_on(route):
        await route.served(assignment)


async def switch_off_and_on(route: LivingLabel) -> None:
    """`kill --off` answers in our gateway, and `lift` brings everyone back."""
    code, _, err = await run(route.within.kubeconfig, "kill", "--platform", str(route.platform_file), "--off")
    assert code == 0, err

    async def is_off() -> bool:
        return await route.ask() == (503, "off")

    await wait_until(is_off, 40, "the gateway answers by itself")
    await route.label_router.apply(lifted)
    await route.served(BLUE)
