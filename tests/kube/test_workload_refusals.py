"""What the API server refuses while servers are made or waited for: named where it lasts, else outlasted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kube_namespace import Namespace
from living_kube import LivingKube
from living_workloads import living_workloads, platform_file
from record_changes import RAMP
from slot_objects import RULES
from temporalio.testing import ActivityEnvironment

from activities.capacity import CapacityActivities, wait_for_servers
from activities.heartbeat import Heartbeat
from activities.kube import Denied
from activities.kube.resources import DEPLOYMENTS
from activities.workloads import Progress
from lab.sample_route import on_green
from tailramp.activity_contract import PrepareReport, PrepareRequest, RoomReport, RoomRequest
from tailramp.errors import Problem
from tailramp.forms import SlotName
from tailramp.spec import PlatformFile, RampSpec, Replicas, load_platform
from tailramp.spec.workload import StatefulSetWorkload

READY = Progress(wanted=1, ready=1)


@pytest.fixture
async def living(namespace: Namespace, tmp_path: Path) -> AsyncIterator[LivingKube]:
    async with living_workloads(namespace, tmp_path / "living", blue=4, green=4) as living:
        yield living


@pytest.fixture
def platform(living: LivingKube, tmp_path: Path) -> PlatformFile:
    return load_platform(platform_file(living, tmp_path))


def sized(living: LivingKube, platform: PlatformFile) -> RampSpec:
    return living.spec.model_copy(update={"platform": platform})


def running() -> ActivityEnvironment:
    """An activity that was scheduled just now."""
    environment = ActivityEnvironment()
    environment.info = replace(ActivityEnvironment.default_info(), scheduled_time=datetime.now(UTC))
    return environment


async def waited(platform: PlatformFile, refusals: int, passes: float) -> tuple[list[Problem], int]:
    """What comes of a wait in which so many looks are refused, and each of them takes ``passes`` seconds."""
    now, looks = datetime.now(UTC).timestamp(), 0

    async def look(_: float) -> dict[SlotName, Progress]:
        nonlocal now, looks
        looks, now = looks + 1, now + passes
        if looks <= refusals:
            raise Denied("deployments.apps is forbidden")
        return {"green": READY}

    async def wait() -> list[Problem]:
        return await wait_for_servers(platform, look, Heartbeat({}), lambda: now)

    return await running().run(wait), looks


async def test_a_refusal_while_servers_are_waited_for_is_outlasted(platform: PlatformFile) -> None:
    assert await waited(platform, refusals=2, passes=0) == ([], 3)


async def test_servers_that_cannot_be_seen_are_a_reason_at_the_limit(platform: PlatformFile) -> None:
    (problem,), looks = await waited(platform, refusals=9, passes=1e6)
    assert looks == 1
    assert "could not be seen after" in problem.reason
    assert "deployments.apps is forbidden" in problem.reason


async def test_a_write_that_is_refused_is_a_reason_and_no_failure(
    living: LivingKube, namespace: Namespace, platform: PlatformFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right was there when everything was examined."""

    async def loses_the_right(*_: object) -> list[Problem]:
        fewer: list[dict[str, Any]] = [
            {
                **rule,
                "verbs": [verb for verb in rule["verbs"] if verb != "patch" or "deployments" not in rule["resources"]],
            }
            for rule in RULES
        ]
        await namespace.allow(fewer)
        return []

    monkeypatch.setattr(CapacityActivities, "_examine", loses_the_right)
    request = PrepareRequest(spec=sized(living, platform), ramp=RAMP)
    report = await running().run(CapacityActivities(living.clients).prepare_candidates, request)
    assert isinstance(report, PrepareReport)
    (problem,) = report.problems
    assert "forbidden" in problem


async def test_servers_of_the_other_slots_are_let_go_where_one_has_no_object(
    living: LivingKube, platform: PlatformFile
) -> None:
    await living.admin.delete(DEPLOYMENTS, living.namespace, "chat-green")
    await let_go(living, platform)


async def test_a_slot_that_the_ramp_does_not_use_and_may_not_read_keeps_no_servers_of_others(
    living: LivingKube, namespace: Namespace, platform: PlatformFile
) -> None:
    await namespace.allow(
        [{**rule, "resources": [kind for kind in rule["resources"] if kind != "statefulsets"]} for rule in RULES]
    )
    workload = StatefulSetWorkload(kind="statefulset", name="chat-red", replicas=Replicas(full=4))
    red = platform.slots["red"].model_copy(update={"workload": workload})
    await let_go(living, platform.model_copy(update={"slots": {**platform.slots, "red": red}}))


async def let_go(living: LivingKube, platform: PlatformFile) -> None:
    assignment = on_green("00-09")
    request = RoomRequest(
        spec=sized(living, platform),
        ramp=RAMP,
        plan=living.plan,
        serving=assignment,
        assignment=assignment,
        waits=False,
    )
    report = await running().run(CapacityActivities(living.clients).make_room, request)
    assert isinstance(report, RoomReport)
