"""Temporal's development server without a disk: hundreds of short ramps need no database that survives them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from lab import programs
from workflows import search_attributes


@contextmanager
def running_server(**dynamic_config: str) -> Iterator[str]:
    """Run a server and give its address; ``history__x="1"`` sets the dynamic configuration value ``history.x``."""
    values = {"history.timerProcessorMaxTimeShift": '"5ms"'}
    values |= {name.replace("__", "."): value for name, value in dynamic_config.items()}
    loop = asyncio.new_event_loop()
    environment = loop.run_until_complete(
        WorkflowEnvironment.start_local(
            dev_server_existing_path=str(programs.ensure("temporal")),
            dev_server_log_level="error",
            dev_server_extra_args=[f"--dynamic-config-value={name}={value}" for name, value in values.items()],
            search_attributes=search_attributes.ALL,
        )
    )
    try:
        yield environment.client.service_client.config.target_host
    finally:
        loop.run_until_complete(environment.shutdown())
        loop.close()


async def connect(address: str) -> Client:
    """A client whose name says nothing about the machine, since it stands in every history."""
    return await Client.connect(address, data_converter=pydantic_data_converter, identity="worker")
