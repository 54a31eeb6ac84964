"""Whole demo runs: live users, a real gateway, and the promises held against the users' own log."""

from pathlib import Path

import pytest

from gateway.route_document import RouteDocument
from lab.acts import ACTS, Scenario, UserRun
from lab.client_log import Violations, read_log, violations
from lab.process import wait_until
from lab.route_history import RouteHistory
from lab.scenario import Facts, play
from lab.world import HANG_CHECK, SALT, World
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketFunction, BucketSet
from tailramp.ramp import Phase

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SECONDS_AFTER_TRIGGER = 2.0
TO_THE_END = UserRun(seconds=150.0, core_rate=345.0)
SOON_DONE = UserRun(seconds=120.0, core_users=300, core_rate=330.0, patience=12.0)
"""Enough users for half of them to be more than a hundred; none waits long for a candidate that hangs."""


def assert_promises_to_users_are_kept(facts: Facts) -> None:
    assert facts.users_seen_on_both >= 100, "too few users were moved for the run to prove anything"
    assert facts.violations == {"forged": 0, "no_id": 0, "moved_back_and_forth": 0}
    assert facts.served_without_admission == 0
    assert facts.failed_requests == 0
    assert facts.foreign_assignments == 0
    assert facts.fewest_requests_of_a_core_user >= 30


@pytest.mark.alone  # a gateway that gets no processor for a while serves somebody by the assignment before
async def test_a_good_candidate_is_promoted_and_no_user_notices(world: World) -> None:
    world.start_worker()
    facts = await play(world, Scenario.HEALTHY, users=TO_THE_END)
    assert facts.outcome is Phase.SUCCEEDED
    assert facts.users_seen_on_both >= 400
    assert_promises_to_users_are_kept(facts)
    record = RouteDocument.parse(world.route_file.read_text(encoding="utf-8")).record
    assert record.assignment == Assignment(default="green")
    assert record.original_default == "green"


SOON_AT_HALF = {"steps": ["10%", "50%", "100%"]}


@pytest.mark.alone
@pytest.mark.timeout(480)
@pytest.mark.parametrize(
    "scenario",
    [
        Scenario.HANGING,
        pytest.param(Scenario.SLOW, marks=pytest.mark.faults),  # test_replayed has it
        pytest.param(Scenario.DEAD, marks=pytest.mark.faults),  # as test_matrix has it killed, and kube its errors
        pytest.param(Scenario.ERRORS, marks=pytest.mark.faults),
        pytest.param(Scenario.TOXIC, marks=pytest.mark.faults),
    ],
)
async def test_a_bad_candidate_is_rolled_back_within_two_seconds_of_the_trigger(
    tmp_path: Path, scenario: Scenario
) -> None:
    # What else the machine has to do only adds to the seconds, so the quicker one of two ramps tells of tailramp.
    for attempt in ("first", "second"):
        async with World(tmp_path / attempt, seed=7, ramp=SOON_AT_HALF, checks=HANG_CHECK) as world:
            world.start_worker()
            before = RouteDocument.parse(world.route_file.read_text(encoding="utf-8")).digest
            facts = await play(world, scenario, fault_step=2, users=SOON_DONE)
            assert RouteDocument.parse(world.route_file.read_text(encoding="utf-8")).digest == before
        assert (facts.outcome, facts.reason) == (Phase.ROLLED_BACK, "unhealthy")
        assert_promises_to_users_are_kept(facts)
        seconds = facts.seconds_trigger_to_last_candidate_request
        assert seconds is not None, "the recount found no trigger"
        if seconds <= SECONDS_AFTER_TRIGGER:
            break
    assert seconds <= SECONDS_AFTER_TRIGGER


@pytest.mark.alone  # a baseline that gets no processor for three windows is not there to share anything
@pytest.mark.faults
@pytest.mark.parametrize("scenario", [Scenario.SHARED_INCIDENT, Scenario.PROMETHEUS_DOWN])
async def test_what_is_not_the_candidates_fault_moves_nobody_forward(world: World, scenario: Scenario) -> None:
    world.start_worker()
    facts = await play(world, scenario)
    assert (facts.outcome, facts.reason) == (ACTS[scenario].outcome, ACTS[scenario].reason)
    assert facts.blocked_by is ACTS[scenario].block
    assert not facts.grew_in_incident
    assert_promises_to_users_are_kept(facts)


@pytest.mark.faults
async def test_a_route_with_too_few_users_waits_for_a_person(world: World) -> None:
    world.start_worker()
    facts = await play(world, Scenario.LOW_TRAFFIC)
    assert (facts.outcome, facts.reason, facts.blocked_by) == (Phase.ROLLED_BACK, "operator_abort", "inconclusive")
    assert facts.as_promised


async def test_a_router_that_picks_at_random_is_seen_by_the_same_promises(world: World, tmp_path: Path) -> None:
    document = RouteDocument.parse(world.route_file.read_text(encoding="utf-8"))
    rule = Rule(slot="green", buckets=BucketSet.parse("00-24"))
    claimed = document.record.model_copy(update={"assignment": Assignment(default="blue", rules=(rule,))})
    broken = document.with_record(claimed)
    for _, entry in broken.entries:
        if entry["name"].startswith("tailramp/"):
            entry["match"] = {"prefix": "/", "runtime_fraction": {"default_value": {"numerator": 25}}}
    history, bucket_of = RouteHistory(world.route_file), BucketFunction(SALT)
    log = tmp_path / "clients.jsonl"

    def found() -> Violations:
        return violations(
            read_log(log).requests,
            baseline="blue",
            candidate="green",
            admitted=lambda user, sent, answered: history.may_serve("green", user, sent, answered, bucket_of),
            growth_ended=None,
        )

    def is_seen() -> bool:
        seen = found() if log.exists() else Violations(0, 0, 0)
        return seen.forged > 5 and seen.no_id > 5 and seen.moved_back_and_forth > 100

    async with history.observed():
        staged = world.route_file.with_name(".broken")
        staged.write_text(broken.text(), encoding="utf-8")
        staged.rename(world.route_file)
        async with world.start_users(log, rate=360, seconds=50):
            await wait_until(is_seen, 40, "each of the three promises is seen broken", interval=1)
