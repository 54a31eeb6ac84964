"""Worlds of real servers for the end-to-end tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path / "world", seed=7) as world:
        yield world
