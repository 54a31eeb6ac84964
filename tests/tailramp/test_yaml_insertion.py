"""A value into a file that people keep: what is put in is there, and nothing else has changed."""

import difflib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli.examples import PLATFORM
from tailramp.yaml_insertion import with_value

PATH = ("checks", "sequential", "noise", "latency", "tau")


def with_tau(text: str) -> str:
    return with_value(text, PATH, "[0.1, 0.2]")


def tau_of(text: str) -> object:
    value = yaml.safe_load(text)
    for name in PATH:
        value = value[name]
    return value


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "route: a  # ours\n",
            "route: a  # ours\nchecks:\n  sequential:\n    noise:\n      latency:\n        tau: [0.1, 0.2]\n",
        ),
        (
            "checks:\n    tick: 5s   # quick\n\n# the end\nroute: a",
            (
                "checks:\n    tick: 5s   # quick\n    sequential:\n      noise:\n        latency:\n"
                "          tau: [0.1, 0.2]\n\n# the end\nroute: a"
            ),
        ),
        (
            "checks:\n  sequential: {alpha: 1%}  # of all\nroute: a\n",
            "checks:\n  sequential: {alpha: 1%, noise: {latency: {tau: [0.1, 0.2]}}}  # of all\nroute: a\n",
        ),
        ("checks: {}\n", "checks: {sequential: {noise: {latency: {tau: [0.1, 0.2]}}}}\n"),
        (
            "checks:\n  sequential:\n    noise:   # none yet\nroute: a\n",
            "checks:\n  sequential:\n    noise:   # none yet\n      latency:\n        tau: [0.1, 0.2]\nroute: a\n",
        ),
        (
            "checks:\n  sequential: null # as shipped\nroute: a\n",
            "checks:\n  sequential: # as shipped\n    noise:\n      latency:\n        tau: [0.1, 0.2]\nroute: a\n",
        ),
        (
            "checks:\n  sequential:\n    noise:\n      latency:\n        tau:\n          - 0.3  # old\nroute: a\n",
            "checks:\n  sequential:\n    noise:\n      latency:\n        tau:\n          [0.1, 0.2]  # old\nroute: a\n",
        ),
        (
            "checks:\n  sequential:\n    noise: {latency: {tau: [0.3], phi0: [1]}}  # 2025\n",
            "checks:\n  sequential:\n    noise: {latency: {tau: [0.1, 0.2], phi0: [1]}}  # 2025\n",
        ),
        (
            "{note: 'a\n  b', checks: null}\n",
            "{note: 'a\n  b', checks: {sequential: {noise: {latency: {tau: [0.1, 0.2]}}}}}\n",
        ),
        (
            "checks:\n  note: |\n    a\n    b\n",
            "checks:\n  note: |\n    a\n    b\n  sequential:\n    noise:\n      latency:\n        tau: [0.1, 0.2]\n",
        ),
    ],
)
def test_the_value_comes_in_the_style_around_it(before: str, after: str) -> None:
    assert with_tau(before) == after
    assert tau_of(after) == [0.1, 0.2]
    assert with_tau(after) == after


def test_the_file_of_init_keeps_every_line() -> None:
    changed = with_tau(PLATFORM)
    lines = [line for line in difflib.ndiff(PLATFORM.splitlines(), changed.splitlines()) if line[0] in "+-"]
    assert [line[0] for line in lines] == ["+"] * 4
    assert tau_of(changed) == [0.1, 0.2]


def test_what_is_no_mapping_is_refused() -> None:
    with pytest.raises(ValueError, match=r"checks\.sequential is no mapping"):
        with_tau("checks:\n  sequential: 5\n")
    with pytest.raises(ValueError, match="document is no mapping"):
        with_tau("- a\n")


class _WithoutAliases(yaml.SafeDumper):
    """What ``read_document`` accepts."""

    def ignore_aliases(self, data: object) -> bool:
        return True


names = st.sampled_from(["checks", "sequential", "noise", "latency", "tau", "route", "phi0"])
trees = st.recursive(
    st.sampled_from([1, "a: b", "x # y", None, [1, 2], "two\nlines\n"]),
    lambda inner: st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(names, trees, min_size=1, max_size=3), st.sampled_from([None, False, True]))
def test_nothing_else_in_the_data_changes(tree: dict[str, object], flow: bool | None) -> None:
    text = yaml.dump(tree, Dumper=_WithoutAliases, default_flow_style=flow, sort_keys=False, width=10_000)
    expected: dict[str, object] = yaml.safe_load(text)
    place = expected
    for name in PATH[:-1]:
        inner = place.setdefault(name, {})
        if inner is None:
            inner = place[name] = {}
        if not isinstance(inner, dict):
            with pytest.raises(ValueError, match="no mapping"):
                with_tau(text)
            return
        place = inner
    place[PATH[-1]] = [0.1, 0.2]
    assert yaml.safe_load(with_tau(text)) == expected
