"""YAML text → data with lines: only what the text spells out, and an answer in reasonable time to whatever comes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailramp.errors import InvalidFile
from tailramp.yaml_source import MAX_BYTES, MAX_DEPTH, dotted, read_document

BOMB = """\
a: &a [x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]
d: [*c, *c, *c, *c, *c, *c, *c, *c, *c]
"""


def problem_of(text: str) -> tuple[int | None, str, str]:
    with pytest.raises(InvalidFile) as refusal:
        read_document(text, Path("some.yaml"))
    first = refusal.value.problems[0]
    assert first.file == Path("some.yaml")
    assert first.mend
    return first.line, first.field, first.reason


def test_plain_data_comes_back_with_the_line_of_every_field() -> None:
    document = read_document("a: 1\nb:\n  - x\n  - c: true\n    d: null\ne: 1.5\n")
    assert document.data == {"a": 1, "b": ["x", {"c": True, "d": None}], "e": 1.5}
    assert [document.line_of(place) for place in ((), ("a",), ("b",), ("b", 1), ("b", 1, "d"), ("e",))] == [
        1,
        1,
        2,
        4,
        5,
        6,
    ]


def test_a_field_that_is_not_there_is_placed_at_what_surrounds_it() -> None:
    document = read_document("a:\n  b:\n    c: 1\n")
    assert document.line_of(("a", "b", "missing", 3)) == 2
    assert document.value_of(("a", "b", "c")) == 1
    assert document.value_of(("a", "b", "c", "d")) is None


def test_an_anchor_alone_does_no_harm_but_an_alias_is_refused_with_its_line() -> None:
    assert read_document("a: &here 1\n").data == {"a": 1}
    assert problem_of("a: &here 1\nb: *here\n")[0] == 2


def test_a_bomb_of_aliases_is_refused_before_it_goes_off() -> None:
    line, _, reason = problem_of(BOMB)
    assert line == 2
    assert "alias" in reason


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", 'a: 1\n"a": 2\n', "{a: 1, b: 2, 'a': 3}"])
def test_a_key_that_stands_twice_is_refused_with_both_lines(text: str) -> None:
    with pytest.raises(InvalidFile, match=r"a: stands twice. Keep one of them; the first is in line 1"):
        read_document(text)


def test_the_same_key_in_two_places_is_no_duplicate() -> None:
    assert read_document("x: {a: 1}\ny: {a: 2}\n").data == {"x": {"a": 1}, "y": {"a": 2}}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 40,
        "[" * 100_000,
        "- " * 40_000,
        "{a: " * 20_000,
        "? " * 40_000,
        "a:\n" + "".join(" " * n + "- \n" for n in range(60)),
    ],
    ids=[
        "brackets",
        "a file of brackets",
        "a file of dashes",
        "a file of braces",
        "a file of question marks",
        "a stair",
    ],
)
def test_whatever_is_nested_too_deeply_is_refused_at_once(text: str) -> None:
    began = time.monotonic()
    assert "nested too deeply" in problem_of(text)[2]
    assert time.monotonic() - began < 5


def test_the_depth_that_is_allowed_is_allowed() -> None:
    assert read_document("[" * MAX_DEPTH + "]" * MAX_DEPTH).data
    assert "nested too deeply" in problem_of("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))[2]


@pytest.mark.parametrize(
    "value",
    [
        "!custom x",
        "!custom {a: b}",
        "!reference [a, b]",
        "!!python/object/apply:os.system [true]",
        "!!python/name:os.system",
        "!!binary aGVsbG8=",
        "!!set {a, b}",
        "!!omap [a: b]",
        "!!timestamp nonsense",
        '!!int "abc"',
        '!!int ""',
        '!!bool "x"',
        '!!float "x"',
        "!!str [a]",
        "2024-01-31",
        "2024-01-31T10:00:00Z",
        "!<tag:yaml.org,2002:python/object:x.Y> b",
        "=",
    ],
)
def test_a_value_that_is_not_plain_is_refused_with_its_field_and_constructed_by_nobody(value: str) -> None:
    assert problem_of(f"a: 1\nfield: {value}\n")[:2] == (2, "field")


@pytest.mark.parametrize("text", ["? [a]\n: b\n", "? {a: b}\n: c\n", '"\\0": 1\n', '"\\ud800": 1\n'])
def test_a_key_that_is_not_text_is_refused(text: str) -> None:
    assert "a key is not text" in problem_of(text)[2]


def test_keys_are_what_they_look_like() -> None:
    data = read_document("yes: 1\n0x10: 2\n1.50: 3\nnull: 4\n键: 值\n").data
    assert data == {"yes": 1, "0x10": 2, "1.50": 3, "null": 4, "键": "值"}


@pytest.mark.parametrize("number", ["9" * 400, "0x" + "f" * 5000, "-9007199254740993", "1:" + "59:" * 200 + "1"])
def test_a_number_that_no_json_reader_would_keep_is_refused(number: str) -> None:
    assert problem_of(f"a: {number}\n")[1] == "a"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        ("\n\n# words\n", "the file is empty"),
        ("---\n", ""),
        ("a: b\n---\nc: d\n", "another document"),
        ("a: [1, 2\n", "not valid YAML"),
        ("\ta: b\n", "not valid YAML"),
        ("a: 'b\n", "not valid YAML"),
        ("%YAML 2.0\n---\na: b\n", "not valid YAML"),
        ("a: b: c\n", "not valid YAML"),
        ("\x00\x01\x02", "not valid YAML"),
        ("a: \x07", "not valid YAML"),
        ("\ud800", "not valid YAML"),
    ],
)
def test_what_is_no_yaml_document_is_refused_in_words(text: str, reason: str) -> None:
    if reason:
        assert reason in problem_of(text)[2]
    else:
        assert read_document(text).data is None


def test_a_file_that_is_too_large_is_not_even_parsed() -> None:
    began = time.monotonic()
    assert "larger than" in problem_of("a: " + "x" * MAX_BYTES)[2]
    assert time.monotonic() - began < 1


def test_size_is_counted_in_bytes_and_not_in_letters() -> None:
    assert "larger than" in problem_of("a: " + "字" * (MAX_BYTES // 3))[2]


@given(st.text(max_size=200))
def test_any_text_becomes_data_or_a_refusal(text: str) -> None:
    try:
        document = read_document(text)
    except InvalidFile as refusal:
        problems = refusal.problems
    else:
        problems = []
        assert document.line_of(()) is not None
    assert all(problem.reason and problem.mend for problem in problems)


def test_a_place_is_printed_as_people_write_it() -> None:
    assert dotted(("canaries", 0, "model")) == "canaries[0].model"
    assert dotted(()) == "(file)"
