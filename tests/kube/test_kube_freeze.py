"""`freeze` and `lift` of whole namespaces and of a cluster, and `list` over the records that are there."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from living_kube import BLUE, LATER_RAMP, Namespace, Objects, kill, on_green, serve, take_over

from activities.kube.resources import LEASES
from activities.routers.kube import KubernetesRouter
from lab.control_plane import NAMESPACES, ControlPlane
from tailramp.errors import Frozen, Refused

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def objects(namespace: Namespace) -> AsyncIterator[Objects]:
    async with Objects(namespace, "ingress-nginx") as made:
        yield made


async def run(kubeconfig: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a `tailramp` command that knows a cluster and nothing else."""
    import asyncio

    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "LOGNAME": "ada", "PYTHONPATH": str(ROOT)}
    environment.pop("TAILRAMP_PLATFORM", None)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli",
        *arguments,
        env=environment,
        cwd=kubeconfig.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


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


async def test_a_whole_cluster_is_frozen_by_who_may_see_all_of_it(objects: Objects, plane: ControlPlane) -> None:
    await objects.begin(BLUE)
    code, _, err = await run(objects.kubeconfig, "freeze", "--all-namespaces", "--reason", "sale")
    assert (code, "leases" in err) == (5, True)
    admin = plane.api.kubeconfig()
    async with Namespace(plane) as gone, Objects(gone, "gateway-api") as left:
        await left.begin(BLUE)
        await gone.admin.delete(NAMESPACES, None, gone.name)  # which takes a while, and here for ever
    async with Namespace(plane) as second, Objects(second, "gateway-api") as others:
        await others.begin(BLUE)
        code, _, err = await run(admin, "freeze", "--all-namespaces", "--reason", "sale")
        assert code == 0, err
        for route in (objects, others):
            assert (await route.router.record()).freeze is not None
        code, _, err = await run(admin, "lift", "--all-namespaces", "--reason", "over")
        assert code == 0, err
        for route in (objects, others):
            assert (await route.router.record()).freeze is None


async def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "none"
    code, _, err = await run(kubeconfig, "freeze", "llm/chat", "--namespace", "llm", "--reason", "x")
    assert (code, "name no route beside them" in err) == (2, True)
    code, _, err = await run(kubeconfig, "lift", "--all-namespaces", "--namespace", "llm", "--reason", "x")
    assert (code, "choose one" in err) == (2, True)


async def test_records_of_a_namespace_are_listed_without_temporal(objects: Objects) -> None:
    await objects.begin(on_green("00-04"))
    code, out, err = await run(objects.kubeconfig, "list", "--records", f"kubernetes:{objects.namespace}")
    assert code == 0, err
    assert f"{objects.namespace}/chat" in out
    assert "green 00-04" in out
    places = ["--records", f"kubernetes:{objects.namespace}", "--records", "kubernetes:nowhere"]
    code, out, err = await run(objects.kubeconfig, "list", *places, "-o", "json")
    assert code == 0, err
    first, second = json.loads(out)
    assert (first["file"], first["assignment"]["default"]) == (f"lease {objects.namespace}/tailramp-chat", "blue")
    assert "may not" in second["error"] or "cannot list" in second["error"]
