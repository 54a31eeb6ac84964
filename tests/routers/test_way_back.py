"""After a promotion, going back to servers that are gone would turn bad answers into none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from living_route import LivingRoute, outcome_of
from route_samples import BLUE, GREEN, RAMP, serve, take_over
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.preflight import PreflightRequest
from activities.preflight import take_over as taken_over_by
from activities.routers import record_router
from activities.routers.envoy_file import EnvoyFile
from activities.routers.protocol import Clear
from activities.traffic import RollbackActivities
from cli.__main__ import main
from cli.exit_codes import ExitCode
from lab.process import wait_until
from lab.sample_route import on_green
from tailramp.activity_contract import ClearRequest
from tailramp.activity_names import NOT_READY
from tailramp.route_record import RouteRecord
from worker.sentinel import Sentinel


@pytest.fixture
async def promoted(route: LivingRoute) -> LivingRoute:
    """Green is the default of a ramp that began on blue; its lease is a second."""
    request = PreflightRequest(spec=route.spec, ramp=RAMP, override="again")
    await route.router.prepare(taken_over_by(route.plan, request))
    await route.router.apply(serve(GREEN, epoch=2, lease_seconds=1.0))
    await route.taken_up()
    return route


async def without_blue(route: LivingRoute) -> LivingRoute:
    await route.stop_server("blue")

    async def seen() -> bool:
        return await route.router.ready("blue") is False

    await wait_until(seen, 40, "Envoy sees that blue is gone")
    return route


async def stands(route: LivingRoute) -> RouteRecord:
    return await record_router(route.file).record()


async def clear(route: LivingRoute) -> BaseException | None:
    request = ClearRequest(spec=route.spec, ramp=RAMP, epoch=9, reason="unhealthy")
    return await outcome_of(ActivityEnvironment().run(RollbackActivities(route.clients).clear_route, request))


def kill(route: LivingRoute, *flags: str) -> Any:
    return asyncio.to_thread(main, ["kill", "--route-file", str(route.file), *flags])


async def test_envoy_tells_which_slots_have_a_ready_server(route: LivingRoute) -> None:
    assert await route.router.ready("blue") is True
    assert await route.router.ready("no-such-slot") is None
    await without_blue(route)
    assert await route.router.ready("green") is True


async def test_a_rollback_leaves_traffic_and_marks_the_record_until_somebody_is_ready(promoted: LivingRoute) -> None:
    await without_blue(promoted)
    error = await clear(promoted)
    assert isinstance(error, ApplicationError)
    assert (error.type, error.non_retryable) == (NOT_READY, False)
    record = await stands(promoted)
    assert (record.assignment, record.stranded) == (GREEN, True)


async def test_a_rollback_with_somebody_to_go_back_to_goes_back(promoted: LivingRoute) -> None:
    assert await clear(promoted) is None
    assert (await stands(promoted)).assignment == BLUE


async def test_a_candidate_is_cleared_whatever_the_baseline_does_as_long_as_the_default_has_not_moved(
    route: LivingRoute,
) -> None:
    await route.router.prepare(take_over())
    await without_blue(route)
    assert await clear(route) is None


async def test_a_promotion_that_comes_between_a_look_and_the_clear_is_asked_about(
    route: LivingRoute, monkeypatch: pytest.MonkeyPatch
) -> None:
    await route.router.prepare(take_over())
    await route.router.apply(serve(on_green("00-49"), epoch=2))
    await without_blue(route)
    clears = EnvoyFile.clear

    async def overtaken(router: EnvoyFile, change: Clear) -> RouteRecord:
        change(await router.record())
        await router.apply(serve(GREEN, epoch=3))
        return await clears(router, change)

    monkeypatch.setattr(EnvoyFile, "clear", overtaken)
    error = await clear(route)
    assert isinstance(error, ApplicationError)
    assert error.type == NOT_READY
    assert (await stands(route)).assignment == GREEN


async def test_the_sentinel_leaves_traffic_too_and_tries_on(promoted: LivingRoute) -> None:
    await without_blue(promoted)
    now = 0.0
    sentinel = Sentinel([str(promoted.file)], monotonic=lambda: now)
    assert await sentinel.look() == []
    now = 2.0
    assert await sentinel.look() == []
    record = await stands(promoted)
    assert (record.assignment, record.stranded) == (GREEN, True)


@pytest.mark.parametrize("flags", [(), ("--to-previous",)], ids=["to the baseline", "to previous"])
async def test_a_kill_changes_nothing_and_names_what_a_person_can_do(
    promoted: LivingRoute, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]
) -> None:
    await without_blue(promoted)
    before = promoted.file.read_bytes()
    assert await kill(promoted, *flags) == ExitCode.REFUSED
    assert promoted.file.read_bytes() == before
    said = capsys.readouterr().err
    assert "blue, where everyone would go back to, has no ready server" in said
    assert "--force" in said
    assert "--off" in said


@pytest.mark.parametrize("flags", [("--force",), ("--to-previous", "--force"), ("--off",)])
async def test_a_kill_by_force_or_to_off_asks_nobody(promoted: LivingRoute, flags: tuple[str, ...]) -> None:
    await without_blue(promoted)
    assert await kill(promoted, *flags) == ExitCode.DONE
    record = await stands(promoted)
    assert (record.assignment, record.off, record.stranded) == (BLUE, "--off" in flags, False)
