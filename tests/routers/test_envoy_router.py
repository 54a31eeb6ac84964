"""The router for Envoy against a real Envoy: what is loaded, what was served, what preflight sees."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from living_route import LivingRoute, outcome_of
from route_samples import BLUE, GREEN, LATER_RAMP, RAMP, conclude, kill, renew, rollback, serve, take_over

from activities.routers import record_router
from activities.routers.envoy_admin import EnvoyAdmin
from lab.process import wait_until
from lab.sample_route import on_green, user_in
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.errors import Fenced, Refused, Unreachable
from tailramp.plan import Variant
from tailramp.proof import Answer
from tailramp.route_record import RouteRecord, SlotRecord

# Probes.


async def test_what_envoy_serves_is_what_the_probes_find(route: LivingRoute) -> None:
    for epoch, assignment in enumerate((BLUE, on_green("00-04"), on_green("00-49"), Assignment(default="green")), 1):
        await route.serve(assignment, epoch)
        evidence = await route.prober.probe(assignment)
        assert evidence.answer is Answer.YES, evidence.missing()
        assert any("without an id" in finding.question for finding in evidence.findings)
        assert any("forged" in finding.question for finding in evidence.findings) == bool(assignment.rules)


async def test_who_is_served_by_another_slot_than_planned_is_a_no(route: LivingRoute) -> None:
    await route.serve(on_green("00-04"))
    nobody = await route.prober.probe(BLUE)
    more = await route.prober.probe(on_green("00-09,50"))
    everyone = await route.prober.probe(GREEN)
    members = await route.prober.probe_members(BucketSet.parse("00-04"), "blue")
    assert [evidence.answer for evidence in (members, everyone)] == [Answer.NO, Answer.NO]
    assert Answer.NO in {nobody.answer, more.answer}, "two users in five buckets of a hundred may be missed, not both"
    assert "green, status 200" in members.missing()


async def test_a_server_that_lies_about_its_variant_is_not_believed(route: LivingRoute) -> None:
    evidence = await route.prober.probe(BLUE)
    assert evidence.answer is Answer.YES
    assert route.requests["blue"] > 0


async def test_a_route_that_does_not_say_who_served_is_unknown(route: LivingRoute) -> None:
    def forget(data: dict[str, Any]) -> None:
        data["resources"][0]["virtual_hosts"][0]["routes"][0]["response_headers_to_remove"] = ["x-tailramp-variant"]
        data["resources"][0]["virtual_hosts"][0]["routes"][0]["response_headers_to_add"] = []
        data["version_info"] = "silent"

    route.edit(forget)
    await route.taken_up()
    evidence = await route.prober.probe(BLUE)
    assert evidence.answer is Answer.UNKNOWN
    assert "status 200 without X-Tailramp-Variant" in evidence.missing()


async def test_a_gateway_that_does_not_answer_is_unknown(route: LivingRoute) -> None:
    await route.envoy.stop()
    evidence = await route.prober.probe(BLUE)
    assert evidence.answer is Answer.UNKNOWN
    assert "no response" in evidence.missing()


async def test_a_slot_whose_server_is_dead_is_still_named_by_the_route(route: LivingRoute) -> None:
    await route.serve(on_green("00-49"))
    await route.stop_server("green")
    evidence = await route.prober.probe_members(BucketSet.parse("00-49"), "green")
    assert evidence.answer is Answer.YES
    assert "status 503" in evidence.findings[0].seen


# What was served.


async def count(route: LivingRoute, slot: str) -> int:
    served = await route.router.served(slot)
    assert served is not None
    return served.count


async def test_what_was_served_is_counted_by_slot(route: LivingRoute) -> None:
    await route.serve(on_green("00-04"))
    before = {slot: await count(route, slot) for slot in ("blue", "green")}
    for _ in range(3):
        await route.ask(user_in("03"))
    await route.ask(user_in("50"))
    after = {slot: await count(route, slot) for slot in ("blue", "green")}
    assert (after["blue"] - before["blue"], after["green"] - before["green"]) == (1, 3)


async def test_requests_that_a_dead_server_refused_count_as_served(route: LivingRoute) -> None:
    await route.serve(on_green("00-04"))
    await route.stop_server("green")
    before = await count(route, "green")
    for _ in range(4):
        assert await route.ask(user_in("03")) == 503
    assert await count(route, "green") == before + 4


async def test_a_slot_that_envoy_does_not_know_is_unknown_and_not_zero(route: LivingRoute) -> None:
    assert await route.router.served("red") is None


async def test_an_admin_interface_that_is_down_or_frozen_is_unknown_and_not_zero(route: LivingRoute) -> None:
    with route.frozen():
        assert await route.router.served("green") is None
    await route.envoy.stop()
    assert await route.router.served("green") is None


async def test_a_restart_of_envoy_starts_count_and_uptime_anew(route: LivingRoute) -> None:
    for _ in range(5):
        await route.ask("u1")

    async def runs_for_a_while() -> bool:
        served = await route.router.served("blue")
        return served is not None and served.uptime >= 3

    await wait_until(runs_for_a_while, 40, "it has an uptime that a new one cannot have at once")
    before, restarted = await route.router.served("blue"), time.monotonic()
    await route.envoy.restart()
    after = await route.router.served("blue")
    assert before is not None
    assert after is not None
    assert (before.count, after.count) == (5, 0)
    assert after.uptime <= time.monotonic() - restarted + 1


# What is loaded.


async def test_what_is_stored_is_compared_with_what_is_loaded(route: LivingRoute) -> None:
    await route.serve(on_green("00-04"))
    view = await route.router.read()
    assert view.record.assignment == on_green("00-04")
    assert view.loaded.answer is Answer.YES
    with route.frozen():
        assert (await route.router.read()).loaded.answer is Answer.UNKNOWN
        await route.router.apply(serve(on_green("00-09"), epoch=3))
    await route.taken_up()


async def test_a_file_that_envoy_rejects_is_a_no_that_says_so(route: LivingRoute) -> None:
    await route.router.prepare(take_over())
    await route.router.apply(_serve_a_slot_without_a_cluster)

    async def rejected() -> bool:
        return "rejected an update" in (await route.router.read()).loaded.missing()

    await wait_until(rejected, 40, "Envoy rejects the file")
    view = await route.router.read()
    assert view.loaded.answer is Answer.NO
    assert (await route.prober.probe(BLUE)).answer is Answer.YES, "the last good configuration goes on serving"
    await route.router.clear(rollback(9))
    await route.taken_up()


def _serve_a_slot_without_a_cluster(record: RouteRecord) -> RouteRecord:
    slots = {**record.slots, "red": SlotRecord(model="chat-v3")}
    rule = Rule(slot="red", buckets=BucketSet.parse("00"))
    return serve(Assignment(default="blue", rules=(rule,)), epoch=2)(record.model_copy(update={"slots": slots}))


async def test_a_route_configuration_that_was_never_loaded_has_no_version(route: LivingRoute) -> None:
    admin = EnvoyAdmin(route.platform.router.admin + "/", route.http)
    assert await admin.loaded_version("another/route") is None
    assert await admin.counter("no.such.counter") is None
    assert await admin.uptime() >= 0


async def test_an_admin_address_that_is_something_else_is_unreachable(route: LivingRoute) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        await EnvoyAdmin(route.url, route.http).uptime()
    with pytest.raises(Unreachable):
        await EnvoyAdmin("http://127.0.0.1:1", route.http).counter("x")


# Preflight.


async def test_a_route_that_fits_its_plan_has_no_problem(route: LivingRoute) -> None:
    assert await route.router.preflight(route.plan) == []


async def test_every_problem_of_a_route_is_named_at_once(route: LivingRoute) -> None:
    def spoil(data: dict[str, Any]) -> None:
        main = data["resources"][0]["virtual_hosts"][0]["routes"][0]
        main["response_headers_to_add"] = []
        data["version_info"] = "not loaded"

    await route.envoy.stop()
    route.edit(spoil)
    plan = route.plan.model_copy(
        update={"route": "demo/other", "candidates": (Variant(slot="red", model="m", buckets=BucketSet.parse("00")),)}
    )
    words = " | ".join(str(problem) for problem in await route.router.preflight(plan))
    for expected in (
        "holds the route demo/chat",
        "slots.red",
        "entry main does not set X-Tailramp-Variant",
        "Start Envoy",
    ):
        assert expected in words


async def test_an_envoy_that_watches_another_file_is_named(route: LivingRoute) -> None:
    await route.envoy.stop()
    text = route.file.read_text(encoding="utf-8")
    await route.envoy.start()
    copied = route.folder / "copy.json"
    copied.write_text(text.replace('"version_info": "0"', '"version_info": "1"'), encoding="utf-8")
    router = record_router(copied)
    router._admin = EnvoyAdmin(route.platform.router.admin, route.http)  # type: ignore[attr-defined]
    (problem,) = await router.preflight(route.plan)
    assert "Envoy serves version 0 of route configuration demo/chat, the file holds 1" in str(problem)


async def test_a_route_file_that_is_not_there_is_named(route: LivingRoute) -> None:
    route.file.unlink()
    (problem,) = await route.router.preflight(route.plan)
    assert "there is no route file" in str(problem)


# Taking over, going on, ending.


async def test_a_route_is_taken_over_with_nobody_on_the_candidate_and_a_ready_file(route: LivingRoute) -> None:
    record = await route.router.prepare(take_over())
    assert (record.ramp, record.epoch, record.closed, record.candidates) == (RAMP, 1, False, ())
    assert (await route.router.prepare(take_over())) == record
    ready = await record_router(route.file.parent / "ready" / route.file.name).record()
    assert ready.closed
    assert ready.epoch > 1000


async def test_a_ramp_that_was_cleared_cannot_take_its_route_back(route: LivingRoute) -> None:
    await route.serve(on_green("00-04"))
    await route.router.clear(rollback(3))
    for change in (take_over(), serve(on_green("00"), epoch=99), renew(99), conclude(99)):
        with pytest.raises(Fenced):
            await route.router.apply(change)
    assert (await route.router.prepare(take_over(LATER_RAMP))).epoch > 3


async def test_a_route_that_serves_a_candidate_is_not_given_to_another_ramp(route: LivingRoute) -> None:
    await route.serve(on_green("00-04"))
    with pytest.raises(Refused, match="still serves green"):
        await route.router.prepare(take_over(LATER_RAMP))
    assert (await route.router.record()).ramp == RAMP


async def test_a_promoted_slot_is_the_next_ramps_baseline(route: LivingRoute) -> None:
    await route.serve(GREEN)
    record = await route.router.apply(conclude(3))
    assert (record.closed, record.original_default, record.candidates) == (True, "green", ())
    assert await route.router.apply(conclude(3)) == record
    assert (await route.prober.probe(GREEN)).answer is Answer.YES


async def test_a_ramp_that_was_killed_in_its_bake_does_not_end_as_a_success(route: LivingRoute) -> None:
    await route.serve(GREEN)
    await route.router.clear(kill)
    with pytest.raises(Fenced, match="shut off by ada"):
        await route.router.apply(conclude(3))
    await route.taken_up()
    assert (await route.prober.probe(BLUE)).answer is Answer.YES


async def test_what_a_ramp_leaves_is_what_it_found(route: LivingRoute) -> None:
    before = await route.router.snapshot()
    await route.serve(on_green("00-49"))
    await route.router.apply(serve(GREEN, epoch=3))
    assert (await route.router.restore(before)).equal is False
    await route.router.clear(rollback(4))
    assert (await route.router.restore(before)).equal is True


async def test_what_somebody_else_changed_meanwhile_is_named_and_left(route: LivingRoute) -> None:
    before = await route.router.snapshot()
    await route.serve(on_green("00-49"))
    route.edit(lambda data: data["resources"][0].update(response_headers_to_remove=["server"]))
    await route.router.clear(rollback(4))
    report = await route.router.restore(before)
    assert not report.equal
    assert "was changed by somebody else" in report.foreign[0]
    assert "response_headers_to_remove" in route.file.read_text(encoding="utf-8")


async def test_a_renewal_tells_what_somebody_changed_in_our_part(route: LivingRoute) -> None:
    await route.serve(on_green("00-49"))
    assert (await route.router.renew(renew(2))).drift == ()
    route.edit(lambda data: data["resources"][0]["virtual_hosts"][0]["routes"].pop(0))
    assert (await route.router.renew(renew(2))).drift == ("entry tailramp/green/main of demo/chat is gone",)


async def test_a_cancelled_caller_waits_until_its_write_has_ended(route: LivingRoute) -> None:
    """An activity that ended while its thread writes on could undo the rollback that follows it."""
    await route.serve(on_green("00-04"))
    begun, go_on = threading.Event(), threading.Event()

    def slowly(record: RouteRecord) -> RouteRecord:
        begun.set()
        assert go_on.wait(20)
        return serve(on_green("00-09"), epoch=3)(record)

    caller = asyncio.create_task(route.router.apply(slowly))
    assert await asyncio.to_thread(begun.wait, 20)
    caller.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not caller.done()
    go_on.set()
    assert isinstance(await outcome_of(caller), asyncio.CancelledError)
    assert (await route.router.record()).assignment == on_green("00-09")


async def test_whoever_has_only_the_route_file_can_clear_it_but_not_ask_envoy(route: LivingRoute) -> None:
    await route.serve(on_green("00-49"))
    kit = record_router(route.file)
    assert (await kit.clear(kill)).candidates == ()
    assert await kit.served("green") is None
    assert (await kit.read()).loaded.answer is Answer.UNKNOWN
    await route.taken_up()
    assert (await route.prober.probe(BLUE)).answer is Answer.YES
