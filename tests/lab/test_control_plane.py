"""An API server that is the real one: it validates, locks, asks RBAC, and keeps its objects over a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from activities.kube import Changed, Denied, KubeClient, NotFound, Resource
from activities.kube.resources import HTTP_ROUTES, LEASES
from lab.control_plane import ControlPlane
from lab.process import wait_until
from tailramp.errors import Unreachable

ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
HERE = "default"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    made = ControlPlane(tmp_path_factory.mktemp("plane"), {"ada": ["readers"]})
    asyncio.run(made.__aenter__())
    yield made
    asyncio.run(made.__aexit__())


@pytest.fixture
async def admin(plane: ControlPlane) -> AsyncIterator[KubeClient]:
    async with plane.api.client() as client:
        yield client


def lease(name: str) -> dict[str, object]:
    return {"metadata": {"name": name, "annotations": {"note": "one"}}}


async def test_an_object_is_made_read_changed_and_deleted(admin: KubeClient) -> None:
    made = await admin.create(LEASES, HERE, lease("a"))
    with pytest.raises(Changed, match="already exists"):
        await admin.create(LEASES, HERE, lease("a"))
    assert await admin.get(LEASES, HERE, "a") == made
    to_two = {"op": "replace", "path": "/metadata/annotations/note", "value": "two"}
    test = {"op": "test", "path": "/metadata/resourceVersion", "value": made["metadata"]["resourceVersion"]}
    patched = await admin.patch(LEASES, HERE, "a", [test, to_two])
    assert patched["metadata"]["annotations"]["note"] == "two"
    with pytest.raises(Changed):
        await admin.patch(LEASES, HERE, "a", [test, to_two])
    with pytest.raises(Changed):
        await admin.delete(LEASES, HERE, "a", uid="another")
    await admin.delete(LEASES, HERE, "a", uid=made["metadata"]["uid"])
    assert await admin.find(LEASES, HERE, "a") is None
    with pytest.raises(NotFound):
        await admin.delete(LEASES, HERE, "a")


async def test_a_misspelt_field_is_refused_in_words(admin: KubeClient) -> None:
    with pytest.raises(Denied, match=r"unknown field \"spec.holder\""):
        await admin.create(LEASES, HERE, {**lease("b"), "spec": {"holder": "me"}})
    rules = [{"matches": [{"headers": [{"name": "a", "type": "Regex", "value": "b"}]}]}]
    with pytest.raises(Denied, match="Regex"):
        await admin.create(HTTP_ROUTES, HERE, {"metadata": {"name": "chat"}, "spec": {"rules": rules}})


async def test_a_dry_run_changes_nothing(admin: KubeClient) -> None:
    await admin.create(LEASES, HERE, lease("dry"), dry_run=True)
    assert await admin.find(LEASES, HERE, "dry") is None


async def test_many_objects_are_listed_by_their_labels(admin: KubeClient) -> None:
    for number in range(3):
        body = {"metadata": {"name": f"l{number}", "labels": {"of": "many" if number else "one"}}}
        await admin.create(LEASES, HERE, body)
    found = await admin.find_all(LEASES, HERE, "of=many")
    assert [item["metadata"]["name"] for item in found] == ["l1", "l2"]


async def test_a_user_may_do_what_rbac_says_and_no_more(plane: ControlPlane, admin: KubeClient) -> None:
    async with plane.api.client("ada") as ada:
        with pytest.raises(Denied, match='User "ada" cannot get resource "leases"'):
            await ada.get(LEASES, HERE, "l1")
        assert not await ada.review(LEASES, HERE, "get")
        rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get"]}
        await admin.create(ROLES, HERE, {"metadata": {"name": "reader"}, "rules": [rule]})
        bound = {
            "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": ROLES.group, "kind": "Role", "name": "reader"},
            "subjects": [{"apiGroup": ROLES.group, "kind": "Group", "name": "readers"}],
        }
        await admin.create(ROLE_BINDINGS, HERE, bound)
        await wait_until(lambda: ada.review(LEASES, HERE, "get"), 40, "the binding is taken up")
        assert await ada.find(LEASES, HERE, "none") is None
        assert not await ada.review(LEASES, HERE, "delete")


async def test_what_is_stored_outlives_a_crash_and_a_client_finds_the_server_again(
    plane: ControlPlane, admin: KubeClient
) -> None:
    await admin.create(LEASES, HERE, lease("kept"))
    await plane.api.kill()
    with pytest.raises(Unreachable, match="does not answer"):
        await admin.get(LEASES, HERE, "kept")
    await plane.api.start()
    assert (await admin.get(LEASES, HERE, "kept"))["metadata"]["annotations"] == {"note": "one"}


async def test_an_api_server_that_hangs_is_given_up(plane: ControlPlane) -> None:
    async with KubeClient(plane.api.kubeconfig(), seconds=0.3) as client:
        await client.find(LEASES, HERE, "kept")
        plane.api.suspend()
        try:
            with pytest.raises(Unreachable, match="does not answer"):
                await client.find(LEASES, HERE, "kept")
        finally:
            plane.api.thaw()
        await client.find(LEASES, HERE, "kept")


async def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with KubeClient(tmp_path / "none") as client:
        with pytest.raises(Unreachable, match="no way to the Kubernetes API"):
            await client.find(LEASES, HERE, "kept")
