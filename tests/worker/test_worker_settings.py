"""Settings from the environment: every variable that cannot be used is named with its value."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailramp.errors import InvalidFile
from worker.settings import WorkerSettings, load_settings


def test_an_empty_environment_means_the_defaults() -> None:
    assert load_settings({}) == WorkerSettings()


def test_an_empty_variable_counts_as_unset() -> None:
    names = ["TAILRAMP_RECORDS", "TAILRAMP_MAX_RAMPS", "TAILRAMP_SHUTDOWN_SECONDS", "TAILRAMP_LOG_LEVEL"]
    assert load_settings(dict.fromkeys(names, "")) == WorkerSettings()


def test_variables_are_read_by_their_names_and_others_are_left_alone() -> None:
    settings = load_settings(
        {
            "TAILRAMP_RECORDS": "/var/lib/tailramp",
            "TAILRAMP_MAX_RAMPS": "7",
            "TAILRAMP_SHUTDOWN_SECONDS": "0.5",
            "TAILRAMP_LOG_LEVEL": "DEBUG",
            "TAILRAMP_PLATFORM": "deploy/tailramp.yaml",
            "MAX_RAMPS": "9",
        }
    )
    assert settings.records == Path("/var/lib/tailramp")
    assert (settings.max_ramps, settings.shutdown_seconds, settings.log_level) == (7, 0.5, "DEBUG")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TAILRAMP_MAX_RAMPS", "0", "greater than or equal to 1"),
        ("TAILRAMP_MAX_RAMPS", "many", "integer"),
        ("TAILRAMP_MAX_RAMPS", "1" * 30, "less than or equal to"),
        ("TAILRAMP_SHUTDOWN_SECONDS", "-1", "greater than or equal to 0"),
        ("TAILRAMP_SHUTDOWN_SECONDS", "nan", "less than or equal to"),
        ("TAILRAMP_SHUTDOWN_SECONDS", "inf", "less than or equal to"),
        ("TAILRAMP_SHUTDOWN_SECONDS", "5s", "number"),
        ("TAILRAMP_SENTINEL_POLL", "0", "greater than 0"),
        ("TAILRAMP_SENTINEL_POLL", "inf", "less than or equal to"),
        ("TAILRAMP_LOG_LEVEL", "debug", "DEBUG"),
        ("TAILRAMP_LOG_LEVEL", "DEBUG\n", "DEBUG"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named_with_value_and_reason(name: str, value: str, words: str) -> None:
    with pytest.raises(InvalidFile) as refusal:
        load_settings({name: value})
    (problem,) = refusal.value.problems
    assert (problem.field, problem.value) == (name, value)
    assert words in problem.reason
    assert "unset" in problem.mend


def test_all_bad_variables_are_named_at_once() -> None:
    with pytest.raises(InvalidFile) as refusal:
        load_settings({"TAILRAMP_MAX_RAMPS": "x", "TAILRAMP_SHUTDOWN_SECONDS": "y", "TAILRAMP_LOG_LEVEL": "z"})
    assert [problem.field for problem in refusal.value.problems] == [
        "TAILRAMP_MAX_RAMPS",
        "TAILRAMP_SHUTDOWN_SECONDS",
        "TAILRAMP_LOG_LEVEL",
    ]
