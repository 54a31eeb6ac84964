"""Good files, damaged at random: whatever comes of it is a spec or an InvalidFile, never anything else."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spec_samples import CANARY, PLATFORM, spec_of

from tailramp.errors import InvalidFile, Problem
from tailramp.spec import RampSpec

PUNCTUATION = [
    "\n",
    "\t",
    " ",
    ":",
    "- ",
    "? ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "!!",
    "!x ",
    "|\n",
    "%",
    "#",
    "'",
    '"',
    "<<: ",
]
SCALARS = [
    "null",
    ".nan",
    "-.inf",
    "1e400",
    "0x" + "f" * 4000,
    "9" * 500,
    "-1",
    "2024-01-31",
    "~",
    "=",
    "5 %",
    "-5%",
    "0s",
]
LETTERS = ["999999999999d", "００", "²", "零", "\ufeff", "\\ud800", "\\0", "\x00", "\x85", "\u2028", "\r\n"]
FIELDS = ["---\n", "...\n", "canary:", "canaries:", "segments: [VIP]", "resolution: 10000", "buckets: 05"]
FRAGMENTS = st.one_of(
    st.sampled_from([*PUNCTUATION, *SCALARS, *LETTERS, *FIELDS]),
    st.text(max_size=8),
    st.integers().map(str),
    st.floats().map(str),
)

VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["5%", "10s", "00-04"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """``text`` with one to three cuts, insertions or swapped lines."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 2, 5, 40])))
        text = text[:start] + draw(st.one_of(st.just(""), FRAGMENTS)) + text[end:]
    return text


@st.composite
def with_a_strange_value(draw: st.DrawFn, text: str) -> str:
    """``text`` with the value of one line replaced by a value of any kind, as YAML flow text."""
    lines = text.splitlines()
    index = draw(st.sampled_from([number for number, line in enumerate(lines) if ": " in line]))
    key = lines[index].split(": ")[0]
    lines[index] = f"{key}: {as_flow(draw(VALUES))}"
    return "\n".join(lines) + "\n"


def as_flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_flow(key)}: {as_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(as_flow(item) for item in value) + "]"
    return (
        '"' + value.encode("unicode_escape").decode().replace('"', '\\"') + '"'
        if isinstance(value, str)
        else str(value)
    )


def is_spec_or_refusal(canary: str, platform: str) -> None:
    problems: list[Problem] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            spec = spec_of(Path(folder), canary, platform)
        except InvalidFile as refusal:
            problems = refusal.problems
        else:
            assert RampSpec.model_validate_json(spec.model_dump_json()) == spec
            assert spec.digest
            assert spec.candidate.digest
    assert all(problem.file is not None and problem.reason and problem.mend for problem in problems)
    assert all(str(problem).encode() for problem in problems)


RANDOM = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@RANDOM
@given(st.one_of(damaged(CANARY), with_a_strange_value(CANARY)))
def test_no_damage_to_the_canary_file_raises_anything_but_invalid_file(canary: str) -> None:
    is_spec_or_refusal(canary, PLATFORM)


@RANDOM
@given(st.one_of(damaged(PLATFORM), with_a_strange_value(PLATFORM)))
def test_no_damage_to_the_platform_file_raises_anything_but_invalid_file(platform: str) -> None:
    is_spec_or_refusal(CANARY, platform)
