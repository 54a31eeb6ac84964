"""Two candidates beside each other on a real gateway with three slots: one turns bad and leaves, the other goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.route_document import RouteDocument
from lab.acts import status_of
from lab.client_log import (
    REORDER_SECONDS,
    ClientRequest,
    failed_requests,
    last_candidate_request_sent,
    read_log,
    served_without_admission,
    violations,
)
from lab.process import wait_until
from lab.route_history import RouteHistory
from lab.world import SALT, World
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketFunction, BucketSet
from tailramp.ramp import Phase, Reason
from workflows.answers import RampStatus
from workflows.handles import RampHandle
from workflows.messages import Message
from workflows.ramp import RampWorkflow
from workflows.starting import start_ramp

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

GREEN, TEAL = BucketSet.parse("00-29"), BucketSet.parse("30-59")
CANARIES = [
    {"model": "chat-v2", "buckets": str(GREEN), "maxLatency": "2000ms"},
    {"model": "chat-v3", "buckets": str(TEAL), "maxLatency": "2000ms"},
]
BUCKET_OF = BucketFunction(SALT)
ANSWERS = 1000
"""That are looked at when one candidate is out, and again when the ramp is over."""
SECONDS_AFTER_FAULT = 15.0
"""Until the last request of a candidate that fails: a scrape, a window, three looks a second apart, and the writing,
which take five seconds; the rest is for a machine that is busy.  Without the fault it would keep its users."""


@pytest.fixture
async def three_slots(tmp_path: Path) -> AsyncIterator[World]:
    models = {"blue": "chat-v1", "green": "chat-v2", "teal": "chat-v3"}
    ramp = {"steps": ["10%", {"share": "50%", "hold": "8s"}, {"share": "100%", "hold": "1h"}]}
    async with World(tmp_path / "world", seed=11, models=models, ramp=ramp) as world:
        yield world


async def wait_for(handle: RampHandle, what: str, holds: Callable[[RampStatus], bool]) -> RampStatus:
    found: list[RampStatus] = []

    async def reached() -> bool:
        status = await status_of(handle)
        assert not status.phase.is_terminal, status.last
        found.append(status)
        return holds(status)

    await wait_until(reached, 90, what)
    return found[-1]


async def more_answers(log: Path) -> None:
    end, seen = read_log(log).end, 0

    def enough() -> bool:
        nonlocal end, seen
        found = read_log(log, end)
        end, seen = found.end, seen + len(found.requests)
        return seen > ANSWERS

    await wait_until(enough, 40, f"{ANSWERS} answers more", interval=0.2)


def strangers(requests: list[ClientRequest], slot: str, history: RouteHistory) -> list[ClientRequest]:
    def admitted(user: str | None, sent: float, began: float) -> bool:
        return history.may_serve(slot, user, sent, began, BUCKET_OF)

    return served_without_admission(requests, slot, admitted)


async def test_a_bad_candidate_leaves_and_the_other_one_keeps_its_users_and_grows(three_slots: World) -> None:
    world = three_slots
    before = RouteDocument.parse(world.route_file.read_text(encoding="utf-8")).digest
    world.start_worker()
    log, history = world.directory / "clients.jsonl", RouteHistory(world.route_file)
    async with history.observed():
        users = world.start_users(log, rate=270, seconds=200)
        try:
            await users.wait_ready(lambda: log.exists() and read_log(log).started, 60, "the users")
            spec = world.spec_of_several(CANARIES)
            await world.counted(spec)
            handle = await start_ramp(world.client, spec, actor="test")
            await wait_for(handle, "the second hold", lambda s: s.phase is Phase.HOLDING and s.step >= 2)
            fault_at = await world.fault("teal", "errors")
            # On a busy machine the last hold may have begun with both.
            status = await wait_for(
                handle,
                "the last hold without teal",
                lambda s: s.phase is Phase.HOLDING and s.step == 3 and any(c.withdrawn for c in s.candidates),
            )
            assert {c.slot: c.withdrawn for c in status.candidates} == {"green": None, "teal": Reason.UNHEALTHY}
            alone = Assignment(default="blue", rules=(Rule(slot="green", buckets=GREEN),))
            await wait_until(lambda: history.versions[-1].assignment == alone, 20, "green alone in the route file")
            await more_answers(log)
            await handle.signal(RampWorkflow.abort, Message(actor="test"))
            result = await asyncio.wait_for(handle.result(), 60)
            await more_answers(log)
        finally:
            await users.terminate()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, "operator_abort")
    assert RouteDocument.parse(world.route_file.read_text(encoding="utf-8")).digest == before
    requests = read_log(log).requests
    assert strangers(requests, "green", history) == []
    assert strangers(requests, "teal", history) == []
    assert failed_requests(requests, "teal", fault_at) == []
    last_of_teal = last_candidate_request_sent(requests, "teal", fault_at)
    assert last_of_teal is not None
    assert last_of_teal - fault_at <= SECONDS_AFTER_FAULT
    aborted_at = history.versions[-1].since
    found = violations(
        [request for request in requests if request.variant != "teal"],
        baseline="blue",
        candidate="green",
        admitted=lambda user, sent, began: history.may_serve("green", user, sent, began, BUCKET_OF),
        growth_ended=aborted_at,
    )
    assert (found.forged, found.no_id, found.moved_back_and_forth) == (0, 0, 0)
    later = [r for r in requests if r.user and last_of_teal + REORDER_SECONDS < r.sent and r.answered < aborted_at]
    homeless = [request for request in later if BUCKET_OF(request.user or "") in TEAL]
    assert len(homeless) > 100, "too few users of the candidate that left to prove anything"
    assert {request.variant for request in homeless} == {"blue"}
    assert any(request.variant == "green" for request in later)
