"""An HTTPRoute per candidate: what wins over what, what fits into one, and what a gateway only seems to accept."""

from __future__ import annotations

import random
from typing import Any

import pytest
from planner_samples import SERVICES, around, binding, http_route, plan

from activities.kube.json_patch import applied
from activities.routers.kube.gateway_api import GatewayApi
from activities.routers.kube.planner import NOBODY
from tailramp.assignment import Rule
from tailramp.buckets import BucketSet
from tailramp.proof import Answer

PLANNER = GatewayApi(binding("gateway-api"))
EXACT = GatewayApi(binding("gateway-api", exact=True))
UNKNOWN_GATEWAY = "azure.example/alb"


def rule(buckets: str, *segments: str) -> Rule:
    return Rule(slot="green", buckets=BucketSet.parse(buckets), segments=segments)


def path(value: str, kind: str = "PathPrefix") -> dict[str, Any]:
    return {"path": {"type": kind, "value": value}}


def words(planner: GatewayApi, main: dict[str, Any], *others: dict[str, Any], of: Any = None, **options: Any) -> str:
    problems = planner.problems(main, around(main, *others, **options), of or plan())
    return " | ".join(str(problem) for problem in problems)


def armed(planner: GatewayApi, main: dict[str, Any], given: Rule | None) -> dict[str, Any]:
    made = planner.canary(main, "green")
    return applied(made, planner.armed(main, made, "green", given))


def headers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [match["headers"][-1] for of in spec["rules"] for match in of["matches"]]


def test_a_route_without_traps_has_no_problem() -> None:
    assert words(PLANNER, http_route()) == ""


def test_the_canary_repeats_every_path_since_a_longer_path_of_the_main_route_would_win() -> None:
    main = http_route(matches=((path("/"),), (path("/v1"), path("^/.*$", "RegularExpression"))))
    spec = armed(PLANNER, main, rule("00-04"))["spec"]
    assert [[match["path"] for match in of["matches"]] for of in spec["rules"]] == [
        [path("/")["path"]],
        [path("/v1")["path"], path("^/.*$", "RegularExpression")["path"]],
    ]
    assert spec["parentRefs"] == main["spec"]["parentRefs"]
    assert spec["hostnames"] == main["spec"]["hostnames"]
    assert {header["value"] for header in headers(spec)} == {"^(?:0[0-4])$"}


def test_a_rule_that_matches_everything_is_repeated_with_the_header_and_never_without() -> None:
    main = http_route()
    del main["spec"]["rules"][0]["matches"]
    for given in (None, rule("00")):
        spec = armed(PLANNER, main, given)["spec"]
        assert all(match["headers"] for of in spec["rules"] for match in of["matches"])


def test_header_matches_of_the_main_route_stay() -> None:
    main = http_route(matches=(({**path("/"), "headers": [{"name": "tenant", "value": "a"}]},),))
    (match,) = armed(PLANNER, main, rule("00"))["spec"]["rules"][0]["matches"]
    assert [header["name"] for header in match["headers"]] == ["tenant", "X-User-Bucket"]


def test_a_canary_is_made_so_that_it_serves_nobody() -> None:
    assert headers(PLANNER.canary(http_route(), "green")["spec"]) == [
        {"type": "RegularExpression", "name": "X-User-Bucket", "value": NOBODY}
    ]
    (header,) = headers(EXACT.canary(http_route(), "green")["spec"])
    assert (header["type"], header["value"].isdecimal()) == ("Exact", False)


@pytest.mark.parametrize(
    ("controller", "kind"), [("traefik.io/gateway-controller", "RegularExpression"), (UNKNOWN_GATEWAY, "Exact")]
)
def test_a_pattern_is_only_given_to_gateways_that_read_it_as_it_is_meant(controller: str, kind: str) -> None:
    """There is one that accepts any pattern and lets it match everybody."""
    spec = armed(PLANNER, http_route(controller=controller), rule("00-02"))["spec"]
    assert {header["type"] for header in headers(spec)} == {kind}


def test_a_hundred_listed_values_fit_in_two_rules_of_one_path() -> None:
    spec = armed(EXACT, http_route(), rule("00-99"))["spec"]
    assert [len(of["matches"]) for of in spec["rules"]] == [64, 36]
    assert {header["value"] for header in headers(spec)} == {f"{number:02}" for number in range(100)}
    assert words(EXACT, http_route(), of=plan("00-99")) == ""


def test_more_listed_values_than_an_http_route_holds_are_refused_with_the_limit() -> None:
    two_paths = http_route(matches=((path("/"),), (path("/v1"),)))
    assert "200 matches in 4 rules" in words(EXACT, two_paths, of=plan("00-99"))
    assert "at most 128 matches" in words(EXACT, two_paths, of=plan("00-99"))
    assert words(PLANNER, two_paths, of=plan("00-99")) == ""
    assert words(EXACT, two_paths, of=plan("00-63")) == ""


def test_a_pattern_longer_than_a_header_value_may_be_is_refused() -> None:
    chosen = sorted(random.Random(1).sample(range(10_000), 3_000))
    scattered = ",".join(f"{number:04}" for number in chosen)
    assert "a header value ends at 4096" in words(PLANNER, http_route(), of=plan(scattered))


def test_users_with_a_tag_are_matched_by_the_header_that_carries_it() -> None:
    spec = armed(EXACT, http_route(), rule("00-01", "VIP", "NEW"))["spec"]
    assert {header["name"] for header in headers(spec)} == {"X-User-Bucket-2D"}
    assert {header["value"] for header in headers(spec)} == {"00_VIP", "00_NEW", "01_VIP", "01_NEW"}


def test_the_canary_says_its_slot_and_keeps_the_filters_of_the_main_route() -> None:
    main = http_route()
    removal = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-debug"]}}
    ours = {
        "type": "ResponseHeaderModifier",
        "responseHeaderModifier": {"set": [{"name": "x-tailramp-variant", "value": "blue"}]},
    }
    main["spec"]["rules"][0]["filters"] = [removal, ours]
    (made,) = armed(PLANNER, main, rule("00"))["spec"]["rules"]
    assert made["filters"][0] == removal
    assert made["filters"][1]["responseHeaderModifier"]["set"] == [{"name": "x-tailramp-variant", "value": "green"}]
    there = applied(main, PLANNER.pointed(main, "green"))
    assert there["spec"]["rules"][0]["filters"][1]["responseHeaderModifier"]["set"][0]["value"] == "green"
    assert applied(there, PLANNER.pointed(there, "blue")) == main
    assert words(PLANNER, main) == ""


def test_a_main_route_that_says_another_word_than_its_slot_is_refused_since_no_way_back_could_put_it_back() -> None:
    main = http_route(matches=((path("/"),), (path("/v1"),)))
    said = {"set": [{"name": "X-Tailramp-Variant", "value": "chat-v1"}]}
    main["spec"]["rules"][1]["filters"] = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": said}]
    assert (
        words(PLANNER, main) == "router.httpRoute: rule 1 of httproute llm/chat sets X-Tailramp-Variant to chat-v1. "
        "Set it to blue, the slot of its backend, or take it out: no other value could be put back"
    )


def test_backends_of_any_kind_are_copied_as_the_platform_file_names_them() -> None:
    pools = {
        slot: {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": f"pool-{slot}"}
        for slot in ("blue", "green")
    }
    planner = GatewayApi(binding("gateway-api", backends=pools))
    main = http_route()
    main["spec"]["rules"][0]["backendRefs"] = [{**pools["blue"], "weight": 1}]
    assert planner.default(main) == "blue"
    (made,) = armed(planner, main, rule("00"))["spec"]["rules"]
    assert made["backendRefs"] == [{**pools["green"], "weight": 1}]
    there = applied(main, planner.pointed(main, "green"))
    assert applied(there, planner.pointed(there, "blue")) == main


def test_a_canary_that_cannot_be_deleted_is_pointed_at_the_baseline_and_never_emptied() -> None:
    made = armed(PLANNER, http_route(), rule("00-04"))
    back = applied(made, PLANNER.sent_back(made, "blue"))
    assert back["spec"]["rules"][0]["backendRefs"][0]["name"] == "chat-blue"
    assert back["spec"]["rules"][0]["matches"] == made["spec"]["rules"][0]["matches"]


@pytest.mark.parametrize("spec", [{}, {"rules": None}, {"rules": [{}]}])
def test_half_an_object_is_no_reason_to_fail(spec: dict[str, Any]) -> None:
    half = {"kind": "HTTPRoute", "metadata": {"name": "chat-green-canary", "uid": "u"}, "spec": spec}
    assert PLANNER.sent_back(half, "blue") == []
    assert PLANNER.default(half) is None
    assert PLANNER.armed(http_route(), half, "green", None)


def test_a_split_by_weight_is_refused_since_it_is_random_for_every_request() -> None:
    main = http_route()
    main["spec"]["rules"][0]["backendRefs"].append(
        {"group": "", "kind": "Service", "name": "chat-green", "port": 8000, "weight": 1}
    )
    assert "splits users by weight" in words(PLANNER, main)
    assert PLANNER.default(main) is None


def test_conditions_of_an_earlier_generation_are_not_believed() -> None:
    main = http_route()
    main["metadata"]["generation"] = 4
    assert "not at this generation yet" in words(PLANNER, main)


def test_a_backend_that_the_gateway_does_not_find_is_a_no() -> None:
    main = http_route()
    main["status"]["parents"][0]["conditions"][1] |= {"status": "False", "message": "no such Service"}
    (finding,) = PLANNER.conditions(main)
    assert (finding.answer, "no such Service" in finding.seen) == ("no", True)
    assert "no such Service" in words(PLANNER, main)


def test_a_status_that_spells_out_what_the_route_leaves_to_its_defaults_is_of_the_same_gateway() -> None:
    """NGINX Gateway Fabric writes the namespace, and Traefik copies the reference as it is."""
    main = http_route()
    (parent,) = main["spec"]["parentRefs"]
    (said,) = main["status"]["parents"]
    said["parentRef"] = {"kind": "Gateway", "name": parent["name"], "namespace": "llm"}
    main["spec"]["parentRefs"] = [{"name": parent["name"]}]
    assert [finding.answer for finding in PLANNER.conditions(main)] == [Answer.YES]
    said["parentRef"]["namespace"] = "elsewhere"
    assert [finding.answer for finding in PLANNER.conditions(main)] == [Answer.UNKNOWN]


def test_a_gateway_that_has_not_said_yet_whether_it_accepts_is_not_believed_to() -> None:
    main = http_route()
    (said,) = main["status"]["parents"]
    said["conditions"] = [{"type": "Programmed", "status": "True", "reason": "Programmed"}]
    assert [finding.answer for finding in PLANNER.conditions(main)] == [Answer.UNKNOWN]


def test_what_a_gateway_says_beside_the_conditions_of_the_api_needs_no_generation() -> None:
    main = http_route()
    main["status"]["parents"][0]["conditions"].append({"type": "Priced", "status": "False", "reason": "TooMuch"})
    assert [finding.answer for finding in PLANNER.conditions(main)] == [Answer.YES]


def test_a_route_that_no_gateway_has_taken_up_is_unknown() -> None:
    main = http_route()
    main["status"] = {}
    (finding,) = PLANNER.conditions(main)
    assert (finding.answer, finding.seen) == ("unknown", "no gateway has said anything")


def test_a_service_that_is_not_there_is_refused() -> None:
    without = {name: found for name, found in SERVICES.items() if name != "chat-green"}
    assert "there is no Service chat-green" in words(PLANNER, http_route(), services=without)


def test_an_object_of_somebody_elses_under_the_canarys_name_is_refused() -> None:
    theirs = http_route("chat-green-canary")
    assert "chat-green-canary is there already and is not tailramp's" in words(PLANNER, http_route(), theirs)


def test_several_candidates_have_an_object_each() -> None:
    assert words(PLANNER, http_route(), of=plan("00-04", "05-09")) == ""
    assert PLANNER.canary_name("green") != PLANNER.canary_name("red")
