"""Whatever is fed to a parser, it answers with a value or with an error that it means to raise, and in time."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from route_record_samples import serving
from spec_samples import CANARY, write_files
from test_spec_mutation import damaged

from gateway.lua import lua_literal
from gateway.route_document import RouteDocument
from tailramp import forms
from tailramp.assignment import Assignment
from tailramp.buckets import BucketSet
from tailramp.decision import Decision
from tailramp.errors import InvalidFile, Problem, Refused, WrongValue
from tailramp.probe_token import Echo, bucket_value, key_from, sign, user_value
from tailramp.query_template import checked_template, render
from tailramp.ramp import RampState
from tailramp.route_record import RouteRecord, SlotRecord
from tailramp.secret_reference import resolve
from tailramp.spec import RampSpec, empties_target, load_platform, load_spec
from tailramp.units import parse_duration, parse_share

SECONDS = 5
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

DOCUMENT = RouteDocument.initial(
    "demo/chat", slots={"blue": SlotRecord(model="a"), "green": SlotRecord()}, default="blue"
).text()
RECORD = serving().model_dump_json()


@dataclass(frozen=True)
class Parser:
    """``read`` may raise nothing but ``refusals``; ``good`` is text that it accepts and that is damaged here."""

    read: Callable[[str], object]
    refusals: tuple[type[Exception], ...] = ()
    good: tuple[str, ...] = ("",)


def rendered(text: str) -> str:
    return render(checked_template(text), 'slot="green"')


def written_again(text: str) -> str:
    document = RouteDocument.parse(text)
    return document.with_record(document.record).text() + str((document.drift, document.digest, document.entries))


def signed(text: str) -> str:
    return sign(b"k" * 32, route=text, path=text, value=text, time_ms=1, nonce="0" * 32)


def form(name: str) -> Parser:
    adapter = TypeAdapter(getattr(forms, name))
    return Parser(adapter.validate_python, (ValidationError,), ("chat", "X-User-Id", "http://a:1/b", 'a="b"', "VIP"))


PARSERS = {
    "set of buckets": Parser(BucketSet.parse, (WrongValue,), ("00-04,10,37", "0000-0499", "")),
    "duration": Parser(parse_duration, (WrongValue,), ("1h30m", "2000ms", "P1DT2H", "2 秒")),
    "share": Parser(parse_share, (WrongValue,), ("5%", "0.05", "1e-3 %")),
    "query": Parser(rendered, (WrongValue,), ("a{match}", 'sum(a{{match},code=~"5.."})', "a{match} / b{match}")),
    "route document": Parser(written_again, (Refused,), (DOCUMENT,)),
    "route record": Parser(RouteRecord.model_validate_json, (ValidationError,), (RECORD,)),
    "assignment": Parser(Assignment.model_validate_json, (ValidationError,), (serving().assignment.model_dump_json(),)),
    "decision": Parser(Decision.model_validate_json, (ValidationError,), ('{"at": "2026-01-01T00:00:00Z"}',)),
    "state of a ramp": Parser(RampState.model_validate_json, (ValidationError,), (RampState().model_dump_json(),)),
    "spec": Parser(RampSpec.model_validate_json, (ValidationError,), ('{"canary": {}, "platform": {}}',)),
    "echo": Parser(Echo.parse, (), (f"{'0' * 32};67_VIP",)),
    "key": Parser(key_from, (Refused, UnicodeEncodeError), ("0123456789abcdef\n",)),
    "probe of a bucket": Parser(bucket_value, (ValueError,), ("67", "6700")),
    "probe of a segment": Parser(lambda text: bucket_value("67", text), (ValueError,), ("VIP",)),
    "probe of a user": Parser(user_value, (ValueError,), ("用户甲",)),
    "signature": Parser(signed, (ValueError,), ("demo/chat",)),
    "secret reference": Parser(lambda text: resolve(text, {"A": "b"}), (Refused,), ("${A}",)),
    "lua literal": Parser(lua_literal, (UnicodeEncodeError,), ("demo-2026",)),
    **{name: form(name) for name in ("Name", "ModelName", "HeaderName", "MetricName", "Url", "UrlPath", "Matchers")},
}

HOSTILE = [
    *("", " ", "\0", "\ud800", "\ufeff", "９９", "²", "٠٠", "-", "%", "{", "${", "{match", "\n", "a" * 100_000),
    *("[" * 5000, "9" * 5000, "00-99," * 5000, "1h" * 5000, "{match}" * 2000, '"' * 9999, "\\" * 9999, "a=" * 9999),
    *('{"a":' * 2000, "null", "true", "1e999", "NaN", "[]", "{}", '{"default": {}}', '{"resources": [[]]}'),
]


def answers(parser: Parser, text: str) -> None:
    since = time.monotonic()
    with contextlib.suppress(*parser.refusals):
        parser.read(text)
    assert time.monotonic() - since < SECONDS


@pytest.mark.parametrize("name", list(PARSERS))
def test_hostile_text_is_answered(name: str) -> None:
    for text in HOSTILE:
        answers(PARSERS[name], text)


@pytest.mark.parametrize("name", list(PARSERS))
def test_random_and_damaged_text_is_answered(name: str) -> None:
    parser = PARSERS[name]

    @FUZZ
    @given(st.one_of(st.text(), *(damaged(good) for good in parser.good)))
    def run(text: str) -> None:
        answers(parser, text)

    run()


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)


def places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [at, *(place for key, value in inner for place in places(value, (*at, key)))]


@pytest.mark.parametrize(("name", "good"), [("route document", DOCUMENT), ("route record", RECORD)])
def test_json_with_any_value_in_any_place_is_answered(name: str, good: str) -> None:
    """Cutting at random rarely leaves JSON; here one value of the good one becomes another."""
    where = places(json.loads(good))[1:]

    @FUZZ
    @given(st.sampled_from(where), JSON)
    def run(place: tuple[Any, ...], value: object) -> None:
        data = json.loads(good)
        node = data
        for key in place[:-1]:
            node = node[key]
        node[place[-1]] = value
        answers(PARSERS[name], json.dumps(data))

    run()


def lines_of_yaml() -> st.SearchStrategy[str]:
    """Text that YAML is likely to accept."""
    key = st.sampled_from(["canary", "canaries", "model", "buckets", "slots", "ramp", "steps", "<<", "? a", "键", "1"])
    value = st.sampled_from(
        [
            "",
            "[]",
            "{}",
            "~",
            "yes",
            "010",
            "1:30",
            ".nan",
            "|",
            ">-",
            "&a x",
            "*a",
            "!!set",
            "{a: [b]}",
            '"',
            "- -",
            "值",
        ]
    )
    line = st.tuples(st.integers(0, 3), st.sampled_from(["", "- "]), key, value)
    as_text = line.map(lambda parts: f"{'  ' * parts[0]}{parts[1]}{parts[2]}: {parts[3]}")
    return st.lists(as_text, max_size=12).map("\n".join)


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@FUZZ
@given(st.one_of(st.binary(max_size=300), lines_of_yaml().map(as_bytes), damaged(CANARY).map(as_bytes)))
def test_any_bytes_in_place_of_a_file_are_answered(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        canary, platform = write_files(Path(folder))
        for path in (canary, platform):
            good = path.read_bytes()
            path.write_bytes(data)
            for problems in (
                problems_of(load_spec, canary, platform),
                problems_of(load_platform, platform),
                problems_of(empties_target, canary),
            ):
                assert all(problem.mend and problem.file in {canary, platform} for problem in problems)
            path.write_bytes(good)


def problems_of(read: Callable[..., object], *paths: Path) -> list[Problem]:
    since = time.monotonic()
    problems: list[Problem] = []
    try:
        read(*paths)
    except InvalidFile as refusal:
        problems = refusal.problems
    assert time.monotonic() - since < SECONDS
    return problems


def test_the_good_texts_are_good() -> None:
    """Otherwise nothing but refusals would be tested."""
    for name, parser in PARSERS.items():
        if name not in {"decision", "spec", "state of a ramp"} and name[0].islower():
            parser.read(parser.good[0])
