"""`freeze` and `lift` of whole namespaces and of a cluster, and `list` over the records that are there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cluster_command import run
from kube_namespace import Namespace
from kube_objects import Objects
from living_kube import outcome_of
from record_changes import BLUE, LATER_RAMP, kill, serve, take_over
from stepping import At, Stepping

from activities.kube.resources import LEASES
from activities.routers.kube import KubernetesRouter
from activities.routers.kube.namespace_freeze import freeze_namespace, lift_namespace, namespace_mark
from activities.routers.kube.planner import MANAGED_BY
from activities.routers.kube.record_lease import RECORD
from lab.control_plane import NAMESPACES
from lab.given_cluster import Plane
from lab.sample_route import on_green
from tailramp.errors import Frozen, Refused
from tailramp.route_record import Mark

pytestmark = pytest.mark.usefixtures("commands")

SALE, HOLIDAYS = (
    Mark.model_validate({"at": "2026-03-01T00:00:00Z", "by": "ada", "reason": reason})
    for reason in ("sale", "holidays")
)


@pytest.fixture
async def objects(namespace: Namespace) -> AsyncIterator[Objects]:
    async with Objects(namespace, "ingress-nginx") as made:
        yield made


async def test_a_frozen_namespace_holds_its_live_ramps_and_starts_no_new_one(objects: Objects) -> None:
    await objects.begin(on_green("00-04"))
    other = KubernetesRouter(objects._client, objects.namespace, "second", objects.binding)
    here = ("--namespace", objects.namespace)
    code, out, err = await run(objects.kubeconfig, "freeze", *here, "--reason", "sale")
    assert code == 0, err
    assert f"{objects.namespace} is frozen, with 1 routes" in out
    with pytest.raises(Frozen, match="frozen by ada"):
        await objects.router.apply(serve(on_green("00-09"), 3))
    await objects.router.apply(serve(on_green("00"), 4))
    with pytest.raises(Frozen, match=f"the namespace {objects.namespace} is frozen by ada.*: sale"):
        await other.prepare(take_over(LATER_RAMP), ["green"])
    assert await objects.admin.find(LEASES, objects.namespace, "tailramp-second") is None
    code, out, err = await run(objects.kubeconfig, "lift", *here, "--reason", "over")
    assert code == 0, err
    assert "is lifted: over" in out
    await objects.router.apply(serve(on_green("00-09"), 5))
    code, out, _ = await run(objects.kubeconfig, "lift", *here, "--reason", "again")
    assert (code, "no mark to lift" in out) == (0, True)


async def test_what_was_killed_or_frozen_by_itself_stays_so_when_its_namespace_is_lifted(objects: Objects) -> None:
    await objects.begin(on_green("00-04"))
    route = f"{objects.namespace}/chat"
    here = ("--namespace", objects.namespace)
    assert (await run(objects.kubeconfig, "freeze", *here, "--reason", "sale"))[0] == 0
    assert (await run(objects.kubeconfig, "freeze", route, "--reason", "its own"))[0] == 0
    assert (await run(objects.kubeconfig, "lift", *here, "--reason", "over"))[0] == 0
    freeze = (await objects.router.record()).freeze
    assert freeze is not None
    assert freeze.reason == "its own"
    await objects.router.clear(kill)
    assert (await run(objects.kubeconfig, "freeze", *here, "--reason", "sale"))[0] == 0
    assert (await run(objects.kubeconfig, "lift", *here, "--reason", "over"))[0] == 0
    with pytest.raises(Refused, match="shut off"):
        await objects.router.prepare(take_over(LATER_RAMP, override="x"), ["green"])


@pytest.mark.own_api_server
async def test_a_whole_cluster_is_frozen_by_who_may_see_all_of_it(objects: Objects, plane: Plane) -> None:
    await objects.begin(BLUE)
    code, _, err = await run(objects.kubeconfig, "freeze", "--all-namespaces", "--reason", "sale")
    assert (code, "leases" in err) == (5, True)
    admin = plane.api.kubeconfig()
    async with (
        Namespace(plane) as gone,
        Objects(gone, "gateway-api") as left,
        Namespace(plane) as second,
        Objects(second, "gateway-api") as others,
    ):
        await left.begin(BLUE)
        await gone.admin.delete(NAMESPACES, None, gone.name)  # which takes a while, and here for ever
        await others.begin(BLUE)
        code, out, err = await run(admin, "freeze", "--all-namespaces", "--reason", "sale")
        assert code == 0, err
        assert f"{gone.name} is frozen, with 1 routes" in out
        for route in (objects, others, left):
            assert (await route.router.record()).freeze is not None
        code, _, err = await run(admin, "lift", "--all-namespaces", "--reason", "over")
        assert code == 0, err
        for route in (objects, others):
            assert (await route.router.record()).freeze is None


async def test_a_freeze_that_comes_before_any_call_of_a_first_start_lets_nothing_serve(objects: Objects) -> None:
    """The namespace has no record yet: a freeze that looks for records finds none, and the start has looked for it."""
    refused = 0
    for point in range(100):
        await objects.reset()
        freeze = At(point, lambda: freeze_namespace(objects.admin, objects.namespace, SALE))
        async with Stepping(objects.kubeconfig, before=freeze) as client:
            ended = await outcome_of(objects.router_with(client).prepare(take_over(), ["green"]))
        if not freeze.reached:
            break
        assert ended is None or isinstance(ended, Frozen), ended
        refused += ended is not None
        if ended is None:  # what has begun is held by its record
            with pytest.raises(Refused):
                await objects.router.apply(serve(on_green("00-04"), 2))
        with pytest.raises(Frozen):
            await objects.router.prepare(take_over(), ["green"])
        assert (await lift_namespace(objects.admin, objects.namespace)).mark == SALE
        await objects.router.prepare(take_over(), ["green"])
        await objects.router.apply(serve(on_green("00-04"), 2))
    assert ended is None
    assert refused > 3, "a start looked for a freeze only before it had left anything to be found"


async def test_a_freeze_that_is_lifted_while_a_first_start_is_on_its_way_leaves_nothing_frozen(
    objects: Objects,
) -> None:
    """The freeze comes before one call of the start, and the lift before a later one."""
    pairs = 0
    for freezes in range(100):
        for lifts in range(freezes + 1, 100):
            await objects.reset()
            freeze = At(freezes, lambda: freeze_namespace(objects.admin, objects.namespace, SALE))
            lift = At(lifts, lambda: lift_namespace(objects.admin, objects.namespace))
            in_turn = asyncio.Lock()  # a start makes some of its calls at once

            async def both(number: int, freeze: At = freeze, lift: At = lift, in_turn: asyncio.Lock = in_turn) -> None:
                async with in_turn:
                    await freeze(number)
                    await lift(number)

            async with Stepping(objects.kubeconfig, before=both) as client:
                ended = await outcome_of(objects.router_with(client).prepare(take_over(), ["green"]))
            if not lift.reached:
                await lift_namespace(objects.admin, objects.namespace)
                break
            pairs += 1
            assert ended is None or isinstance(ended, Frozen), ended
            await objects.router.prepare(take_over(), ["green"])
            await objects.router.apply(serve(on_green("00-04"), 2))
        if not freeze.reached:
            break
    assert pairs > 20


async def test_a_record_that_cannot_be_read_keeps_no_other_route_from_a_freeze(objects: Objects) -> None:
    await objects.begin(on_green("00-04"))
    spoilt = {"name": "tailramp-aaa", "labels": MANAGED_BY, "annotations": {RECORD: "{"}}
    await objects.admin.create(LEASES, objects.namespace, {"metadata": spoilt})
    here = ("--namespace", "nowhere", "--namespace", objects.namespace)
    code, out, err = await run(objects.kubeconfig, "freeze", *here, "--reason", "sale")
    assert code == 5
    assert f"{objects.namespace} is frozen, with 1 routes" in out
    assert "nowhere takes new ramps still" in out
    assert f"lease {objects.namespace}/tailramp-aaa: " in err
    assert "nowhere: " in err
    freeze = (await objects.router.record()).freeze
    assert freeze is not None
    code, out, err = await run(objects.kubeconfig, "lift", *here, "--reason", "over", "-o", "json")
    assert code == 5
    answer = json.loads(out)
    assert set(answer["failed"]) == {"nowhere", f"lease {objects.namespace}/tailramp-aaa"}
    assert answer["lifted"][objects.namespace] == {"freeze": None, "routes": [f"{objects.namespace}/chat"]}
    assert await namespace_mark(objects.admin, objects.namespace) == freeze
    await objects.admin.delete(LEASES, objects.namespace, "tailramp-aaa")
    code, out, err = await run(objects.kubeconfig, "lift", *here[2:], "--reason", "over")
    assert code == 0, err
    assert await namespace_mark(objects.admin, objects.namespace) is None


async def test_a_lift_takes_no_mark_away_that_was_set_meanwhile(objects: Objects) -> None:
    for point in range(1, 100):  # before its first call, the mark of which it knows is the later one
        await objects.begin(on_green("00-04"))
        await freeze_namespace(objects.admin, objects.namespace, SALE)
        freeze_again = At(point, lambda: freeze_namespace(objects.admin, objects.namespace, HOLIDAYS))
        async with Stepping(objects.kubeconfig, before=freeze_again) as client:
            lifted = await lift_namespace(client, objects.namespace)
        if not freeze_again.reached:
            break
        assert "holidays" in str(lifted.failures[objects.namespace])
        assert await namespace_mark(objects.admin, objects.namespace) == HOLIDAYS
        assert (await objects.router.record()).freeze == HOLIDAYS
        assert (await lift_namespace(objects.admin, objects.namespace)).mark == HOLIDAYS
    assert point > 3
    assert lifted.mark == SALE


async def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "none"
    code, _, err = await run(kubeconfig, "freeze", "llm/chat", "--namespace", "llm", "--reason", "x")
    assert (code, "name no route beside them" in err) == (2, True)
    code, _, err = await run(kubeconfig, "lift", "--all-namespaces", "--namespace", "llm", "--reason", "x")
    assert (code, "choose one" in err) == (2, True)


@pytest.mark.parametrize("name", ["聊天", "llm/chat", "../llm", "LLM", "", "a b", "llm?x=y", "x" * 64])
async def test_what_can_be_no_namespace_is_refused_before_anybody_is_asked(name: str, tmp_path: Path) -> None:
    code, _, err = await run(tmp_path / "none", "freeze", "--namespace", name, "--reason", "x")
    assert (code, f"{name!r} is no namespace" in err) == (2, True)


async def test_records_of_a_namespace_are_listed_without_temporal(objects: Objects) -> None:
    await objects.begin(on_green("00-04"))
    code, out, err = await run(objects.kubeconfig, "list", "--records", f"kubernetes:{objects.namespace}")
    assert code == 0, err
    assert f"{objects.namespace}/chat" in out
    assert "green 00-04" in out
    places = ["--records", f"kubernetes:{objects.namespace}", "--records", "kubernetes:nowhere"]
    code, out, err = await run(objects.kubeconfig, "list", *places, "-o", "json")
    assert code == 0, err
    first, second = json.loads(out)["records"]
    assert (first["file"], first["assignment"]["default"]) == (f"lease {objects.namespace}/tailramp-chat", "blue")
    assert "may not" in second["error"] or "cannot list" in second["error"]
