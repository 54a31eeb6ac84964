"""The route file's content: three things are tailramp's own, everything else is carried over untouched."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from route_samples import BLUE, GREEN, ROUTE, SLOTS

from gateway.route_document import RouteDocument
from lab.sample_route import on_green
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.errors import Refused

MAIN = {"prefix": "/v1/"}


def initial() -> RouteDocument:
    return RouteDocument.initial(ROUTE, slots=SLOTS, default="blue")


def platforms_own() -> RouteDocument:
    """A route file as a platform team may write it: two hosts, and entries in a spelling of its own."""
    data = copy.deepcopy(initial().data)
    config = data["resources"][0]
    variant = {"header": {"key": "X-Tailramp-Variant", "value": "blue"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    config["response_headers_to_remove"] = ["server"]
    config["virtual_hosts"] = [
        {
            "name": "api",
            "domains": ["api.example"],
            "cors": {"allow_methods": "POST"},
            "routes": [
                {"name": "health", "match": {"path": "/healthz"}, "direct_response": {"status": 200}},
                {
                    "name": "chat",
                    "match": {"prefix": "/v1/chat", "headers": [{"name": "x-team", "present_match": True}]},
                    "route": {"cluster": "blue", "timeout": "600s", "retry_policy": {"num_retries": 0}},
                    "response_headers_to_add": [variant, {"header": {"key": "x-served-by", "value": "envoy"}}],
                    "metadata": {"filter_metadata": {"team": {"owner": "mlops"}}},
                },
                {
                    "match": {"prefix": "/"},
                    "route": {"timeout": "5s", "cluster": "blue"},
                    "response_headers_to_add": [variant],
                },
                {"name": "docs", "match": {"prefix": "/docs"}, "route": {"cluster": "documentation"}},
                {"name": "old", "match": {"prefix": "/old"}, "redirect": {"path_redirect": "/v1"}},
            ],
        },
        {
            "name": "internal",
            "domains": ["*"],
            "routes": [
                {"name": "all", "match": MAIN, "route": {"cluster": "blue"}, "response_headers_to_add": [variant]}
            ],
        },
    ]
    return RouteDocument.parse(json.dumps(data))


def serving(document: RouteDocument, assignment: Assignment, epoch: int = 7) -> RouteDocument:
    record = document.record.model_copy(update={"assignment": assignment, "epoch": epoch})
    return RouteDocument.parse(document.with_record(record).text())


def names(document: RouteDocument) -> list[str]:
    return [str(entry.get("name")) for _, entry in document.entries]


def test_every_rule_repeats_every_main_entry_in_front_of_it() -> None:
    document = serving(platforms_own(), on_green("00-04"))
    assert names(document) == [
        "health",
        "tailramp/green/chat",
        "chat",
        "tailramp/green/main",
        "None",
        "docs",
        "old",
        "tailramp/green/all",
        "all",
    ]


def test_a_rule_keeps_the_entrys_own_conditions_and_adds_the_bucket() -> None:
    document = serving(platforms_own(), on_green("00-04"))
    rule = next(entry for _, entry in document.entries if entry.get("name") == "tailramp/green/chat")
    main = next(entry for _, entry in document.entries if entry.get("name") == "chat")
    pattern = {"name": "x-user-bucket", "string_match": {"safe_regex": {"regex": "^(?:0[0-4])$"}}}
    assert rule["match"] == {**main["match"], "headers": [*main["match"]["headers"], pattern]}
    assert rule["route"] == {**main["route"], "cluster": "green"}
    assert rule["metadata"] == main["metadata"]
    assert [header["header"]["value"] for header in rule["response_headers_to_add"]] == ["green", "envoy"]


def test_a_rule_with_segments_matches_only_the_two_dimensional_header() -> None:
    rule = Rule(slot="green", buckets=BucketSet.parse("67"), segments=("VIP",))
    document = serving(initial(), Assignment(default="blue", rules=(rule,)))
    (header,) = document.entries[0][1]["match"]["headers"]
    assert header == {"name": "x-user-bucket-2d", "string_match": {"safe_regex": {"regex": "^(?:(?:67)_(?:VIP))$"}}}


def test_several_rules_stand_in_their_order() -> None:
    rules = tuple(Rule(slot=slot, buckets=BucketSet.parse(text)) for slot, text in (("red", "05"), ("green", "00-04")))
    record = initial().record.model_copy(
        update={"assignment": Assignment(default="blue", rules=rules), "slots": {**SLOTS, "red": SLOTS["green"]}}
    )
    assert names(initial().with_record(record)) == ["tailramp/red/main", "tailramp/green/main", "main"]


def test_the_default_moves_every_main_entry_and_nothing_else() -> None:
    before, after = platforms_own(), serving(platforms_own(), GREEN)
    moved = [entry.get("name") for _, entry in after.entries if entry.get("route", {}).get("cluster") == "green"]
    assert moved == ["chat", None, "all"]
    untouched = {"health", "docs", "old"}
    assert [e for _, e in after.entries if e.get("name") in untouched] == [
        e for _, e in before.entries if e.get("name") in untouched
    ]


@pytest.mark.parametrize("start", [initial, platforms_own], ids=["as rendered", "as a platform team writes it"])
def test_pointing_everyone_back_restores_what_was_there_exactly(start: Callable[[], RouteDocument]) -> None:
    original = start()
    document = original
    for assignment in (
        on_green("00-04"),
        on_green("00-49"),
        Assignment(default="green", rules=on_green("00-49").rules),
        GREEN,
    ):
        document = serving(document, assignment)
        assert document.digest != original.digest
    back = document.with_record(original.record)
    assert back.digest == original.digest
    assert back.entries == original.entries


@pytest.mark.parametrize("start", [initial, platforms_own], ids=["as rendered", "as a platform team writes it"])
def test_a_route_that_was_off_comes_back_exactly_as_it_was(start: Callable[[], RouteDocument]) -> None:
    original = start()
    off = original.with_record(original.record.model_copy(update={"off": True, "epoch": 7}))
    served = [entry for _, entry in off.entries if entry.get("route", {}).get("cluster") in SLOTS]
    assert served == []
    assert any("direct_response" in entry for _, entry in off.entries)
    again = RouteDocument.parse(off.text())
    assert again.drift == ()
    assert again.with_record(again.record).text() == off.text()
    back = again.with_record(original.record)
    assert (back.digest, back.entries) == (original.digest, original.entries)


def test_fields_that_tailramp_does_not_know_are_carried_over() -> None:
    document = serving(platforms_own(), on_green("00-04"))
    assert document.config["response_headers_to_remove"] == ["server"]
    assert document.config["virtual_hosts"][0]["cors"] == {"allow_methods": "POST"}
    assert document.config["validate_clusters"] is True


def test_what_is_written_twice_is_the_same() -> None:
    once = serving(platforms_own(), on_green("00-04"))
    assert once.with_record(once.record).text() == once.text()


def test_a_document_is_not_changed_by_what_is_made_from_it() -> None:
    document = platforms_own()
    before = document.text()
    serving(document, on_green("00-99"))
    document.with_record_only(document.record.model_copy(update={"epoch": 9}))
    assert document.text() == before


def test_the_record_survives_in_the_file() -> None:
    document = serving(initial(), on_green("00-04,37"))
    assert document.record.assignment == on_green("00-04,37")
    assert document.record.slots == SLOTS


def test_the_digest_knows_neither_record_nor_version() -> None:
    document = initial()
    renamed = RouteDocument({**document.data, "version_info": "another"})
    marked = document.with_record_only(document.record.model_copy(update={"epoch": 99, "ramp": "r"}))
    assert renamed.digest == marked.digest == document.digest
    assert marked.version != document.version


@given(st.sampled_from(["timeout", "cluster", "prefix", "domains"]), st.text(alphabet="abc", min_size=1, max_size=3))
def test_the_digest_knows_everything_else(field: str, value: str) -> None:
    data = copy.deepcopy(initial().data)
    host = data["resources"][0]["virtual_hosts"][0]
    if field == "domains":
        host["domains"] = [value]
    elif field == "prefix":
        host["routes"][0]["match"] = {"prefix": "/" + value}
    else:
        host["routes"][0]["route"][field] = value
    assert RouteDocument(data).digest != initial().digest


def test_the_version_says_epoch_and_content() -> None:
    low, high = serving(initial(), BLUE, epoch=3), serving(initial(), BLUE, epoch=4)
    assert low.version.startswith("3-")
    assert high.version.startswith("4-")
    assert low.version[2:] != high.version[2:], "the epoch is in the content, or Envoy would not show that it took it"


def test_what_somebody_else_changed_in_our_part_is_named() -> None:
    document = serving(platforms_own(), on_green("00-04"))
    assert document.drift == ()
    data = copy.deepcopy(document.data)
    routes = data["resources"][0]["virtual_hosts"][0]["routes"]
    routes[1]["match"]["headers"][-1]["string_match"]["safe_regex"]["regex"] = "^(?:.*)$"
    routes[2]["route"]["cluster"] = "green"
    del routes[3]
    routes.append({"name": "tailramp/green/everyone", "match": {"prefix": "/"}, "route": {"cluster": "green"}})
    assert sorted(RouteDocument(data).drift) == [
        "entry chat of api was changed",
        "entry tailramp/green/chat of api was changed",
        "entry tailramp/green/everyone of api was added",
        "entry tailramp/green/main of api is gone",
    ]


def test_what_belongs_to_the_platform_team_is_no_drift() -> None:
    document = serving(platforms_own(), on_green("00-04"))
    data = copy.deepcopy(document.data)
    routes = data["resources"][0]["virtual_hosts"][0]["routes"]
    routes[0]["direct_response"]["status"] = 204
    routes.append({"name": "new", "match": {"prefix": "/new"}, "route": {"cluster": "documentation"}})
    assert RouteDocument(data).drift == ()


# Hostile content.


def broken(edit: str) -> str:
    data = copy.deepcopy(initial().data)
    config = data["resources"][0]
    main = config["virtual_hosts"][0]["routes"][0]
    record = config["metadata"]["filter_metadata"]["tailramp"]
    edits: dict[str, Any] = {
        "no resources": lambda: data.update(resources=[]),
        "resources are a mapping": lambda: data.update(resources={}),
        "a resource of text": lambda: data.update(resources=["config"]),
        "no version": lambda: data.pop("version_info"),
        "no name": lambda: config.pop("name"),
        "no metadata": lambda: config.pop("metadata"),
        "metadata of null": lambda: config.update(metadata=None),
        "no record": lambda: config["metadata"]["filter_metadata"].pop("tailramp"),
        "a record of another shape": lambda: config["metadata"]["filter_metadata"].update(tailramp={"epoch": "many"}),
        "a record of text": lambda: config["metadata"]["filter_metadata"].update(tailramp="record"),
        "a record with overlapping rules": lambda: record["assignment"].update(
            rules=[{"slot": "green", "buckets": "00"}, {"slot": "blue", "buckets": "00"}]
        ),
        "no hosts": lambda: config.pop("virtual_hosts"),
        "hosts of null": lambda: config.update(virtual_hosts=None),
        "a host of text": lambda: config.update(virtual_hosts=["host"]),
        "no entries": lambda: config["virtual_hosts"][0].pop("routes"),
        "an entry of text": lambda: config["virtual_hosts"][0].update(routes=["entry"]),
        "an entry of null": lambda: config["virtual_hosts"][0].update(routes=[None]),
        "a cluster of a list": lambda: main["route"].update(cluster=["blue"]),
        "headers of null": lambda: main.update(response_headers_to_add=None),
        "a header of text": lambda: main.update(response_headers_to_add=["x-tailramp-variant"]),
        "a header without a key": lambda: main.update(response_headers_to_add=[{"header": {}}]),
        "a letter that no file can hold": lambda: config.update(name="\ud800"),
    }
    edits[edit]()
    return json.dumps(data)


BROKEN = [
    "no resources",
    "resources are a mapping",
    "a resource of text",
    "no version",
    "no name",
    "no metadata",
    "metadata of null",
    "no record",
    "a record of another shape",
    "a record of text",
    "a record with overlapping rules",
    "no hosts",
    "hosts of null",
    "a host of text",
    "no entries",
    "an entry of text",
    "an entry of null",
    "a cluster of a list",
    "headers of null",
    "a header of text",
    "a header without a key",
    "a letter that no file can hold",
]


@pytest.mark.parametrize("edit", BROKEN)
def test_a_file_that_is_no_route_file_is_refused_in_words(edit: str) -> None:
    with pytest.raises(Refused, match="the route file is not one that tailramp can write"):
        RouteDocument.parse(broken(edit))


@pytest.mark.parametrize(
    "text", ["", "{", "null", "5", '"text"', "[]", "[" * 100_000, '{"a":' * 100_000, "1" * 5000, "{}\n{}"]
)
def test_text_that_is_no_document_is_refused_in_words(text: str) -> None:
    with pytest.raises(Refused, match="the route file is not one that tailramp can write"):
        RouteDocument.parse(text)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.just("blue")),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    return [at, *(place for key, item in inside for place in places(item, (*at, key)))]


@settings(max_examples=200)
@given(st.data())
def test_whatever_stands_in_any_place_is_taken_or_refused_and_if_taken_can_be_written(data: st.DataObject) -> None:
    content = copy.deepcopy(serving(platforms_own(), on_green("00-04")).data)
    *path, last = data.draw(st.sampled_from(places(content)[1:]))
    target: Any = content
    for key in path:
        target = target[key]
    target[last] = data.draw(JSON)
    try:
        document = RouteDocument.parse(json.dumps(content))
    except Refused:
        return
    text = document.with_record(document.record).text()
    assert RouteDocument.parse(text).record == document.record
    assert isinstance(document.drift, tuple)
    assert document.digest
