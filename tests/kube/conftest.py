"""One API server for all tests of this folder; every test has a namespace of its own, and a user who may do little."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from living_kube import USER, WORKLOAD_RULES, LivingKube, Namespace

from lab import programs
from lab.control_plane import ControlPlane

KINDS_OF_OTHERS = {
    "leader-worker-set": "leaderworkersets.leaderworkerset.x-k8s.io",
    "keda": "scaledobjects.keda.sh",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test of this folder waits for the API server too."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    made = ControlPlane(tmp_path_factory.mktemp("plane"), {USER: []})
    asyncio.run(made.__aenter__())
    yield made
    asyncio.run(made.__aexit__())


@pytest.fixture
async def namespace(plane: ControlPlane) -> AsyncIterator[Namespace]:
    async with Namespace(plane) as made:
        yield made


@pytest.fixture(params=["ingress-nginx", "gateway-api"])
async def route(request: pytest.FixtureRequest, namespace: Namespace, tmp_path: Path) -> AsyncIterator[LivingKube]:
    async with LivingKube(tmp_path, namespace, request.param) as living:
        yield living


@pytest.fixture(scope="session")
def plane_of_kinds(plane: ControlPlane) -> ControlPlane:
    """With the resources of LeaderWorkerSets and of KEDA beside Kubernetes' own."""

    async def define() -> None:
        for folder, name in KINDS_OF_OTHERS.items():
            await plane.api.define(programs.ensure_folder(folder), [name])

    asyncio.run(define())
    return plane


@pytest.fixture
async def place(plane_of_kinds: ControlPlane) -> AsyncIterator[Namespace]:
    """A namespace with workloads, and a user who may write those and nothing else."""
    async with Namespace(plane_of_kinds) as namespace:
        await namespace.allow(WORKLOAD_RULES)
        yield namespace
