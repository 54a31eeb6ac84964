"""What ingress-nginx would refuse, ignore or misread is refused before anybody is moved, each trap by its name."""

from __future__ import annotations

import re
from typing import Any

import pytest
from planner_samples import SERVICES, around, binding, ingress, plan, service

from activities.kube.json_patch import applied
from activities.routers.kube.ingress_nginx import (
    AFFINITY,
    BY_HEADER,
    CANARY,
    PATTERN,
    IngressNginx,
)
from activities.routers.kube.planner import NOBODY
from tailramp.assignment import Rule
from tailramp.buckets import BucketSet

PLANNER = IngressNginx(binding("ingress-nginx"))
ON_TRAEFIK = IngressNginx(binding("ingress-nginx", controller="traefik"))
GREEN_00_04 = Rule(slot="green", buckets=BucketSet.parse("00-04"))


def words(planner: IngressNginx, main: dict[str, Any], *others: dict[str, Any], of: Any = None, **options: Any) -> str:
    problems = planner.problems(main, around(main, *others, **options), of or plan())
    return " | ".join(str(problem) for problem in problems)


def canary() -> dict[str, Any]:
    made = PLANNER.canary(ingress(paths=("/", "/v1")), "green")
    return {**made, "kind": "Ingress", "metadata": {**made["metadata"], "namespace": "llm", "uid": "u"}}


def test_a_route_without_traps_has_no_problem() -> None:
    assert words(PLANNER, ingress()) == ""
    assert words(PLANNER, ingress(), ingress("other", host="other.example.com", slot="other")) == ""


# What is written.


def test_the_canary_is_an_ingress_of_its_own_with_the_same_host_paths_and_path_types() -> None:
    main = ingress(paths=("/", "/v1"))
    made = PLANNER.canary(main, "green")
    assert made["metadata"]["name"] == "chat-canary"
    assert made["spec"]["ingressClassName"] == "nginx"
    (rule,) = made["spec"]["rules"]
    assert rule["host"] == "chat.example.com"
    assert [(path["path"], path["pathType"]) for path in rule["http"]["paths"]] == [("/", "Prefix"), ("/v1", "Prefix")]
    assert {path["backend"]["service"]["name"] for path in rule["http"]["paths"]} == {"chat-green"}


def test_a_canary_is_made_so_that_it_serves_nobody() -> None:
    annotations = canary()["metadata"]["annotations"]
    assert annotations == {CANARY: "true", BY_HEADER: "X-User-Bucket", PATTERN: NOBODY}
    for value in ("", "a", "^a", "00", "NONE", "never", NOBODY):
        assert not re.search(NOBODY, value)


def test_the_pattern_is_anchored_and_never_empty_and_neither_weight_nor_value_nor_cookie_is_set() -> None:
    found = canary()
    found["metadata"]["annotations"] |= {
        "nginx.ingress.kubernetes.io/canary-weight": "100",
        "nginx.ingress.kubernetes.io/canary-by-header-value": "always",
        "nginx.ingress.kubernetes.io/canary-by-cookie": "canary",
    }
    main = ingress(paths=("/", "/v1"))
    armed = applied(found, PLANNER.armed(main, found, "green", GREEN_00_04))
    assert armed["metadata"]["annotations"] == {CANARY: "true", BY_HEADER: "X-User-Bucket", PATTERN: "^(?:0[0-4])$"}
    assert PLANNER.armed(main, armed, "green", GREEN_00_04) == []
    disarmed = applied(armed, PLANNER.armed(main, armed, "green", None))
    assert disarmed["metadata"]["annotations"][PATTERN] == NOBODY


def test_the_pattern_matches_the_buckets_of_the_set_and_no_other() -> None:
    for text in ("00-04", "03,37,99", "00-98", "10-19,25"):
        buckets = BucketSet.parse(text)
        pattern = re.compile(Rule(slot="green", buckets=buckets).pattern)
        members = {f"{number:02}" for number in range(100) if pattern.search(f"{number:02}")}
        assert members == set(buckets)
        assert not any(pattern.search(value) for value in ("104", "0", "00-04", "03 ", "04_VIP", "99,03"))


def test_users_with_a_tag_are_matched_by_the_header_that_carries_it() -> None:
    found = canary()
    rule = GREEN_00_04.model_copy(update={"segments": ("VIP",)})
    armed = applied(found, PLANNER.armed(ingress(paths=("/", "/v1")), found, "green", rule))
    assert armed["metadata"]["annotations"][BY_HEADER] == "X-User-Bucket-2D"
    assert armed["metadata"]["annotations"][PATTERN] == rule.pattern == "^(?:(?:0[0-4])_(?:VIP))$"


def test_a_canary_whose_paths_somebody_changed_is_put_right() -> None:
    found, main = canary(), ingress(paths=("/", "/v1"))
    found["spec"]["rules"][0]["http"]["paths"][0]["pathType"] = "Exact"
    assert applied(found, PLANNER.armed(main, found, "green", None))["spec"] == PLANNER.canary(main, "green")["spec"]


def test_a_promotion_changes_the_backends_of_the_route_and_nothing_else() -> None:
    main = ingress(paths=("/", "/v1"))
    main["spec"]["rules"][0]["http"]["paths"].append(
        {"path": "/docs", "pathType": "Prefix", "backend": {"service": {"name": "docs", "port": {"number": 80}}}}
    )
    there = applied(main, PLANNER.pointed(main, "green"))
    assert PLANNER.default(there) == "green"
    assert there["spec"]["rules"][0]["http"]["paths"][2] == main["spec"]["rules"][0]["http"]["paths"][2]
    assert applied(there, PLANNER.pointed(there, "blue")) == main
    assert PLANNER.pointed(main, "blue") == []


def test_a_canary_that_cannot_be_deleted_is_pointed_at_the_baseline_and_keeps_its_paths() -> None:
    back = applied(canary(), PLANNER.sent_back(canary(), "blue"))
    paths = back["spec"]["rules"][0]["http"]["paths"]
    assert [path["path"] for path in paths] == ["/", "/v1"], "an empty list would catch everybody"
    assert {path["backend"]["service"]["name"] for path in paths} == {"chat-blue"}


@pytest.mark.parametrize("spec", [{}, {"rules": None}, {"rules": [{}]}, {"rules": [{"http": {"paths": []}}]}])
def test_half_an_object_is_no_reason_to_fail(spec: dict[str, Any]) -> None:
    half = {"kind": "Ingress", "metadata": {"name": "chat-canary", "uid": "u"}, "spec": spec}
    assert PLANNER.sent_back(half, "blue") == []
    assert PLANNER.default(half) is None
    assert PLANNER.armed(ingress(), half, "green", None)


# What is refused.


def test_a_main_ingress_that_is_a_canary_itself_is_refused() -> None:
    assert "is a canary itself" in words(PLANNER, ingress(**{CANARY: "true"}))


@pytest.mark.parametrize("said", ["true", "True", "TRUE", "t", "T", "1"])
def test_a_canary_is_one_by_every_word_that_the_controllers_take_for_true(said: str) -> None:
    assert "is a canary itself" in words(PLANNER, ingress(**{CANARY: said}))
    assert "is a canary on the same host" in words(PLANNER, ingress(), ingress("x", slot="x", **{CANARY: said}))


@pytest.mark.parametrize("slot", ["blue", "green"])
def test_a_service_that_answers_what_no_path_matches_is_refused(slot: str) -> None:
    """The canary belongs to the Service, whatever leads to it; and a promotion changes paths alone."""
    backend = {"service": {"name": f"chat-{slot}", "port": {"number": 8000}}}
    main = ingress()
    main["spec"]["defaultBackend"] = backend
    assert f"to the Service chat-{slot} by spec.defaultBackend" in words(PLANNER, main)
    other = ingress("other", host="other.example.com", slot="other")
    other["spec"]["defaultBackend"] = backend
    assert f"ingress llm/other uses the Service chat-{slot} too" in words(PLANNER, ingress(), other)


def test_affinity_by_cookie_is_refused_since_the_cookie_comes_before_the_bucket() -> None:
    assert "by a cookie" in words(PLANNER, ingress(**{AFFINITY: "cookie"}))


def test_an_ingress_that_no_controller_is_named_for_is_refused() -> None:
    main = ingress()
    del main["spec"]["ingressClassName"]
    assert "has no class" in words(PLANNER, main)
    main["metadata"]["annotations"]["kubernetes.io/ingress.class"] = "nginx"
    assert words(PLANNER, main) == ""
    assert PLANNER.canary(main, "green")["metadata"]["annotations"]["kubernetes.io/ingress.class"] == "nginx"


@pytest.mark.parametrize("slot", ["blue", "green"])
def test_a_service_that_another_ingress_uses_too_is_refused(slot: str) -> None:
    """The canary would apply to that host as well, or the Service would be no canary at all."""
    other = ingress("other", host="other.example.com", slot=slot)
    assert f"ingress llm/other uses the Service chat-{slot} too" in words(PLANNER, ingress(), other)


def test_a_second_canary_on_the_host_is_refused_since_only_the_older_one_is_looked_at() -> None:
    theirs = ingress("theirs", slot="theirs", **{CANARY: "true"})
    assert "ingress llm/theirs is a canary on the same host" in words(PLANNER, ingress(), theirs)
    elsewhere = ingress("theirs", host="else.example.com", slot="theirs", **{CANARY: "true"})
    assert words(PLANNER, ingress(), elsewhere) == ""


def test_an_object_of_somebody_elses_under_the_canarys_name_is_refused() -> None:
    theirs = ingress("chat-canary", slot="theirs", host="else.example.com")
    assert "ingress llm/chat-canary is there already and is not tailramp's" in words(PLANNER, ingress(), theirs)
    ours = ingress("chat-canary", slot="green", **{CANARY: "true"})
    ours["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "tailramp"}
    assert words(PLANNER, ingress(), ours) == ""


def test_two_slots_of_one_service_are_refused() -> None:
    same = binding("ingress-nginx").backends | {"green": binding("ingress-nginx").backends["blue"]}
    planner = IngressNginx(binding("ingress-nginx").model_copy(update={"backends": same}))
    assert "blue and green are the same Service chat-blue" in words(planner, ingress())


def test_a_service_or_a_port_that_is_not_there_is_refused() -> None:
    without = {name: found for name, found in SERVICES.items() if name != "chat-green"}
    assert "there is no Service chat-green" in words(PLANNER, ingress(), services=without)
    other_port = {**SERVICES, "chat-green": service("chat-green", 9000)}
    assert "Service chat-green has no port 8000" in words(PLANNER, ingress(), services=other_port)


def test_several_candidates_are_refused_with_the_routers_that_can_have_them() -> None:
    said = words(PLANNER, ingress(), of=plan("00-04", "05-09"))
    assert "one canary" in said
    assert "gateway-api" in said
    assert "envoy-file" in said


def test_users_held_back_in_the_bake_need_a_second_canary_and_are_refused() -> None:
    assert "ramp.holdBack needs a second one" in words(PLANNER, ingress(), of=plan(hold_back="98-99"))


def test_a_pattern_has_only_characters_that_the_admission_lets_pass() -> None:
    everything = ",".join(f"{number:02}" for number in range(1, 100, 2))
    assert words(PLANNER, ingress(), of=plan(everything)) == ""
    assert words(PLANNER, ingress(), of=plan("00-04", segments=("VIP", "NEW"))) == ""


def test_on_traefik_other_paths_of_the_host_are_refused_since_a_long_pattern_outranks_a_longer_path() -> None:
    admin = ingress("admin", paths=("/admin",), slot="admin")
    assert words(PLANNER, ingress(), admin) == ""
    assert "Traefik lets a long pattern outrank" in words(ON_TRAEFIK, ingress(), admin)
    mixed = ingress()
    mixed["spec"]["rules"][0]["http"]["paths"].append(
        {"path": "/docs", "pathType": "Prefix", "backend": {"service": {"name": "docs", "port": {"number": 80}}}}
    )
    assert "Traefik lets a long pattern outrank" in words(ON_TRAEFIK, mixed)
