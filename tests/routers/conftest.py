"""A route that lives: a real Envoy with its two servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from living_route import LivingRoute


@pytest.fixture
async def route(tmp_path: Path) -> AsyncIterator[LivingRoute]:
    async with aiohttp.ClientSession() as http, LivingRoute(tmp_path, http) as living:
        yield living
