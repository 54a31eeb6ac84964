"""A gateway that only names the slot: the label for everyone, over whatever came in, and never on a stale word."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from running_envoy import RunningEnvoy, StartGateway, until

from gateway.label_document import LabelDocument
from lab.sample_route import on_green, user_in
from tailramp.assignment import Assignment
from tailramp.route_record import Lease, OffAnswer, RouteRecord

ROUTE = "demo/chat"


def record(assignment: Assignment, **changes: object) -> RouteRecord:
    leases = {"green": Lease()} if assignment != Assignment(default="blue") else {}
    made = RouteRecord(route=ROUTE, original_default="blue", assignment=assignment, leases=leases, epoch=2)
    return made.model_copy(update=changes)


def user(bucket: str) -> tuple[str, str]:
    return ("x-user-id", user_in(bucket))


async def labels(envoy: RunningEnvoy, *headers: tuple[str, str]) -> list[str]:
    return (await envoy.get(*headers)).values("x-model-route")


@pytest.fixture
async def lease_file(tmp_path: Path) -> Path:
    file = tmp_path / "lease"
    trust(file, 600)
    return file


def trust(file: Path, seconds: float) -> None:
    file.write_text(str(round((time.time() + seconds) * 1000)), encoding="utf-8")


async def test_everybody_has_the_label_of_their_slot_and_nobody_can_bring_one(
    start_gateway: StartGateway, lease_file: Path
) -> None:
    routes = LabelDocument.of(record(on_green("00-49"))).data
    envoy = await start_gateway(routes, lease_file=lease_file, resolution=100)
    assert await labels(envoy, user("03")) == ["green"]
    assert await labels(envoy, user("70")) == ["blue"]
    assert await labels(envoy) == ["blue"]
    forged = [("X-Model-Route", "green"), ("x-model-route", "green"), ("X_Model_Route", "green")]
    assert await labels(envoy, *forged) == ["blue"]
    assert await labels(envoy, user("70"), *forged) == ["blue"]
    assert await labels(envoy, ("X-User-Bucket", "03"), ("x-user-bucket", "04")) == ["blue"]
    answer = await envoy.get(user("03"), ("x-tailramp-stale", "1"))
    assert (answer.values("x-model-route"), answer.values("x-tailramp-stale")) == (["green"], [])
    assert answer.bucket == "03"


@pytest.mark.parametrize("assignment", [on_green("00-49"), Assignment(default="green")], ids=["step", "promoted"])
async def test_a_lease_that_has_run_out_sends_everybody_to_the_original_default_and_comes_back(
    start_gateway: StartGateway, lease_file: Path, assignment: Assignment
) -> None:
    routes = LabelDocument.of(record(assignment)).data
    envoy = await start_gateway(routes, lease_file=lease_file, resolution=100)

    async def becomes(label: str) -> None:
        async def named() -> bool:
            return await labels(envoy, user("03")) == [label]

        await until(named, f"user 03 is for {label}")

    await becomes("green")
    trust(lease_file, 3.0)
    assert await labels(envoy, user("03")) == ["green"]
    await becomes("blue")
    trust(lease_file, 60)
    await becomes("green")
    await asyncio.to_thread(lease_file.write_text, "what")
    await becomes("blue")
    trust(lease_file, 60)
    await becomes("green")
    await asyncio.to_thread(lease_file.unlink)
    await becomes("blue")
    answer = await envoy.get(user("03"))
    assert answer.values("x-tailramp-stale") == []


async def test_a_route_that_is_off_answers_itself(start_gateway: StartGateway, lease_file: Path) -> None:
    switched = record(Assignment(default="blue"), off=True, off_answer=OffAnswer(status=451, message="不提供服务"))
    envoy = await start_gateway(LabelDocument.of(switched).data, lease_file=lease_file, resolution=100)
    answer = await envoy.get(user("03"))
    assert (answer.status, answer.headers["x-tailramp-variant"]) == (451, "off")


async def test_health_is_asked_of_each_slot_by_its_label(start_gateway: StartGateway, lease_file: Path) -> None:
    def host_of(bootstrap: dict[str, object], slot: str) -> object:
        resources = bootstrap["static_resources"]
        assert isinstance(resources, dict)
        (cluster,) = [cluster for cluster in resources["clusters"] if cluster["name"] == slot]
        return cluster["health_checks"][0]["http_health_check"]

    seen: list[object] = []
    routes = LabelDocument.initial(ROUTE, "blue").data
    await start_gateway(
        routes,
        edit=lambda bootstrap: seen.extend(host_of(bootstrap, slot) for slot in ("blue", "green")),
        lease_file=lease_file,
        behind_host="chat.example",
    )
    assert [check["request_headers_to_add"][0]["header"]["value"] for check in seen] == ["blue", "green"]  # type: ignore[index]
    assert [check["host"] for check in seen] == ["chat.example"] * 2  # type: ignore[index]


def test_a_renewed_lease_changes_nothing_that_the_gateway_loads() -> None:
    first = record(on_green("00-04"))
    later = first.model_copy(update={"leases": {"green": Lease(renewals=7)}})
    assert LabelDocument.of(first).text() == LabelDocument.of(later).text()
    grown = first.model_copy(update={"assignment": on_green("00-09")})
    assert LabelDocument.of(first).version != LabelDocument.of(grown).version
