"""Both routers of the Kubernetes API, on a real API server, as a user who may do what `deploy/kubernetes` says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from cluster_command import run
from living_kube import Answers, LivingKube, on_shared_loop
from multidict import CIMultiDict
from record_changes import BLUE, GREEN, RAMP, conclude, roll_back, serve, take_over

from activities.routers.kube.planner import NOBODY
from lab.envoy_server import EnvoyServer
from lab.process import free_port
from lab.sample_route import on_green, user_in
from tailramp.assignment import Assignment
from tailramp.proof import Answer

pytestmark = [on_shared_loop, pytest.mark.usefixtures("commands")]


async def move(route: LivingKube, answers: Answers, assignment: Assignment, epoch: int) -> None:
    answers.allowed = (answers.allowed[-1], assignment)
    await route.router.apply(serve(assignment, epoch))
    await route.served(assignment)
    answers.allowed = (assignment,)


async def test_the_gateway_that_the_command_makes_computes_the_bucket_and_believes_none(
    route: LivingKube, tmp_path: Path
) -> None:
    await route.serve(on_green("00-49"))
    platform, bootstrap, port = tmp_path / "tailramp.yaml", tmp_path / "envoy.json", free_port()
    data = route.platform.model_dump(by_alias=True, mode="json", exclude_unset=True)
    platform.write_text(yaml.safe_dump(data), encoding="utf-8")
    made = ["gateway", "--platform", str(platform), "--bootstrap", str(bootstrap)]
    made += ["--behind", f"http://{route.traefik.address}", "--routes", str(tmp_path / "edge" / "routes.json")]
    made += ["--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{free_port()}"]
    code, _, err = await run(route.within.kubeconfig, *made)
    assert code == 0, err
    envoy = EnvoyServer(tmp_path / "envoy", json.loads(bootstrap.read_text(encoding="utf-8")))
    await envoy.start()
    try:
        for sent, slot in (
            ({"X-User-Id": user_in("03")}, "green"),
            ({"X-User-Id": user_in("70")}, "blue"),
            ({"X-User-Bucket": "03"}, "blue"),
        ):
            async with route.http.get(f"http://127.0.0.1:{port}/v1/models", headers=sent) as response:
                assert (response.status, response.headers["X-Tailramp-Variant"]) == (200, slot), sent
    finally:
        await envoy.kill()


async def test_users_are_moved_and_taken_back_without_a_failed_or_wrong_answer(route: LivingKube) -> None:
    """Apply, grow, shrink, promote, bake, and back: every answer of hundreds of users is counted."""
    assert await route.router.preflight(route.plan) == []
    before = await route.router.snapshot()
    async with route.users() as answers:
        await route.router.prepare(take_over(), ["green"])
        assert NOBODY in str(await route.canary()) or "nobody" in str(await route.canary())
        await route.served(BLUE)
        for epoch, assignment in enumerate((on_green("00-04"), on_green("00-49"), on_green("00-24")), 2):
            await move(route, answers, assignment, epoch)
        await move(route, answers, on_green("00-24", default="green"), 5)
        await move(route, answers, GREEN, 6)
        answers.allowed = (GREEN, BLUE)
        await route.router.clear(roll_back(7))
        await route.served(BLUE)
        answers.allowed = (BLUE,)
        await route.served(BLUE)
    assert len(answers.log) > 200
    assert answers.failed == []
    assert answers.wrong == []
    assert await route.canary() is None
    view = await route.router.read()
    assert view.loaded.answer is Answer.YES, view.loaded.missing()
    assert (await route.router.restore(before)).equal


async def test_a_promoted_slot_is_the_next_ramps_baseline(route: LivingKube) -> None:
    await route.serve(on_green("00-49"))
    await route.router.apply(serve(GREEN, 3))
    record = await route.router.prepare(conclude(4))
    assert (record.closed, record.original_default, record.candidates) == (True, "green", ())
    assert await route.canary() is None
    assert await route.router.prepare(conclude(4)) == record
    await route.served(GREEN)
    taken = await route.router.prepare(take_over("a-later-ramp", baseline="green", candidate="blue"), ["blue"])
    assert (taken.original_default, taken.epoch) == ("green", 5)


async def test_the_bucket_that_the_gateway_set_reaches_the_server_and_a_forged_one_does_not(route: LivingKube) -> None:
    await route.serve(on_green("00-49"))
    for headers in (
        {"X-User-Bucket": "03"},
        {"x-user-bucket": "03"},
        {"X_User_Bucket": "03"},
        {"X-User-Bucket": "99,03"},
    ):
        assert await route.ask(None, headers) == (200, "blue"), headers
    assert set(route.requests["green"]) <= {f"{number:02}" for number in range(50)}
    assert await route.ask(None) == (200, "blue")
    assert route.requests["blue"][-1] is None


async def test_a_bucket_in_two_header_lines_counts_for_no_more_than_a_forged_one(route: LivingKube) -> None:
    """Traefik lets any of several values match, and nginx the first: so the gateway replaces all of them."""
    await route.serve(on_green("00-49"))
    for user, slot in ((None, "blue"), (user_in("70"), "blue"), (user_in("03"), "green")):
        for buckets in (("99", "03"), ("03", "99"), ("03", "03")):
            lines = [("X-User-Bucket", buckets[0]), ("x-user-bucket", buckets[1]), ("X-User-Bucket", "03,99")]
            headers = CIMultiDict([*lines, *([("X-User-Id", user)] if user else [])])
            async with route.http.get(f"{route.url}/v1/models", headers=headers) as response:
                assert (response.status, response.headers["X-Tailramp-Variant"]) == (200, slot), (user, buckets)
    doubled = CIMultiDict([("X-User-Bucket", "99"), ("X-User-Bucket", "03")])
    async with route.http.get(f"http://{route.traefik.address}/v1/models", headers=doubled) as response:
        assert response.headers["X-Tailramp-Variant"] == "green", "what it would be without the gateway in front"


async def test_a_ramp_is_told_from_the_objects_alone(route: LivingKube) -> None:
    await route.serve(on_green("00-04"))
    canary, main = await route.canary(), await route.main()
    assert canary is not None
    assert canary["metadata"]["labels"]["tailramp/route"] == "chat"
    assert canary["metadata"]["annotations"]["tailramp/ramp"] == RAMP
    assert main["metadata"]["annotations"]["tailramp/default"] == "blue"
