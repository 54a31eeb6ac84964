"""A secret is named by the files and had only by the process that needs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tailramp.errors import InvalidFile, Refused
from tailramp.secret_reference import resolve
from tailramp.spec import PlatformFile, load_platform


def platform_file(folder: Path, **router: str) -> Path:
    file = folder / "tailramp.yaml"
    slot = {"url": "http://127.0.0.1:1", "metrics": 'slot="x"', "gatewayMetrics": 'slot="x"'}
    data = {
        "apiVersion": "tailramp/v1",
        "route": {"name": "chat"},
        "router": {
            "kind": "envoy-file",
            "file": "route.json",
            "admin": "http://127.0.0.1:1",
            "gateway": "http://127.0.0.1:2",
            **router,
        },
        "slots": {"blue": dict(slot), "green": dict(slot)},
        "identity": {"salt": "demo-2026"},
        "prometheus": {"url": "http://127.0.0.1:3"},
    }
    file.write_text(yaml.safe_dump(data))
    return file


def test_a_reference_stays_a_reference_in_the_spec(tmp_path: Path) -> None:
    platform = load_platform(platform_file(tmp_path, probeSecret="${TAILRAMP_PROBE_SECRET}"))
    assert platform.router.probe_secret == "${TAILRAMP_PROBE_SECRET}"
    assert "${TAILRAMP_PROBE_SECRET}" in platform.model_dump_json(by_alias=True)


def test_without_a_reference_there_is_no_secret(tmp_path: Path) -> None:
    assert load_platform(platform_file(tmp_path)).router.probe_secret is None


@pytest.mark.parametrize(
    "value", ["hunter2hunter2hunter2", "", "$TAILRAMP", "${A} ", "x${A}", "${A}${B}", "${}", "${1A}", "${A-b}"]
)
def test_a_literal_secret_is_refused_with_the_mend_and_not_shown(tmp_path: Path, value: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        load_platform(platform_file(tmp_path, probeSecret=value))
    (problem,) = refused.value.problems
    assert problem.field == "router.probeSecret"
    assert "Write a reference such as ${TAILRAMP_PROBE_SECRET}" in problem.mend
    assert problem.value is None
    assert "hunter2" not in str(refused.value)


def test_a_misspelt_field_does_not_show_the_secret_in_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="Did you mean probeSecret") as refused:
        load_platform(platform_file(tmp_path, probesecret="hunter2hunter2"))
    assert "hunter2" not in str(refused.value)


def test_the_schema_for_editors_knows_what_a_reference_looks_like() -> None:
    schema = json.dumps(PlatformFile.model_json_schema(by_alias=True)["$defs"]["EnvoyFileRouter"])
    assert json.dumps(r"^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$") in schema


def test_a_reference_is_resolved_in_the_given_environment() -> None:
    assert resolve("${PROBE}", {"PROBE": "value", "OTHER": "x"}) == "value"
    assert resolve("${PROBE}", {"PROBE": "${OTHER}", "OTHER": "x"}) == "${OTHER}"


@pytest.mark.parametrize("environment", [{}, {"PROBE": ""}, {"probe": "value"}])
def test_an_unset_variable_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(Refused, match="the variable PROBE is not set"):
        resolve("${PROBE}", environment)


def test_what_is_no_reference_is_not_repeated() -> None:
    with pytest.raises(Refused) as refused:
        resolve("hunter2hunter2", {})
    assert "hunter2" not in str(refused.value)
