"""Servers and scripted worlds for the tests of the workflow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from running_temporal import connect, running_server
from scripted import ScriptedWorld
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from lab import programs
from workflows import search_attributes


@pytest.fixture(scope="module")
def temporal_address() -> Iterator[str]:
    """A real server; each test has a route of its own, and the tests share its queues one after another.

    Of one file, because it starts in less than what it costs to stay until the run is over.
    """
    with running_server() as address:
        yield address


@pytest.fixture
async def client(temporal_address: str) -> Client:
    return await connect(temporal_address)


@pytest.fixture
async def world(client: Client) -> AsyncIterator[ScriptedWorld]:
    """Workers on the real server."""
    async with ScriptedWorld(client) as world:
        yield world


@pytest.fixture
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A server that skips time, with a clock of its own: it is global there, so no two tests may share it."""
    async with await WorkflowEnvironment.start_time_skipping(
        data_converter=pydantic_data_converter,
        identity="worker",
        test_server_existing_path=str(programs.ensure("temporal-test-server")),
    ) as environment:
        await environment.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=environment.client.namespace,
                search_attributes={
                    key.name: IndexedValueType.ValueType(key.indexed_value_type.value) for key in search_attributes.ALL
                },
            )
        )
        yield environment


@pytest.fixture
async def skipping_world(skipping: WorkflowEnvironment) -> AsyncIterator[ScriptedWorld]:
    """Workers on the server that skips time: a retry's back-off and a timer cost nothing there."""
    async with ScriptedWorld(skipping.client) as world:
        yield world
