"""One Temporal server for all tests of a file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from lab.temporal_server import TemporalServer


@pytest.fixture(scope="module")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    server = TemporalServer(tmp_path_factory.mktemp("temporal"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())
