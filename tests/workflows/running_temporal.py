"""Temporal's development server for hundreds of short ramps, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from lab.temporal_server import WITHOUT_PAUSES, TemporalServer


@contextmanager
def running_server(*, continue_as_new_after: int | None = None) -> Iterator[str]:
    """Run a server and give its address; it suggests to continue as new after so many events instead of 4,096."""
    config = dict(WITHOUT_PAUSES)
    if continue_as_new_after is not None:
        config["limit.historyCount.suggestContinueAsNew"] = continue_as_new_after
    with TemporaryDirectory() as folder:
        server = TemporalServer(Path(folder), dynamic_config=config, log_level="error")
        asyncio.run(server.start())
        try:
            yield server.address
        finally:
            asyncio.run(server.stop())


async def connect(address: str) -> Client:
    """A client whose name says nothing about the machine, since it stands in every history."""
    return await Client.connect(address, data_converter=pydantic_data_converter, identity="worker")
