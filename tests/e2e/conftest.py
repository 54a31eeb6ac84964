"""Worlds of real servers for the end-to-end tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.world import HANG_CHECK, World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path / "world", seed=7, checks=HANG_CHECK) as world:
        yield world
