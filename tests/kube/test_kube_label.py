"""The router for gateways without patterns: an exact label, one record, and no trust in a word that is stale."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from cluster_command import run
from label_stories import begin, give, lose_the_follower, ramp_among_users, renewed_on_and_on, switch_off_and_on
from living_kube import on_shared_loop, outcome_of
from living_label import LivingLabel
from record_changes import BLUE, GREEN, LATER_RAMP, conclude, kill, renew, roll_back, serve, take_over
from stepping import At, Stepping

from activities.kube import KubeClient
from activities.kube.resources import INGRESSES, LEASES
from activities.routers import lease_router
from activities.routers.gateway_label import GatewayLabel
from activities.routers.kube import lease_records
from activities.routers.kube.namespace_freeze import freeze_namespace, lift_namespace
from lab.process import wait_until
from lab.sample_route import on_green, user_in
from tailramp.assignment import Assignment
from tailramp.errors import Fenced, Frozen, Refused, Unreachable
from tailramp.proof import Answer
from tailramp.route_record import Mark
from worker.sentinel import Sentinel

pytestmark = [on_shared_loop, pytest.mark.usefixtures("commands")]


@pytest.fixture(scope="module")
def living_route(living_label: LivingLabel) -> LivingLabel:
    return living_label


async def test_users_are_served_as_the_record_says_and_no_request_fails_from_the_first_step_to_the_end(
    route: LivingLabel,
) -> None:
    await ramp_among_users(route)


async def test_routes_that_stand_are_read_once_however_often_they_are_trusted_anew(route: LivingLabel) -> None:
    """Envoy reads every file of its routes' folder anew when one of it is renamed into place."""
    lease_file = route.platform_router.lease_file
    before = await route.route_reads()
    trusted = set()

    async def trusted_often() -> bool:
        trusted.add(lease_file.read_text(encoding="utf-8"))
        return len(trusted) > 4

    await wait_until(trusted_often, 60, "the routes are trusted anew again and again")
    assert await route.route_reads() == before


async def test_forged_and_doubled_labels_and_buckets_change_nothing(route: LivingLabel) -> None:
    await begin(route, on_green("00-49"))
    forged = {"X-Model-Route": "green", "x-model-route": "green", "X-User-Bucket": "03", "X_Model_Route": "green"}
    assert await route.ask(None, forged) == (200, "blue")
    assert await route.ask(user_in("70"), forged) == (200, "blue")
    assert await route.ask(user_in("03"), {**forged, "X-Model-Route": "blue"}) == (200, "green")


async def test_counters_of_all_gateways_tell_what_was_labelled(route: LivingLabel) -> None:
    await begin(route, on_green("00-49"))
    router = route.label_router
    before = await router.served("green")
    for _ in range(5):
        await route.ask(user_in("03"))
    after = await router.served("green")
    assert before is not None
    assert after is not None
    assert after.count - before.count == 5
    assert await router.served("purple") is None
    assert [await router.ready(slot) for slot in ("green", "purple")] == [True, None]


async def test_a_kill_from_a_laptop_and_a_sentinel_need_the_record_alone(route: LivingLabel) -> None:
    await begin(route, on_green("00-49"))
    code, out, err = await run(route.within.kubeconfig, "kill", f"{route.namespace}/chat", "--reason", "complaints")
    assert code == 0, err
    assert "green is out (it served 00-49)" in out
    await route.served(BLUE)
    with pytest.raises(Fenced, match="shut off by ada"):
        await give(route, on_green("00-09"), 3)
    code, _, err = await run(route.within.kubeconfig, "lift", f"{route.namespace}/chat", "--reason", "mended")
    assert code == 0, err
    await route.label_router.prepare(take_over(LATER_RAMP, override="mended"), ["green"])
    await route.label_router.apply(serve(on_green("00-09"), 9, LATER_RAMP, lease_seconds=30))
    now = 0.0
    async with KubeClient(route.within.kubeconfig) as client:
        sentinel = Sentinel([f"kubernetes:{route.namespace}"], monotonic=lambda: now, kube=client)
        assert await sentinel.look() == []
        now = 31.0
        (sentence,) = await sentinel.look()
    assert "green is out" in sentence
    await route.served(BLUE)


async def test_the_doctor_says_once_and_with_the_right_mend_what_a_gateway_has_not_loaded(route: LivingLabel) -> None:
    await route.follower.kill()
    await route.label_router.prepare(take_over(), ["green"])
    await give(route, on_green("00-49"), 2)
    _, out, _ = await run(route.within.kubeconfig, "doctor", "--platform", str(route.platform_file), "-o", "json")
    said = [result for result in json.loads(out)["results"] if "version" in result["text"]]
    assert [(result["state"], "tailramp follow" in result["mend"]) for result in said] == [("finding", True)], said


async def test_a_freeze_that_comes_before_any_call_of_a_first_start_lets_nothing_serve(route: LivingLabel) -> None:
    """The namespace has no record yet: a freeze that looks for records finds none, and the start has looked for it."""
    mark = Mark.model_validate({"at": "2026-03-01T00:00:00Z", "by": "ada", "reason": "sale"})
    refused = 0
    for point in range(100):
        freeze = At(point, lambda: freeze_namespace(route.admin, route.namespace, mark))
        async with Stepping(route.within.kubeconfig, before=freeze) as client:
            router = GatewayLabel(client, route.namespace, "chat", route.platform_router.admin)
            ended = await outcome_of(router.prepare(take_over(f"ramp-{point}"), ["green"]))
        if not freeze.reached:
            break
        assert ended is None or isinstance(ended, Frozen), ended
        refused += ended is not None
        if ended is None:
            with pytest.raises(Refused):
                await route.label_router.apply(serve(on_green("00-04"), 9, f"ramp-{point}"))
        with pytest.raises(Frozen):
            await route.label_router.prepare(take_over(f"ramp-{point}"), ["green"])
        assert (await lift_namespace(route.admin, route.namespace)).mark == mark
        if await route.admin.find(LEASES, route.namespace, "tailramp-chat"):
            await route.admin.delete(LEASES, route.namespace, "tailramp-chat")
    assert ended is None
    assert refused > 3


async def test_off_answers_at_the_gateway_and_lift_brings_everyone_back(route: LivingLabel) -> None:
    await switch_off_and_on(route)


@pytest.mark.parametrize("assignment", [on_green("00-49"), GREEN], ids=["step", "promoted"])
async def test_a_gateway_whose_follower_is_gone_sends_everyone_back_when_the_lease_ends(
    route: LivingLabel, assignment: Assignment
) -> None:
    await lose_the_follower(route, assignment)


@pytest.mark.own_api_server
async def test_a_cluster_that_cannot_be_reached_takes_candidates_out_and_nobody_else(route: LivingLabel) -> None:
    await begin(route, on_green("00-49"), lease_seconds=2.0)
    api = route.within.own_api
    api.suspend()
    try:
        await route.served(BLUE)
        await asyncio.sleep(0.5)
        await route.served(BLUE)
    finally:
        api.thaw()

    async def comes_back() -> bool:
        return (
            await outcome_of(route.label_router.renew(renew(2))) is None
            and (await route.ask(user_in("03")))[1] == "green"
        )

    await wait_until(comes_back, 60, "the candidate serves its users again")
    async with renewed_on_and_on(route):
        await route.served(on_green("00-49"))


async def test_leases_that_are_renewed_keep_a_candidate_and_those_that_are_not_take_it_out(route: LivingLabel) -> None:
    lease, kept = 4.0, time.monotonic()
    await begin(route, on_green("00-49"), lease_seconds=lease)
    while time.monotonic() - kept < 1.5 * lease:
        await route.label_router.renew(renew(2))
        await asyncio.sleep(0.5)
        assert await route.ask(user_in("03")) == (200, "green")
    await route.served(BLUE)


async def test_a_promoted_ramp_that_is_over_needs_no_lease(route: LivingLabel) -> None:
    await begin(route, on_green("00-49"), lease_seconds=1.0)
    await give(route, GREEN, 3, lease_seconds=1.0)
    await route.label_router.prepare(conclude(4))
    await route.loaded()
    await route.follower.kill()
    await asyncio.sleep(1.5)
    await route.served(GREEN)


async def test_a_writer_who_slept_through_a_clear_is_fenced(route: LivingLabel) -> None:
    await begin(route, on_green("00-04"))
    client = KubeClient(route.within.kubeconfig)
    reached, go_on = asyncio.Event(), asyncio.Event()
    patch = client.patch

    async def frozen_patch(*arguments: object, **settings: object) -> object:
        reached.set()
        await go_on.wait()
        return await patch(*arguments, **settings)  # type: ignore[arg-type]

    client.patch = frozen_patch  # type: ignore[method-assign, assignment]
    sleeper = GatewayLabel(client, route.namespace, "chat", route.label_router._admin, route.http)
    writing = asyncio.create_task(sleeper.apply(serve(on_green("00-99"), 3)))
    await reached.wait()
    await route.label_router.clear(kill)
    go_on.set()
    assert isinstance(await outcome_of(writing), Fenced)
    await client.close()
    await route.served(BLUE)


async def test_a_record_that_was_lost_is_known_by_the_gateways_as_closed(route: LivingLabel) -> None:
    await begin(route, on_green("00-49"))
    await give(route, GREEN, 3)
    await route.served(GREEN)
    await route.admin.delete(LEASES, route.namespace, "tailramp-chat")
    record = await route.label_router.record()
    assert (record.assignment, record.original_default, record.epoch, record.closed) == (GREEN, "blue", 3, True)
    with pytest.raises(Fenced):
        await give(route, on_green("00-99"), 4)
    await route.label_router.clear(roll_back(5))
    await route.served(BLUE)


async def test_uninstall_takes_the_record_and_moves_nobody(route: LivingLabel) -> None:
    await begin(route, on_green("00-49"))
    await route.label_router.clear(roll_back(3))
    code, _, err = await run(route.within.kubeconfig, "uninstall", "--platform", str(route.platform_file), "--yes")
    assert code == 0, err
    assert await route.admin.find(LEASES, route.namespace, "tailramp-chat") is None
    await route.served(BLUE)


async def test_two_gateways_are_asked_and_what_one_does_not_say_is_not_known(route: LivingLabel) -> None:
    await begin(route, on_green("00-49"))

    async def two(host: str, port: int) -> list[str]:
        return [host, "127.0.0.2"]

    router = GatewayLabel(
        route.clients.kube(None), route.namespace, "chat", route.label_router._admin, route.http, resolve=two
    )
    findings = (await router.read()).loaded.findings
    assert [finding.answer for finding in findings] == [Answer.YES, Answer.UNKNOWN]
    assert await router.served("green") is None
    assert await router.ready("green") is None


async def test_a_route_is_found_by_its_lease_alone_whatever_its_kind(route: LivingLabel) -> None:
    async with KubeClient(route.within.kubeconfig) as client:
        await begin(route, on_green("00-49"))
        ((found, _),) = await lease_records(client, route.namespace)
        assert isinstance(lease_router(client, found), GatewayLabel)
        by_name = lease_router(client, route.lease_route)
        assert (await by_name.record()).assignment == on_green("00-49")
        assert await by_name.ready("blue") is None  # the record was made without saying where the gateways are
        with pytest.raises(Unreachable, match="nothing says where the gateways"):
            await by_name.read()
        await route.admin.delete(LEASES, route.namespace, "tailramp-chat")
        with pytest.raises(Refused, match="no lease"):
            await lease_router(client, route.lease_route).record()


async def test_preflight_names_what_is_wrong_with_gateways_and_what_stands_behind_them(route: LivingLabel) -> None:
    """The last of this file: what it breaks stays broken."""
    router = route.label_router
    await route.admin.delete(INGRESSES, route.namespace, "chat-green")
    await route._runners["blue"].cleanup()

    async def unready() -> bool:
        return await router.ready("green") is False

    await wait_until(unready, 40, "the gateway sees that nobody answers")
    said = " ".join(str(problem) for problem in await router.preflight(route.plan))
    assert "a request with x-model-route: green gets no good answer from the gateway behind" in said
    await route.envoy.kill()
    said = " ".join(str(problem) for problem in await router.preflight(route.plan))
    assert "does not answer" in said
    await route.within.allow([])
    said = " ".join(str(problem) for problem in await router.preflight(route.plan))
    assert f"may not patch leases in namespace {route.namespace}" in said
