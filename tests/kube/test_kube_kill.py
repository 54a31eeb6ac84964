"""On a cluster whose Temporal, workers and Prometheus are gone: `kill`, `lift`, `freeze`, `uninstall`, the sentinel."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml
from cluster_command import run
from living_kube import TAKEN_UP_SECONDS, LivingKube, on_shared_loop
from record_changes import BLUE, GREEN, LATER_RAMP, conclude, renew, serve, take_over

from activities.kube import KubeClient
from activities.kube.resources import LEASES
from lab.process import ManagedProcess, wait_until
from lab.sample_route import on_green
from tailramp.errors import Fenced, Refused
from worker.sentinel import Sentinel

pytestmark = [on_shared_loop, pytest.mark.usefixtures("commands")]

ROOT = Path(__file__).parents[2]


async def test_a_kill_needs_a_kubeconfig_and_the_name_of_the_route(route: LivingKube) -> None:
    await route.serve(on_green("00-49"))
    code, out, err = await run(route.within.kubeconfig, "kill", f"{route.namespace}/chat", "--reason", "complaints")
    assert code == 0, err
    assert "green is out (it served 00-49)" in out
    assert await route.canary() is None
    record = await route.router.record()
    assert record.kill is not None
    assert record.kill.by.startswith("ada")
    assert record.kill.reason == "complaints"
    await route.served(BLUE)
    with pytest.raises(Fenced, match="shut off by ada"):
        await route.router.apply(serve(on_green("00-09"), 3))
    with pytest.raises(Refused, match="shut off"):
        await route.router.prepare(take_over(LATER_RAMP), ["green"])
    code, out, err = await run(
        route.within.kubeconfig, "lift", f"{route.namespace}/chat", "--reason", "mended", "--context", "tailramp"
    )
    assert code == 0, err
    await route.router.prepare(take_over(LATER_RAMP, override="mended"), ["green"])


async def test_a_kill_takes_a_promotion_back(route: LivingKube) -> None:
    await route.serve(on_green("00-49"))
    await route.router.apply(serve(GREEN, 3))
    await route.served(GREEN)
    code, _, err = await run(route.within.kubeconfig, "kill", f"{route.namespace}/chat")
    assert code == 0, err
    await route.served(BLUE)


async def test_a_kill_to_previous_undoes_a_promotion_that_is_over(route: LivingKube) -> None:
    await route.serve(on_green("00-49"))
    await route.router.apply(serve(GREEN, 3))
    await route.router.prepare(conclude(4))
    code, _, err = await run(route.within.kubeconfig, "kill", f"{route.namespace}/chat", "--to-previous")
    assert code == 0, err
    await route.served(BLUE)


async def test_a_route_that_is_off_answers_by_the_backend_for_it_and_comes_back(
    route: LivingKube, tmp_path: Path
) -> None:
    """Also a route that never ramped: then the platform file says what the route is made of."""
    code, _, err = await run(route.within.kubeconfig, "kill", f"{route.namespace}/chat", "--off", cwd=tmp_path)
    assert code == 5
    assert "has no route record" in err
    platform = tmp_path / "tailramp.yaml"
    data = route.platform.model_dump(by_alias=True, mode="json", exclude_unset=True)
    platform.write_text(yaml.safe_dump(data), encoding="utf-8")
    code, _, err = await run(route.within.kubeconfig, "kill", "--platform", str(platform), "--off")
    assert code == 5
    assert "router.off" in err
    data["router"]["off"] = route.backend("red")  # what answers here is another server: that is what can be told apart
    platform.write_text(yaml.safe_dump(data), encoding="utf-8")
    code, _, err = await run(route.within.kubeconfig, "kill", "--platform", str(platform), "--off")
    assert code == 0, err
    await wait_until(lambda: answers(route, "red"), TAKEN_UP_SECONDS, "the other backend answers")
    code, _, err = await run(route.within.kubeconfig, "lift", "--platform", str(platform), "--reason", "on again")
    assert code == 0, err
    await route.served(BLUE)


async def answers(route: LivingKube, slot: str) -> bool:
    return await route.ask() == (200, slot)


async def test_nothing_starts_or_grows_on_a_frozen_route(route: LivingKube) -> None:
    await route.serve(on_green("00-04"))
    code, _, err = await run(route.within.kubeconfig, "freeze", f"{route.namespace}/chat", "--reason", "holidays")
    assert code == 0, err
    with pytest.raises(Refused, match="frozen by ada"):
        await route.router.apply(serve(on_green("00-09"), 3))
    await route.router.apply(serve(on_green("00"), 4))
    await route.served(on_green("00"))


async def test_a_route_without_a_record_and_a_cluster_that_is_not_there_are_told_in_words(
    route: LivingKube, tmp_path: Path
) -> None:
    code, _, err = await run(route.within.kubeconfig, "kill", f"{route.namespace}/nothing", cwd=tmp_path)
    assert code == 5
    assert f"no lease {route.namespace}/tailramp-nothing" in err
    code, _, err = await run(route.within.kubeconfig, "kill", f"{route.namespace}/chat", "--context", "elsewhere")
    assert code == 6
    assert "no way to the Kubernetes API" in err


async def test_uninstall_leaves_the_route_as_it_was_found(route: LivingKube, tmp_path: Path) -> None:
    found = await route.main()
    await route.serve(on_green("00-49"))
    here = ("uninstall", f"{route.namespace}/chat", "--context", "tailramp")
    code, _, err = await run(route.within.kubeconfig, *here, "--yes")
    assert code == 5
    assert "still serves green" in err
    await run(route.within.kubeconfig, "kill", f"{route.namespace}/chat")
    code, out, err = await run(route.within.kubeconfig, *here)
    assert (code, "would take" in out) == (0, True), err
    code, _, err = await run(route.within.kubeconfig, *here, "--yes")
    assert code == 0, err
    left = await route.main()
    assert left["spec"] == found["spec"]
    assert left["metadata"].get("annotations", {}) == found["metadata"].get("annotations", {})
    assert await route.admin.find(LEASES, route.namespace, "tailramp-chat") is None
    assert await route.canary() is None


async def test_a_sentinel_takes_out_what_nobody_looks_at(route: LivingKube) -> None:
    now = 0.0
    async with KubeClient(route.within.kubeconfig) as client:
        sentinel = Sentinel([f"kubernetes:{route.namespace}"], monotonic=lambda: now, kube=client)
        assert await sentinel.look() == []
        await route.serve(on_green("00-49"))
        assert await sentinel.look() == []
        now = 80.0
        await route.router.renew(renew(2))
        assert await sentinel.look() == []
        now = 160.0
        assert await sentinel.look() == []
        now = 171.0
        (sentence,) = await sentinel.look()
        assert f"{route.namespace}/chat: green is out" in sentence
        assert await sentinel.look() == []
    await route.served(BLUE)
    with pytest.raises(Fenced, match="cleared by sentinel"):
        await route.router.apply(serve(on_green("00-09"), 3))


async def test_a_sentinel_says_once_that_it_cannot_look(route: LivingKube, caplog: pytest.LogCaptureFixture) -> None:
    await route.serve(on_green("00-04"))
    async with KubeClient(route.within.kubeconfig) as client:
        sentinel = Sentinel([f"kubernetes:{route.namespace}"], kube=client)
        await sentinel.look()
        await route.within.allow([])
        for _ in range(3):
            await sentinel.look()
    refused = [line for line in caplog.messages if "cannot get" in line]
    assert len(refused) == 1
    assert [str(place) for place in await sentinel.routes()] == [f"{route.namespace}/chat"], "it goes on trying"


async def test_a_record_that_contradicts_itself_costs_no_other_route_its_sentinel(
    route: LivingKube, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody has edited a Lease: its record says blue, and no backend of that name is known."""
    now = 0.0
    await route.serve(on_green("00-49"))
    lease = await route.admin.get(LEASES, route.namespace, "tailramp-chat")
    annotations = dict(lease["metadata"]["annotations"])
    binding = json.loads(annotations["tailramp/binding"])
    del binding["backends"]["blue"]
    annotations |= {
        "tailramp/binding": json.dumps(binding),
        "tailramp/record": annotations["tailramp/record"].replace(f"{route.namespace}/chat", f"{route.namespace}/abc"),
    }
    metadata = {"name": "tailramp-abc", "labels": lease["metadata"]["labels"], "annotations": annotations}
    await route.admin.create(LEASES, route.namespace, {"metadata": metadata})
    async with KubeClient(route.within.kubeconfig) as client:
        sentinel = Sentinel([f"kubernetes:{route.namespace}"], monotonic=lambda: now, kube=client)
        await sentinel.look()
        now = 91.0
        (sentence,) = await sentinel.look()
        assert f"{route.namespace}/chat: green is out" in sentence
        await sentinel.look()
    assert len([line for line in caplog.messages if "KeyError" in line]) == 1


async def test_the_sentinel_process_clears_a_lapsed_lease(route: LivingKube, tmp_path: Path) -> None:
    environment = {
        "KUBECONFIG": str(route.within.kubeconfig),
        "TAILRAMP_ROUTES": f"kubernetes:{route.namespace}",
        "TAILRAMP_SENTINEL_POLL": "0.2",
    }
    process = ManagedProcess.start(
        [sys.executable, "-m", "worker", "sentinel"], tmp_path / "sentinel.log", env=environment, cwd=ROOT
    )
    async with process:
        await route.router.prepare(take_over(), ["green"])
        await route.router.apply(serve(on_green("00-49"), 2, lease_seconds=1.0))

        async def out() -> bool:
            return (await route.router.record()).closed

        await wait_until(out, 60, "the sentinel has acted")
    assert await route.canary() is None
    await route.served(BLUE)
