"""A rollback that nothing blocks: whatever the API server answers, nobody is left on the candidate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from broken_api import HANG, BrokenApi
from kube_namespace import USER, Namespace
from kube_objects import Objects
from record_changes import BLUE, GREEN, LATER_RAMP, renew, roll_back, serve, take_over

from activities import telemetry
from activities.kube import Denied, KubeClient, Resource
from activities.kube.resources import LEASES, SERVICES
from lab.control_plane import NAMESPACES
from lab.process import wait_until
from lab.sample_route import on_green
from tailramp.assignment import Assignment
from tailramp.errors import Fenced, Refused, TailrampError, Unreachable
from tailramp.route_record import RouteRecord

POLICIES = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False
)
POLICY_BINDINGS = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", False
)


@pytest.fixture(params=["ingress-nginx", "gateway-api"])
async def objects(request: pytest.FixtureRequest, namespace: Namespace) -> AsyncIterator[Objects]:
    async with Objects(namespace, request.param) as made:
        yield made


@asynccontextmanager
async def refusing(objects: Objects, operations: list[str], unless: str = "false") -> AsyncIterator[None]:
    """An admission rule of the platform that refuses tailramp these operations on routes, ``unless`` (CEL)."""
    name = f"no-{objects.namespace}"
    rule = {
        "apiGroups": [objects.resource.group],
        "apiVersions": ["v1"],
        "operations": operations,
        "resources": [objects.resource.plural],
    }
    user = objects.within.plane.api.username(USER)
    mine = f"request.userInfo.username != '{user}' || request.namespace != '{objects.namespace}'"
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": f"{mine} || ({unless})", "message": "change freeze of the platform"}],
    }
    await objects.admin.create(POLICIES, None, {"metadata": {"name": name}, "spec": spec})
    bound = {"policyName": name, "validationActions": ["Deny"]}
    await objects.admin.create(POLICY_BINDINGS, None, {"metadata": {"name": name}, "spec": bound})

    async def refuses() -> bool:
        """The rule is taken up a moment after it is made."""
        async with KubeClient(objects.kubeconfig) as client:
            probe = {**objects.main_route(), "metadata": {"name": "probe"}}
            if await objects.admin.find(objects.resource, objects.namespace, "probe") is None:
                await objects.admin.create(objects.resource, objects.namespace, probe)
            try:
                if "DELETE" in operations:
                    await client.delete(objects.resource, objects.namespace, "probe")
                else:
                    another = {**probe, "metadata": {"name": "another"}}
                    await client.create(objects.resource, objects.namespace, another, dry_run=True)
            except TailrampError:
                return True
            return False

    await wait_until(refuses, 60, "the rule is taken up", interval=0.2)
    await objects.admin.delete(objects.resource, objects.namespace, "probe")
    try:
        yield
    finally:
        await objects.admin.delete(POLICY_BINDINGS, None, name)
        await objects.admin.delete(POLICIES, None, name)


async def assert_everyone_is_on_blue(objects: Objects) -> None:
    view = await objects.router.read()
    assert view.record.closed
    assert view.record.assignment == BLUE
    assert [finding for finding in view.loaded.findings if finding.answer == "no"] == []


async def until_cleared(objects: Objects, client: KubeClient, tries: int = 300) -> RouteRecord:
    """Try as Temporal does: for ever, here not quite."""
    for _ in range(tries):
        try:
            return await objects.router_with(client).clear(roll_back(9))
        except TailrampError:
            await asyncio.sleep(0.01)
    raise AssertionError(f"not cleared in {tries} tries")


# Escalation.


def sent_back() -> float:
    """What the page on an escalation is made of."""
    return telemetry.REGISTRY.get_sample_value("tailramp_escalations_total", {"way": "sent back"}) or 0.0


async def test_a_canary_that_may_not_be_deleted_is_pointed_at_the_baseline(
    objects: Objects, caplog: pytest.LogCaptureFixture
) -> None:
    await objects.begin(on_green("00-49"))
    before, counted = await objects.router.snapshot(), sent_back()
    async with refusing(objects, ["DELETE"]):
        await objects.router.clear(roll_back(9))
        await assert_everyone_is_on_blue(objects)
        left = await objects.canary()
        assert left is not None
        assert "chat-green" not in str(left["spec"])
        assert "green@file" not in str(left["spec"])
        assert "could not be deleted" in caplog.text
        assert sent_back() > counted
        assert "change freeze of the platform" in caplog.text
        report = await objects.router.restore(before)
        assert not report.equal
        assert "still there" in report.foreign[0]
    await wait_until(lambda: restored(objects, before), 60, "the rule is gone", interval=0.2)
    assert await objects.canary() is None


async def test_a_rule_that_refuses_the_canary_is_quoted_in_its_own_words_and_nobody_is_moved(objects: Objects) -> None:
    """Such as the risk level of ingress-nginx, whose annotations are looked at when the canary is made."""
    await objects.begin(None)
    async with refusing(objects, ["CREATE"]):
        with pytest.raises(Denied, match="change freeze of the platform"):
            await objects.router.prepare(take_over(), ["green"])
        assert await objects.canary() is None
        assert await objects.points_at_blue()
        await objects.router.clear(roll_back(9))
        await assert_everyone_is_on_blue(objects)

    async def begun() -> bool:
        try:
            await objects.router.prepare(take_over(LATER_RAMP, override="again"), ["green"])
        except Denied:
            return False
        return True

    await wait_until(begun, 30, "the rule is gone", interval=0.2)


async def test_a_canary_that_a_finalizer_keeps_is_pointed_at_the_baseline_since_it_is_served_until_it_is_gone(
    objects: Objects, caplog: pytest.LogCaptureFixture
) -> None:
    """The API server says yes to such a deletion, and the gateway goes on reading the object."""
    await objects.begin(on_green("00-49"))
    before = await objects.router.snapshot()
    kept = {"op": "add", "path": "/metadata/finalizers", "value": ["example.com/listener"]}
    await objects.admin.patch(objects.resource, objects.namespace, objects.canary_name, [kept])
    await objects.router.clear(roll_back(9))
    await assert_everyone_is_on_blue(objects)
    assert "kept by the finalizer example.com/listener" in caplog.text
    report = await objects.router.restore(before)
    assert not report.equal
    assert "example.com/listener" in report.foreign[0]
    with pytest.raises(Refused, match=r"canary: it was deleted, and is kept by the finalizer example\.com/listener"):
        await objects.router.prepare(take_over(LATER_RAMP, override="again"), ["green"])
    with pytest.raises(Refused, match=r"example\.com/listener"):
        await objects.router.release(lambda _: None)
    freed = {"op": "remove", "path": "/metadata/finalizers"}
    await objects.admin.patch(objects.resource, objects.namespace, objects.canary_name, [freed])
    assert await restored(objects, before)
    assert await objects.canary() is None


async def restored(objects: Objects, snapshot: str) -> bool:
    return (await objects.router.restore(snapshot)).equal


async def test_what_nobody_may_change_is_named_and_cleared_as_soon_as_it_may(objects: Objects) -> None:
    await objects.begin(on_green("00-49"))
    async with refusing(objects, ["DELETE", "UPDATE"]):
        with pytest.raises(Unreachable, match=r"is still served.*change freeze of the platform"):
            await objects.router.clear(roll_back(9))
        assert (await objects.router.record()).closed, "the record is closed all the same"
    async with KubeClient(objects.kubeconfig) as client:
        await until_cleared(objects, client, tries=500)
    await assert_everyone_is_on_blue(objects)


async def test_an_ingress_whose_backends_may_not_be_changed_is_told_to_match_nobody(namespace: Namespace) -> None:
    """The third way; an HTTPRoute has its matches beside its backends, and no rule tells them apart."""
    async with Objects(namespace, "ingress-nginx") as objects:
        await objects.begin(on_green("00-49"))
        async with refusing(
            objects, ["DELETE", "UPDATE"], "request.operation == 'UPDATE' && object.spec == oldObject.spec"
        ):
            await objects.router.clear(roll_back(9))
            await assert_everyone_is_on_blue(objects)
            left = await objects.canary()
            assert left is not None
            assert "^(?:a^)$" in str(left["metadata"]["annotations"])


# Faults of the API server.


@pytest.mark.parametrize("status", [409, 422, 429, 500, 504, HANG])
@pytest.mark.parametrize("served", [on_green("00-49"), GREEN], ids=["step", "promoted"])
async def test_a_clear_goes_on_until_the_api_server_takes_it(
    objects: Objects, served: Assignment, status: int, tmp_path: Path
) -> None:
    await objects.begin(served)

    def writes(method: str, path: str) -> int | None:
        return status if method in {"DELETE", "PATCH"} else None

    async with (
        BrokenApi(objects.within.plane.api, "tailramp", tmp_path) as wire,
        KubeClient(wire.kubeconfig, seconds=20.0 if status != HANG else 0.5) as client,
    ):
        await objects.router_with(client).record()
        wire.spoil(writes, times=8)
        await until_cleared(objects, client)
        assert wire.spoilt == 8
    await assert_everyone_is_on_blue(objects)


async def test_a_default_that_moved_goes_back_while_the_record_is_still_being_written(
    objects: Objects, tmp_path: Path
) -> None:
    await objects.begin(GREEN)

    def record(method: str, path: str) -> int | None:
        return HANG if method == "PATCH" and "/leases/" in path else None

    async with (
        BrokenApi(objects.within.plane.api, "tailramp", tmp_path) as wire,
        KubeClient(wire.kubeconfig, seconds=30) as client,
    ):
        wire.spoil(record, times=1)
        clearing = asyncio.ensure_future(objects.router_with(client).clear(roll_back(9)))
        await wait_until(objects.points_at_blue, 40, "the main route points at blue")
        assert wire.spoilt == 1
        assert not clearing.done()
        clearing.cancel()
        await asyncio.gather(clearing, return_exceptions=True)
    await objects.router.clear(roll_back(9))
    await assert_everyone_is_on_blue(objects)


async def test_a_token_that_expired_is_read_anew(objects: Objects, tmp_path: Path) -> None:
    await objects.begin(on_green("00-49"))
    async with BrokenApi(objects.within.plane.api, "tailramp", tmp_path) as wire, KubeClient(wire.kubeconfig) as client:
        wire.spoil(lambda *_: 401, times=1)
        await objects.router_with(client).clear(roll_back(9))
        assert wire.spoilt == 1
    await assert_everyone_is_on_blue(objects)


@pytest.mark.parametrize(("status", "for_good"), [(403, False), (422, True)])
async def test_a_permission_may_be_unknown_only_for_now(
    objects: Objects, tmp_path: Path, status: int, for_good: bool
) -> None:
    """An API server that has just started forbids everything until it has read who may do what."""
    await objects.begin(BLUE)
    async with BrokenApi(objects.within.plane.api, "tailramp", tmp_path) as wire, KubeClient(wire.kubeconfig) as client:
        wire.spoil(lambda *_: status, times=1)
        with pytest.raises(Denied) as refused:
            await objects.router_with(client).apply(serve(on_green("00-49"), 2))
        assert refused.value.for_good is for_good


async def test_a_namespace_that_is_being_deleted_is_cleared_too(namespace: Namespace) -> None:
    async with Objects(namespace, "ingress-nginx") as objects:
        await objects.begin(GREEN)
        await objects.admin.delete(NAMESPACES, None, objects.namespace)
        found = await objects.admin.get(NAMESPACES, None, objects.namespace)
        assert found["status"]["phase"] == "Terminating"
        await objects.router.clear(roll_back(9))
        await assert_everyone_is_on_blue(objects)


async def test_objects_that_are_gone_count_as_taken_out(objects: Objects) -> None:
    await objects.begin(on_green("00-49"))
    await objects.admin.delete(objects.resource, objects.namespace, objects.canary_name)
    if objects.kind == "ingress-nginx":
        await objects.admin.delete(SERVICES, objects.namespace, "chat-green")
    await objects.router.clear(roll_back(9))
    await assert_everyone_is_on_blue(objects)
    await objects.admin.delete(objects.resource, objects.namespace, "chat")
    await objects.router.clear(roll_back(10))
    assert (await objects.router.record()).epoch >= 10


# Others who write.


async def test_what_somebody_else_changes_is_named_with_its_writer_and_left_after_a_rollback(objects: Objects) -> None:
    await objects.begin(None)
    before = await objects.router.snapshot()
    await objects.router.prepare(take_over(), ["green"])
    await objects.router.apply(serve(on_green("00-49"), 2))
    assert (await objects.router.renew(renew(2))).drift == ()
    path: str = "/spec/ingressClassName"
    value: Any = "other"
    if objects.kind == "gateway-api":
        path, value = "/spec/hostnames", ["chat.example.com"]
    change: dict[str, Any] = {"op": "add", "path": path, "value": value}
    await objects.admin.patch(objects.resource, objects.namespace, objects.canary_name, [change])
    (line,) = (await objects.router.renew(renew(2))).drift
    assert f"{objects.canary_name} does not say 00-49: admin at 2" in line
    await objects.admin.patch(objects.resource, objects.namespace, "chat", [change])
    await objects.router.clear(roll_back(9))
    report = await objects.router.restore(before)
    assert report.equal
    assert "chat was changed by somebody else during the ramp: admin at 2" in report.foreign[0]
    assert (await objects.main())["spec"][path.rsplit("/", 1)[-1]] == value


async def test_a_main_route_that_somebody_points_at_the_candidate_is_sent_back_though_no_ramp_moved_it(
    objects: Objects,
) -> None:
    await objects.begin(on_green("00-49"))
    await objects.point_at("green")
    assert (await objects.router.renew(renew(2))).drift
    await objects.router.clear(roll_back(9))
    assert await objects.points_at_blue()
    await assert_everyone_is_on_blue(objects)


async def test_a_canary_that_a_gitops_controller_puts_back_is_recognised_and_taken_out_again(objects: Objects) -> None:
    await objects.begin(on_green("00-49"))
    armed = await objects.canary()
    assert armed is not None
    await objects.router.clear(roll_back(9))
    metadata = {key: armed["metadata"][key] for key in ("name", "labels", "annotations")}
    metadata["annotations"] = {**metadata["annotations"], "argocd.argoproj.io/tracking-id": "llm:routes"}
    await objects.admin.create(objects.resource, objects.namespace, {"metadata": metadata, "spec": armed["spec"]})
    (said,) = [f for f in (await objects.router.read()).loaded.findings if f.answer == "no"]
    assert "Argo CD keeps this object as its repository says" in said.seen
    await objects.router.clear(roll_back(10))
    assert await objects.canary() is None
    await assert_everyone_is_on_blue(objects)


async def test_a_canary_that_somebody_deleted_is_not_made_again(objects: Objects) -> None:
    await objects.begin(on_green("00-49"))
    await objects.admin.delete(objects.resource, objects.namespace, objects.canary_name)
    (line,) = (await objects.router.renew(renew(2))).drift
    assert f"{objects.canary_name} is gone" in line
    with pytest.raises(Fenced, match="is gone"):
        await objects.router.apply(serve(on_green("00-99"), 3))
    assert await objects.canary() is None


async def test_a_record_that_was_deleted_ends_its_ramp_and_is_found_again_by_the_route(objects: Objects) -> None:
    await objects.begin(GREEN)
    epoch = (await objects.router.record()).epoch
    await objects.admin.delete(LEASES, objects.namespace, "tailramp-chat")
    with pytest.raises(Fenced, match="is closed"):
        await objects.router.apply(serve(on_green("00-99"), 5))
    await objects.router.clear(roll_back(0))
    record = await objects.router.record()
    assert record.epoch > epoch
    await assert_everyone_is_on_blue(objects)
    assert await objects.canary() is None
    await objects.router.prepare(take_over(LATER_RAMP), ["green"])


async def test_a_lease_that_holds_no_record_is_refused_by_its_name(objects: Objects) -> None:
    await objects.admin.create(LEASES, objects.namespace, {"metadata": {"name": "tailramp-chat"}})
    with pytest.raises(TailrampError, match=f"lease {objects.namespace}/tailramp-chat holds no route record"):
        await objects.router.record()
