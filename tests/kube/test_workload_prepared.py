"""A model loads for tens of minutes: a worker that dies meanwhile is followed by one that knows what was put there and
waits for all of it, and nobody asks the API server for everything at every look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from kube_namespace import Namespace
from living_kube import LivingKube
from living_workloads import living_workloads, platform_file
from record_changes import LATER_RAMP, RAMP
from test_workload_refusals import running

from activities.capacity import CapacityActivities
from activities.kube import KubeClient
from activities.kube.resources import DEPLOYMENTS
from activities.workloads.kubernetes import KubernetesWorkload
from lab.process import wait_until
from tailramp.activity_contract import PrepareReport, PrepareRequest
from tailramp.errors import Refused
from tailramp.forms import SlotName
from tailramp.spec import RampSpec, load_platform


@pytest.fixture
async def living(namespace: Namespace, tmp_path: Path) -> AsyncIterator[LivingKube]:
    async with living_workloads(namespace, tmp_path / "living", blue=4, green=4) as living:
        yield living


@pytest.fixture
def served() -> dict[SlotName, str]:
    """The model that each slot's server answers to now."""
    return {"blue": "chat-v1", "green": "chat-v0", "red": "chat-v0"}


@pytest.fixture
def asked() -> list[SlotName]:
    """The slots whose servers were asked for their models."""
    return []


@pytest.fixture
def free_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is in the way of a ramp but its servers."""

    async def nothing(*_: object) -> list[object]:
        return []

    monkeypatch.setattr(CapacityActivities, "_examine", nothing)


@pytest.fixture
async def spec(
    living: LivingKube, served: dict[SlotName, str], asked: list[SlotName], tmp_path: Path
) -> AsyncIterator[RampSpec]:
    """Of slots whose servers answer as ``served`` says."""

    async def models(request: web.Request) -> web.Response:
        slot = request.match_info["slot"]
        asked.append(slot)
        return web.json_response({"data": [{"id": served[slot]}]})

    app = web.Application()
    app.router.add_get("/{slot}/v1/models", models)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    platform = load_platform(platform_file(living, tmp_path))
    at = f"http://127.0.0.1:{runner.addresses[0][1]}"
    slots = {name: slot.model_copy(update={"url": f"{at}/{name}"}) for name, slot in platform.slots.items()}
    yield living.spec.model_copy(update={"platform": platform.model_copy(update={"slots": slots})})
    await runner.cleanup()


def preparing(
    living: LivingKube, spec: RampSpec, ramp: str = RAMP, said: list[str] | None = None
) -> asyncio.Task[PrepareReport]:
    """One attempt of the activity, by a worker of its own; ``said`` is given what its heartbeats tell."""
    request, environment = PrepareRequest(spec=spec, ramp=ramp), running()
    if said is not None:
        environment.on_heartbeat = lambda details: said.append(str(details))
    return asyncio.ensure_future(environment.run(CapacityActivities(living.clients).prepare_candidates, request))


async def for_ever(*_: object) -> None:
    await asyncio.Event().wait()


def needing_at_least(servers: int, spec: RampSpec) -> RampSpec:
    """Of the candidate's slot, however small its share."""
    slots = dict(spec.platform.slots)
    workload = spec.platform.workload_of("green")
    assert workload is not None
    assert workload.replicas is not None
    sizes = workload.replicas.model_copy(update={"least": servers})
    slots["green"] = slots["green"].model_copy(update={"workload": workload.model_copy(update={"replicas": sizes})})
    return spec.model_copy(update={"platform": spec.platform.model_copy(update={"slots": slots})})


async def rolled(living: LivingKube, updated: int, servers: int = 4) -> None:
    """So many of the servers hold the present template, and all of them are ready."""
    found = await living.admin.get(DEPLOYMENTS, living.namespace, "chat-green")
    counts = {**dict.fromkeys(("replicas", "readyReplicas", "availableReplicas"), servers), "updatedReplicas": updated}
    status = {"observedGeneration": found["metadata"]["generation"], **counts}
    change = [{"op": "add", "path": "/status", "value": status}]
    await living.admin.patch(DEPLOYMENTS, living.namespace, "chat-green", change, subresource="status")


async def dies_while_loading(living: LivingKube, spec: RampSpec) -> None:
    attempt = preparing(living, spec)

    async def is_put() -> bool:
        found = await living.admin.get(DEPLOYMENTS, living.namespace, "chat-green")
        return "toy/chat-v2:1" in str(found["spec"]["template"])

    await wait_until(is_put, 60, "the model is put into the free slot")
    assert not attempt.done()
    attempt.cancel()
    await asyncio.gather(attempt, return_exceptions=True)


@pytest.mark.usefixtures("free_way")
async def test_a_slot_counts_as_changed_although_the_worker_that_changed_it_has_died(
    living: LivingKube, spec: RampSpec, served: dict[SlotName, str]
) -> None:
    await dies_while_loading(living, spec)
    served["green"] = "chat-v2"
    await rolled(living, updated=4)
    assert await asyncio.wait_for(preparing(living, spec), 60) == PrepareReport(written=("green",))


@pytest.mark.usefixtures("free_way")
async def test_a_worker_that_died_before_it_asked_for_servers_is_followed_by_one_that_does(
    living: LivingKube, spec: RampSpec, served: dict[SlotName, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The servers of before have loaded the model by then, and they are fewer than the first step needs."""
    one = [{"op": "replace", "path": "/spec/replicas", "value": 1}]
    await living.admin.patch(DEPLOYMENTS, living.namespace, "chat-green", one)
    spec = needing_at_least(2, spec)
    with monkeypatch.context() as dying:
        dying.setattr(KubernetesWorkload, "grow", for_ever)
        await dies_while_loading(living, spec)
    served["green"] = "chat-v2"
    attempt = preparing(living, spec)

    async def are_asked_for() -> bool:
        found = await living.admin.get(DEPLOYMENTS, living.namespace, "chat-green")
        return bool(found["spec"]["replicas"] == 2)

    await wait_until(are_asked_for, 60, "the servers of the first step are asked for")
    await rolled(living, updated=2, servers=2)
    assert await asyncio.wait_for(attempt, 60) == PrepareReport(written=("green",))


@pytest.mark.usefixtures("free_way")
async def test_what_is_written_stands_in_the_record_before_it_is_written(
    living: LivingKube, spec: RampSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a route that never ramped: whoever has nothing but the record finds what is to be put back."""
    named: list[list[tuple[str, str, str, bool]]] = []

    async def claim(*_: object, **__: object) -> None:
        record = await living.router.record()
        named.append([(each.slot, each.kind, each.name, each.sized) for each in record.workloads])
        raise Refused("a test")

    monkeypatch.setattr(KubernetesWorkload, "claim", claim)
    await asyncio.wait_for(preparing(living, spec), 60)
    assert named == [[("blue", "deployment", "chat-blue", True), ("green", "deployment", "chat-green", True)]]


@pytest.mark.usefixtures("free_way")
async def test_servers_of_before_are_waited_for_although_one_of_the_new_answers_already(
    living: LivingKube, spec: RampSpec, served: dict[SlotName, str]
) -> None:
    await dies_while_loading(living, spec)
    served["green"] = "chat-v2"
    await rolled(living, updated=1)
    said: list[str] = []
    attempt = preparing(living, spec, said=said)

    async def is_told() -> bool:
        return attempt.done() or any("3 of before are still there" in each for each in said)

    await wait_until(is_told, 60, "it is told what is waited for")
    assert not attempt.done()
    await rolled(living, updated=4)
    assert await asyncio.wait_for(attempt, 60) == PrepareReport(written=("green",))


@pytest.mark.usefixtures("free_way")
async def test_what_an_earlier_ramp_has_put_there_is_no_change_of_this_one(
    living: LivingKube, spec: RampSpec, served: dict[SlotName, str]
) -> None:
    await dies_while_loading(living, spec)
    served["green"] = "chat-v2"
    await rolled(living, updated=4)
    assert await asyncio.wait_for(preparing(living, spec, LATER_RAMP), 60) == PrepareReport()


@pytest.mark.usefixtures("free_way")
async def test_a_wait_of_many_looks_asks_for_events_only_once_in_a_while(
    living: LivingKube, spec: RampSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    call = KubeClient._call

    async def noted(client: KubeClient, method: str, path: str, *others: Any) -> dict[str, Any]:
        asked.append(f"{method} {path.rpartition('/')[2]}")
        return await call(client, method, path, *others)

    await dies_while_loading(living, spec)
    monkeypatch.setattr(KubeClient, "_call", noted)
    attempt = preparing(living, spec)
    try:
        await wait_until(lambda: asked.count("GET chat-green") >= 9, 60, "it was looked several times")
    finally:
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
    assert asked.count("GET pods") == 1
    assert asked.count("GET events") == 2  # those of pods, and the workload's own


async def test_what_is_asked_before_a_model_is_loaded_is_asked_of_every_slot_once(
    living: LivingKube, spec: RampSpec, asked: list[SlotName]
) -> None:
    """There is no Prometheus here, so that the ramp is refused before anything is written."""
    report = await asyncio.wait_for(preparing(living, spec), 60)
    assert [problem for problem in report.problems if "prometheus" in problem]
    assert sorted(asked) == ["blue", "green", "red"]
