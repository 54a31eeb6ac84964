"""Who is served stands in the record with a lease, wherever the writer is killed: a sentinel knows nothing else.

What is served is read from the objects as a data plane reads them, and not by the code that has written them.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from kube_namespace import Namespace
from kube_objects import Objects
from living_kube import outcome_of
from record_changes import BLUE, GREEN, serve
from stepping import At, Stepping, die

from lab.sample_route import on_green
from tailramp.assignment import Assignment

BUCKETS = [f"{number:02}" for number in range(100)]
PATTERN = "nginx.ingress.kubernetes.io/canary-by-header-pattern"

WRITES: dict[str, tuple[Assignment, Assignment]] = {
    "first step": (BLUE, on_green("00-04")),
    "grow": (on_green("00-04"), on_green("00-49")),
    "shrink": (on_green("00-49"), on_green("00-04")),
    "withdraw": (on_green("00-49"), BLUE),
    "promote": (on_green("00-49"), GREEN),
}


@pytest.fixture(params=["ingress-nginx", "gateway-api"])
async def objects(request: pytest.FixtureRequest, namespace: Namespace) -> AsyncIterator[Objects]:
    async with Objects(namespace, request.param) as made:
        yield made


def patterns_of(canary: dict[str, Any]) -> list[str]:
    if canary["kind"] == "Ingress":
        return [canary["metadata"]["annotations"][PATTERN]]
    matches = [match for rule in canary["spec"]["rules"] for match in rule["matches"]]
    return [match["headers"][-1]["value"] for match in matches]


async def served_by_green(objects: Objects) -> set[str]:
    if not await objects.points_at_blue():
        return set(BUCKETS)
    canary = await objects.canary()
    if canary is None:
        return set()
    return {bucket for pattern in patterns_of(canary) for bucket in BUCKETS if re.fullmatch(pattern, bucket)}


def given_to_green(assignment: Assignment) -> set[str]:
    return set(BUCKETS) if assignment.default == "green" else set(assignment.buckets_of("green"))


@pytest.mark.parametrize("name", WRITES)
async def test_who_is_served_stands_in_the_record_with_a_lease_wherever_the_writer_is_killed(
    objects: Objects, name: str
) -> None:
    before, after = WRITES[name]
    for point in range(100):
        await objects.begin(before)
        killed = At(point, die, and_later=True)
        async with Stepping(objects.kubeconfig, before=killed) as client:
            await outcome_of(objects.router_with(client).apply(serve(after, 3)))
        record, served = await objects.router.record(), await served_by_green(objects)
        assert served <= given_to_green(record.assignment), (point, record.assignment.describe())
        if served:
            assert record.leases["green"].seconds == 90, (point, record)
            assert record.leases["green"].reason is None
        if not killed.reached:
            break
    assert point > 3, "the write was too short to be stopped anywhere"
    assert served == given_to_green(after), "who was not killed has served what it was told to"
