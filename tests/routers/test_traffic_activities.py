"""The activities that move traffic, as Temporal runs them, against a real Envoy."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from living_route import LivingRoute, outcome_of
from route_samples import BLUE, GREEN, LATER_RAMP, MARK, RAMP, kill, sentinel, serve, take_over
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.traffic import RollbackActivities, TrafficActivities, _count_stands_still, final_refusals
from lab.process import wait_until
from lab.sample_route import on_green, user_in
from tailramp.activity_contract import (
    ClearReport,
    ClearRequest,
    ConcludeRequest,
    RestoreRequest,
    VerifyRequest,
    WriteRequest,
    ZeroRequest,
)
from tailramp.activity_names import REFUSED
from tailramp.assignment import Assignment
from tailramp.errors import Refused, Unreachable
from tailramp.proof import Answer, Evidence
from tailramp.route_record import Clearer, frozen
from workflows import options


@pytest.fixture
def environment() -> ActivityEnvironment:
    return ActivityEnvironment()


class Acting:
    """The activities of one ramp on a living route."""

    def __init__(self, route: LivingRoute, environment: ActivityEnvironment) -> None:
        self.route, self.environment = route, environment
        self.forward, self.back = TrafficActivities(route.clients), RollbackActivities(route.clients)
        self.common: dict[str, Any] = {"spec": route.spec, "ramp": RAMP}
        self.planned: dict[str, Any] = {**self.common, "plan": route.plan}

    async def apply(self, assignment: Assignment, epoch: int) -> None:
        request = WriteRequest(**self.planned, assignment=assignment, epoch=epoch)
        await self.environment.run(self.forward.apply_assignment, request)

    async def verify(self, assignment: Assignment) -> Evidence:
        return await self.environment.run(
            self.forward.verify_assignment, VerifyRequest(**self.planned, assignment=assignment)
        )

    async def conclude(self, epoch: int) -> None:
        await self.environment.run(self.forward.conclude, ConcludeRequest(**self.common, epoch=epoch))

    async def clear(self, epoch: int = 9) -> ClearReport:
        return await self.environment.run(
            self.back.clear_route, ClearRequest(**self.common, epoch=epoch, reason="unhealthy")
        )

    async def prove_zero(self, *slots: str) -> Evidence:
        return await self.environment.run(
            self.back.prove_zero,
            ZeroRequest(
                **self.common,
                slots=slots or ("green",),
                assignment=BLUE,
                returned=self.route.plan.steps[-1].buckets,
            ),
        )


@pytest.fixture
async def acting(route: LivingRoute, environment: ActivityEnvironment) -> Acting:
    await route.router.prepare(take_over())
    return Acting(route, environment)


def refusal(error: BaseException | None) -> tuple[str | None, bool]:
    """Type of the failure, and whether Temporal tries again."""
    assert isinstance(error, ApplicationError), error
    return error.type, not error.non_retryable


# Forward.


@pytest.mark.parametrize(("attempt", "tried_again"), [(1, True), (4, True), (5, False)])
async def test_what_may_only_be_forbidden_for_now_is_tried_a_few_times(
    environment: ActivityEnvironment, attempt: int, tried_again: bool
) -> None:
    async def write() -> None:
        async with final_refusals():
            error = Refused("nobody knows yet that you may")
            error.for_good = False
            raise error

    environment.info = replace(environment.info, attempt=attempt)
    error = await outcome_of(environment.run(write))
    if tried_again:
        assert isinstance(error, Unreachable)
    else:
        assert refusal(error) == (REFUSED, False)


async def test_a_step_is_written_and_proven_by_responses(acting: Acting) -> None:
    await acting.apply(on_green("00-24"), 2)
    evidence = await acting.verify(on_green("00-24"))
    assert evidence.answer is Answer.YES
    assert len(evidence.findings) >= 7


async def looks_in_vain(acting: Acting, assignment: Assignment, words: str) -> None:
    """A verification whose heartbeats say why with these ``words``, and which goes on after that."""
    said: list[Any] = []
    acting.environment.on_heartbeat = lambda *details: said.extend(details)
    looking = asyncio.create_task(acting.verify(assignment))
    try:
        await wait_until(lambda: looking.done() or words in str(said[-1:]), 40, words)
        told = len(said)
        await wait_until(lambda: looking.done() or len(said) > told + 1, 40, "it looks on")
        assert not looking.done()
    finally:
        looking.cancel()
        await outcome_of(looking)


async def test_a_step_that_nobody_wrote_is_looked_for_until_the_time_is_over(acting: Acting) -> None:
    await looks_in_vain(acting, on_green("00-24"), "stored: default blue, green 00-24 (25 %): no (default blue)")


async def test_a_verification_sees_that_envoy_rejected_the_file(acting: Acting) -> None:
    def spoil(data: dict[str, Any]) -> None:
        routes = data["resources"][0]["virtual_hosts"][0]["routes"]
        routes[0]["match"]["headers"][-1]["string_match"]["safe_regex"]["regex"] = "^(?:"
        data["version_info"] = "broken"

    await acting.apply(on_green("00-24"), 2)
    acting.route.edit(spoil)
    await looks_in_vain(acting, on_green("00-24"), "it has rejected an update")


async def test_a_write_after_a_clear_is_fenced_for_good(acting: Acting) -> None:
    await acting.apply(on_green("00-24"), 2)
    await acting.clear()
    for late in (acting.apply(on_green("00-49"), 99), acting.verify(on_green("00-24")), acting.conclude(99)):
        assert refusal(await outcome_of(late)) == ("Fenced", False)


async def test_a_write_on_a_frozen_route_is_told_apart_from_one_that_came_too_late(acting: Acting) -> None:
    await acting.route.router.apply(lambda record: frozen(record, MARK))
    assert refusal(await outcome_of(acting.apply(on_green("00-24"), 2))) == ("Frozen", False)


async def test_a_write_into_no_route_file_is_refused_for_good(acting: Acting) -> None:
    acting.route.file.write_text("{}", encoding="utf-8")
    assert refusal(await outcome_of(acting.apply(on_green("00-24"), 2))) == ("Refused", False)


async def test_a_write_is_repeated_without_harm(acting: Acting) -> None:
    await acting.apply(on_green("00-24"), 2)
    once = acting.route.file.read_bytes()
    await acting.apply(on_green("00-24"), 2)
    assert acting.route.file.read_bytes() == once


# Back.


async def test_a_clear_says_what_stands_and_who_was_first(acting: Acting) -> None:
    await acting.apply(on_green("00-24"), 2)
    report = await acting.clear(epoch=3)
    assert (report.held, report.epoch, report.assignment) == (True, 3, BLUE)
    assert (report.cleared_by, report.reason, report.superseded_by) == (Clearer.ROLLBACK, "unhealthy", None)
    assert (await acting.clear(epoch=3)).epoch > 3


async def test_a_clear_after_the_sentinel_goes_on_and_keeps_its_reason(acting: Acting) -> None:
    await acting.apply(on_green("00-24"), 2)
    await acting.route.router.clear(sentinel)
    report = await acting.clear()
    assert (report.held, report.cleared_by, report.reason) == (True, Clearer.SENTINEL, "lease_lapsed")


async def test_a_clear_under_a_kill_mark_writes_nothing(acting: Acting) -> None:
    await acting.apply(GREEN, 2)
    await acting.route.router.clear(kill)
    before = acting.route.file.read_bytes()
    report = await acting.clear()
    assert (report.held, report.cleared_by, report.assignment) == (False, Clearer.KILL, BLUE)
    assert acting.route.file.read_bytes() == before


async def test_a_clear_of_a_route_that_a_newer_ramp_holds_touches_nothing(acting: Acting) -> None:
    await acting.route.router.clear(sentinel)
    await acting.route.router.prepare(take_over(LATER_RAMP))
    await acting.route.router.apply(serve(on_green("00"), epoch=50, ramp=LATER_RAMP))
    report = await acting.clear()
    assert (report.held, report.superseded_by) == (False, LATER_RAMP)
    assert (await acting.route.router.record()).assignment == on_green("00")
    assert (await acting.clear(epoch=0)).superseded_by is None, "a ramp that never held the route was not superseded"


@pytest.mark.parametrize("content", ["", "{", "null"])
async def test_a_route_file_that_somebody_has_broken_does_not_end_a_rollback(acting: Acting, content: str) -> None:
    await acting.apply(on_green("00-24"), 2)
    acting.route.file.write_text(content, encoding="utf-8")
    restore = RestoreRequest(**acting.common, snapshot="")
    for attempt in (acting.prove_zero(), acting.environment.run(acting.back.restore, restore)):
        error = await outcome_of(attempt)
        assert isinstance(error, Unreachable)
        for how in (options.CLEAR, options.PROVE_ZERO, options.RESTORE):
            assert type(error).__name__ not in (how.retry.non_retryable_error_types or ())
            assert how.retry.maximum_attempts == 0
    assert (await acting.clear()).assignment == BLUE, "what lies ready takes the place of the broken file"
    assert (await acting.route.router.record()).closed


async def test_zero_is_proven_by_counters_and_by_responses(acting: Acting) -> None:
    await acting.apply(on_green("00-24"), 2)
    await acting.verify(on_green("00-24"))
    await acting.clear()
    await acting.route.taken_up()
    evidence = await acting.prove_zero()
    assert evidence.answer is Answer.YES
    questions = " | ".join(finding.question for finding in evidence.findings)
    assert "no new request reaches green in 6 looks, 20 ms apart" in questions
    assert "is served by blue" in questions


async def test_zero_is_not_proven_while_somebody_is_still_served_by_the_candidate(acting: Acting) -> None:
    await acting.apply(on_green("00-24"), 2)
    await acting.verify(on_green("00-24"))
    async with acting.route.a_user_who_keeps_asking(user_in("10")):
        error = await outcome_of(acting.prove_zero())
        assert refusal(error) == ("NotProven", True)
        assert "no new request reaches green" in str(error)
    assert refusal(await outcome_of(acting.prove_zero())) == ("NotProven", True), "probes still reach it"


async def test_zero_is_not_proven_by_a_candidate_that_is_dead(acting: Acting) -> None:
    await acting.apply(on_green("00-24"), 2)
    await acting.verify(on_green("00-24"))
    await acting.route.stop_server("green")
    async with acting.route.a_user_who_keeps_asking(user_in("10")):
        assert "no new request reaches green" in str(await outcome_of(acting.prove_zero()))


async def test_zero_is_not_proven_before_envoy_has_taken_the_clear_up(acting: Acting) -> None:
    await acting.apply(on_green("00-24"), 2)
    await acting.verify(on_green("00-24"))
    with acting.route.frozen():
        await acting.clear()
        error = await outcome_of(acting.prove_zero())
        assert refusal(error) == ("NotProven", True)
    await acting.route.taken_up()
    assert (await acting.prove_zero()).answer is Answer.YES


async def test_a_slot_that_envoy_does_not_count_proves_nothing(acting: Acting) -> None:
    error = await outcome_of(acting.prove_zero("red"))
    assert refusal(error) == ("NotProven", True)
    assert "the data plane does not tell" in str(error)


async def test_a_restart_of_envoy_during_the_count_starts_the_proof_anew(acting: Acting) -> None:
    for _ in range(3):
        await acting.route.ask("u1")
    counting = asyncio.create_task(_count_stands_still(acting.route.router, "blue", 10_000, 0.01))
    await acting.route.envoy.restart()
    finding = await counting
    assert finding.answer is Answer.UNKNOWN


async def test_what_was_changed_by_somebody_else_is_reported_after_a_rollback(acting: Acting, tmp_path: Path) -> None:
    snapshot = await acting.route.router.snapshot()
    await acting.apply(on_green("00-24"), 2)
    await acting.clear()
    request = RestoreRequest(**acting.common, snapshot=snapshot)
    assert (await acting.environment.run(acting.back.restore, request)).equal
    acting.route.edit(lambda data: data["resources"][0].update(response_headers_to_remove=["server"]))
    report = await acting.environment.run(acting.back.restore, request)
    assert not report.equal
    assert str(tmp_path) in report.foreign[0]
