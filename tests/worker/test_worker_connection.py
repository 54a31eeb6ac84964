"""The connection to Temporal, from the environment as Temporal's own tools read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.process import free_port
from lab.temporal_server import TemporalServer
from tailramp.errors import Unreachable
from worker.connection import connect


async def test_the_address_is_taken_from_the_environment_that_is_given(temporal: TemporalServer) -> None:
    client = await connect({"TEMPORAL_ADDRESS": temporal.address})
    assert await client.count_workflows("RampRoute IS NULL") is not None
    assert client.namespace == "default"


@pytest.mark.parametrize("name", ["TEMPORAL_API_KEY", "TEMPORAL_TLS", "TEMPORAL_NAMESPACE", "TEMPORAL_PROFILE"])
async def test_an_empty_variable_counts_as_unset(temporal: TemporalServer, name: str) -> None:
    """docker-compose passes unset variables as empty ones; an empty API key would switch TLS on."""
    client = await connect({"TEMPORAL_ADDRESS": temporal.address, name: ""})
    assert client.namespace == "default"


async def test_a_namespace_is_taken_from_the_environment(temporal: TemporalServer) -> None:
    client = await connect({"TEMPORAL_ADDRESS": temporal.address, "TEMPORAL_NAMESPACE": "another"})
    assert client.namespace == "another"


async def test_a_server_that_is_not_there_is_named_with_the_variable_that_names_it() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable, match=rf"Temporal at {address} cannot be reached: Connection refused\. TEMPORAL_"):
        await connect({"TEMPORAL_ADDRESS": address})


@pytest.mark.parametrize("given", [{"TEMPORAL_TLS": "true"}, {"TEMPORAL_API_KEY": "secret-key"}])
async def test_tls_towards_a_plaintext_server_is_explained(temporal: TemporalServer, given: dict[str, str]) -> None:
    with pytest.raises(Unreachable, match="check TEMPORAL_TLS and TEMPORAL_API_KEY") as refusal:
        await connect({"TEMPORAL_ADDRESS": temporal.address, **given})
    assert "secret-key" not in str(refusal.value)


@pytest.mark.parametrize(
    "given",
    [
        {"TEMPORAL_ADDRESS": "not an address"},
        {"TEMPORAL_ADDRESS": "127.0.0.1"},
        {"TEMPORAL_ADDRESS": "127.0.0.1:99999"},
        {"TEMPORAL_PROFILE": "nobody-wrote-it"},
        {"TEMPORAL_TLS": "perhaps"},
        {"TEMPORAL_TLS": "true", "TEMPORAL_TLS_CLIENT_CERT_PATH": "/nowhere/cert.pem"},
    ],
    ids=str,
)
async def test_settings_that_cannot_be_used_are_refused_in_words(given: dict[str, str]) -> None:
    with pytest.raises(Unreachable, match="Temporal"):
        await connect({"TEMPORAL_ADDRESS": "127.0.0.1:1", **given})


async def test_a_profile_file_that_is_no_toml_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "temporal.toml"
    file.write_text("[profile.default\naddress = ", encoding="utf-8")
    with pytest.raises(Unreachable, match="connection settings cannot be used"):
        await connect({"TEMPORAL_CONFIG_FILE": str(file)})


async def test_a_profile_file_names_the_server(temporal: TemporalServer, tmp_path: Path) -> None:
    file = tmp_path / "temporal.toml"
    file.write_text(f'[profile.default]\naddress = "{temporal.address}"\n', encoding="utf-8")
    assert (await connect({"TEMPORAL_CONFIG_FILE": str(file)})).namespace == "default"


async def test_a_profile_is_chosen_by_its_name(temporal: TemporalServer, tmp_path: Path) -> None:
    file = tmp_path / "temporal.toml"
    file.write_text(
        '[profile.default]\naddress = "127.0.0.1:1"\n'
        f'[profile.staging]\naddress = "{temporal.address}"\nnamespace = "another"\n',
        encoding="utf-8",
    )
    client = await connect({"TEMPORAL_CONFIG_FILE": str(file), "TEMPORAL_PROFILE": "staging", "TEMPORAL_ADDRESS": ""})
    assert client.namespace == "another"
