"""The API server dies, hangs, or has a full store: the candidate is out as soon as anything can be written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from kube_namespace import Namespace
from kube_objects import Objects
from record_changes import BLUE, GREEN, kill, roll_back, serve

from activities.kube import KubeClient, Resource
from lab.control_plane import ControlPlane
from lab.process import wait_until
from lab.sample_route import on_green
from tailramp.assignment import Assignment
from tailramp.errors import TailrampError, Unreachable

pytestmark = pytest.mark.own_api_server

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")


@pytest.fixture
async def objects(namespace: Namespace) -> AsyncIterator[Objects]:
    async with Objects(namespace, "ingress-nginx") as made:
        yield made


async def soon(clear: Callable[[], Awaitable[object]]) -> None:
    """Clear as soon as it can be done: who was away needs a moment to find himself again."""

    async def done() -> bool:
        try:
            await clear()
        except TailrampError:
            return False
        return True

    await wait_until(done, 60, "the route is cleared")


async def assert_everyone_is_on_blue(objects: Objects) -> None:
    view = await objects.router.read()
    assert (view.record.closed, view.record.assignment) == (True, BLUE)
    assert [finding for finding in view.loaded.findings if finding.answer == "no"] == []


@pytest.mark.parametrize("served", [on_green("00-49"), GREEN], ids=["step", "promoted"])
async def test_an_api_server_that_was_killed_is_cleared_when_it_is_back(objects: Objects, served: Assignment) -> None:
    await objects.begin(served)
    api = objects.within.own_api
    await api.kill()
    try:
        with pytest.raises(Unreachable, match="does not answer"):
            await objects.router.clear(roll_back(9))
        with pytest.raises(Unreachable, match="does not answer"):
            await objects.router.apply(serve(on_green("00-99"), 3))
    finally:
        await api.start()
    await soon(lambda: objects.router.clear(roll_back(9)))
    await assert_everyone_is_on_blue(objects)


async def test_a_store_that_hangs_makes_every_write_unreachable_and_none_half_done(objects: Objects) -> None:
    await objects.begin(on_green("00-49"))
    etcd = objects.within.own_plane.etcd
    async with KubeClient(objects.kubeconfig, seconds=1.0, attempts=1) as client:
        router = objects.router_with(client)
        etcd.suspend()
        try:
            with pytest.raises(Unreachable):
                await router.apply(serve(on_green("00-99"), 3))
            with pytest.raises(Unreachable):
                await router.clear(kill)
        finally:
            etcd.thaw()
    await soon(lambda: objects.router.clear(kill))
    await assert_everyone_is_on_blue(objects)


@pytest.mark.faults
async def test_a_store_that_is_full_still_takes_the_deletion_of_a_canary(tmp_path: Path) -> None:
    """No record can be closed and no object be changed any more; to delete first is what saves the users."""
    async with (
        ControlPlane(tmp_path / "plane", {"tailramp": []}, etcd_quota=32 * 1024 * 1024) as plane,
        Namespace(plane) as namespace,
        Objects(namespace, "ingress-nginx") as objects,
    ):
        await objects.begin(on_green("00-49"))
        await fill(objects)
        with pytest.raises(Unreachable, match=r"the record could not be closed.*database space exceeded"):
            await objects.router.clear(roll_back(9))
        assert await objects.canary() is None
        with pytest.raises(Unreachable):
            await objects.router.apply(serve(GREEN, 3))


async def fill(objects: Objects) -> None:
    """Until nothing more is taken."""
    for number in range(200):
        body = {"metadata": {"name": f"ballast-{number}"}, "data": {"weight": "x" * 900_000}}
        try:
            await objects.admin.create(CONFIG_MAPS, objects.namespace, body)
        except TailrampError as error:
            if "space exceeded" not in str(error):
                raise
            return
    raise AssertionError("the store took everything")
