"""One API server for all tests of this folder; every test has a namespace of its own, and a user who may do little."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import cluster_command
import pytest
import pytest_asyncio
from kube_namespace import USER, WORKLOAD_RULES, Namespace
from kube_workload import KINDS, SIZED, WAYS, Slot
from living_kube import LivingKube
from living_label import GatewayProgram, LivingLabel

from activities.kube import KubeClient
from lab import programs
from lab.control_plane import ControlPlane
from lab.given_cluster import GivenCluster, Plane

KINDS_OF_OTHERS = {
    "leader-worker-set": "leaderworkersets.leaderworkerset.x-k8s.io",
    "keda": "scaledobjects.keda.sh",
}


GIVEN = os.environ.get("TAILRAMP_TEST_KUBECONFIG")
"""A kubeconfig: the tests run in the cluster of its present context, but for those that need an API server of their
own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test of this folder waits for the API server too."""
    for item in items:
        if item.path.parent != Path(__file__).parent:
            continue
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(180))
        plays = "workload" in item.path.name  # what Kubernetes' own controllers do
        if GIVEN and (plays or item.get_closest_marker("own_api_server") is not None):
            item.add_marker(pytest.mark.skip(reason="needs an API server of its own"))


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("plane")
    made = GivenCluster(folder, Path(GIVEN), [USER]) if GIVEN else ControlPlane(folder, {USER: []})
    asyncio.run(made.__aenter__())
    yield made
    asyncio.run(made.__aexit__())


@pytest.fixture(scope="session")
def commands(warm: Path) -> None:
    """Lets tests run commands, which start at once."""
    cluster_command.server = warm


@pytest.fixture
async def namespace(plane: Plane) -> AsyncIterator[Namespace]:
    async with Namespace(plane) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["ingress-nginx", "gateway-api"])
async def living_route(
    request: pytest.FixtureRequest, plane: Plane, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LivingKube]:
    """One data plane for all tests of a file, since its servers take seconds to start."""
    async with Namespace(plane) as made, LivingKube(tmp_path_factory.mktemp("route"), made, request.param) as living:
        yield living


@pytest.fixture(scope="module")
def gateway_program() -> GatewayProgram:
    """What our own gateway is, where a route has one; a file may say otherwise."""
    return "envoy"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def living_label(
    gateway_program: GatewayProgram, plane: Plane, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LivingLabel]:
    """One route by label for all tests of a file, which names it its ``living_route``."""
    folder = tmp_path_factory.mktemp("label")
    async with Namespace(plane) as made, LivingLabel(folder, made, gateway_program) as living:
        yield living


@pytest.fixture(scope="session")
def plane_of_kinds(plane: Plane) -> Plane:
    """With the resources of LeaderWorkerSets and of KEDA beside Kubernetes' own."""

    async def define() -> None:
        for folder, name in KINDS_OF_OTHERS.items():
            await plane.api.define(programs.ensure_folder(folder), [name])

    asyncio.run(define())
    return plane


@pytest.fixture
async def place(plane_of_kinds: Plane) -> AsyncIterator[Namespace]:
    """A namespace with workloads, and a user who may write those and nothing else."""
    async with Namespace(plane_of_kinds) as namespace:
        await namespace.allow(WORKLOAD_RULES)
        yield namespace


@pytest.fixture
async def client(place: Namespace) -> AsyncIterator[KubeClient]:
    """Of that user."""
    async with KubeClient(place.kubeconfig) as client:
        yield client


@pytest.fixture(params=list(KINDS))
def slot(request: pytest.FixtureRequest, place: Namespace, client: KubeClient) -> Slot:
    """Of every kind of workload, as that user."""
    return Slot(place, client, request.param, **WAYS, **SIZED)


@pytest_asyncio.fixture(loop_scope="module")
async def route(living_route: LivingKube) -> LivingKube:
    """A route that nothing was ever done with.  Whoever uses it runs ``on_shared_loop``."""
    await living_route.begin_anew()
    return living_route
