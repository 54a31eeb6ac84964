"""The JSON Schema of the two files: it accepts what is right, and refuses what can be seen field by field."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from spec_samples import CANARY, PLATFORM, TWO_CANARIES
from test_spec_problems import CASES, changed

from tailramp.errors import InvalidFile
from tailramp.spec import json_schema
from tailramp.yaml_source import read_document

VALIDATORS = {name: jsonschema.Draft202012Validator(json_schema(name)) for name in ("canary", "platform")}

ONLY_TOGETHER = {
    "canary": {
        "a bucket that is named twice",
        "a latency beyond the age of the world",
        "a limit that nothing measures",
        "a reversed range",
        "a reversed range among others",
        "a pattern that Envoy refuses",
        "buckets of a resolution that the platform has not",
        "an empty list",
        "more candidates than slots",
        "no latency at all",
        "nothing below canary",
        "nothing that would be checked",
        "ranges that overlap",
        "tags where the gateway knows none",
        "the same model twice",
        "toxicity beyond all",
        "two candidates of different widths",
        "two candidates that share a range",
        "two candidates with one bucket",
    },
    "platform": {
        "a check that always fails",
        "a claim without probes",
        "a hold that ends before its step may",
        "a resolution that tails have not",
        "a user in both lists",
        "an empty salt",
        "an id in the body",
        "users who count once a moment",
        "weights that nobody says where they are",
        "an id in two places",
        "no salt",
        "noise of some edges",
        "a check that estimates",
        "a hang of no time",
        "a hang that no scrape sees",
        "a filing that is required",
        "a header that holds a secret",
        "a lease of nothing",
        "a lease that a look outlives",
        "a limit that the server cannot keep",
        "a reference within a text",
        "a relative path of certificates",
        "a step of nobody",
        "a tick of nothing",
        "a tick of part of a second",
        "a token in the clear",
        "a unit of nothing",
        "certificates without TLS",
        "labels that are required",
        "no end of the steps",
        "no time for an answer",
        "one of two counters",
        "shares that shrink",
        "the name of a built-in check",
        "the same share twice",
        "two checks of one name",
        "two ways to authenticate",
    },
}
"""Mistakes that no pattern of one field shows."""


def is_accepted(file: str, text: str) -> bool:
    try:
        data = read_document(text).data
    except InvalidFile:
        return False
    return bool(VALIDATORS[file].is_valid(data))


def fields(node: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        for name, field in node.get("properties", {}).items():
            yield f"{at}.{name}", field
        for key, value in node.items():
            yield from fields(value, f"{at}.{key}")


@pytest.mark.parametrize("file", list(VALIDATORS))
def test_the_schema_is_one(file: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema(file))


@pytest.mark.parametrize("file", list(VALIDATORS))
def test_every_field_has_a_description_and_no_empty_title(file: str) -> None:
    found = dict(fields(json_schema(file)))
    assert len(found) >= 8
    assert [name for name, field in found.items() if not field.get("description")] == []
    assert [name for name, field in found.items() if "title" in field] == []


@pytest.mark.parametrize("file", list(VALIDATORS))
def test_every_default_and_every_example_is_as_people_write_it(file: str) -> None:
    schema = json_schema(file)
    for name, field in fields(schema):
        validator = jsonschema.Draft202012Validator({**field, "$defs": schema["$defs"]})
        for value in [*field.get("examples", []), *([field["default"]] if "default" in field else [])]:
            assert validator.is_valid(value), (name, value)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("canary", CANARY),
        ("canary", TWO_CANARIES),
        ("canary", 'canary: {model: m, buckets: ""}'),
        ("canary", 'canary: {model: m, buckets: "0000-0999, 5000", maxLatency: 1h 30m, maxToxicity: 5 %}'),
        ("platform", PLATFORM),
        ("platform", PLATFORM.replace("maxErrors: 5%", "maxErrors: null")),
    ],
)
def test_a_good_file_is_accepted(file: str, text: str) -> None:
    VALIDATORS[file].validate(read_document(text).data)


@pytest.mark.parametrize("file", list(VALIDATORS))
def test_a_broken_file_is_refused_unless_only_more_than_one_field_shows_it(file: str) -> None:
    good = CANARY if file == "canary" else PLATFORM
    name = "canary.yaml" if file == "canary" else "tailramp.yaml"
    cases = [case for case in CASES if case.get(file) is not None and case["at"].startswith(name)]
    accepted = {case["case"] for case in cases if is_accepted(file, changed(good, case[file]))}
    assert len(cases) > 100
    assert accepted == ONLY_TOGETHER[file]


def test_the_schema_is_plain_yaml_too(tmp_path: Path) -> None:
    assert yaml.safe_load(yaml.safe_dump(json_schema("platform"))) == json_schema("platform")
