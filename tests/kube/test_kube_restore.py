"""After a rollback every field that tailramp wrote is as it was; what is not, and what others changed, is named."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest
from kube_namespace import Namespace
from kube_objects import Objects
from planner_samples import binding, http_route
from record_changes import GREEN, roll_back, serve, take_over

from activities.routers.kube.gateway_api import GatewayApi
from activities.routers.kube.main_digest import MainDigest

SAYS_BLUE = {
    "type": "ResponseHeaderModifier",
    "responseHeaderModifier": {
        "set": [{"name": "x-tailramp-variant", "value": "blue"}, {"name": "x-region", "value": "hangzhou"}]
    },
}


@pytest.fixture(params=["ingress-nginx", "gateway-api"])
async def objects(request: pytest.FixtureRequest, namespace: Namespace) -> AsyncIterator[Objects]:
    """A main route of two places; where a route can say who answers, the first does, in a spelling of its own."""
    async with Objects(namespace, request.param) as made:
        if made.kind == "gateway-api":
            (rule,) = (await made.main())["spec"]["rules"]
            rules = [{**rule, "matches": [{"path": {"type": "PathPrefix", "value": path}}]} for path in ("/", "/v1")]
            rules[0]["filters"] = [SAYS_BLUE]
            await write(made, "/spec/rules", rules)
        yield made


async def write(objects: Objects, path: str, value: Any) -> None:
    """Somebody else writes the main route."""
    change = {"op": "replace", "path": path, "value": value}
    await objects.admin.patch(objects.resource, objects.namespace, "chat", [change])


async def promote_and_go_back(objects: Objects) -> str:
    before = await objects.router.snapshot()
    await objects.router.prepare(take_over(), ["green"])
    await objects.router.apply(serve(GREEN, 2))
    assert not await objects.points_at_blue()
    await objects.router.clear(roll_back(9))
    return before


async def test_every_field_that_a_promotion_wrote_is_back_as_it_was_spelt(objects: Objects) -> None:
    spec = (await objects.main())["spec"]
    report = await objects.router.restore(await promote_and_go_back(objects))
    assert (report.equal, report.foreign) == (True, ())
    assert (await objects.main())["spec"] == spec


async def test_a_field_that_is_not_back_is_named_by_its_path_and_never_taken_for_restored(objects: Objects) -> None:
    before = await promote_and_go_back(objects)
    spec = copy.deepcopy((await objects.main())["spec"])
    if objects.kind == "ingress-nginx":
        path = "spec.rules[0].http.paths[1].backend"
        spec["rules"][0]["http"]["paths"][1]["backend"]["service"]["name"] = "chat-red"
    else:
        path = "spec.rules[0].filters (X-Tailramp-Variant)"
        spec["rules"][0]["filters"][0]["responseHeaderModifier"]["set"][0]["value"] = "red"
    await write(objects, "/spec", spec)
    report = await objects.router.restore(before)
    assert not report.equal
    (line,) = report.foreign
    assert (
        f"{path} of {objects.resource.kind.lower()} {objects.namespace}/chat is not as it was before the ramp" in line
    )
    assert "the last other writer: admin at 2" in line


async def test_what_others_put_in_before_and_take_away_is_left_and_named_beside_fields_that_are_back(
    objects: Objects,
) -> None:
    """The fields stand at other numbers then."""
    before = await objects.router.snapshot()
    await objects.router.prepare(take_over(), ["green"])
    await objects.router.apply(serve(GREEN, 2))
    spec = copy.deepcopy((await objects.main())["spec"])
    places = spec["rules"][0]["http"]["paths"] if objects.kind == "ingress-nginx" else spec["rules"]
    if objects.kind == "ingress-nginx":
        another = {**places[0], "path": "/v2"}
    else:
        another = {"backendRefs": places[1]["backendRefs"], "matches": [{"path": {"type": "Exact", "value": "/v2"}}]}
    places[:] = [another, places[0]]
    await write(objects, "/spec", spec)
    await objects.router.clear(roll_back(9))
    report = await objects.router.restore(before)
    assert report.equal
    (line,) = report.foreign
    assert "chat was changed by somebody else during the ramp: admin at 2" in line
    assert await objects.points_at_blue()
    assert "/v2" in str((await objects.main())["spec"])


def test_a_digest_is_read_back_as_it_was_written_and_an_older_one_compares_what_it_has() -> None:
    planner = GatewayApi(binding("gateway-api"))
    main = http_route()
    digest = MainDigest.of(planner, main)
    assert MainDigest.parse(str(digest)) == digest
    assert len(digest.fields) == 2
    changed = http_route(slot="green")
    assert digest.changed(planner, changed) == ["spec.rules[0].backendRefs"]
    older = MainDigest.parse(f"{digest.default}:{digest.whole}")
    assert (older.default, older.whole, older.changed(planner, changed)) == (digest.default, digest.whole, [])
