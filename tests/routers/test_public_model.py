"""The model name that clients send, which a server of the candidate may not know."""

from __future__ import annotations

import pytest
from living_route import LivingRoute
from route_samples import RAMP
from temporalio.testing import ActivityEnvironment

from activities.preflight import PreflightActivities
from tailramp.activity_contract import PreflightRequest

UNKNOWN = "route.publicModel = chat: blue answers to it, but green only to chat-v2"


@pytest.mark.parametrize(
    ("public", "blue", "green", "refused"),
    [
        ("chat", ["chat", "chat-v1"], ["chat-v2"], True),
        ("chat", ["chat", "chat-v1"], ["chat-v2", "chat"], False),
        pytest.param("chat", ["chat-v1"], ["chat-v2"], False, id="servers that do not go by names"),
        pytest.param(None, ["chat", "chat-v1"], ["chat-v2"], False, id="nobody knows what clients send"),
    ],
)
async def test_a_candidate_that_does_not_know_the_name_that_clients_send_is_refused(
    route: LivingRoute, public: str | None, blue: list[str], green: list[str], refused: bool
) -> None:
    route.models = {"blue": blue, "green": green}
    platform = route.platform.model_copy(
        update={"route": route.platform.route.model_copy(update={"public_model": public})}
    )
    request = PreflightRequest(spec=route.spec.model_copy(update={"platform": platform}), ramp=RAMP)
    report = await ActivityEnvironment().run(PreflightActivities(route.clients).preflight, request)
    assert not any("no free slot serves it" in problem for problem in report.problems)
    assert any(problem.startswith(UNKNOWN) for problem in report.problems) is refused
