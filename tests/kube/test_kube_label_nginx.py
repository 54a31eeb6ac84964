"""The route by label with nginx in Envoy's place: the same follower, the same router, the same proofs."""

from __future__ import annotations

import pytest
from cluster_command import run
from label_stories import begin, give, lose_the_follower, ramp_among_users, switch_off_and_on
from living_kube import on_shared_loop
from living_label import GatewayProgram, LivingLabel
from record_changes import BLUE, GREEN, conclude

from lab.nginx_server import why_no_nginx
from lab.process import wait_until
from lab.sample_route import on_green, user_in

pytestmark = [
    on_shared_loop,
    pytest.mark.usefixtures("commands"),
    pytest.mark.skipif(bool(why_no_nginx()), reason=why_no_nginx()),
]


@pytest.fixture(scope="module")
def gateway_program() -> GatewayProgram:
    return "nginx"


@pytest.fixture(scope="module")
def living_route(living_label: LivingLabel) -> LivingLabel:
    return living_label


async def test_users_are_served_as_the_record_says_and_no_request_fails_from_the_first_step_to_the_end(
    route: LivingLabel,
) -> None:
    await ramp_among_users(route)


async def test_forged_labels_change_nothing_and_a_kill_from_a_laptop_takes_the_candidate_out(
    route: LivingLabel,
) -> None:
    await begin(route, on_green("00-49"))
    forged = {"X-Model-Route": "green", "x-model-route": "green", "X-User-Bucket": "03", "X_Model_Route": "green"}
    before = await route.label_router.served("green")
    assert await route.ask(None, forged) == (200, "blue")
    assert await route.ask(user_in("70"), forged) == (200, "blue")
    assert await route.ask(user_in("03"), {**forged, "X-Model-Route": "blue"}) == (200, "green")
    after = await route.label_router.served("green")
    assert before is not None
    assert after is not None
    assert after.count - before.count == 1
    code, out, err = await run(route.within.kubeconfig, "kill", f"{route.namespace}/chat", "--reason", "complaints")
    assert code == 0, err
    assert "green is out (it served 00-49)" in out
    await route.served(BLUE)


async def test_off_answers_at_the_gateway_and_lift_brings_everyone_back(route: LivingLabel) -> None:
    await switch_off_and_on(route)


async def test_a_gateway_whose_follower_is_gone_sends_everyone_back_when_the_lease_ends(route: LivingLabel) -> None:
    await lose_the_follower(route, GREEN)


async def test_a_promoted_ramp_that_is_over_outlasts_its_follower_and_a_restart_of_nginx(route: LivingLabel) -> None:
    await begin(route, on_green("00-49"), lease_seconds=1.0)
    await give(route, GREEN, 3, lease_seconds=1.0)
    await route.label_router.prepare(conclude(4))
    await route.loaded()
    await route.follower.kill()
    await route.envoy.restart()
    await route.served(GREEN)


async def test_preflight_names_what_stands_behind_and_a_gateway_that_is_gone(route: LivingLabel) -> None:
    """The last of this file: what it breaks stays broken."""
    router = route.label_router
    assert await router.preflight(route.plan) == []
    await route._runners["green"].cleanup()

    async def unready() -> bool:
        return await router.ready("green") is False

    await wait_until(unready, 40, "the gateway sees that nobody answers for green")
    said = " ".join(str(problem) for problem in await router.preflight(route.plan))
    assert "a request with x-model-route: green gets no good answer from the gateway behind" in said
    await route.envoy.kill()
    said = " ".join(str(problem) for problem in await router.preflight(route.plan))
    assert "does not answer" in said
